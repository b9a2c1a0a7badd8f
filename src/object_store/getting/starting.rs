//! The begin of a get: the object that the name stands for, what is wanted of it, and for how long it is
//! waited for.

use crate::callback::{Ran, State};
use crate::object_store::digest::Hasher;
use crate::object_store::error::Error;
use crate::object_store::getting::download::{Download, Work};
use crate::object_store::getting::range::{Place, place_of, wanted};
use crate::object_store::objects::meta_write::may_pass;
use crate::object_store::objects::resolve::Resolved;
use std::rc::Rc;
use std::time::Duration;

/// The pause after what has failed for the moment.
const PAUSE: Duration = Duration::from_millis(250);

/// For how many requests' time an outage is waited for.
const PATIENCE: u32 = 6;

impl Download {
    pub(super) fn start(self: &Rc<Self>) {
        if let Err(error) = self.asked.check() {
            return self.end_later(error);
        }
        self.look();
    }

    /// Finds the object. An election takes longer than a request now and then.
    fn look(self: &Rc<Self>) {
        let download = self.clone();
        let on_resolved = move |state: &mut State, resolved: Result<Resolved, Error>| match resolved
        {
            _ if !download.is_active() => Ok(()),
            Ok(resolved) => download.begin(state, resolved),
            Err(error) if error.is_timeout() => download.try_again(state, error, Self::look),
            Err(error) => download.end(state, Err(error)),
        };
        self.asked.resolve(&self.name, Box::new(on_resolved));
    }

    /// Does something again after a pause, as long as it is worth waiting.
    pub(super) fn try_again(
        self: &Rc<Self>,
        state: &mut State,
        error: Error,
        again: fn(&Rc<Self>),
    ) -> Ran {
        let has_time = self.port().turn_time() < self.heard.get() + self.patience();
        if !has_time || !may_pass(&error) {
            return self.end(state, Err(error));
        }
        let download = self.clone();
        let again = move |_: &mut State| {
            if download.is_active() {
                again(&download);
            }
            Ok(())
        };
        self.port().set_timer(PAUSE, Box::new(again));
        Ok(())
    }

    fn begin(self: &Rc<Self>, state: &mut State, resolved: Resolved) -> Ran {
        let Resolved { store, info } = resolved;
        let wanted = match wanted(&info, &self.options) {
            Ok(wanted) => wanted,
            Err(error) => return self.end(state, Err(error)),
        };
        if info.size > 0 && !info.has_chunks() {
            return self.end(state, Err(self.damaged("its chunks have no name".into())));
        }
        let is_whole = wanted == (0..info.size);
        let is_nothing = wanted.is_empty() && !(is_whole && info.chunks > 0);
        let place = place_of(&info, wanted.start).filter(|place| place.index > 0);
        self.work.replace(Some(Work {
            store,
            info: Rc::new(info),
            wanted,
            next: Place::FIRST,
            last_sequence: 0,
            is_located: false,
            hasher: is_whole.then(Hasher::default),
            done: 0,
            reader: None,
            reader_number: 0,
        }));
        self.watch_over(self.patience());
        match place {
            _ if is_nothing => self.complete(state),
            Some(place) => self.locate(place),
            None => {
                self.read();
                Ok(())
            }
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.asked.api.timeout() * PATIENCE
    }

    pub(super) fn note_heard(&self) {
        self.heard.set(self.port().turn_time());
    }

    /// Ends the get when nothing has been heard for too long.
    fn watch_over(self: &Rc<Self>, delay: Duration) {
        let download = Rc::downgrade(self);
        let look = move |state: &mut State| {
            let Some(download) = download.upgrade() else { return Ok(()) };
            let end = download.heard.get() + download.patience();
            let left = end.saturating_duration_since(download.port().turn_time());
            match left.is_zero() {
                true => download.end(state, Err(Error::timeout())),
                false => {
                    download.watch_over(left);
                    Ok(())
                }
            }
        };
        self.timer.set(Some(self.port().set_deadline(delay, Box::new(look))));
    }
}
