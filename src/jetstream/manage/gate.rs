//! Requests that need an API level: the server is asked for its own before they are sent.
//!
//! It is asked once for each prefix and each connection. What it lacks is an error of the call, and
//! the request is not sent: servers before 2.12 would pass over what they do not know, and answer as
//! if all was well. For whoever may not ask, the level is inferred from what else is known of the
//! server, and if nothing is, the request is sent. The level that it needs goes with it in a header,
//! by which servers from 2.12 on refuse it themselves; and what comes back is checked.

use super::account_info::AccountInfo;
use super::made::{Configured, Wanted, check_made};
use crate::callback::{Answer, State};
use crate::jetstream::api::{Api, ApiReply, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::level::{Levels, Requirement, Waiter, level_of_connected};

impl Api {
    /// Creates or updates something whose configuration may need an API level, as pedantically as
    /// the handle says. What comes back has to be what was asked for.
    pub(super) fn put<T: Configured>(
        &self,
        wanted: &T::Config,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        let asked = match wanted.asked() {
            Ok(asked) => asked,
            Err(error) => return self.refuse(error, answer),
        };
        let answer: Answer<Result<T, Error>> = Box::new(move |state, made| {
            answer(state, made.and_then(|made| check_made(&asked, made)))
        });
        let (requirement, request) = match self.is_pedantic() {
            false => (wanted.required_level(), request),
            // older servers would pass over this wish, too
            true => (
                wanted.required_level().or(Some(Requirement::new(1, "pedantic"))),
                request.map(ApiRequest::pedantic),
            ),
        };
        self.call_for(requirement, request, answer);
    }

    /// As [`call`](Self::call), for what needs an API level. The reply may tell the level, too.
    pub(super) fn call_with<T: ApiReply>(
        &self,
        requirement: Requirement,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        let request = match request {
            Ok(request) => request.require_level(requirement.level),
            Err(error) => return self.call(Err(error), answer),
        };
        let api = self.clone();
        self.with_level(move |told| {
            let request = told.and_then(|told| requirement.check_known(told).map(|()| request));
            let check = move |state: &mut State, reply: Result<T, Error>| {
                let checked = reply
                    .and_then(|reply| requirement.check_made(reply.api_level()).map(|()| reply));
                answer(state, checked)
            };
            api.call(request, Box::new(check));
        });
    }

    /// As [`call`](Self::call), for what may need an API level.
    pub(in crate::jetstream) fn call_for<T: ApiReply>(
        &self,
        requirement: Option<Requirement>,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        match requirement {
            Some(requirement) => self.call_with(requirement, request, answer),
            None => self.call(request, answer),
        }
    }

    /// Answers whether the server has a level, as far as that can be known: for what cannot be of use
    /// without it.
    pub(crate) fn check_level(&self, requirement: Requirement, answer: Answer<Result<(), Error>>) {
        let api = self.clone();
        self.with_level(move |told| {
            let checked = told.and_then(|told| requirement.check_known(told));
            api.port().defer(move |state| answer(state, checked));
        });
    }

    /// Goes on with the level of the server, at once if it is known. `Ok(None)`: it does not tell, and
    /// there is nothing that it can be inferred from.
    pub(crate) fn with_level(&self, go_on: impl FnOnce(Result<Option<u32>, Error>) + 'static) {
        let api = self.clone();
        let infer_and_go_on = move |told: Result<Option<u32>, Error>| {
            go_on(told.map(|told| told.or_else(|| api.inferred_level())));
        };
        let levels = self.port().layer::<Levels>();
        if let Some(told) = levels.told(self.prefix(), self.port().reconnects()) {
            return infer_and_go_on(Ok(told));
        }
        let waiter = move |_: &mut State, told: Result<Option<u32>, Error>| {
            infer_and_go_on(told);
            Ok(())
        };
        self.wait_for_level(&levels, Box::new(waiter));
    }

    /// The level by what else is known of the server. The last asset knows best.
    fn inferred_level(&self) -> Option<u32> {
        let levels = self.port().layer::<Levels>();
        let of_connected = || level_of_connected(&self.port().server_info()?, self.prefix());
        levels.seen(self.prefix(), self.port().reconnects()).or_else(of_connected)
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
