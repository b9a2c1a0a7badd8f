//! The handles of groups, and the doors to them from their stream.

use super::check::GroupError;
use super::config::{ElasticGroupConfig, MemberMapping, StaticGroupConfig};
use super::consumption::GroupConsumption;
use super::error::Error;
use super::group::{Group, Kind};
use super::instance::{Instance, OnMessage};
use super::options::GroupOptions;
use super::store::{MemberInfo, OnGroup, Store, list};
use crate::callback::{Answer, Callback, Outcome, State, answer, lend};
use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::{Delivered, Delivery, DeliveryHandler, Stream};
use std::fmt;
use std::rc::Rc;

/// A static group of a stream. A cheap handle, which may exist before the group does.
pub struct StaticGroup<S: 'static = ()> {
    stream: Stream<S>,
    store: Rc<Store>,
}

/// An elastic group of a stream. A cheap handle, which may exist before the group does.
pub struct ElasticGroup<S: 'static = ()> {
    stream: Stream<S>,
    store: Rc<Store>,
}

impl<S: 'static> Stream<S> {
    /// A static consumer group of the stream, by its name. Nothing is sent: whether it exists shows with
    /// the first call.
    #[must_use]
    pub fn static_group(&self, name: &str) -> StaticGroup<S> {
        let store = Store::new(self.api(), Kind::Static, self.name(), name);
        StaticGroup { stream: self.clone(), store }
    }

    /// An elastic consumer group of the stream, by its name. Nothing is sent: whether it exists shows with
    /// the first call.
    #[must_use]
    pub fn elastic_group(&self, name: &str) -> ElasticGroup<S> {
        let store = Store::new(self.api(), Kind::Elastic, self.name(), name);
        ElasticGroup { stream: self.clone(), store }
    }

    /// Lists the names of the stream's static consumer groups.
    ///
    /// # Errors
    /// What JetStream and Key-Value report.
    pub fn static_groups(&self, callback: impl Callback<S, Stream<S>, Result<Vec<String>, Error>>) {
        list(self.api(), Kind::Static, self.name(), answer(self, callback));
    }

    /// Lists the names of the stream's elastic consumer groups.
    ///
    /// # Errors
    /// What JetStream and Key-Value report.
    pub fn elastic_groups(
        &self,
        callback: impl Callback<S, Stream<S>, Result<Vec<String>, Error>>,
    ) {
        list(self.api(), Kind::Elastic, self.name(), answer(self, callback));
    }
}

impl<S: 'static> StaticGroup<S> {
    /// Makes the group. One that is there with the same configuration counts as made.
    ///
    /// # Errors
    /// [`Error::Exists`] with another configuration, [`Error::InvalidConfig`], `Unsupported` of
    /// [`Error::JetStream`] by a server before 2.11, and what JetStream and Key-Value report.
    #[doc(alias = "CreateStatic")]
    pub fn create(
        &self,
        config: &StaticGroupConfig,
        callback: impl Callback<S, StaticGroup<S>, Result<StaticGroupConfig, Error>>,
    ) {
        self.store.create(Group::Static(config.clone()), static_config(answer(self, callback)));
    }

    /// Reads the group's configuration.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Malformed`], [`Error::InvalidConfig`], and what Key-Value reports.
    #[doc(alias = "GetStaticConsumerGroupConfig")]
    pub fn config(
        &self,
        callback: impl Callback<S, StaticGroup<S>, Result<StaticGroupConfig, Error>>,
    ) {
        self.store.config(static_config(answer(self, callback)));
    }
}

impl<S: 'static> ElasticGroup<S> {
    /// Makes the group, and its work queue: the stream `<stream>-<group>`, stored as the stream is. One
    /// that is there with the same configuration counts as made, whoever its members are.
    ///
    /// # Errors
    /// [`Error::Exists`] with another configuration, [`Error::InvalidConfig`], `Unsupported` of
    /// [`Error::JetStream`] by a server before 2.11, and what JetStream and Key-Value report.
    #[doc(alias = "CreateElastic")]
    pub fn create(
        &self,
        config: &ElasticGroupConfig,
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        self.store.create(Group::Elastic(config.clone()), elastic_config(answer(self, callback)));
    }

    /// Reads the group's configuration.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Malformed`], [`Error::InvalidConfig`], and what Key-Value reports.
    #[doc(alias = "GetElasticConsumerGroupConfig")]
    pub fn config(
        &self,
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        self.store.config(elastic_config(answer(self, callback)));
    }

    /// Adds members, and calls back with the configuration as it is then. Those that are some already
    /// stay. What others change at the same time is kept.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidConfig`] if the group has mappings, [`Error::Conflict`], and
    /// what Key-Value reports: after a timeout it may have been changed.
    pub fn add_members(
        &self,
        members: &[&str],
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        let members: Vec<String> = members.iter().copied().map(String::from).collect();
        self.change(move |config| config.add_members(members.iter().cloned()), callback);
    }

    /// Removes members, as [`add_members`](Self::add_members) adds them. Their instances go on waiting,
    /// until they are members again or stopped.
    ///
    /// # Errors
    /// As of [`add_members`](Self::add_members).
    #[doc(alias = "DeleteMembers")]
    pub fn remove_members(
        &self,
        members: &[&str],
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        let members: Vec<String> = members.iter().copied().map(String::from).collect();
        self.change(move |config| config.remove_members(&members), callback);
    }

    /// Gives members their partitions by mappings, in the place of the members and mappings that the group
    /// has.
    ///
    /// # Errors
    /// As of [`add_members`](Self::add_members), [`Error::InvalidConfig`] if the mappings are wrong.
    #[doc(alias = "SetMemberMappings")]
    pub fn map_members(
        &self,
        mappings: &[MemberMapping],
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        let mappings = mappings.to_vec();
        self.change(move |config| config.map_members(mappings.iter().cloned()), callback);
    }

    /// Takes the mappings away. A group that had some has no members then.
    ///
    /// # Errors
    /// As of [`add_members`](Self::add_members).
    #[doc(alias = "DeleteMemberMappings")]
    pub fn unmap_members(
        &self,
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        let unmap = |config: &mut ElasticGroupConfig| {
            config.unmap_members();
            Ok(())
        };
        self.change(unmap, callback);
    }

    fn change(
        &self,
        change: impl Fn(&mut ElasticGroupConfig) -> Result<(), GroupError> + 'static,
        callback: impl Callback<S, ElasticGroup<S>, Result<ElasticGroupConfig, Error>>,
    ) {
        self.store.change(Rc::new(change), elastic_config(answer(self, callback)));
    }
}

/// What groups of both kinds have.
macro_rules! groups {
    ($($group:ident),+) => { $(
        impl<S: 'static> $group<S> {
            /// The group's name.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.store.group
            }

            /// The stream.
            #[must_use]
            pub fn stream(&self) -> &Stream<S> {
                &self.stream
            }

            /// The connection.
            #[must_use]
            pub fn client(&self) -> &Client<S> {
                self.stream.client()
            }

            /// Deletes the group, with the consumers of its members. What consumes ends with
            /// [`GroupEnd::Deleted`](super::GroupEnd::Deleted). After an error it can be deleted again.
            ///
            /// # Errors
            /// [`Error::NotFound`], and what JetStream and Key-Value report.
            pub fn delete(&self, callback: impl Callback<S, $group<S>, Result<(), Error>>) {
                self.store.delete(answer(self, callback));
            }

            /// Asks what is known of a member: whether the group has it, and its consumer.
            ///
            /// # Errors
            /// [`Error::NotFound`] if there is no such group, and what JetStream and Key-Value report.
            #[doc(alias = "IsInMembershipAndActive")]
            pub fn member_info(
                &self,
                member: &str,
                callback: impl Callback<S, $group<S>, Result<MemberInfo, Error>>,
            ) {
                self.store.member_info(member, answer(self, callback));
            }

            /// Has the instance of a member that is served make room for another one of the same member.
            ///
            /// # Errors
            /// [`Error::is_not_found`] if the member has no consumer, and what JetStream reports.
            #[doc(alias = "MemberStepDown")]
            pub fn step_down(
                &self,
                member: &str,
                callback: impl Callback<S, $group<S>, Result<(), Error>>,
            ) {
                self.store.step_down(member, answer(self, callback));
            }

            /// Consumes as a member: the callback runs for each message of the member's partitions. It
            /// answers them with the delivery's methods, unless
            /// [`auto_ack`](crate::jetstream::ConsumeOptions::auto_ack) is set.
            ///
            /// Of several instances of a member, in one program or several, one is served.
            ///
            /// # Errors
            /// Whatever ends it is told to [`on_end`](GroupConsumption::on_end), never from within this
            /// call.
            pub fn consume(
                &self,
                member: &str,
                options: GroupOptions,
                callback: impl DeliveryHandler<S, GroupConsumption<S>>,
            ) -> GroupConsumption<S> {
                let instance = Instance::start(&self.store, member, options, each(callback));
                GroupConsumption::new(instance)
            }
        }

        timers_on!($group, |group| group.client().port().event_loop());

        impl<S> Clone for $group<S> {
            fn clone(&self) -> Self {
                Self { stream: self.stream.clone(), store: self.store.clone() }
            }
        }

        impl<S> fmt::Debug for $group<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($group))
                    .field("name", &self.store.group)
                    .field("stream", &self.store.stream)
                    .finish_non_exhaustive()
            }
        }
    )+ };
}

groups!(StaticGroup, ElasticGroup);

/// Has a program take every message.
fn each<S: 'static>(mut callback: impl DeliveryHandler<S, GroupConsumption<S>>) -> OnMessage {
    Box::new(move |state: &mut State, instance: &Rc<Instance>, delivered: &Delivered<'_>| {
        let consumption = GroupConsumption::new(instance.clone());
        callback(lend(state), &consumption, &Delivery::new(delivered)).into_ran()
    })
}

fn static_config(answer: Answer<Result<StaticGroupConfig, Error>>) -> OnGroup {
    Box::new(move |state, group| answer(state, group.map(Group::into_static)))
}

fn elastic_config(answer: Answer<Result<ElasticGroupConfig, Error>>) -> OnGroup {
    Box::new(move |state, group| answer(state, group.map(Group::into_elastic)))
}
