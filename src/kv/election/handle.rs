//! The handle of a candidate.

use super::campaign::Campaign;
use super::options::{ElectionEvent, ElectionOptions};
use crate::callback::{Callback, Handler, Outcome, State, answer, lend};
use crate::event_loop::timers_on;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use std::fmt;
use std::rc::Rc;

/// A candidate that stands for an election. A cheap handle: dropping it does not end the candidature.
///
/// Whoever leads holds a [`Lock`](crate::kv::Lock), of which everything said there is true here too: what
/// it assumes of clocks, and that what is led should be given the fencing token.
///
/// ```no_run
/// # use evnats::kv::{ElectionEvent, ElectionOptions};
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let kv = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().key_value("elections");
/// kv.election("scheduler", ElectionOptions::new("host-1"), |_, _, event| match event {
///     ElectionEvent::Elected { revision } => println!("leading, with the token {revision}"),
///     ElectionEvent::Lost(lost) => println!("not leading any more: {lost}"),
///     ElectionEvent::Leader(Some(name)) => println!("{name} leads"),
///     ElectionEvent::Ended(error) => eprintln!("not standing any more: {error}"),
///     _ => {}
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Election<S: 'static = ()> {
    kv: KeyValue<S>,
    campaign: Rc<Campaign>,
}

impl<S: 'static> KeyValue<S> {
    /// Stands for an election that is held in a key, until it is [stopped](Election::stop). One of the
    /// candidates leads; when it dies, another one does after its [`ttl`](ElectionOptions::ttl).
    ///
    /// The callback runs for every [`ElectionEvent`]. What may be over in a moment, such as a missing
    /// leader of the stream, is waited for.
    pub fn election(
        &self,
        key: &str,
        options: ElectionOptions,
        mut callback: impl Handler<S, Election<S>, ElectionEvent>,
    ) -> Election<S> {
        let campaign = Campaign::new(self.shared_bucket(), key, options);
        let election = Election { kv: self.clone(), campaign };
        let told = election.clone();
        let on_event = move |state: &mut State, event: ElectionEvent| {
            callback(lend(state), &told, event).into_ran()
        };
        election.campaign.begin(Box::new(on_event));
        election
    }
}

impl<S: 'static> Election<S> {
    /// The fencing token, while this candidate leads: see [`ElectionEvent::Elected`].
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        self.campaign.revision()
    }

    /// Whether this candidate leads now, by this program's clock.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.revision().is_some()
    }

    /// Who leads, by its name, as far as that is known here.
    #[must_use]
    pub fn leader(&self) -> Option<String> {
        self.campaign.leader()
    }

    /// Whether the candidate stands, or leads.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.campaign.is_active()
    }

    /// Gives leadership back: from now on this candidate does not lead. It stands again as soon as another
    /// one was seen leading, or when nobody was for its [`ttl`](ElectionOptions::ttl).
    ///
    /// # Errors
    /// [`Error::NotHeld`] if this candidate does not lead. Otherwise leadership ends by itself when its
    /// time is over.
    pub fn resign(&self, callback: impl Callback<S, Election<S>, Result<(), Error>>) {
        self.campaign.resign(answer(self, callback));
    }

    /// Ends the candidature, and gives leadership back, if this candidate leads: the callback runs when
    /// others know. That of the election does not run again.
    ///
    /// # Errors
    /// As [`resign`](Self::resign), but it is none if this candidate does not lead.
    pub fn stop(&self, callback: impl Callback<S, Election<S>, Result<(), Error>>) {
        self.campaign.stop(answer(self, callback));
    }

    /// The election's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.campaign.key
    }

    /// The bucket that it is in.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(Election, |election| election.kv.client().port().event_loop());

impl<S> Clone for Election<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), campaign: self.campaign.clone() }
    }
}

impl<S> fmt::Debug for Election<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Election")
            .field("bucket", &self.kv)
            .field("key", &self.campaign.key)
            .finish_non_exhaustive()
    }
}
