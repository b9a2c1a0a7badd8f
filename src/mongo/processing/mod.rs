//! Documents of a collection, as they change, for a type of the program's own.

mod builder;
mod collection_watcher;
mod processor;
mod routing;
mod start_error;

pub use builder::ProcessorBuilder;
pub use collection_watcher::CollectionWatcher;
pub use processor::DocumentProcessor;
pub use start_error::StartError;
