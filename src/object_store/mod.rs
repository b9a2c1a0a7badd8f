//! Object Store: buckets of objects of any size, on a JetStream stream each (ADR-20).
//!
//! An object is stored in chunks, and what is known of it in a message of its own, which is written when
//! all chunks are stored: so an object is there as a whole, or not at all. What replaces it frees its
//! chunks.
//!
//! | what is wanted | the call |
//! |---|---|
//! | an object of bytes that are at hand | [`ObjectStore::put`], [`get`](ObjectStore::get) |
//! | a file | [`put_file`](ObjectStore::put_file), [`get_file`](ObjectStore::get_file) |
//! | what a reader or a writer of the standard library has | [`put_from`](ObjectStore::put_from), [`get_to`](ObjectStore::get_to) |
//! | an object of any size, as it comes | [`put_pieces`](ObjectStore::put_pieces), [`get_pieces`](ObjectStore::get_pieces) |
//! | a part of an object, or the rest of one | [`GetOptions::range`] |
//! | to replace only what is expected | [`PutOptions::expect_revision`] |
//! | how far it has come | [`Put::on_progress`], [`Get::on_progress`] |
//! | what is known of an object, and to change it | [`info`](ObjectStore::info), [`update_meta`](ObjectStore::update_meta) |
//! | another name for an object | [`add_link`](ObjectStore::add_link) |
//! | which objects there are | [`list`](ObjectStore::list), and as they come [`list_objects`](ObjectStore::list_objects) |
//! | what changes | [`watch`](ObjectStore::watch) |
//!
//! # What is checked
//!
//! The size, the number of chunks and the digest of a whole object, and of a range that the chunks are the
//! right ones. What is known of an object is read from the stream's leader. Chunks come from a consumer,
//! which may be on a replica: a chunk is taken from it only if the replica has as many behind it as there
//! have to be, otherwise the leader is asked.
//!
//! Two writers of one object are one after the other: each replaces what it has seen
//! (`Nats-Expected-Last-Subject-Sequence`), and looks again if it has changed meanwhile. So the chunks of
//! each that was replaced are freed, also by this client's writers that come at one time; other clients
//! do not look, and may leave chunks behind.
//!
//! # Rights
//!
//! A user with restricted rights needs, for the bucket `B`, to subscribe to the inboxes, `_INBOX.*.*`
//! (with [`Options::inbox_prefix`](crate::Options::inbox_prefix), the prefix is another), and to publish
//! to these subjects:
//!
//! | operation | needs to publish to | without it, does less |
//! |---|---|---|
//! | `put` and its kin | `$O.B.>`, `$JS.API.STREAM.MSG.GET.OBJ_B`, and to free what is replaced or has failed, `$JS.API.STREAM.PURGE.OBJ_B` | `$JS.API.STREAM.INFO.OBJ_B`, `$JS.API.INFO`, and to subscribe to `_INBOX.>`: chunks do not go by fast ingest; `$JS.API.STREAM.MSG.DELETE.OBJ_B`: a put that has lost chunks fails |
//! | `get` and its kin | `$JS.API.STREAM.MSG.GET.OBJ_B`, `$JS.API.CONSUMER.CREATE.OBJ_B.>`, and for more than a few megabytes `$JS.FC.OBJ_B.>` | `$JS.API.CONSUMER.DELETE.OBJ_B.>`: the server removes consumers half a minute later; `$JS.API.STREAM.INFO.OBJ_B`: a bucket that was created anew is not recognized, and a range that a replica lacks is an error; of a range also `$JS.API.DIRECT.GET.OBJ_B`: its chunks may have to be counted |
//! | `info`, `info_raw` | `$JS.API.STREAM.MSG.GET.OBJ_B` | |
//! | `delete` | `$O.B.>`, `$JS.API.STREAM.MSG.GET.OBJ_B`, `$JS.API.STREAM.PURGE.OBJ_B` | |
//! | `update_meta` | `$O.B.>`, `$JS.API.STREAM.MSG.GET.OBJ_B`; with another name also `$JS.API.STREAM.PURGE.OBJ_B` | |
//! | `add_link` | `$O.B.>`, `$JS.API.STREAM.MSG.GET.OBJ_B`, and that of the other bucket | |
//! | `add_bucket_link` | `$O.B.>`, `$JS.API.STREAM.MSG.GET.OBJ_B`, and `$JS.API.STREAM.INFO.OBJ_C` for the other bucket `C` | |
//! | `watch` | `$JS.API.STREAM.MSG.GET.OBJ_B`, `$JS.API.CONSUMER.CREATE.OBJ_B.>`, and for more than a few megabytes `$JS.FC.OBJ_B.>` | `$JS.API.CONSUMER.DELETE.OBJ_B.>`: the server removes consumers half a minute later; `$JS.API.STREAM.INFO.OBJ_B`: a bucket that was created anew, and a stream that is none of objects, are not recognized |
//! | `list`, `list_objects` | the same | the same, and on a bucket with replicas, without `$JS.API.STREAM.INFO.OBJ_B`, an object may be listed under the name that it had before |
//! | `bind`, `status` | `$JS.API.STREAM.INFO.OBJ_B` | |
//! | `create_bucket` | `$JS.API.STREAM.CREATE.OBJ_B` | `$JS.API.INFO`: the bucket may be made without fast ingest; `$JS.API.STREAM.INFO.OBJ_B`: one that exists, and whose stream allows more, is an error |
//! | `update_bucket`, `seal_bucket` | `$JS.API.STREAM.INFO.OBJ_B`, `$JS.API.STREAM.UPDATE.OBJ_B` | |
//! | `create_or_update_bucket` | the same, and `$JS.API.STREAM.CREATE.OBJ_B` | |
//! | `delete_bucket` | `$JS.API.STREAM.DELETE.OBJ_B` | |
//! | `object_store_names` | `$JS.API.STREAM.NAMES` | |
//! | `list_object_stores` | `$JS.API.STREAM.LIST` | |
//!
//! What is needed and not permitted is an error ([`Error::is_denied`]) of the call, the watch or the
//! listing. Only flow control belongs to none: then the watch says [`Update::Stalled`].
//!
//! # When nothing comes
//!
//! Nothing waits for ever without a word:
//!
//! | what is wrong | what is told, and when |
//! |---|---|
//! | no rights | an error, as soon as the server has refused |
//! | nobody leads the stream, it is overloaded, or the connection is lost | nothing: a put and a get wait and go on |
//! | the same for six requests' time, without any progress | a timeout, or what was said last |
//! | the bucket is deleted while an object is put | the same: a bucket that nobody knows of may be one that nobody leads |
//! | a chunk is missing, or bytes are others | [`Error::Damaged`], when that is seen |
//! | an object is replaced or deleted while it is got | [`Error::Changed`], with the first chunk that is gone |
//! | a program has no piece for a put | nothing: it is kept alive |
//! | a put fails, and its chunks cannot be removed | [`Error::ChunksLeft`], after four requests' time |
//! | a watch has lost its consumer, or its connection | [`Update::Recreating`]: another consumer goes on where it was, and then [`Update::Live`] |
//! | consumers are lost again and again, or cannot be made, or what they send does not arrive | [`Update::Stalled`], after two attempts |
//! | the consumer is on a replica that lags behind | nothing, while it catches up or another has more; then [`Update::Stalled`] |
//! | what is known of an object cannot be read | [`Update::Unreadable`], or [`ListedObject::Unreadable`]: the watch and the listing go on |
//! | the bucket is deleted while it is watched | the end of the watch, with [`Error::BucketNotFound`] |
//! | the same, and it is created anew | the end of the watch, with [`OrderedError::StreamRecreated`](crate::jetstream::OrderedError::StreamRecreated) |
//! | a listing hears nothing for the time of a request | a timeout, whatever is wrong |
//! | the client is closed | an error for every callback that waits, and the end of every watch |

mod buckets;
mod digest;
mod error;
mod getting;
mod handle;
mod info;
mod listing;
mod name;
mod objects;
mod progress;
mod putting;
mod store;
mod watching;

pub use buckets::config::Config;
pub use buckets::status::Status;
pub use error::Error;
pub use getting::{Get, GetOptions, Got, Object};
pub use handle::ObjectStore;
pub use info::{ObjectHeaders, ObjectInfo, ObjectLink, ObjectMeta};
pub use listing::collected::ObjectList;
pub use listing::item::ListedObject;
pub use listing::listed::ObjectListing;
pub use listing::options::ListOptions;
pub use objects::LinkTarget;
pub use progress::Progress;
pub use putting::{Piece, Put, PutOptions};
pub use watching::options::WatchOptions;
pub use watching::unreadable::Unreadable;
pub use watching::update::{Update, WatchState};
pub use watching::watch::Watcher;
