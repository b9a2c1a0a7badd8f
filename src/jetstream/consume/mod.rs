//! Reading from streams: deliveries and their answers, and consumers as pure machines with the drivers
//! that carry them out.

mod ack;
mod by_key;
mod closures;
pub(super) mod consumer_error;
mod consumption;
mod debts;
mod delivery;
mod delivery_info;
mod delivery_numbers;
mod driver;
mod fetching;
mod filters;
mod machine;
mod messages;
mod next_error;
mod ordered;
mod ordered_consumer;
pub(super) mod ordered_pull;
mod outcome;
pub(super) mod pins;
mod position;
pub(super) mod pull;
mod push;
mod push_options;
mod push_status;
mod reader;
mod settling;
mod status;
mod subscribing;

pub(crate) use ack::fence as ack_fence;
pub use by_key::ByKey;
pub use closures::{
    DeliveryCallback, DeliveryCallbackReturns, DeliveryHandler, DeliveryHandlerReturns,
};
pub use consumer_error::ConsumerError;
pub(crate) use consumption::Consuming;
pub use consumption::Consumption;
pub(crate) use delivery::Delivered;
pub use delivery::{Acker, Delivery};
pub use delivery_info::DeliveryInfo;
pub(crate) use delivery_numbers::DeliveryNumbers;
pub use messages::Messages;
pub use next_error::NextError;
pub(crate) use ordered::OrderedConfig;
pub use ordered_consumer::OrderedConsumer;
pub use ordered_pull::{OrderedOptionError, OrderedOptions, ResetCause};
pub use outcome::{ConsumeEnd, ConsumeEvent};
pub use pull::{
    ConsumeOptions, FetchEnd, FetchError, FetchOptions, PullOptionError, Silence, SilenceCause,
};
pub use push_options::PushOptions;
pub(crate) use reader::{Reader, ReaderEvent, WeakReader};
pub use status::RequestLimit;
