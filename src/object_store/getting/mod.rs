//! Getting objects: whole or a range of them, each byte checked as far as that can be.

mod download;
mod handle;
mod leader;
mod locating;
mod options;
mod range;
mod receiving;
mod starting;
mod writing;

pub use handle::{Get, Got, Object};
pub use options::GetOptions;
