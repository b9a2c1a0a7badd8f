//! The headers that ask servers for a trace.

use evnats_protocol::HeaderMap;

const DESTINATION: &str = "Nats-Trace-Dest";
const ONLY: &str = "Nats-Trace-Only";

/// Whether a message that is traced reaches those whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// It does, and streams store it.
    #[default]
    Delivered,
    /// Nobody gets it, and no stream stores it: the trace tells who would.
    TraceOnly,
}

/// Headers that have servers publish the trace of a message to a subject.
///
/// ```
/// use evnats::jetstream::PublishOptions;
/// use evnats::trace::{Delivery, headers};
/// let options = PublishOptions::new().headers(&headers("traces", Delivery::TraceOnly));
/// ```
#[must_use]
pub fn headers(destination: &str, delivery: Delivery) -> HeaderMap {
    let headers = HeaderMap::new().with(DESTINATION, destination);
    match delivery {
        Delivery::Delivered => headers,
        Delivery::TraceOnly => headers.with(ONLY, "true"),
    }
}
