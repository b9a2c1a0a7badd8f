//! Watching with codecs: one that cannot be decoded is told apart, and does not end the watch.

use super::codecs::Values;
use super::handle::CodedKeyValue;
use super::update::CodedUpdate;
use crate::callback::{Handler, Outcome, State, lend};
use crate::event_loop::timers_on;
use crate::kv::watching::options::WatchOptions;
use crate::kv::watching::update::{Update, WatchState, Watching};
use std::fmt;
use std::rc::Rc;

/// A watch with codecs. A cheap handle: dropping it does not stop the watch.
pub struct CodedWatcher<S: 'static = ()> {
    kv: CodedKeyValue<S>,
    watching: Rc<Watching>,
}

impl<S: 'static> CodedWatcher<S> {
    /// Ends the watch, as [`Watcher::stop`](crate::kv::Watcher::stop): its callback does not run again.
    pub fn stop(&self) {
        self.watching.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.watching.is_active()
    }

    /// What the watch is at.
    #[must_use]
    pub fn state(&self) -> WatchState {
        self.watching.state()
    }

    /// The bucket that is watched.
    #[must_use]
    pub fn bucket(&self) -> &CodedKeyValue<S> {
        &self.kv
    }
}

timers_on!(CodedWatcher, |watcher| watcher.kv.client().port().event_loop());

impl<S> Clone for CodedWatcher<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), watching: self.watching.clone() }
    }
}

impl<S> fmt::Debug for CodedWatcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodedWatcher")
            .field("bucket", &self.kv)
            .field("state", &self.watching.state())
            .finish()
    }
}

impl<S: 'static> CodedKeyValue<S> {
    /// Watches the keys that a pattern matches, as [`KeyValue::watch`](crate::kv::KeyValue::watch): a key,
    /// a pattern if the codec takes them, or `>` for all. With
    /// [`meta_only`](WatchOptions::meta_only), values are empty and not decoded.
    pub fn watch(
        &self,
        pattern: &str,
        options: WatchOptions,
        callback: impl Handler<S, CodedWatcher<S>, CodedUpdate>,
    ) -> CodedWatcher<S> {
        self.watch_many(&[pattern], options, callback)
    }

    /// Watches the keys that any of several patterns matches, as
    /// [`KeyValue::watch_many`](crate::kv::KeyValue::watch_many).
    pub fn watch_many(
        &self,
        patterns: &[&str],
        options: WatchOptions,
        mut callback: impl Handler<S, CodedWatcher<S>, CodedUpdate>,
    ) -> CodedWatcher<S> {
        let values = if options.meta_only { Values::LeftOut } else { Values::Shown };
        let kv = self.clone();
        let on_update = move |state: &mut State, watching: &Rc<Watching>, update: Update| {
            let watcher = CodedWatcher { kv: kv.clone(), watching: watching.clone() };
            let update = CodedUpdate::of(update, &kv.codecs, values);
            callback(lend(state), &watcher, update).into_ran()
        };
        let (bucket, on_update) = (self.kv.shared_bucket(), Box::new(on_update));
        let watching = match self.codecs.encode_patterns(patterns) {
            Ok(patterns) => {
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                bucket.watch(&patterns, self.kv.reads(), options, on_update)
            }
            Err(error) => bucket.refuse_watch(error, on_update),
        };
        CodedWatcher { kv: self.clone(), watching }
    }
}
