//! A watch that is running, with the type of the user's state erased: its reader, what it is at, and
//! the way to the callback.
//!
//! Invariant: updates are reported in the order in which they were noted, one after the other. A
//! callback that panics or returns an error has had its update; those behind it come in the next turn.
//! One that nothing is noted before or behind takes the short way, without being noted.

use crate::callback::{CallbackSlot, Ran, State};
use crate::client::Port;
use crate::jetstream::{Reader, WeakReader};
use crate::kv::watching::update::{Update, WatchState};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

pub(crate) struct Watching {
    port: Port,
    /// Empty if the watch could not even begin.
    reader: OnceCell<WeakReader>,
    state: Cell<WatchState>,
    /// How many messages the consumer had to deliver when it was created, and had not.
    expected: Cell<u64>,
    noted: RefCell<VecDeque<Noted>>,
    callback: CallbackSlot<OnUpdate>,
    on_caught_up: OnceCell<OnCaughtUp>,
}

/// What is to be reported.
enum Noted {
    Update(Update),
    CaughtUp,
}

/// What runs for every update.
pub(crate) type OnUpdate = Box<dyn FnMut(&mut State, &Rc<Watching>, Update) -> Ran>;

/// What runs when the consumer has nothing more to deliver, although the last update said otherwise: what
/// came behind it is not shown, or is gone.
pub(in crate::kv) type OnCaughtUp = Box<dyn Fn(&mut State) -> Ran>;

impl Watching {
    pub(in crate::kv) fn new(port: &Port, on_update: OnUpdate) -> Rc<Self> {
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

    /// Somebody wants to know. Said once, at the beginning.
    pub(in crate::kv) fn set_on_caught_up(&self, on_caught_up: OnCaughtUp) {
        self.on_caught_up.get_or_init(|| on_caught_up);
    }

    /// The reader that feeds it. Said once, at the beginning.
    pub(in crate::kv) fn set_reader(&self, reader: &Reader) {
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
    pub(in crate::kv) fn note(&self, update: Update) {
        if self.is_active() {
            self.noted.borrow_mut().push_back(Noted::Update(update));
        }
    }

    /// The consumer has nothing more to deliver, and the last update does not say so.
    pub(in crate::kv) fn note_caught_up(&self) {
        if self.is_active() && self.on_caught_up.get().is_some() {
            self.noted.borrow_mut().push_back(Noted::CaughtUp);
        }
    }

    /// There is a consumer, which has so many messages to deliver.
    pub(in crate::kv) fn note_live(&self, expected: u64) {
        self.expected.set(expected);
        self.note_state(WatchState::Live);
    }

    /// How many messages the consumer had to deliver when there was one.
    pub(in crate::kv) fn expected(&self) -> u64 {
        self.expected.get()
    }

    /// There is a consumer, or none any more.
    pub(in crate::kv) fn note_state(&self, state: WatchState) {
        if self.is_active() {
            self.state.set(state);
        }
    }

    /// Reports what was noted.
    pub(in crate::kv) fn report(self: &Rc<Self>, state: &mut State) -> Ran {
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

    fn report_next(self: &Rc<Self>, state: &mut State, next: Noted) -> Ran {
        match next {
            Noted::Update(update) => self.report_update(state, update),
            Noted::CaughtUp => self.on_caught_up.get().map_or(Ok(()), |told| told(state)),
        }
    }

    /// Whether an update that comes now is the next one to be reported.
    #[inline]
    pub(super) fn is_all_reported(&self) -> bool {
        self.is_active() && self.noted.borrow().is_empty()
    }

    /// Reports an update that is the next one, which need not be noted for that.
    #[inline]
    pub(super) fn report_update(self: &Rc<Self>, state: &mut State, update: Update) -> Ran {
        if let Update::Ended(_) = update {
            self.state.set(WatchState::Ended);
        }
        self.callback.run_while(|| self.is_active(), |callback| callback(state, self, update))
    }
}
