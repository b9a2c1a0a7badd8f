//! Asking services: one question, and the list of what they reply.

use super::options::DiscoveryOptions;
use crate::callback::{Answer, Callback, answer};
use crate::client::{Client, Replied, RepliesEnd};
use crate::service::error::Error;
use crate::service::records::{Record, ServiceIdentity, ServiceInfo, ServiceStats, decode};
use evnats_protocol::{Message, RequestError};
use std::time::{Duration, Instant};

/// What services have replied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Discovered<T> {
    /// The replies, in the order in which they have come. Empty if there is no such service.
    pub services: Vec<T>,
    /// What has come and is no reply to the question.
    pub unreadable: Vec<UnreadableReply>,
    /// Why no more are waited for. `None` if nobody listens at all.
    pub end: Option<RepliesEnd>,
}

/// A service that was pinged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PingedService {
    /// Which it is.
    pub identity: ServiceIdentity,
    /// The time from the question to its reply, which includes that of those before it.
    pub round_trip: Duration,
}

/// A reply that is not what was asked for, from something else that listens there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableReply {
    /// The reply.
    pub message: Message,
    /// What is wrong with it, in words.
    pub reason: String,
}

impl<S: 'static> Client<S> {
    /// Asks which services there are, and calls back once with the list. That there is none is no error: the
    /// list is empty.
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let nats = event_loop.connect("nats://127.0.0.1:4222")?;
    /// use evnats::service::DiscoveryOptions;
    /// nats.ping_services(DiscoveryOptions::new(), |_, _, found| {
    ///     for service in found?.services {
    ///         println!("{} {}: {:?}", service.identity.name, service.identity.id, service.round_trip);
    ///     }
    ///     Ok(())
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::IdWithoutName`]: nobody can be asked so. [`Error::Request`]: what
    /// [`request_many`](Self::request_many) reports; what had come before is not told then.
    pub fn ping_services(
        &self,
        options: DiscoveryOptions,
        callback: impl Callback<S, Client<S>, Result<Discovered<PingedService>, Error>>,
    ) {
        let pinged = |identity, round_trip| PingedService { identity, round_trip };
        self.ask_services(&options, pinged, answer(self, callback));
    }

    /// Asks services what they are, as [`ping_services`](Self::ping_services).
    ///
    /// # Errors
    /// As of [`ping_services`](Self::ping_services).
    pub fn services_info(
        &self,
        options: DiscoveryOptions,
        callback: impl Callback<S, Client<S>, Result<Discovered<ServiceInfo>, Error>>,
    ) {
        self.ask_services(&options, |info, _| info, answer(self, callback));
    }

    /// Asks services what they have done, as [`ping_services`](Self::ping_services).
    ///
    /// # Errors
    /// As of [`ping_services`](Self::ping_services).
    pub fn services_stats(
        &self,
        options: DiscoveryOptions,
        callback: impl Callback<S, Client<S>, Result<Discovered<ServiceStats>, Error>>,
    ) {
        self.ask_services(&options, |stats, _| stats, answer(self, callback));
    }

    fn ask_services<R: Record + 'static, T: 'static>(
        &self,
        options: &DiscoveryOptions,
        found: fn(R, Duration) -> T,
        on_end: Answer<Result<Discovered<T>, Error>>,
    ) {
        let subject = match options.subject(R::VERB) {
            Ok(subject) => subject,
            Err(error) => return self.port().defer(move |state| on_end(state, Err(error))),
        };
        let mut listing = Listing::new(self.port().now(), found);
        let mut on_end = Some(on_end);
        self.request_many(&subject, "", options.replies(), move |state, replies, replied| {
            match replied {
                Replied::Message(reply) => {
                    listing.add(reply, replies.client().port().turn_time());
                    Ok(())
                }
                Replied::Ended(end) => match on_end.take() {
                    Some(on_end) => on_end(state, listing.finish(end)).map_err(|error| *error),
                    None => Ok(()),
                },
            }
        });
    }
}

/// Replies that are being gathered.
struct Listing<R, T> {
    asked: Instant,
    found: fn(R, Duration) -> T,
    services: Vec<T>,
    unreadable: Vec<UnreadableReply>,
}

impl<R: Record, T> Listing<R, T> {
    fn new(asked: Instant, found: fn(R, Duration) -> T) -> Self {
        Self { asked, found, services: Vec::new(), unreadable: Vec::new() }
    }

    fn add(&mut self, message: Message, now: Instant) {
        match decode(message.payload()) {
            Ok(record) => {
                let record = (self.found)(record, now.saturating_duration_since(self.asked));
                self.services.push(record);
            }
            Err(reason) => self.unreadable.push(UnreadableReply { message, reason }),
        }
    }

    fn finish(&mut self, end: Result<RepliesEnd, RequestError>) -> Result<Discovered<T>, Error> {
        let end = match end {
            Ok(end) => Some(end),
            Err(error) if error.is_no_responders() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Discovered {
            services: std::mem::take(&mut self.services),
            unreadable: std::mem::take(&mut self.unreadable),
            end,
        })
    }
}
