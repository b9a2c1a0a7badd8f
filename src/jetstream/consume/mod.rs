//! Reading from streams: the ordered consumer, as a pure machine and the driver that carries it out.

mod delivery_info;
mod ordered;
mod reader;

pub(crate) use delivery_info::DeliveryInfo;
pub(crate) use ordered::OrderedConfig;
pub(crate) use reader::{Reader, ReaderEvent};
