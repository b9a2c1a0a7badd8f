//! An ingest without the type of the user's state: what it is made of. What it does is in the files
//! beside it, a subject each.

use super::options::IngestOptions;
use super::progress::Progress;
use super::report::{IngestGap, IngestRefusal, IngestReport};
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{ObserverId, Port};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::publish::observer::observe;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub(crate) type OnFinished =
    Box<dyn FnOnce(&mut State, &Rc<Ingest>, Result<IngestReport, Error>) -> Ran>;
pub(crate) type Hook<T> = CallbackSlot<Box<dyn FnMut(&mut State, &Rc<Ingest>, &T) -> Ran>>;

pub(crate) struct Ingest {
    api: Api,
    pub(super) options: IngestOptions,
    pub(super) progress: RefCell<Progress>,
    /// Who is to hear of the end.
    pub(super) finishing: RefCell<Option<OnFinished>>,
    pub(crate) hooks: Hooks,
    observer: Cell<Option<ObserverId>>,
}

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) ready: Hook<()>,
    /// The stream has taken everything up to this number.
    pub(crate) acknowledged: Hook<u64>,
    pub(super) gap: Hook<IngestGap>,
    pub(super) refused: Hook<IngestRefusal>,
    pub(crate) ended: Hook<Error>,
}

impl Ingest {
    pub(crate) fn new(api: &Api, options: IngestOptions) -> Rc<Self> {
        let ingest = Rc::new(Self {
            api: api.clone(),
            options,
            progress: RefCell::new(Progress::new()),
            finishing: RefCell::default(),
            hooks: Hooks::default(),
            observer: Cell::default(),
        });
        ingest.observer.set(Some(observe(ingest.port(), &ingest)));
        let deciding = ingest.clone();
        api.with_level(move |told| deciding.decide(told));
        ingest
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn report(&self) -> IngestReport {
        self.progress.borrow().report()
    }

    pub(super) fn port(&self) -> &Port {
        self.api.port()
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.borrow().is_some()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.options.timeout.unwrap_or(self.api.timeout())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            self.port().stop_observing(observer);
        }
    }
}
