//! The pins that a client was given by consumers: by them it is known again as the one that is served.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// The pins of a consumer's handle, by priority group.
#[derive(Debug, Default)]
pub(in crate::jetstream) struct Pins(RefCell<BTreeMap<String, String>>);

impl Pins {
    pub(super) fn of(&self, group: &str) -> Option<String> {
        self.0.borrow().get(group).cloned()
    }

    pub(super) fn note(&self, group: &str, pin: &str) {
        self.0.borrow_mut().insert(group.to_owned(), pin.to_owned());
    }

    pub(super) fn forget(&self, group: &str) {
        self.0.borrow_mut().remove(group);
    }
}
