//! Keys as they come, with codecs.

use super::codecs::Codecs;
use super::decoded::Undecodable;
use super::handle::CodedKeyValue;
use crate::callback::{Handler, Outcome, State, lend};
use crate::event_loop::timers_on;
use crate::kv::error::Error;
use crate::kv::listing::lister::{KeyLister, ListedKey};
use std::fmt;
use std::rc::Rc;

/// A report of a listing of keys with codecs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodedKey {
    /// A key that has a value, decoded.
    Key(String),
    /// A key that has a value, and could not be decoded. The listing goes on.
    Undecodable(Undecodable),
    /// The end, or why there is no more: the last report. Not sent after [`CodedKeyListing::stop`].
    Ended(Result<(), Error>),
}

impl CodedKey {
    fn of(listed: ListedKey, codecs: &Codecs) -> Self {
        match listed {
            ListedKey::Key(key) => match codecs.decode_one_key(key) {
                Ok(key) => Self::Key(key),
                Err(undecodable) => Self::Undecodable(undecodable),
            },
            ListedKey::Ended(end) => Self::Ended(end),
        }
    }
}

/// Keys that are being listed with codecs. A cheap handle: dropping it does not stop it.
pub struct CodedKeyListing<S: 'static = ()> {
    kv: CodedKeyValue<S>,
    lister: Rc<KeyLister>,
}

impl<S: 'static> CodedKeyListing<S> {
    /// Ends it: the callback does not run again, and nothing more is asked for.
    pub fn stop(&self) {
        self.lister.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.lister.is_active()
    }

    /// The bucket whose keys are listed.
    #[must_use]
    pub fn bucket(&self) -> &CodedKeyValue<S> {
        &self.kv
    }
}

timers_on!(CodedKeyListing, |listing| listing.kv.client().port().event_loop());

impl<S> Clone for CodedKeyListing<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), lister: self.lister.clone() }
    }
}

impl<S> fmt::Debug for CodedKeyListing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodedKeyListing")
            .field("bucket", &self.kv)
            .field("is_active", &self.lister.is_active())
            .finish()
    }
}

impl<S: 'static> CodedKeyValue<S> {
    /// Lists the keys that have a value and that any of the patterns matches, one by one as they come, as
    /// [`KeyValue::list_keys`](crate::kv::KeyValue::list_keys). The last report is [`CodedKey::Ended`], with
    /// [`Error::Codec`] if a pattern could not be encoded.
    pub fn list_keys(
        &self,
        patterns: &[&str],
        mut callback: impl Handler<S, CodedKeyListing<S>, CodedKey>,
    ) -> CodedKeyListing<S> {
        let kv = self.clone();
        let on_listed = move |state: &mut State, lister: &Rc<KeyLister>, listed: ListedKey| {
            let listing = CodedKeyListing { kv: kv.clone(), lister: lister.clone() };
            let listed = CodedKey::of(listed, &kv.codecs);
            callback(lend(state), &listing, listed).into_ran()
        };
        let (bucket, on_listed) = (self.kv.shared_bucket(), Box::new(on_listed));
        let lister = match self.codecs.encode_patterns(patterns) {
            Ok(patterns) => {
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                KeyLister::begin(bucket, self.kv.reads(), &patterns, on_listed)
            }
            Err(error) => KeyLister::refuse(bucket, error, on_listed),
        };
        CodedKeyListing { kv: self.clone(), lister }
    }
}
