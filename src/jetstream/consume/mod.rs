//! Reading from streams: deliveries and their answers, and consumers as pure machines with the drivers
//! that carry them out.

mod ack;
mod consumer_error;
mod delivery;
mod delivery_info;
mod machine;
mod ordered;
mod outcome;
mod pull;
mod reader;
mod status;

pub use consumer_error::ConsumerError;
pub use delivery::{Acker, Delivery};
pub use delivery_info::DeliveryInfo;
pub(crate) use ordered::OrderedConfig;
pub use outcome::{ConsumeEnd, ConsumeEvent};
pub use pull::{
    ConsumeOptions, FetchEnd, FetchError, FetchOptions, PullOptionError, Silence, SilenceCause,
};
pub(crate) use reader::{Reader, ReaderEvent};
pub use status::RequestLimit;
