//! The driver of every read of a consumer: does what its machine asks for, and hands the program what
//! comes.
//!
//! The machine decides, the driver carries out. Nothing is borrowed while user code runs, and whatever
//! has to be done about a message is done also when its callback panics. What the program does not take
//! at once is kept here, and how much that is, the machine limits.

mod acting;
mod arriving;
mod asked;
mod commands;
mod following;
mod handing;
mod shared;
mod target;

pub(super) use asked::Asked;
pub(super) use commands::Control;
pub(super) use shared::{Answer, Answers, Driver, OnDelivery, Program};
pub(super) use target::Target;
