//! Where positions are kept.

mod erased;
mod functions;
mod kv;
mod mongo;
mod resume_store;

pub(super) use erased::{Erased, Store};
pub use functions::ResumeFunctions;
pub use kv::KvResumeStore;
pub use mongo::MongoResumeStore;
pub use resume_store::{ResumeStore, StoredPoint};
