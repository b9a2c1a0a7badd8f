//! A generation: a thread, the runtime in it, and the client on that.

use super::connection::Connection;
use super::outbox::{Left, Outbox};
use crate::mongo::error::Error;
use crate::mongo::options::Options;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is run in the thread, with the connection.
pub(super) type Job =
    Box<dyn FnOnce(Arc<Connection>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// For how long a thread is waited for when nobody can be told later.
const JOIN_WITHIN: Duration = Duration::from_secs(2);
const DOES_NOT_END: &str = "the thread for MongoDB does not end: what it runs blocks it";

pub(super) struct Generation {
    pub(super) number: u64,
    /// How many calls and streams of it have no outcome.
    pub(super) under_way: usize,
    /// `None` once it is to end.
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Nothing ever comes: it is cut off when the thread is about to end.
    gone: Receiver<()>,
}

impl Generation {
    pub(super) fn start(
        number: u64,
        options: &Options,
        outbox: &Arc<Outbox>,
    ) -> Result<Self, Error> {
        let connection = Arc::new(Connection::new(options)?);
        let not_started = |error: std::io::Error| Error::NotStarted { reason: error.to_string() };
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(not_started)?;
        let (sender, jobs) = unbounded_channel();
        let (ending, gone) = channel();
        let gone_notice = Gone { number, outbox: outbox.clone(), _ending: ending };
        let serve = move || {
            let _gone = gone_notice;
            runtime.block_on(serve(jobs, connection));
            // drops what still waits for a silent peer
            runtime.shutdown_background();
        };
        let thread = Builder::new().name("evnats-mongo".to_owned()).spawn(serve);
        let thread = Some(thread.map_err(not_started)?);
        Ok(Self { number, under_way: 0, jobs: Some(sender), thread, gone })
    }

    /// Hands a job over. If the thread is ending, or has died, it is dropped.
    pub(super) fn run(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// Has the thread end, whatever it waits for. It tells the loop when it has.
    pub(super) fn end(&mut self) {
        self.jobs = None;
    }

    /// Waits for the thread, which has said that it ends.
    pub(super) fn join(mut self) {
        self.join_thread();
    }

    /// Leaves the thread to itself.
    pub(super) fn detach(mut self) {
        log::error!("{DOES_NOT_END}");
        self.thread = None;
    }

    fn join_thread(&mut self) {
        if let Some(thread) = self.thread.take() {
            // a panic in it was told as the outcome of what it did
            let _ = thread.join();
        }
    }
}

/// A thread is not left behind, unless a job blocks it: then that is logged.
impl Drop for Generation {
    fn drop(&mut self) {
        self.end();
        if self.thread.is_none() {
            return;
        }
        match self.gone.recv_timeout(JOIN_WITHIN) {
            Err(RecvTimeoutError::Timeout) => log::error!("{DOES_NOT_END}"),
            _ => self.join_thread(),
        }
    }
}

/// Tells that the thread ends, also if it does by a panic.
struct Gone {
    number: u64,
    outbox: Arc<Outbox>,
    _ending: Sender<()>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.outbox.leave(Left::Gone { generation: self.number });
    }
}

/// Runs jobs until nobody can send any more.
async fn serve(mut jobs: UnboundedReceiver<Job>, connection: Arc<Connection>) {
    while let Some(job) = jobs.recv().await {
        let connection = connection.clone();
        tokio::spawn(async move { job(connection).await });
    }
    connection.say_goodbye().await;
}
