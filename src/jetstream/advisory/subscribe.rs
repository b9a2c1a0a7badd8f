//! Subscribing to advisories: an ordinary subscription, whose messages are read before they are
//! reported.

use super::event::Advisory;
use crate::callback::{Handler, Ran, State};
use crate::client::Delivery;
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::manage::listing::{Feed, Listed, Listing, OnListed, Source, on_listed};
use evnats_protocol::{EndReason, SubscriptionId};
use std::cell::Cell;
use std::rc::Rc;

/// What all subjects of events begin with, whatever the prefix of the API is.
pub(in crate::jetstream) const EVENTS: &str = "$JS.EVENT";

impl<S: 'static> JetStream<S> {
    /// Listens to what the servers tell of JetStream of their own accord: advisories, and the metrics of
    /// consumers. The callback runs for each of them until the listing is [stopped](Listing::stop), and
    /// once if it ends otherwise.
    ///
    /// The filter is what comes behind `$JS.EVENT.` in their subjects, and may have wildcards:
    /// `ADVISORY.STREAM.*.ORDERS`, `ADVISORY.CONSUMER.MAX_DELIVERIES.>`, `METRIC.>`. Without one, all of
    /// them come, also one for each use of the API ([`ApiAudit`](super::Event::ApiAudit)). The
    /// subjects are the same with another prefix of the API or a domain.
    ///
    /// They are told to whoever listens at that moment: what happens while there is no connection is
    /// not told again, and how the servers stand has to be asked for after a reconnect.
    ///
    /// # Errors
    /// The end has [`Error::SubscriptionDenied`] if the server does not permit the subscription;
    /// [`Error::Closed`] with the client, or when it drains; [`Error::Request`] if it could not be
    /// subscribed to.
    pub fn advisories(
        &self,
        filter: Option<&str>,
        callback: impl Handler<S, Listing<S>, Listed<Advisory>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().advisories(filter, callback))
    }
}

impl Api {
    fn advisories(&self, filter: Option<&str>, callback: OnListed<Advisory, ()>) -> Rc<dyn Source> {
        let subject = format!("{EVENTS}.{}", filter.unwrap_or(">"));
        let listening = Rc::new(Listening {
            api: self.clone(),
            feed: Feed::new(callback),
            subscription: Cell::new(None),
        });
        if let Err(error) = listening.clone().begin(subject) {
            let ending = listening.clone();
            self.port().defer(move |state| ending.end(state, error));
        }
        listening
    }
}

/// A subscription to advisories.
struct Listening {
    api: Api,
    feed: Feed<Advisory, ()>,
    subscription: Cell<Option<SubscriptionId>>,
}

impl Source for Listening {
    fn stop(&self) {
        self.feed.close();
        if let Some(subscription) = self.subscription.take() {
            self.api.port().unsubscribe(subscription);
        }
    }

    fn is_active(&self) -> bool {
        self.feed.is_active()
    }
}

impl Listening {
    fn begin(self: Rc<Self>, subject: String) -> Result<(), Error> {
        let (listening, denied) = (self.clone(), subject.clone());
        let on_delivery =
            Box::new(move |state: &mut State, delivery: Delivery<'_>| match delivery {
                Delivery::Message(message) => {
                    let advisory = Advisory::read(&message.subject(), message.payload_to_bytes());
                    listening.feed.item(state, listening.clone(), advisory)
                }
                Delivery::Ended(EndReason::Denied) => {
                    let subject = denied.clone();
                    listening.clone().end(state, Error::SubscriptionDenied { subject })
                }
                Delivery::Ended(_) => listening.clone().end(state, Error::Closed),
            });
        let subscription = self.api.port().subscribe(&subject, None, on_delivery)?;
        self.subscription.set(Some(subscription));
        Ok(())
    }

    fn end(self: Rc<Self>, state: &mut State, error: Error) -> Ran {
        self.subscription.set(None);
        self.feed.end(state, self.clone(), Err(error))
    }
}
