//! Working through a long list, with a bounded number of requests under way.
//!
//! No callback of the user's runs in here but the last one: whoever shows the progress does that in a
//! turn of its own, because a callback may panic, and the work is to go on. After the first failure nothing more is sent; the outcome is told when what was under way
//! has one.

use crate::callback::{Answer, Ran, State};
use crate::kv::error::Error;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec;

/// So many requests are under way at a time.
const WINDOW: usize = 64;

/// How one of the list is dealt with. The answer is how many count because of it.
type Start<I> = Box<dyn Fn(I, Answer<Result<u64, Error>>)>;

/// Runs after each of the list, with how many are done.
type OnProgress = Box<dyn Fn(u64)>;

/// What has come of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::kv) struct Swept {
    /// How many were worked through.
    pub(in crate::kv) done: u64,
    /// For how many of them something counted.
    pub(in crate::kv) effective: u64,
    /// What counted, in all.
    pub(in crate::kv) counted: u64,
}

pub(in crate::kv) struct Sweep<I> {
    items: RefCell<vec::IntoIter<I>>,
    of: u64,
    start: Start<I>,
    on_progress: OnProgress,
    under_way: Cell<usize>,
    swept: Cell<Swept>,
    failure: Cell<Option<Error>>,
    /// Taken when it runs, which is once.
    answer: Cell<Option<Answer<Result<Swept, Error>>>>,
}

impl<I: 'static> Sweep<I> {
    /// Begins to work through a list. `start` never answers within the call.
    pub(in crate::kv) fn begin(
        items: Vec<I>,
        start: impl Fn(I, Answer<Result<u64, Error>>) + 'static,
        on_progress: impl Fn(u64) + 'static,
        state: &mut State,
        answer: Answer<Result<Swept, Error>>,
    ) -> Ran {
        let sweep = Rc::new(Self {
            of: items.len() as u64,
            items: RefCell::new(items.into_iter()),
            start: Box::new(start),
            on_progress: Box::new(on_progress),
            under_way: Cell::new(0),
            swept: Cell::default(),
            failure: Cell::default(),
            answer: Cell::new(Some(answer)),
        });
        sweep.go_on(state)
    }

    /// Sends as much as may be under way, and answers if nothing is.
    fn go_on(self: &Rc<Self>, state: &mut State) -> Ran {
        while self.under_way.get() < WINDOW {
            let next = self.items.borrow_mut().next();
            let Some(item) = next else { break };
            self.under_way.set(self.under_way.get() + 1);
            let sweep = self.clone();
            let on_done =
                move |state: &mut State, done: Result<u64, Error>| sweep.note(state, done);
            (self.start)(item, Box::new(on_done));
        }
        match self.under_way.get() {
            0 => self.finish(state),
            _ => Ok(()),
        }
    }

    fn note(self: &Rc<Self>, state: &mut State, outcome: Result<u64, Error>) -> Ran {
        self.under_way.set(self.under_way.get() - 1);
        let counted = match outcome {
            Ok(counted) => counted,
            Err(error) => {
                let first = self.failure.take().unwrap_or(error);
                self.failure.set(Some(first));
                *self.items.borrow_mut() = Vec::new().into_iter();
                return self.go_on(state);
            }
        };
        let mut swept = self.swept.get();
        swept.done += 1;
        swept.effective += u64::from(counted > 0);
        swept.counted += counted;
        self.swept.set(swept);
        (self.on_progress)(swept.done);
        self.go_on(state)
    }

    fn finish(&self, state: &mut State) -> Ran {
        let Some(answer) = self.answer.take() else { return Ok(()) };
        let swept = self.swept.get();
        let outcome = match self.failure.take() {
            None => Ok(swept),
            Some(cause) if swept.done == 0 => Err(cause),
            Some(cause) => {
                Err(Error::Incomplete { done: swept.done, of: self.of, cause: Box::new(cause) })
            }
        };
        answer(state, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Waiting = Rc<RefCell<Vec<Answer<Result<u64, Error>>>>>;
    type Outcome = Rc<Cell<Option<Result<Swept, Error>>>>;

    /// A list whose items wait until the test answers them.
    fn begin(len: u64) -> (Waiting, Outcome, Rc<Cell<u64>>) {
        let (waiting, outcome, progress) = (Waiting::default(), Outcome::default(), Rc::default());
        let (kept, given) = (waiting.clone(), outcome.clone());
        let told: Rc<Cell<u64>> = Rc::clone(&progress);
        let ran = Sweep::begin(
            (0..len).collect(),
            move |_: u64, answer| kept.borrow_mut().push(answer),
            move |done| told.set(done),
            &mut (),
            Box::new(move |_, swept| {
                given.set(Some(swept));
                Ok(())
            }),
        );
        assert!(ran.is_ok());
        (waiting, outcome, progress)
    }

    fn answer_one(waiting: &Waiting, outcome: Result<u64, Error>) {
        let answer = waiting.borrow_mut().remove(0);
        assert!(answer(&mut (), outcome).is_ok());
    }

    #[test]
    fn no_more_than_a_window_is_under_way_and_everything_is_counted() {
        let (waiting, outcome, progress) = begin(1000);
        for number in 0..1000 {
            assert!(waiting.borrow().len() <= WINDOW);
            assert_eq!(outcome.take(), None);
            answer_one(&waiting, Ok(number % 3));
            assert_eq!(progress.get(), number + 1);
        }
        let swept = Swept { done: 1000, effective: 666, counted: 999 };
        assert_eq!(outcome.take(), Some(Ok(swept)));
    }

    #[test]
    fn nothing_to_do_is_an_outcome() {
        let (_, outcome, _) = begin(0);
        assert_eq!(outcome.take(), Some(Ok(Swept::default())));
    }

    #[test]
    fn after_a_failure_nothing_is_sent_and_what_is_under_way_still_counts() {
        let (waiting, outcome, _) = begin(1000);
        answer_one(&waiting, Ok(1));
        answer_one(&waiting, Err(Error::NoPatterns));
        answer_one(&waiting, Err(Error::InvalidConfig("another")));
        for _ in 0..WINDOW - 2 {
            assert_eq!(outcome.take(), None);
            answer_one(&waiting, Ok(1));
        }
        assert_eq!(waiting.borrow().len(), 0);
        let cause = Box::new(Error::NoPatterns);
        let done = WINDOW as u64 - 1;
        assert_eq!(outcome.take(), Some(Err(Error::Incomplete { done, of: 1000, cause })));
    }

    #[test]
    fn a_failure_before_anything_was_done_is_told_as_it_is() {
        let (waiting, outcome, _) = begin(1);
        answer_one(&waiting, Err(Error::NoPatterns));
        assert_eq!(outcome.take(), Some(Err(Error::NoPatterns)));
    }
}
