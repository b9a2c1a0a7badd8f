//! The event loop: owns the clients, timers, foreign sources and posted closures, and lends the
//! user's state to their callbacks.
//!
//! `run`, `handle`, `remote` and `foreign` are typed by the user's state and thin; the loop itself is
//! in `shared`. It knows neither clients nor sockets: those come to it as sources, and everything of
//! the system by way of the platform.

mod alarm;
#[cfg(unix)]
mod embed_unix;
mod foreign;
mod handle;
mod inbox;
mod options;
mod platform;
mod readiness;
mod registration;
mod remote;
mod run;
mod schedule;
mod selector;
mod shared;
mod source;
mod timer_methods;
mod timers;
mod transport;

pub(crate) use alarm::Wake;
#[cfg(unix)]
pub use embed_unix::Descriptor;
pub use foreign::ForeignSource;
pub use handle::Handle;
pub use inbox::PostError;
pub use options::LoopOptions;
pub(crate) use platform::{LookUp, Platform};
pub use readiness::{Readiness, SetReadiness};
pub use registration::Registration;
pub use remote::{KeepRunning, Remote};
pub use run::EventLoop;
pub(crate) use selector::Selector;
pub use shared::NextDeadline;
pub(crate) use shared::{Shared, Slot};
pub(crate) use source::{Progress, Source};
pub(crate) use timer_methods::timers_on;
pub use timers::TimerId;
pub(crate) use timers::{TimerTask, after, earlier};
pub use transport::Transport;
