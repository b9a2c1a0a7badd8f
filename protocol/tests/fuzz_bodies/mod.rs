//! What the fuzz targets do with their input: one function for each, no fuzzer needed.
//!
//! The fuzzer's targets and the test that replays the corpus on stable both call these, so a
//! finding is a file in the corpus and nothing else. `decode`, `split` and `headers` take their
//! input as it is; `roundtrip` also builds operations out of it, and `session_ops` reads it as a
//! list of commands, one letter each. A body panics if a promise does not hold.

pub mod decode;
pub mod headers;
pub mod reader;
pub mod roundtrip;
pub mod session_ops;
pub mod split;

/// A target's name, which is also its corpus's, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: [Target; 5] = [
    ("decode", decode::run),
    ("headers", headers::run),
    ("roundtrip", roundtrip::run),
    ("session_ops", session_ops::run),
    ("split", split::run),
];
