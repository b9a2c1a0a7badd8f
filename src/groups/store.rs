//! The configuration of a group in its bucket: made, read, changed and deleted.
//!
//! Whoever changes it has read it before, and writes it if nobody else has meanwhile; otherwise it is read
//! again. So what several change at once is changed by all of them.

use super::check::GroupError;
use super::config::ElasticGroupConfig;
use super::consumer::consumer_name;
use super::error::Error;
use super::group::{Group, Kind};
use super::names::{ELASTIC_BUCKET, PRIORITY_GROUP, STATIC_BUCKET, key, work_queue};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::{self, Api, ConsumerInfo, Requirement, StreamInfo, check_name};
use crate::kv::{self, Bucket, Entry, Reads};
use std::rc::Rc;

/// How often a change is tried that others come before.
const ATTEMPTS: u32 = 20;

/// Members need a priority group.
const NEEDED: Requirement = Requirement::new(1, "priority_groups");

/// A group by its names, and where its configuration is.
pub(super) struct Store {
    pub(super) api: Api,
    pub(super) bucket: Rc<Bucket>,
    pub(super) kind: Kind,
    pub(super) stream: String,
    pub(super) group: String,
    pub(super) key: String,
}

/// A group as it was read.
pub(super) struct Stored {
    pub(super) group: Group,
    revision: u64,
}

/// What is known of a member at present.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MemberInfo {
    /// Whether the group has it.
    pub is_member: bool,
    /// What it consumes by the configuration: the filters of its consumer. Empty: nothing.
    pub filters: Vec<String>,
    /// Its consumer, if there is one. With [`num_waiting`](ConsumerInfo::num_waiting) of 0, nobody
    /// consumes as the member.
    pub consumer: Option<ConsumerInfo>,
}

pub(super) type OnGroup = Answer<Result<Group, Error>>;
type Done = Answer<Result<(), Error>>;
type Change = Rc<dyn Fn(&mut ElasticGroupConfig) -> Result<(), GroupError>>;

impl Store {
    pub(super) fn new(api: &Api, kind: Kind, stream: &str, group: &str) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket(api, kind),
            api: api.clone(),
            kind,
            stream: stream.to_owned(),
            group: group.to_owned(),
            key: key(stream, group),
        })
    }

    /// The stream that members consume.
    pub(super) fn consumed_stream(&self) -> String {
        match self.kind {
            Kind::Static => self.stream.clone(),
            Kind::Elastic => work_queue(&self.stream, &self.group),
        }
    }

    /// Reads the configuration.
    pub(super) fn read(self: &Rc<Self>, answer: Answer<Result<Stored, Error>>) {
        if let Err(error) = self.check_names() {
            return self.refuse(error, answer);
        }
        let store = self.clone();
        let on_found = move |state: &mut State, found: Result<Option<Entry>, kv::Error>| {
            answer(state, store.stored(found))
        };
        self.bucket.get_value(&self.key, Box::new(on_found));
    }

    fn stored(&self, found: Result<Option<Entry>, kv::Error>) -> Result<Stored, Error> {
        match found {
            Ok(Some(entry)) => {
                let group = Group::read(self.kind, entry.value())?;
                Ok(Stored { group, revision: entry.revision() })
            }
            Ok(None) => Err(self.not_found()),
            Err(error) if error.is_bucket_not_found() => Err(self.not_found()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the configuration and nothing else.
    pub(super) fn config(self: &Rc<Self>, answer: OnGroup) {
        self.read(Box::new(|state, stored| answer(state, stored.map(|stored| stored.group))));
    }

    /// Makes the group, or finds that it is there as it is wanted, whatever its members are if it is
    /// elastic.
    pub(super) fn create(self: &Rc<Self>, group: Group, answer: OnGroup) {
        let checked = self.check_names().and_then(|()| Ok(group.check()?));
        if let Err(error) = checked {
            return self.refuse(error, answer);
        }
        let store = self.clone();
        let on_level = move |state: &mut State, checked: Result<(), jetstream::Error>| {
            match checked {
                Ok(()) => store.ask_origin(group, answer),
                Err(error) => return answer(state, Err(error.into())),
            }
            Ok(())
        };
        self.api.check_level(NEEDED, Box::new(on_level));
    }

    fn ask_origin(self: &Rc<Self>, group: Group, answer: OnGroup) {
        let store = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, jetstream::Error>| {
            match info {
                Ok(origin) => store.make_bucket(group, origin, answer),
                Err(error) => return answer(state, Err(error.into())),
            }
            Ok(())
        };
        self.api.stream_info(&self.stream, Box::new(on_info));
    }

    fn make_bucket(self: &Rc<Self>, group: Group, origin: StreamInfo, answer: OnGroup) {
        let store = self.clone();
        let config = kv::Config::new().replicas(origin.config.num_replicas.max(1));
        let on_made = move |state: &mut State, made: Result<kv::Status, kv::Error>| {
            match made {
                // as somebody else has made it
                Ok(_) | Err(kv::Error::BucketExists { .. }) => store.put(group, origin, answer),
                Err(error) => return answer(state, Err(error.into())),
            }
            Ok(())
        };
        self.bucket.create(&config, Box::new(on_made));
    }

    fn put(self: &Rc<Self>, group: Group, origin: StreamInfo, answer: OnGroup) {
        let json = match group.to_json() {
            Ok(json) => json,
            Err(error) => return self.refuse(error, answer),
        };
        let store = self.clone();
        let on_put = move |state: &mut State, put: Result<u64, kv::Error>| {
            match put {
                Ok(_) => store.make_work_queue(group, origin, MadeBy::Us, answer),
                Err(error) if error.is_conflict() => store.compare(group, origin, answer),
                Err(error) => return answer(state, Err(error.into())),
            }
            Ok(())
        };
        self.bucket.create_key(&self.key, json.into(), Box::new(on_put));
    }

    /// There is one already, which may be the same.
    fn compare(self: &Rc<Self>, wanted: Group, origin: StreamInfo, answer: OnGroup) {
        let store = self.clone();
        let on_read = move |state: &mut State, stored: Result<Stored, Error>| {
            let found = match stored {
                Ok(stored) => stored.group,
                Err(error) => return answer(state, Err(error)),
            };
            match found.changed_in(&wanted) {
                None => {
                    store.make_work_queue(found, origin, MadeBy::Others, answer);
                    Ok(())
                }
                Some(member) => {
                    let (stream, group) = (store.stream.clone(), store.group.clone());
                    answer(state, Err(Error::Exists { stream, group, member }))
                }
            }
        };
        self.read(Box::new(on_read));
    }

    fn make_work_queue(
        self: &Rc<Self>,
        group: Group,
        origin: StreamInfo,
        made_by: MadeBy,
        answer: OnGroup,
    ) {
        let Group::Elastic(config) = &group else {
            return self.api.port().defer(move |state| answer(state, Ok(group)));
        };
        let config = config.work_queue(&origin.config, &self.group);
        let store = self.clone();
        let on_made = move |state: &mut State, made: Result<StreamInfo, jetstream::Error>| {
            match (made, made_by) {
                (Ok(_), _) => answer(state, Ok(group)),
                (Err(error), MadeBy::Others) => answer(state, Err(error.into())),
                // without its work queue, it is no group
                (Err(error), MadeBy::Us) => {
                    let undone = move |state: &mut State, _| answer(state, Err(error.into()));
                    store.bucket.delete_key(&store.key, Box::new(undone));
                    Ok(())
                }
            }
        };
        self.api.create_stream(&config, Box::new(on_made));
    }

    /// Changes the members, and answers with what the configuration is then.
    pub(super) fn change(self: &Rc<Self>, change: Change, answer: OnGroup) {
        self.change_within(ATTEMPTS, change, answer);
    }

    fn change_within(self: &Rc<Self>, attempts: u32, change: Change, answer: OnGroup) {
        let store = self.clone();
        let on_read = move |state: &mut State, stored: Result<Stored, Error>| {
            let Stored { mut group, revision } = match stored {
                Ok(stored) => stored,
                Err(error) => return answer(state, Err(error)),
            };
            let before = group.clone();
            let changed = match &mut group {
                Group::Elastic(config) => change(config),
                // its handle has no way to
                Group::Static(_) => Ok(()),
            };
            match changed.map_err(Error::from).and_then(|()| group.to_json()) {
                Ok(_) if group == before => answer(state, Ok(group)),
                Ok(json) => {
                    store.update(attempts, json, revision, group, change, answer);
                    Ok(())
                }
                Err(error) => answer(state, Err(error)),
            }
        };
        self.read(Box::new(on_read));
    }

    fn update(
        self: &Rc<Self>,
        attempts: u32,
        json: Vec<u8>,
        revision: u64,
        group: Group,
        change: Change,
        answer: OnGroup,
    ) {
        let store = self.clone();
        let on_put = move |state: &mut State, put: Result<u64, kv::Error>| match put {
            Ok(_) => answer(state, Ok(group)),
            Err(error) if error.is_conflict() && attempts > 1 => {
                store.change_within(attempts - 1, change, answer);
                Ok(())
            }
            Err(error) if error.is_conflict() => {
                let (stream, group) = (store.stream.clone(), store.group.clone());
                answer(state, Err(Error::Conflict { stream, group, attempts: ATTEMPTS }))
            }
            Err(error) => answer(state, Err(error.into())),
        };
        self.bucket.update_key(&self.key, json.into(), revision, Box::new(on_put));
    }

    /// Deletes the configuration, and what was made for it. What is left of a deletion that has failed
    /// half-way is deleted, too.
    pub(super) fn delete(self: &Rc<Self>, answer: Done) {
        let store = self.clone();
        let on_read = move |state: &mut State, stored: Result<Stored, Error>| {
            let found = match stored {
                Ok(stored) => Found::Members(stored.group.members()),
                // whoever were its members
                Err(Error::Malformed(_) | Error::InvalidConfig(_)) => Found::Members(Vec::new()),
                Err(Error::NotFound { .. }) => Found::Nothing,
                Err(error) => return answer(state, Err(error)),
            };
            match found {
                Found::Members(members) => store.delete_key(members, answer),
                Found::Nothing => store.delete_rest(Found::Nothing, answer),
            }
            Ok(())
        };
        self.read(Box::new(on_read));
    }

    fn delete_key(self: &Rc<Self>, members: Vec<String>, answer: Done) {
        let store = self.clone();
        let on_deleted = move |state: &mut State, deleted: Result<u64, kv::Error>| match deleted {
            Ok(_) => {
                store.delete_rest(Found::Members(members), answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error.into())),
        };
        self.bucket.delete_key(&self.key, Box::new(on_deleted));
    }

    /// Deletes the work queue, or the consumers of members.
    fn delete_rest(self: &Rc<Self>, found: Found, answer: Done) {
        match (self.kind, found) {
            (Kind::Elastic, found) => {
                let store = self.clone();
                let on_deleted = move |state: &mut State, deleted: Result<(), jetstream::Error>| {
                    let deleted = match (deleted, found) {
                        (Err(error), Found::Members(_)) if error.is_not_found() => Ok(()),
                        (Err(error), Found::Nothing) if error.is_not_found() => {
                            Err(store.not_found())
                        }
                        (deleted, _) => deleted.map_err(Error::from),
                    };
                    answer(state, deleted)
                };
                self.api.delete_stream(&self.consumed_stream(), Box::new(on_deleted));
            }
            (Kind::Static, Found::Members(members)) => self.delete_consumers(members, answer),
            (Kind::Static, Found::Nothing) => self.refuse(self.not_found(), answer),
        }
    }

    /// Deletes the consumers of a static group's members, one after the other.
    fn delete_consumers(self: &Rc<Self>, mut members: Vec<String>, answer: Done) {
        let Some(member) = members.pop() else {
            return self.api.port().defer(move |state| answer(state, Ok(())));
        };
        let store = self.clone();
        let on_deleted =
            move |state: &mut State, deleted: Result<(), jetstream::Error>| match deleted {
                Err(error) if !error.is_not_found() => answer(state, Err(error.into())),
                _ => {
                    store.delete_consumers(members, answer);
                    Ok(())
                }
            };
        let consumer = consumer_name(self.kind, &self.group, &member);
        self.api.delete_consumer(&self.stream, &consumer, Box::new(on_deleted));
    }

    /// Tells what is known of a member.
    pub(super) fn member_info(
        self: &Rc<Self>,
        member: &str,
        answer: Answer<Result<MemberInfo, Error>>,
    ) {
        let (store, member) = (self.clone(), member.to_owned());
        let on_read = move |state: &mut State, stored: Result<Stored, Error>| match stored {
            Ok(stored) => {
                store.ask_consumer(&stored.group, &member, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.read(Box::new(on_read));
    }

    fn ask_consumer(&self, group: &Group, member: &str, answer: Answer<Result<MemberInfo, Error>>) {
        let is_member = group.members().iter().any(|one| one == member);
        let filters = group.filters_of(member);
        let on_info = move |state: &mut State, info: Result<ConsumerInfo, jetstream::Error>| {
            let consumer = match info {
                Ok(info) => Some(info),
                Err(error) if error.is_not_found() => None,
                Err(error) => return answer(state, Err(error.into())),
            };
            answer(state, Ok(MemberInfo { is_member, filters, consumer }))
        };
        let consumer = consumer_name(self.kind, &self.group, member);
        self.api.consumer_info(&self.consumed_stream(), &consumer, Box::new(on_info));
    }

    /// Has the instance of a member that is served make room for another one.
    pub(super) fn step_down(&self, member: &str, answer: Done) {
        let consumer = consumer_name(self.kind, &self.group, member);
        let on_unpinned = |state: &mut State, unpinned: Result<(), jetstream::Error>| -> Ran {
            answer(state, unpinned.map_err(Error::from))
        };
        let stream = self.consumed_stream();
        self.api.unpin_consumer(&stream, &consumer, PRIORITY_GROUP, Box::new(on_unpinned));
    }

    fn check_names(&self) -> Result<(), Error> {
        check_name(&self.stream).and_then(|()| check_name(&self.group)).map_err(Error::from)
    }

    pub(super) fn not_found(&self) -> Error {
        Error::NotFound { stream: self.stream.clone(), group: self.group.clone() }
    }

    fn refuse<T: 'static>(&self, error: Error, answer: Answer<Result<T, Error>>) {
        self.api.port().defer(move |state| answer(state, Err(error)));
    }
}

/// Whose the configuration is that there is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MadeBy {
    Us,
    Others,
}

/// What there was of a group that is deleted.
enum Found {
    Members(Vec<String>),
    Nothing,
}

/// Lists the groups of a stream.
pub(super) fn list(
    api: &Api,
    kind: Kind,
    stream: &str,
    answer: Answer<Result<Vec<String>, Error>>,
) {
    if let Err(error) = check_name(stream) {
        return api.port().defer(move |state| answer(state, Err(error.into())));
    }
    let prefix = key(stream, "");
    let pattern = format!("{prefix}*");
    let on_keys = move |state: &mut State, keys: Result<Vec<String>, kv::Error>| {
        let groups = match keys {
            Ok(keys) => Ok(keys
                .iter()
                .filter_map(|key| key.strip_prefix(&prefix).map(str::to_owned))
                .collect()),
            Err(error) if error.is_bucket_not_found() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
        answer(state, groups)
    };
    bucket(api, kind).keys_matching(&[&pattern], Reads::Leader, Box::new(on_keys));
}

fn bucket(api: &Api, kind: Kind) -> Rc<Bucket> {
    let name = match kind {
        Kind::Static => STATIC_BUCKET,
        Kind::Elastic => ELASTIC_BUCKET,
    };
    Rc::new(Bucket::new(api, name))
}
