//! Partitioned consumer groups: a stream's messages are divided among the members of a group by their
//! subjects, and each partition is consumed by one of them, in order.
//!
//! A group is a configuration in a Key-Value bucket, and what each member makes of it; there is nobody in
//! between. Names, documents and the division are those of orbit's `pcgroups`, so that its members and
//! ours may be in one group. It needs server 2.11.
//!
//! * A *static* group ([`Stream::static_group`](crate::jetstream::Stream::static_group)) reads a stream
//!   whose subjects begin with the number of the partition, which a
//!   [transform](crate::jetstream::StreamConfig::subject_transform) of the stream puts there:
//!   `{{partition(6,1)}}.orders.{{wildcard(1)}}`. It never changes; each member has a durable consumer.
//! * An *elastic* group ([`Stream::elastic_group`](crate::jetstream::Stream::elastic_group)) has a work
//!   queue of its own, a stream that is sourced from the stream and puts the number there. Its members come
//!   and go.
//!
//! ```no_run
//! use evnats::EventLoop;
//! use evnats::groups::{ElasticGroupConfig, GroupOptions, PartitioningFilter};
//!
//! let event_loop = EventLoop::<u64>::new()?;
//! let nats = event_loop.connect("nats://127.0.0.1:4222")?;
//! let group = nats.jetstream().stream("ORDERS").elastic_group("packers");
//! // six partitions, by the customer
//! let by_customer = PartitioningFilter::new("orders.*.>", [1]);
//! let config = ElasticGroupConfig::new(6).partitioning_filters([by_customer]).members(["ada"]);
//! group.create(&config, |_, group, made| {
//!     made?;
//!     let packing = group.consume("ada", GroupOptions::new(), |packed: &mut u64, _, order| {
//!         println!("{}", evnats::groups::without_partition(&order.subject()));
//!         *packed += 1;
//!         Ok(order.ack()?)
//!     });
//!     packing.on_event(|_, packing, event| println!("{}: {event:?}", packing.member()));
//!     packing.on_end(|_, packing, end| println!("{}: {end}", packing.member()));
//!     Ok(())
//! });
//! event_loop.run(&mut 0)?;
//! # Ok::<(), evnats::Error>(())
//! ```
//!
//! # What is promised
//!
//! * **Each partition is consumed by one member**, and by one instance of it: the others of the same
//!   member wait, and one of them goes on when nothing was heard of the first one for `ack_wait`, or when it
//!   [steps down](ElasticGroup::step_down).
//! * **No message is lost**: one that is not acknowledged comes again, to whoever has its partition then.
//! * **The messages of a partition come in order**, also when it moves to another member: a member first
//!   stops, then waits until the server has read its answers, and only then lets go of the partition.
//!   What comes again because it was not acknowledged in time, or was handed back, comes behind what was on
//!   its way already; with [`max_ack_pending`](crate::jetstream::ConsumerConfig::max_ack_pending) of 1 in
//!   [`GroupOptions::consumer`] nothing is on its way. So it is with what an instance leaves that dies; and
//!   one that is only cut off may still be working on a message that another one has been given.
//! * **Each message comes once** as long as it is acknowledged in its callback and nobody dies. What a
//!   program acknowledges later, with an [`Acker`](crate::jetstream::Acker), comes again if the partition
//!   has moved meanwhile.
//! * A change of the members moves as many partitions as orbit's rule says, which may be nearly all. While
//!   one moves, nobody consumes it: for a few round trips; if its member is dead, for `ack_wait`; and if
//!   it was cut off from the configuration by the loss of a server, until it has noticed, some seconds
//!   later.
//!
//! # Rights
//!
//! Beside the inboxes, a user with restricted rights needs to publish to what [`kv`](crate::kv) says for the
//! buckets `static-consumer-groups` and `elastic-consumer-groups` (`B` here), and to these subjects; for a
//! static group `Q` is the stream, and the consumer `C` is `<group>-<member>`; for an elastic one `Q` is
//! `<stream>-<group>`, and `C` the member.
//!
//! | operation | on the bucket | needs to publish to |
//! |---|---|---|
//! | `config` | `get` | |
//! | `static_groups`, `elastic_groups` | `keys` | |
//! | `add_members`, `remove_members`, `map_members`, `unmap_members` | `get`, `update` | |
//! | `member_info` | `get` | `$JS.API.CONSUMER.INFO.Q.C` |
//! | `step_down` | | `$JS.API.CONSUMER.UNPIN.Q.C` |
//! | `create` | `create_bucket`, `create` | `$JS.API.STREAM.INFO.<stream>`; elastic: `$JS.API.STREAM.CREATE.Q` |
//! | `delete` | `get`, `delete` | static: `$JS.API.CONSUMER.DELETE.Q.>`; elastic: `$JS.API.STREAM.DELETE.Q` |
//! | `consume` | `watch` | `$JS.API.CONSUMER.CREATE.Q.C`, `$JS.API.CONSUMER.MSG.NEXT.Q.C`, `$JS.API.CONSUMER.DELETE.Q.C`, `$JS.ACK.Q.C.>` |
//!
//! What needs an API level also asks `$JS.API.INFO`, and `consume` asks `$JS.API.CONSUMER.INFO.Q.C` why
//! nothing comes; both go on without an answer if that is not permitted.
//!
//! # When nothing comes
//!
//! Nothing waits for ever without a word:
//!
//! | what is wrong | what is told, and when |
//! |---|---|
//! | there is no such group, or no such member of a static one | the end: [`GroupEnd::NotFound`], [`GroupEnd::NotMember`] |
//! | the member is not in the elastic group, or has no partition | nothing, until it has: [`GroupEvent::Assigned`] |
//! | others have not let go of the partitions, or the server has no answer | [`GroupEvent::Waiting`], as often as it is tried |
//! | another instance of the member is served | what a consumption tells: [`GroupEvent::Consumption`] |
//! | the consumer is lost | [`GroupEvent::Released`]; another one is made |
//! | the group is deleted, or its configuration is not one any more | the end: [`GroupEnd::Deleted`], [`GroupEnd::Changed`], [`GroupEnd::Failed`] |
//! | the work queue or the stream is deleted | the end: [`GroupEnd::Refused`] |
//! | the server is too old | [`Error::JetStream`] of `create`, the end of what consumes: [`GroupEnd::Refused`] |
//! | the configuration cannot be watched at the moment | [`GroupEvent::Stalled`], and consuming goes on |
//! | the client is over | an error, and the end: [`GroupEnd::Failed`] |

mod check;
mod config;
mod consumer;
mod consumption;
mod error;
mod group;
mod handle;
mod instance;
mod member;
mod membership;
mod names;
mod options;
mod partitions;
mod store;
#[cfg(test)]
mod tests;
mod work_queue;

pub use check::GroupError;
pub use config::{ElasticGroupConfig, MemberMapping, PartitioningFilter, StaticGroupConfig};
pub use consumption::GroupConsumption;
pub use error::Error;
pub use group::GroupEnd;
pub use handle::{ElasticGroup, StaticGroup};
pub use instance::GroupEvent;
pub use names::{partition, without_partition};
pub use options::GroupOptions;
pub use store::MemberInfo;
