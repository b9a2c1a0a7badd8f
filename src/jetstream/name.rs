//! Names of streams and consumers, which become tokens of subjects.

use super::error::Error;
use std::cell::RefCell;
use std::sync::Arc;

/// Checks the name of a stream or a consumer, which becomes a token of a subject.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let forbidden = |c: char| {
        matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c' | '\0' | '.' | '*' | '>' | '/' | '\\')
    };
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > 255 {
        "it is longer than 255 bytes"
    } else if name.contains(forbidden) {
        "it has a space, a dot, a wildcard or a slash"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.chars().take(255).collect(), reason })
}

/// A name that comes again and again, kept so that it is copied once.
#[derive(Default)]
pub(super) struct SharedName(RefCell<Arc<str>>);

impl SharedName {
    /// The name that came last.
    pub(super) fn last(&self) -> Arc<str> {
        self.0.borrow().clone()
    }

    /// The name to keep.
    pub(super) fn share(&self, name: &str) -> Arc<str> {
        let mut last = self.0.borrow_mut();
        if **last != *name {
            *last = name.into();
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_copied_once() {
        let names = SharedName::default();
        let first = names.share("A");
        assert!(Arc::ptr_eq(&first, &names.share("A")) && Arc::ptr_eq(&first, &names.last()));
        assert_eq!((&*names.share("B"), &*first), ("B", "A"));
    }

    #[test]
    fn names() {
        assert_eq!(check_name("KV_config-1"), Ok(()));
        for bad in ["", "a b", "a.b", "a*", ">", "a/b", "a\\b", &"x".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
