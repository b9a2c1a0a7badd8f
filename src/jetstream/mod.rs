//! JetStream: streams, acknowledged publishing, consumers, and reading of stored messages.
//!
//! What is asked for once is a request, and its callback runs exactly once, with a result or a typed
//! [`Error`] that keeps the server's codes.
//!
//! # Reading a stream
//!
//! | what is wanted | the call |
//! |---|---|
//! | every message, as it comes, to be acknowledged | [`Consumer::consume`] |
//! | one message after the other, when there is time for it | [`Consumer::messages`] |
//! | as many as there are, or one, now | [`Consumer::fetch`], [`Consumer::next`] |
//! | all of a stream in order, without acknowledgements and without a consumer of one's own | [`Stream::ordered_consumer`] |
//! | what the server pushes to a subject | [`Consumer::subscribe`] |
//! | what nobody could process | [`Consumer::dead_letters`] |
//! | single messages by their sequence or subject | [`JetStream::stored_message`], [`stored_messages`](JetStream::stored_messages) |
//!
//! # Rights
//!
//! A user with restricted rights needs to subscribe to the inboxes, `_INBOX.*.*` (with
//! [`Options::inbox_prefix`](crate::Options::inbox_prefix), the prefix is another), and to publish to:
//!
//! | operation | subjects, for the stream `S` and the consumer `C` |
//! |---|---|
//! | `publish`, `publish_window` | the subject itself; to say why nobody acknowledges: `$JS.API.STREAM.NAMES` |
//! | `fast_ingest` | the subjects themselves; and to subscribe to `_INBOX.>` |
//! | `atomic_batch`, `counter_add` (also `_once`) | the subject itself |
//! | `schedule`, `cancel_schedule` | `$JS.API.STREAM.MSG.GET.S`, `…PURGE.S` |
//! | `account_info` | `$JS.API.INFO` |
//! | `create_stream`, `update_stream`, `stream_info` (also `_with`), `delete_stream` | `$JS.API.STREAM.CREATE.S`, `…UPDATE.S`, `…INFO.S`, `…DELETE.S` |
//! | `create_or_update_stream`; `seal_stream`, `promote_mirror` | `…STREAM.UPDATE.S` and `…CREATE.S`; `…INFO.S` and `…UPDATE.S` |
//! | `purge_stream` | `$JS.API.STREAM.PURGE.S` |
//! | `stream_names`, `list_stream_names`, `stream_by_subject`; `list_streams` | `$JS.API.STREAM.NAMES`; `…LIST` |
//! | `consumer_names`, `list_consumer_names`; `list_consumers` | `$JS.API.CONSUMER.NAMES.S`; `…LIST.S` |
//! | `stored_message` and `counter_get` from the leader, `stored_message_without_headers` | `$JS.API.STREAM.MSG.GET.S` |
//! | `stored_message` and `counter_get` from a replica | `$JS.API.DIRECT.GET.S`; the last message of a subject: `$JS.API.DIRECT.GET.S.<subject>` |
//! | `stored_messages` | `$JS.API.DIRECT.GET.S` |
//! | `delete_message`, `secure_delete_message` | `$JS.API.STREAM.MSG.DELETE.S` |
//! | `create_consumer`, `update_consumer`, `create_or_update_consumer` | `$JS.API.CONSUMER.CREATE.S.C`; with one filter: `$JS.API.CONSUMER.CREATE.S.C.<filter>` |
//! | `consumer_info`, `delete_consumer`, `reset_consumer` | `$JS.API.CONSUMER.INFO.S.C`, `…DELETE.S.C`, `…RESET.S.C` |
//! | `consume`, `messages`, `fetch`, `next` | `$JS.API.CONSUMER.MSG.NEXT.S.C`; answers: `$JS.ACK.S.C.>`; to say why nothing comes: `$JS.API.CONSUMER.INFO.S.C` |
//! | `consume_by_key` | the same, and it asks for the information at once |
//! | `subscribe` | `$JS.API.CONSUMER.INFO.S.C`; answers: `$JS.ACK.S.C.>`; flow control: `$JS.FC.S.C.>`; and to subscribe to the `deliver_subject` |
//! | reads of an `ordered_consumer` | `$JS.API.CONSUMER.CREATE.S.*`, with one filter: `…CREATE.S.*.<filter>`; `$JS.API.CONSUMER.MSG.NEXT.S.*` |
//! | `snapshot_stream`; `restore_stream` | `$JS.API.STREAM.SNAPSHOT.S` and `$JS.SNAPSHOT.ACK.S.>`; `$JS.API.STREAM.RESTORE.S` and `$JS.SNAPSHOT.RESTORE.S.*` |
//! | `step_down_stream`, `remove_stream_peer`, `evacuate_stream_peer`, `cancel_stream_move` | `$JS.API.STREAM.LEADER.STEPDOWN.S`, `…PEER.REMOVE.S`, `…PEER.EVACUATE.S`, `…CANCEL_MOVE.S` |
//! | `step_down_consumer`, `remove_consumer_peer`, `evacuate_consumer_peer` | `$JS.API.CONSUMER.LEADER.STEPDOWN.S.C`, `…PEER.REMOVE.S.C`, `…PEER.EVACUATE.S.C` |
//! | `pause_consumer` and `resume_consumer`, `unpin_consumer` | `$JS.API.CONSUMER.PAUSE.S.C`, `…UNPIN.S.C` |
//!
//! Servers from 2.14 on can be told to name the domain and the account in the subjects for answers and
//! flow control (`js_ack_fc_v2`): then they are `$JS.ACK.*.*.S.C.>` and `$JS.FC.*.*.S.C.>`.
//!
//! What needs an [API level](#api-levels) also asks `$JS.API.INFO`, and goes on without an answer if
//! that is not permitted.
//!
//! [`advisories`](JetStream::advisories) publishes nothing, and needs to subscribe to `$JS.EVENT.>`, or to
//! what of it the filter says.
//!
//! `dead_letters` needs to subscribe to `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C` and
//! `…MSG_TERMINATED.S.C` (for all consumers of a stream, with `*` for `C`), and to publish to
//! `$JS.API.STREAM.MSG.GET.S`, without which dead letters are told without their messages.
//!
//! An [`OrderedConsumer`] also asks `$JS.API.STREAM.INFO.S` and `$JS.API.CONSUMER.DELETE.S.*`. Without the
//! one, it knows another stream of the same name by the times of its messages alone; without the other, its
//! consumers are left to [`inactive_threshold`](OrderedOptions::inactive_threshold).
//!
//! The methods of [`Stream`] and [`Consumer`] need what these calls need. When a stream's handle that
//! knows its stream makes or changes a consumer, it also asks `$JS.API.STREAM.INFO.S`, and goes on
//! without an answer if that is not permitted. With another prefix or a
//! domain, `$JS.API` is that. What is not permitted is an error of the call
//! ([`Error::is_denied`]).
//!
//! # When nothing comes
//!
//! Nothing waits for ever without a word:
//!
//! | what is wrong | what is told, and when |
//! |---|---|
//! | nobody answers on the API | [`Error::NotAvailable`], at once; [`Error::NotEnabled`] if the server says why |
//! | the API does not answer, as in an election | what only reads is asked again; then a timeout ([`Error::is_timeout`]) |
//! | no stream stores what is published | [`Error::NotStored`], at once; of a window [`Error::NoStream`] or [`Error::NoLeader`] |
//! | a publish is not acknowledged | a timeout; of a window [`Error::Unacknowledged`], if it can be known why |
//! | the connection is lost under a publish | [`RequestError::OutcomeUnknown`](crate::RequestError::OutcomeUnknown), at once; a window sends it again if it is told to, for as long as it is told to |
//! | a window is full | [`Error::WindowFull`], with the message; [`on_ready`](PublishWindow::on_ready) when half of it is free, [`on_stalled`](PublishWindow::on_stalled) if nothing is acknowledged meanwhile |
//! | a message without a callback of its own fails | [`on_failed`](PublishWindow::on_failed), the report, and without the hook a line of the log |
//! | messages of an ingest are lost | [`on_gap`](FastIngest::on_gap); unless it is to continue, its end |
//! | the server of an ingest falls silent | it is asked every second; then [`Error::IngestEnded`] with a timeout |
//! | a program adds nothing to an ingest | nothing: it is kept alive |
//! | a program adds nothing to an atomic batch | the server gives it up, and the next message or the commit says so: [`BatchError::Incomplete`] |
//! | a message of an atomic batch is refused | the outcome of the commit; [`on_failed`](AtomicBatch::on_failed) before it |
//! | nobody answers a consumption, not even with heartbeats | [`ConsumeEvent::Silent`] with the cause, to [`on_event`](Consumption::on_event), and to [`Messages::next`] as [`NextError::Silent`]; it goes on |
//! | a consumer is paused, or has as many unanswered messages as may be | nothing, as long as the server reports; else the same |
//! | as many requests wait as a consumer permits | [`ConsumeEvent::MaxWaiting`] or [`Silent`](ConsumeEvent::Silent); of a fetch [`FetchError`] |
//! | a consumer is deleted while it is read | the end: [`ConsumerError`] |
//! | a fetch is not answered | a second after its time, or after two heartbeats: [`FetchError`] |
//! | a delivery is not answered | nothing: it is delivered again |
//! | what a key waits for does not come again | [`ConsumeEvent::Skipped`], and the key goes on: at once after the last delivery, else after twice `ack_wait` or the delay and five seconds |
//! | a page of a listing, or what is read, does not come | a timeout, the listing's end |
//! | no chunk of a snapshot comes | after the timeout: a timeout; what has come is of no use |
//! | a program sends nothing to a restore | after five seconds the server gives it up: [`Error::RestoreGivenUp`] with the next chunk |
//! | nothing happens of which an advisory tells | nothing; after a lost connection what happened meanwhile is not told |
//! | a message that nobody could process was removed, or cannot be read | its [dead letter](Consumer::dead_letters) with the reason, after its [patience](DeadLetterOptions::patience) at the latest |
//! | an ordered consumer is not fed, whatever the reason | [`ConsumeEvent::Reset`] with the reason, and it goes on |
//! | the client is over | an error for every callback that waits |
//!
//! # API levels
//!
//! Servers before 2.12 pass over members of a configuration that they do not know, and answer as if
//! all was well; later ones refuse them. So what came with server 2.11 or later is not sent to a server
//! that lacks it: the call fails with [`Error::Unsupported`]. Which level a configuration needs,
//! [`StreamConfig::required_level`] and [`ConsumerConfig::required_level`] tell. What the server has
//! is asked once for each prefix and connection, with the first call that needs a level, and the
//! request carries the level in `Nats-Required-Api-Level`, by which a server from 2.12 on refuses it
//! (10185) if it has come to an older one after all.
//!
//! For whoever may not ask, or imports the API without `$JS.API.INFO`, the level is that of the last
//! stream or consumer that was told about on the connection (servers from 2.11 on write it into the
//! metadata), and before there is one, that of the server at the other end, if the prefix is its own.
//! If neither tells it, the request is sent all the same; if the reply shows that an older server has
//! made a stream or consumer without what was asked for, it is [`Error::MadeWithout`].
//!
//! What has no level is compared: a member that was asked for and comes back otherwise is
//! [`Error::MadeDifferently`]. Server 2.9 does that to `metadata`, `filter_subjects`, `compression`,
//! `first_seq`, `consumer_limits` and transforms of subjects.

pub mod advisory;
mod api;
mod api_error;
mod backup;
mod base64;
mod batch_error;
mod consume;
mod consumer;
mod creation;
mod dead_letters;
mod envelope;
mod error;
mod error_code;
mod exchange;
mod handle;
mod joined;
mod level;
mod manage;
mod name;
mod publish;
mod scan;
mod seen;
mod stall;
mod stream;
pub(crate) mod time;
pub(crate) mod watching;
pub(crate) mod wire;
mod words;

pub use api_error::{ApiError, ErrorCode};
pub use backup::{Restore, Restoring, SnapshotChunk, SnapshotOptions, StreamBackup};
pub use batch_error::BatchError;
pub use consume::{
    Acker, ByKey, ConsumeEnd, ConsumeEvent, ConsumeOptions, ConsumerError, Consumption, Delivery,
    DeliveryCallback, DeliveryCallbackReturns, DeliveryHandler, DeliveryHandlerReturns,
    DeliveryInfo, FetchEnd, FetchError, FetchOptions, Messages, NextError, OrderedConsumer,
    OrderedOptionError, OrderedOptions, PullOptionError, PushOptions, RequestLimit, ResetCause,
    Silence, SilenceCause,
};
pub use consumer::Consumer;
pub use dead_letters::{DeadLetter, DeadLetterCause, DeadLetterOptions};
pub use error::{Error, OrderedError};
pub use exchange::ApiExchange;
pub use handle::JetStream;
pub use level::Requirement;
// whatever management names, so that an endpoint of the API is added in one place
pub use manage::*;
pub use publish::{
    AtomicBatch, Counter, FastIngest, IngestGap, IngestOptions, IngestRefusal, IngestReport,
    Integer, OptionError, PubAck, PublishFailure, PublishOptions, PublishWindow, Schedule,
    ScheduleError, Scheduled, Stalled, Timing, Ttl, Unanswered, WindowOptions, WindowReport,
};
pub use stall::Stall;
pub use stream::Stream;

pub(crate) use api::{Api, ApiReply, ApiRequest, on_reply};
pub(crate) use consume::{
    Consuming, Delivered, DeliveryNumbers, OrderedConfig, Reader, ReaderEvent, WeakReader,
    ack_fence,
};
pub(crate) use joined::JoinedSubject;
pub(crate) use name::{check_bucket_name, check_name, first_bad};
pub(crate) use publish::{
    BatchMessage, Done, Ingest, KnownAck, Observer, Window, acknowledged_sequence, observe,
};
