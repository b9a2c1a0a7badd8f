//! The resolver: host names are looked up by threads, because the system's look-up blocks.
//!
//! There are at most [`MAX_THREADS`] of them, each ends when nothing is left to look up, and none
//! begins another look-up after the resolver is gone. A look-up that nobody waits for any more is
//! not begun.

use super::contract::LookUp;
use crate::event_loop::readiness::{Readiness, SetReadiness};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

const MAX_THREADS: usize = 4;

type Answer = io::Result<Vec<SocketAddr>>;
type Look = Arc<dyn Fn(&str, u16) -> Answer + Send + Sync>;

pub(super) struct Resolver {
    jobs: Arc<Mutex<Jobs>>,
    look: Look,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    threads: usize,
}

struct Job {
    host: String,
    port: u16,
    answer: Sender<Answer>,
    done: SetReadiness,
    /// Gone when nobody waits for the answer.
    asker: Weak<()>,
}

struct Pending {
    answer: Receiver<Answer>,
    _asker: Arc<()>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(Arc::new(|host, port| (host, port).to_socket_addrs().map(Iterator::collect)))
    }
}

impl Resolver {
    fn new(look: Look) -> Self {
        Self { jobs: Arc::default(), look }
    }

    pub(super) fn look_up(
        &self,
        host: &str,
        port: u16,
        done: SetReadiness,
    ) -> io::Result<Box<dyn LookUp>> {
        let (sender, answer) = channel();
        let asker = Arc::new(());
        let weak = Arc::downgrade(&asker);
        let mut jobs = lock(&self.jobs);
        // attempts that were given up while names hang
        jobs.waiting.retain(Job::is_wanted);
        jobs.waiting.push_back(Job { host: host.into(), port, answer: sender, done, asker: weak });
        if jobs.threads < MAX_THREADS {
            self.start_thread()?;
            jobs.threads += 1;
        }
        Ok(Box::new(Pending { answer, _asker: asker }))
    }

    fn start_thread(&self) -> io::Result<()> {
        let (jobs, look) = (self.jobs.clone(), self.look.clone());
        let thread = thread::Builder::new().name("evnats-resolver".into());
        thread.spawn(move || {
            while let Some(job) = next_job(&jobs) {
                job.run(&look);
            }
        })?;
        Ok(())
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        lock(&self.jobs).waiting.clear();
    }
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.asker.strong_count() > 0
    }

    fn run(self, look: &Look) {
        let answer = look(&self.host, self.port);
        // an asker that is gone by now wants neither the answer nor the wake-up
        if self.answer.send(answer).is_ok() {
            self.done.set_readiness(Readiness::READABLE);
        }
    }
}

impl LookUp for Pending {
    fn poll(&mut self) -> Option<Answer> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(io::Error::other("the look-up of the host name died")))
            }
        }
    }
}

/// The next job for a thread, which ends if there is none.
fn next_job(jobs: &Mutex<Jobs>) -> Option<Job> {
    let mut jobs = lock(jobs);
    jobs.waiting.retain(Job::is_wanted);
    let job = jobs.waiting.pop_front();
    if job.is_none() {
        jobs.threads -= 1;
    }
    job
}

/// Nothing panics while the jobs are locked.
fn lock<T>(jobs: &Mutex<T>) -> MutexGuard<'_, T> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_loop::alarm::Alarm;
    use crate::event_loop::readiness::Reported;
    use mio::Token;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn readiness() -> (SetReadiness, Receiver<()>) {
        let (sender, woken) = channel();
        let sender = Mutex::new(sender);
        let alarm = Alarm::new(Box::new(move || sender.lock().unwrap().send(()).unwrap_or(())));
        (SetReadiness::new(Token(0), Arc::new(Reported::new(Arc::new(alarm)))), woken)
    }

    /// Looks names up for as long as it is held.
    #[derive(Default)]
    struct Hanging {
        begun: AtomicUsize,
        held: Mutex<()>,
    }

    impl Hanging {
        fn resolver() -> (Arc<Self>, Resolver) {
            let hanging = Arc::new(Self::default());
            let looked = hanging.clone();
            let resolver = Resolver::new(Arc::new(move |_: &str, _| {
                looked.begun.fetch_add(1, Ordering::SeqCst);
                drop(lock(&looked.held));
                Ok(Vec::new())
            }));
            (hanging, resolver)
        }

        fn hold(&self) -> MutexGuard<'_, ()> {
            lock(&self.held)
        }

        fn begun(&self) -> usize {
            self.begun.load(Ordering::SeqCst)
        }

        fn wait_until_all_hang(&self) {
            while self.begun() < MAX_THREADS {
                thread::yield_now();
            }
        }
    }

    fn wait_until_no_thread_is_left(jobs: &Mutex<Jobs>) {
        while lock(jobs).threads > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn an_answer_wakes_the_one_who_asked() {
        let resolver = Resolver::default();
        let (done, woken) = readiness();
        let mut pending = resolver.look_up("127.0.0.1", 4222, done).expect("a thread");
        woken.recv().expect("a wake-up");
        let answer = pending.poll().expect("an answer").expect("an address");
        assert_eq!(answer, ["127.0.0.1:4222".parse().expect("an address")]);
    }

    #[test]
    fn names_that_hang_take_no_more_threads_and_what_nobody_waits_for_is_not_begun() {
        let (hanging, resolver) = Hanging::resolver();
        let hang = hanging.hold();
        let (done, _woken) = readiness();
        let ask = |count| -> Vec<_> {
            let asked = (0..count).map(|_| resolver.look_up("name", 1, done.clone()));
            asked.map(|pending| pending.expect("accepted")).collect()
        };
        let mut first = ask(MAX_THREADS);
        hanging.wait_until_all_hang();
        // a hundred attempts, each given up for the next one
        (0..100).for_each(|_| drop(ask(1)));
        assert!(lock(&resolver.jobs).waiting.len() <= 1);
        drop(hang);
        for pending in &mut first {
            while pending.poll().is_none() {
                thread::yield_now();
            }
        }
        wait_until_no_thread_is_left(&resolver.jobs);
        assert_eq!(hanging.begun(), MAX_THREADS);
    }

    #[test]
    fn a_resolver_that_is_gone_begins_no_other_look_up() {
        let (hanging, resolver) = Hanging::resolver();
        let hang = hanging.hold();
        let (done, _woken) = readiness();
        let asked = (0..2 * MAX_THREADS).map(|_| resolver.look_up("name", 1, done.clone()));
        let asked: Vec<_> = asked.map(|pending| pending.expect("accepted")).collect();
        hanging.wait_until_all_hang();
        let jobs = resolver.jobs.clone();
        drop(resolver);
        drop(hang);
        wait_until_no_thread_is_left(&jobs);
        assert_eq!((hanging.begun(), asked.len()), (MAX_THREADS, 2 * MAX_THREADS));
    }
}
