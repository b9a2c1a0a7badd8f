//! Changes of MongoDB in a stream of JetStream, each once and in their order.
//!
//! Every message carries its change's position, and expects the sequence of the message before it. So the
//! stream itself says where to go on, and refuses what would come twice or out of place: its tail, as the
//! leader has it, decides whatever acknowledgements were lost. Copies go by fast ingest where the stream takes
//! it, and expect their sequences as well. [`row`] and [`transaction`] are without I/O.

mod beginning;
mod copy_job;
mod copy_mark;
mod copying;
mod draft;
mod headers;
mod ingesting;
mod message;
mod options;
mod publish_to;
mod publishing;
mod recovering;
mod row;
mod running;
mod settling;
mod stall;
mod subject;
mod tail;
mod taking;
mod transaction;
mod under_way;
mod unit;

pub use options::{Body, JetStreamSink};
