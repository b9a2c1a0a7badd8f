//! Calls of a store or a storage, whose outcome comes by a callback.

use super::support::turn_until;
use evnats::EventLoop;
use evnats::mongo::{Error, StorageCallback};
use std::cell::RefCell;
use std::rc::Rc;

/// Makes a call, and returns its outcome.
#[track_caller]
pub(crate) fn wait<T: 'static>(
    event_loop: &EventLoop<()>,
    call: impl FnOnce(StorageCallback<(), T>),
) -> Result<T, Error> {
    let outcome = Rc::new(RefCell::new(None));
    let given = outcome.clone();
    call(Box::new(move |(), told| {
        assert!(given.replace(Some(told)).is_none(), "told twice");
        Ok(())
    }));
    assert!(outcome.borrow().is_none(), "told within the call");
    turn_until(event_loop, &mut (), "an outcome", |()| outcome.borrow().is_some());
    outcome.take().expect("an outcome")
}
