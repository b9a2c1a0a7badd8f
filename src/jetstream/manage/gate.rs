//! Requests that need an API level: the server is asked for its own before they are sent.
//!
//! It is asked once for each prefix and each connection. What it lacks is an error of the call, and
//! the request is not sent: servers before 2.12 would pass over what they do not know, and answer as
//! if all was well. Whoever may not ask has the request sent, with the level that it needs in a
//! header, by which servers from 2.12 on refuse it themselves.

use super::account_info::AccountInfo;
use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::api::{Api, ApiReply, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::{Levels, Requirement, Waiter};

impl<S: 'static> JetStream<S> {
    /// Creates or updates something whose configuration may need an API level.
    pub(super) fn put<T: ApiReply>(
        &self,
        requirement: Option<Requirement>,
        request: Result<ApiRequest, Error>,
        callback: impl Callback<S, JetStream<S>, Result<T, Error>>,
    ) {
        self.api().put(requirement, request, answer(self, callback));
    }

    /// As [`call`](Self::call), for what needs an API level.
    pub(super) fn call_with<T: ApiReply>(
        &self,
        requirement: Requirement,
        request: Result<ApiRequest, Error>,
        callback: impl Callback<S, JetStream<S>, Result<T, Error>>,
    ) {
        self.api().call_with(Some(requirement), request, answer(self, callback));
    }
}

impl Api {
    /// Creates or updates something whose configuration may need an API level, as pedantically as
    /// the handle says.
    pub(super) fn put<T: ApiReply>(
        &self,
        requirement: Option<Requirement>,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        if !self.is_pedantic() {
            return self.call_with(requirement, request, answer);
        }
        // older servers would pass over this wish, too
        let requirement = requirement.or(Some(Requirement::new(1, "pedantic")));
        self.call_with(requirement, request.map(ApiRequest::pedantic), answer);
    }

    /// As [`call`](Self::call), for what may need an API level.
    fn call_with<T: ApiReply>(
        &self,
        requirement: Option<Requirement>,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        let (requirement, request) = match (requirement, request) {
            (Some(requirement), Ok(request)) => (requirement, request),
            (_, request) => return self.call(request, answer),
        };
        let request = request.require_level(requirement.level);
        let levels = self.port().layer::<Levels>();
        if let Some(has) = levels.told(self.prefix(), self.port().reconnects()) {
            return self.call(requirement.check(has).map(|()| request), answer);
        }
        let api = self.clone();
        let waiter = move |_: &mut State, told: Result<Option<u32>, Error>| {
            let checked = told.and_then(|has| requirement.check(has));
            api.call(checked.map(|()| request), answer);
            Ok(())
        };
        self.wait_for_level(&levels, Box::new(waiter));
    }

    fn wait_for_level(&self, levels: &Levels, waiter: Waiter) {
        if !levels.wait(self.shared_prefix(), waiter) {
            return;
        }
        let (api, connection) = (self.clone(), self.port().reconnects());
        let on_info = move |state: &mut State, info: Result<AccountInfo, Error>| {
            let (told, holds) = match info {
                Ok(info) => (Ok(Some(info.api.level)), true),
                Err(error) if error.is_denied() => (Ok(None), true),
                // the account may import a part of the API; the request itself will tell
                Err(Error::NotAvailable) => (Ok(None), false),
                Err(error) => (Err(error), false),
            };
            let levels = api.port().layer::<Levels>();
            let known = told.clone().ok().filter(|_| holds).map(|level| (level, connection));
            // they call nobody back by themselves
            for waiter in levels.learn(api.shared_prefix(), known) {
                waiter(state, told.clone())?;
            }
            Ok(())
        };
        self.read(Ok(ApiRequest::account_info()), Box::new(on_info));
    }
}
