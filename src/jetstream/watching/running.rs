//! A watch that is running, with the type of the user's state erased: its reader, what it is at, and
//! the way to the callback.
//!
//! Invariant: updates are reported in the order in which they were noted, one after the other. A
//! callback that panics or returns an error has had its update; those behind it come in the next turn.
//! One that nothing is noted before or behind takes the short way, without being noted.

use super::state::WatchState;
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::Port;
use crate::jetstream::consume::{Reader, WeakReader};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

pub(crate) struct Watching<U> {
    port: Port,
    /// Empty if the watch could not even begin.
    reader: OnceCell<WeakReader>,
    state: Cell<WatchState>,
    /// How many messages the consumer had to deliver when it was created, and had not.
    expected: Cell<u64>,
    noted: RefCell<VecDeque<Noted<U>>>,
    callback: CallbackSlot<OnUpdate<U>>,
    on_caught_up: OnceCell<OnCaughtUp>,
}

/// What is to be reported.
enum Noted<U> {
    Update(U),
    /// The last update.
    End(U),
    CaughtUp,
}

/// What runs for every update.
pub(crate) type OnUpdate<U> = Box<dyn FnMut(&mut State, &Rc<Watching<U>>, U) -> Ran>;

/// What runs when the consumer has nothing more to deliver, although the last update said otherwise: what
/// came behind it is not shown, or is gone.
pub(crate) type OnCaughtUp = Box<dyn Fn(&mut State) -> Ran>;

impl<U: 'static> Watching<U> {
    pub(crate) fn new(port: &Port, on_update: OnUpdate<U>) -> Rc<Self> {
        Rc::new(Self {
            port: port.clone(),
            reader: OnceCell::new(),
            state: Cell::new(WatchState::Recreating { since: port.now() }),
            expected: Cell::new(0),
            noted: RefCell::default(),
            callback: CallbackSlot::new(on_update),
            on_caught_up: OnceCell::new(),
        })
    }

    /// A watch that cannot begin, whose end is reported in the next turn.
    pub(crate) fn refused(port: &Port, on_update: OnUpdate<U>, end: U) -> Rc<Self> {
        let watching = Self::new(port, on_update);
        watching.note_end(end);
        let refused = watching.clone();
        port.defer(move |state| refused.report(state));
        watching
    }

    /// Somebody wants to know. Said once, at the beginning.
    pub(crate) fn set_on_caught_up(&self, on_caught_up: OnCaughtUp) {
        self.on_caught_up.get_or_init(|| on_caught_up);
    }

    /// The reader that feeds it. Said once, at the beginning.
    pub(crate) fn set_reader(&self, reader: &Reader) {
        self.reader.get_or_init(|| reader.downgrade());
    }

    pub(crate) fn state(&self) -> WatchState {
        self.state.get()
    }

    /// Whether the callback may run again.
    pub(crate) fn is_active(&self) -> bool {
        self.state() != WatchState::Ended
    }

    /// Whether there is a consumer that feeds it.
    pub(crate) fn is_live(&self) -> bool {
        self.state() == WatchState::Live
    }

    /// Ends the watch: its callback does not run again.
    pub(crate) fn stop(&self) {
        self.state.set(WatchState::Ended);
        self.noted.take();
        if let Some(reader) = self.reader.get().and_then(WeakReader::upgrade) {
            reader.stop();
        }
        // one that runs is dropped after it
        drop(self.callback.take());
    }

    /// An update is to be reported by the next [`report`](Self::report).
    pub(crate) fn note(&self, update: U) {
        if self.is_active() {
            self.noted.borrow_mut().push_back(Noted::Update(update));
        }
    }

    /// The watch ends when what was noted is reported, and then with this update.
    pub(crate) fn note_end(&self, update: U) {
        if self.is_active() {
            self.noted.borrow_mut().push_back(Noted::End(update));
        }
    }

    /// The consumer has nothing more to deliver, and the last update does not say so.
    pub(crate) fn note_caught_up(&self) {
        if self.is_active() && self.on_caught_up.get().is_some() {
            self.noted.borrow_mut().push_back(Noted::CaughtUp);
        }
    }

    /// There is a consumer, which has so many messages to deliver.
    pub(crate) fn note_live(&self, expected: u64) {
        self.expected.set(expected);
        self.note_state(WatchState::Live);
    }

    /// How many messages the consumer had to deliver when there was one.
    pub(crate) fn expected(&self) -> u64 {
        self.expected.get()
    }

    /// There is a consumer, or none any more.
    pub(crate) fn note_state(&self, state: WatchState) {
        if self.is_active() {
            self.state.set(state);
        }
    }

    /// Reports what was noted.
    pub(crate) fn report(self: &Rc<Self>, state: &mut State) -> Ran {
        loop {
            let mut noted = self.noted.borrow_mut();
            let Some(next) = noted.pop_front() else { return Ok(()) };
            let is_last = noted.is_empty();
            drop(noted);
            if !is_last {
                let rest = self.clone();
                self.port.defer(move |state| rest.report(state));
            }
            self.report_next(state, next)?;
        }
    }

    fn report_next(self: &Rc<Self>, state: &mut State, next: Noted<U>) -> Ran {
        match next {
            Noted::Update(update) => self.report_update(state, update),
            Noted::End(update) => {
                self.state.set(WatchState::Ended);
                self.report_update(state, update)
            }
            Noted::CaughtUp => self.on_caught_up.get().map_or(Ok(()), |told| told(state)),
        }
    }

    /// Whether an update that comes now is the next one to be reported.
    #[inline]
    pub(crate) fn is_all_reported(&self) -> bool {
        self.is_active() && self.noted.borrow().is_empty()
    }

    /// Reports an update that is the next one, which need not be noted for that.
    #[inline]
    pub(crate) fn report_update(self: &Rc<Self>, state: &mut State, update: U) -> Ran {
        self.callback.run_while(|| self.is_active(), |callback| callback(state, self, update))
    }
}
