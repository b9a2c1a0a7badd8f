//! The client: a connection to a server, which outlives the loss of one.

mod candidates;
mod capture;
mod connection;
mod connector;
mod credentials;
mod driver;
mod error;
mod events;
mod handle;
mod home;
mod hook_setters;
mod hooks;
mod inbox;
#[cfg(any(feature = "tls", feature = "websocket"))]
mod incoming;
mod link;
mod notices;
mod options;
#[cfg(all(test, any(feature = "tls", feature = "websocket")))]
mod pipe;
mod port;
mod protection;
mod proxy_key;
mod replies;
mod route;
mod spares;
mod stream;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "websocket")]
mod websocket;

pub use capture::Frame;
pub use credentials::{Credentials, CredentialsError};
pub use error::ConnectionError;
pub use handle::{Client, ConnectionState};
pub use hooks::SlowConsumer;
pub(crate) use hooks::{Awaiting, Delivery, Observed, OnReply, Reply};
pub(crate) use inbox::Inbox;
pub use options::Options;
pub(crate) use port::{ObserverId, Port};
pub use proxy_key::ProxyKey;
pub use replies::{Replied, Replies, RepliesEnd, RequestManyOptions};
pub(crate) use spares::{Spares, fill};
pub use subscription::Subscription;
#[cfg(feature = "tls")]
pub use tls::{ClientCertificate, Tls};
