//! The core of watching a stream, whatever its messages are: what there is, the signal that it was all,
//! and every change. What a message shows, and what is told of it, is for the layers above, which say so
//! with [`Watched`].
//!
//! And what a listing needs beside a watch: patience, the leader's subjects, and a set of what was shown.

mod course;
mod hashing;
mod initial;
mod key_set;
mod page;
mod patience;
mod question;
mod running;
mod state;
mod watched;

pub(crate) use course::Course;
pub(crate) use hashing::{KeyHashes, key_hashes};
pub(crate) use initial::{Counts, Initial, Step};
pub(crate) use key_set::KeySet;
pub(crate) use page::Page;
pub(crate) use patience::{Patience, heartbeat_within};
pub(crate) use question::{Asked, Question};
pub(crate) use running::{OnUpdate, Watching};
pub use state::WatchState;
pub(crate) use watched::{Told, Watched};
