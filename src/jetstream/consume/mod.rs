//! Reading from streams: deliveries and their answers, and consumers as pure machines with the drivers
//! that carry them out.

mod ack;
mod delivery;
mod delivery_info;
mod ordered;
mod pull;
mod reader;
#[allow(dead_code, unreachable_pub, reason = "the driver comes next")]
mod status;

pub use delivery::{Acker, Delivery};
pub use delivery_info::DeliveryInfo;
pub(crate) use ordered::OrderedConfig;
pub(crate) use reader::{Reader, ReaderEvent};
