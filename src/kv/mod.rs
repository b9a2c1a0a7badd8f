//! Key-Value: buckets of keys with revisions, on JetStream streams.
//!
//! A value is the last message on the key's subject, its revision the message's sequence. A write
//! is complete when the stream has acknowledged it, never before: a `PONG` says nothing about
//! storage. What a read proves is the caller's choice ([`Reads`]): unless told otherwise it goes to the
//! stream's leader, and sees every write that was complete when it began, while leadership is stable.
//!
//! # Rights
//!
//! A user with restricted rights needs, for the bucket `B`, to subscribe to the inboxes, and to publish
//! to these subjects. Inboxes of requests and of watches look alike: `_INBOX.*.*` is all of them (with
//! [`Options::inbox_prefix`](crate::Options::inbox_prefix), the prefix is another). With another API
//! prefix or a domain, `$JS.API` is that, and keys are written to below it. The server's own defaults
//! are what permits a user without restrictions everything.
//!
//! | operation | needs to publish to | without it, does less |
//! |---|---|---|
//! | `put`, `update`, `delete`, `purge` | `$KV.B.>` | `$JS.API.STREAM.INFO.KV_B`: a write that nobody has stored says no more than that |
//! | `create` | `$KV.B.>`, and if the key was written before, `$JS.API.STREAM.MSG.GET.KV_B` or `$JS.API.DIRECT.GET.KV_B.>` | the same |
//! | `put_with`, `update_with` with a TTL | `$KV.B.>`, `$JS.API.STREAM.INFO.KV_B` | |
//! | `touch`, `sliding` | the same, and `$JS.API.STREAM.MSG.GET.KV_B` | |
//! | `create_with`, `purge_with` with a TTL | as without | `$JS.API.STREAM.INFO.KV_B`, and without that `$JS.API.INFO`: that the server is too old may not be noticed |
//! | `purge_keys` | what `keys` and `purge` need | what they do |
//! | `purge_deletes` | what `keys` needs, `$JS.API.STREAM.INFO.KV_B`, `$JS.API.STREAM.PURGE.KV_B` | |
//! | `clear` | `$JS.API.STREAM.PURGE.KV_B` | |
//! | `get`, `get_raw` | `$JS.API.STREAM.MSG.GET.KV_B` | `$JS.API.STREAM.INFO.KV_B`: a mirror is not recognized |
//! | the same with [`Reads::Replica`] | `$JS.API.DIRECT.GET.KV_B.>` | the same |
//! | the same with [`Reads::Verified`] | `$JS.API.DIRECT.GET.KV_B` | `$JS.API.DIRECT.GET.KV_B.>`, `$KV.B.>`: absence may not be proven in time; `$JS.API.INFO`: the server's level is inferred; `$JS.API.STREAM.INFO.KV_B`: that nobody answers has no reason |
//! | the same with [`Reads::Linearizable`] | `$JS.API.DIRECT.GET.KV_B`, `$KV.B.>` | `$JS.API.INFO`, `$JS.API.STREAM.INFO.KV_B`: as before |
//! | `get_revision` | `$JS.API.STREAM.MSG.GET.KV_B`, or `$JS.API.DIRECT.GET.KV_B` | the same |
//! | `batch` | `$KV.B.>`, and to create a key over a tombstone, what `create` needs | `$JS.API.STREAM.MSG.GET.KV_B`: which key was in the way is not told; `$JS.API.INFO`: that the server is too old shows with the answer; with a TTL, `$JS.API.STREAM.INFO.KV_B` is needed |
//! | `lock`, `try_lock`, and renewals | `$KV.B.>`, and `$JS.API.STREAM.MSG.GET.KV_B` or `$JS.API.DIRECT.GET.KV_B.>` | `$JS.API.STREAM.INFO.KV_B`: the key does not expire by itself |
//! | to wait for a lock, `election` | the same, and what `watch` needs | the same |
//! | `get_many` | `$JS.API.DIRECT.GET.KV_B`; with [`Reads::Linearizable`] also `$KV.B.>` | `$JS.API.INFO`: that the server is too old shows with the answer; `$KV.B.>` and `$JS.API.DIRECT.GET.KV_B.>`: what a replica that lags behind has, and that no key has a value, may not be proven |
//! | `watch`, `keys`, `list_keys`, `history` | `$JS.API.CONSUMER.CREATE.KV_B.>`, `$JS.API.STREAM.MSG.GET.KV_B`, and for more than a few megabytes `$JS.FC.KV_B.>` | `$JS.API.CONSUMER.DELETE.KV_B.>`: the server removes consumers half a minute later; `$JS.API.STREAM.INFO.KV_B`: a bucket that was created anew, and a mirror, are not recognized, and on a bucket with replicas a listing may show a key that was purged from the stream by hand |
//! | the same with [`Reads::Replica`] | `$JS.API.CONSUMER.CREATE.KV_B.>`, `$JS.FC.KV_B.>` | the same |
//! | `cache` | what `watch` needs | `$JS.API.STREAM.INFO.KV_B`, `$JS.API.STREAM.MSG.GET.KV_B`: what leaves no message stays in it, or goes by its age |
//! | `bind`, `status` | `$JS.API.STREAM.INFO.KV_B` | |
//! | `create_bucket` | `$JS.API.STREAM.CREATE.KV_B` | `$JS.API.STREAM.INFO.KV_B`, `$JS.API.STREAM.UPDATE.KV_B`: an old bucket is not repaired |
//! | `update_bucket` | `$JS.API.STREAM.INFO.KV_B`, `$JS.API.STREAM.UPDATE.KV_B` | |
//! | `create_or_update_bucket` | the same, and `$JS.API.STREAM.CREATE.KV_B` | |
//! | `key_value_names` | `$JS.API.STREAM.NAMES` | |
//! | `list_key_values` | `$JS.API.STREAM.LIST` | |
//! | `delete_bucket` | `$JS.API.STREAM.DELETE.KV_B` | |
//!
//! What is needed and not permitted is an error ([`Error::is_denied`]) of the call, the watch or the
//! listing. Only flow control belongs to none: then the watch says [`Update::Stalled`]. A handle with codecs
//! ([`KeyValue::with_codecs`]) needs what the plain one needs, for keys as they are in the bucket.
//!
//! # When nothing comes
//!
//! Nothing waits for ever without a word:
//!
//! | what is wrong | what is told, and when |
//! |---|---|
//! | no rights | an error, as soon as the server has refused |
//! | the inbox is not permitted | the same ([`jetstream::Error::InboxDenied`](crate::jetstream::Error::InboxDenied) of a watch) |
//! | nobody leads the stream | a write: [`Error::NoLeader`], at once; a read is sent again until its timeout; a watch: [`Update::Stalled`] after two attempts |
//! | no quorum | a timeout, also of a watch that begins then; one that runs: [`Update::Stalled`] after two attempts |
//! | flow control does not get through | [`Update::Stalled`] after two times three heartbeats |
//! | deliveries do not arrive | the same |
//! | a message is lost | nothing: it is read again |
//! | the consumer is lost | [`Update::Recreating`]: another one goes on where it was, and then [`Update::Live`] |
//! | the consumer is on a replica that lags behind | nothing, while it catches up or another has more; then [`Update::Stalled`] |
//! | the bucket is deleted | the end of the watch, with [`Error::BucketNotFound`] |
//! | the bucket is deleted and created anew | the end of the watch, with [`OrderedError::StreamRecreated`](crate::jetstream::OrderedError::StreamRecreated) |
//! | JetStream is off, or not for the account | an error, at once |
//! | the connection is lost | the client's hooks; calls have an outcome, and a watch says [`Update::Recreating`] and goes on with the next connection |
//! | the client is closed | an error, and the end of every watch |
//! | a listing hears nothing for the time of a request | a timeout, whatever is wrong |
//! | nobody answers a step of what takes several: `touch`, `sliding`, `batch`, `get_many`, `purge_keys`, `purge_deletes` | a timeout, when what is under way has an outcome; [`Error::Incomplete`] if a part was done |
//! | another one holds a lock | nothing, while it is renewed, unless [`LockOptions::wait`] says for how long; `try_lock` says so at once |
//! | a lock cannot be acquired or renewed for a while | one that is held: its loss ([`Lock::on_lost`]), a tenth of its time before others may have it; one that is waited for: nothing, as before |
//! | a program ends without a word | nobody is left to be told; the server removes its consumers half a minute later |

mod bucket;
mod buckets;
mod cache;
mod codec;
mod election;
mod entry;
mod error;
mod handle;
mod listing;
mod lock;
mod mark;
mod name;
mod patterns;
mod purging;
mod reading;
mod settings;
mod sliding;
mod watching;
mod writing;

pub(crate) use bucket::Bucket;
pub use buckets::config::Config;
pub use buckets::status::Status;
pub use cache::event::{CacheEvent, CacheOptions, CacheState};
pub use cache::handle::Cache;
pub use codec::{
    Base64Keys, Base64Values, CodecError, CodecStep, Codecs, CodedKey, CodedKeyListing,
    CodedKeyValue, CodedUpdate, CodedWatcher, Decoded, KeyChain, KeyCodec, PathKeys, PlainKeys,
    PlainValues, Undecodable, ValueChain, ValueCodec,
};
pub use election::{Election, ElectionEvent, ElectionOptions};
pub use entry::{Entry, Operation};
pub use error::Error;
pub use handle::KeyValue;
pub use listing::lister::{KeyListing, ListedKey};
pub use lock::{Lock, LockOptions, Lost};
pub use purging::deletes::{PurgeDeletes, PurgeProgress, PurgedDeletes, Purging};
pub use reading::many::Snapshot;
pub use reading::reads::Reads;
pub use sliding::{Sliding, SlidingEntry};
pub use watching::options::WatchOptions;
pub(crate) use watching::update::Watching;
pub use watching::update::{Update, WatchState};
pub use watching::watch::Watcher;
pub use writing::batch::{Batch, Committed};
pub use writing::options::{PurgeOptions, WriteOptions};
