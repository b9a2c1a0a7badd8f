//! Which keys may have a time to live of their own, found out before anything is written.
//!
//! When a value's time is over, the server removes that message and no other. So a value may only have
//! one if nothing else is behind it, or what it has replaced would be the key's value again. A
//! deletion never has one, for the same reason.

use crate::callback::{Answer, State};
use crate::jetstream::{self, ApiRequest, Requirement, StreamConfig, StreamInfo, Ttl};
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::error::Error;
use crate::kv::settings::OnConfig;
use evnats_protocol::HeaderMap;
use std::rc::Rc;

/// What may be behind a message with a TTL, to be the key's last one when that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) enum Behind {
    /// No value: the key has none now, or its history goes with the write.
    NoValue,
    /// The values before, as many as the bucket's history keeps.
    History,
}

impl Behind {
    /// What is behind a value that is written over this revision.
    pub(in crate::kv) fn revision(revision: u64) -> Self {
        if revision == 0 { Self::NoValue } else { Self::History }
    }
}

impl Bucket {
    /// Goes on with the headers for a TTL: at once if there is none, else as soon as it is known that
    /// the bucket takes it.
    pub(in crate::kv) fn with_ttl(
        self: &Rc<Self>,
        key: &str,
        ttl: Option<Ttl>,
        behind: Behind,
        answer: OnWritten,
        go_on: impl FnOnce(&Rc<Self>, HeaderMap, OnWritten) + 'static,
    ) {
        let Some(ttl) = ttl else { return go_on(self, HeaderMap::new(), answer) };
        let headers = match self.check_key_to_write(key).and_then(|()| headers(ttl)) {
            Ok(headers) => headers,
            Err(error) => return self.defer(answer, Err(error)),
        };
        let bucket = self.clone();
        let on_checked = move |state: &mut State, checked: Result<(), Error>| match checked {
            Ok(()) => {
                go_on(&bucket, headers, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.check_ttl(ttl, behind, Box::new(on_checked));
    }

    /// Answers whether the bucket takes the TTL. What is remembered of the bucket may be old, so
    /// nothing is refused without another look.
    pub(in crate::kv) fn check_ttl(
        self: &Rc<Self>,
        ttl: Ttl,
        behind: Behind,
        answer: Answer<Result<(), Error>>,
    ) {
        let bucket = self.clone();
        let on_config = move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| {
            let checked = config.and_then(|config| bucket.takes(&config, ttl, behind));
            match checked {
                Err(Error::TtlDisabled { .. } | Error::TtlNeedsHistoryOfOne { .. }) => {
                    bucket.check_ttl_anew(ttl, behind, answer);
                    Ok(())
                }
                // whoever may not ask is told by the server, if nothing else can go wrong
                Err(error) if error.is_denied() && behind == Behind::NoValue => {
                    bucket.check_ttl_level(Ok(()), answer);
                    Ok(())
                }
                checked => answer(state, checked),
            }
        };
        match self.origin {
            Some(_) => self.ask_origin(Box::new(on_config)),
            None => self.with_config(Box::new(on_config)),
        }
    }

    fn check_ttl_anew(
        self: &Rc<Self>,
        ttl: Ttl,
        behind: Behind,
        answer: Answer<Result<(), Error>>,
    ) {
        let bucket = self.clone();
        let on_config = move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| {
            match config.and_then(|config| bucket.takes(&config, ttl, behind)) {
                // a server that knows no TTL is to be updated, and not the bucket
                Err(error @ Error::TtlDisabled { .. }) => {
                    bucket.check_ttl_level(Err(error), answer);
                    Ok(())
                }
                checked => answer(state, checked),
            }
        };
        match self.origin {
            Some(_) => self.ask_origin(Box::new(on_config)),
            None => self.ask_config(Box::new(on_config)),
        }
    }

    /// Answers with the configuration of the stream that a mirror's keys are written to.
    fn ask_origin(self: &Rc<Self>, answer: OnConfig) {
        let origin = self.origin.as_ref();
        let stream = origin.map_or("", |origin| &origin.stream);
        let subjects = origin.and_then(|origin| origin.put_subjects.as_deref());
        // in another domain or account, the API is before the keys
        let api = match subjects.and_then(|subjects| subjects.split_once("$KV.")) {
            Some((prefix, _)) if !prefix.is_empty() => self.api.with_prefix(prefix),
            _ => self.api.clone(),
        };
        let bucket = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, jetstream::Error>| {
            let config = info.map(|info| Rc::new(info.config));
            answer(state, config.map_err(|error| bucket.error(error)))
        };
        api.read(ApiRequest::stream_info(stream), Box::new(on_info));
    }

    /// Answers with what was found, if the server knows TTLs at all.
    fn check_ttl_level(
        self: &Rc<Self>,
        found: Result<(), Error>,
        answer: Answer<Result<(), Error>>,
    ) {
        let bucket = self.clone();
        let on_level = move |state: &mut State, level: Result<(), _>| {
            answer(state, level.map_err(|error| bucket.error(error)).and(found))
        };
        self.api.check_level(Requirement::new(1, "ttl"), Box::new(on_level));
    }

    fn takes(&self, config: &StreamConfig, ttl: Ttl, behind: Behind) -> Result<(), Error> {
        let bucket = || self.name.to_string();
        let history = config.max_msgs_per_subject;
        if !config.allow_msg_ttl {
            return Err(Error::TtlDisabled { bucket: bucket() });
        }
        // what lives for ever uncovers nothing
        if behind == Behind::History && ttl != Ttl::Never && history != Some(1) {
            return Err(Error::TtlNeedsHistoryOfOne { bucket: bucket(), history });
        }
        Ok(())
    }
}

/// The headers for a TTL.
pub(in crate::kv) fn headers(ttl: Ttl) -> Result<HeaderMap, Error> {
    let text = ttl.header().map_err(|error| Error::JetStream(error.into()))?;
    Ok(HeaderMap::new().with("Nats-TTL", text))
}
