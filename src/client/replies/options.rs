//! When the replies to one request are all.

use evnats_protocol::Message;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// When a request with many replies is over. Whatever comes first ends it; without any option, that is
/// the client's request timeout.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RequestManyOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) max_messages: Option<u64>,
    pub(super) stall: Option<Duration>,
    pub(super) sentinel: Option<Sentinel>,
}

/// Returns whether a message is the one that ends the replies.
type Sentinel = Rc<dyn Fn(&Message) -> bool>;

impl RequestManyOptions {
    /// Over after the client's request timeout, and not before.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends it after this time, counted from the call. The first reply has all of it to come. Default:
    /// [`Options::request_timeout`](crate::Options::request_timeout).
    #[doc(alias = "max_wait")]
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Ends it with this many replies. None ends it at once.
    #[must_use]
    pub fn max_messages(mut self, most: u64) -> Self {
        self.max_messages = Some(most);
        self
    }

    /// Ends it when there has been a reply, and for this time no other. The time that callbacks take
    /// does not count.
    #[must_use]
    pub fn stall(mut self, pause: Duration) -> Self {
        self.stall = Some(pause);
        self
    }

    /// Ends it with the first message for which this returns `true`. That message is no reply: it is not
    /// handed on.
    #[must_use]
    pub fn sentinel(mut self, is_last: impl Fn(&Message) -> bool + 'static) -> Self {
        self.sentinel = Some(Rc::new(is_last));
        self
    }

    /// Ends it with the first message without a payload, the customary sentinel.
    #[must_use]
    pub fn until_empty(self) -> Self {
        self.sentinel(|message| message.payload().is_empty())
    }
}

impl fmt::Debug for RequestManyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestManyOptions")
            .field("timeout", &self.timeout)
            .field("max_messages", &self.max_messages)
            .field("stall", &self.stall)
            .field("sentinel", &self.sentinel.as_ref().map(|_| ..))
            .finish()
    }
}
