//! Partitioned consumer groups: a stream's messages are divided among the members of a group by their
//! subjects, and each partition is consumed by one of them, in order. Machines and types without I/O.
//!
//! Names, documents and the division are those of orbit's `pcgroups`, so that its members and ours may
//! be in one group. The configuration is a value of a Key-Value bucket. A *static* group reads a stream
//! whose subjects begin with the number of the partition; it never changes. An *elastic* group has a
//! work queue of its own, sourced from the stream, that puts the number there; its members come and go.
#![allow(dead_code, unreachable_pub, reason = "the driver comes next")]

mod check;
mod config;
mod consumer;
mod group;
mod member;
mod membership;
mod names;
mod partitions;
#[cfg(test)]
mod tests;
mod work_queue;
