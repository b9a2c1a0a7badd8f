//! What closures have to look like that are lent a delivery.

use super::delivery::Delivery;
use crate::callback::closure_alias;

closure_alias! {
    /// Runs for every message of a consumer: `FnMut(&mut S, &H, &Delivery<S>)`.
    DeliveryHandler, DeliveryHandlerReturns, FnMut, [S: 'static, H], [&mut S, &H, &Delivery<'_, S>]
}

closure_alias! {
    /// Runs once, with a message of a consumer, without one, or with an error:
    /// `FnOnce(&mut S, &H, Result<Option<&Delivery<S>>, E>)`.
    DeliveryCallback, DeliveryCallbackReturns, FnOnce, [S: 'static, H, E],
    [&mut S, &H, Result<Option<&Delivery<'_, S>>, E>]
}
