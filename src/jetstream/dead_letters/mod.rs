//! Dead letters: the messages that a consumer has given up, told with what the stream has of them.

mod letter;
mod listen;
mod options;
mod queue;

pub use letter::{DeadLetter, DeadLetterCause};
pub use options::DeadLetterOptions;
