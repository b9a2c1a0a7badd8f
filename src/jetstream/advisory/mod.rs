//! Advisories: what servers tell of their own accord, as typed events; see
//! [`JetStream::advisories`](super::JetStream::advisories).
//!
//! ```no_run
//! # let event_loop = evnats::EventLoop::<()>::new()?;
//! # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
//! use evnats::jetstream::Listed;
//! use evnats::jetstream::advisory::Event;
//!
//! js.advisories(Some("ADVISORY.CONSUMER.>"), |_, _, listed| match listed {
//!     Listed::Item(advisory) => match advisory.event {
//!         Event::MaxDeliveries(of) => {
//!             println!("{} has given up {} of {}", of.consumer, of.stream_sequence, of.stream);
//!         }
//!         event => println!("{event:?}"),
//!     },
//!     Listed::Ended(end) => eprintln!("nothing more is told: {end:?}"),
//! });
//! # Ok::<(), evnats::Error>(())
//! ```

mod event;
mod payload;
mod subscribe;

pub use event::{Advisory, Event};
pub use payload::{
    ApiAudit, ApiLimitReached, BatchAbandoned, ClientInfo, ConsumerAcknowledged, ConsumerAction,
    ConsumerPauseChange, Delivery, DomainElection, Election, GroupPinned, GroupUnpinned,
    MetaRescue, QuorumLoss, RestoreCompleted, RestoreStarted, ServerOutOfStorage, ServerRemoved,
    SnapshotCompleted, SnapshotStarted, StreamAction, Termination,
};
pub(super) use subscribe::EVENTS;
