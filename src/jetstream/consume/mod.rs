//! Reading from streams: consumers as pure machines, and the driver that carries out the ordered one.

mod delivery_info;
mod ordered;
mod pull;
mod reader;
#[allow(dead_code, unreachable_pub, reason = "the driver comes next")]
mod status;

pub(crate) use delivery_info::DeliveryInfo;
pub(crate) use ordered::OrderedConfig;
pub(crate) use reader::{Reader, ReaderEvent};
