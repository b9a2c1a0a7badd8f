//! JetStream: streams, acknowledged publishing, reading of stored messages, and the ordered
//! consumer under the layers above.
//!
//! Everything is a request, and every callback runs exactly once, with a result or a typed
//! [`Error`] that keeps the server's codes.

mod api;
mod api_error;
mod consume;
mod envelope;
mod error;
mod handle;
mod joined;
mod manage;
mod name;
mod publish;
pub(crate) mod time;
pub(crate) mod wire;

pub use api_error::{ApiError, ErrorCode};
pub use error::{Error, OrderedError, Stall};
pub use handle::JetStream;
// whatever management names, so that an endpoint of the API is added in one place
pub use manage::*;
pub use publish::{PubAck, PublishOptions};

pub(crate) use api::{Api, ApiReply, ApiRequest};
pub(crate) use consume::{DeliveryInfo, OrderedConfig, Reader, ReaderEvent};
pub(crate) use joined::JoinedSubject;
pub(crate) use publish::acknowledged_sequence;
