//! What a user has in hand of a member that consumes.

use super::group::GroupEnd;
use super::instance::{GroupEvent, Instance};
use crate::callback::{Callback, Outcome, RefHandler, State, lend};
use crate::client::Client;
use crate::event_loop::timers_on;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// An instance of a member that consumes. A cheap handle; clones are the same one, and dropping them does
/// not stop it.
pub struct GroupConsumption<S: 'static = ()> {
    instance: Rc<Instance>,
    _state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> GroupConsumption<S> {
    pub(super) fn new(instance: Rc<Instance>) -> Self {
        Self { instance, _state: PhantomData }
    }

    /// The member.
    #[must_use]
    pub fn member(&self) -> &str {
        self.instance.name()
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.instance.port().clone())
    }

    /// Ends it now: the callback does not run again, and what has come and was not handed to it is given
    /// back. The member stays in the group, and its consumer stays for other instances of it; in an elastic
    /// group the server removes the consumer when nobody has used it for `ack_wait`.
    pub fn stop(&self) {
        self.instance.stop();
    }

    /// Whether it is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.instance.has_ended()
    }

    /// Runs for what happens while it goes on. It replaces the hook that was set before.
    pub fn on_event(&self, mut hook: impl RefHandler<S, GroupConsumption<S>, GroupEvent>) {
        let hook = move |state: &mut State, instance: &Rc<Instance>, event: &GroupEvent| {
            hook(lend(state), &Self::new(instance.clone()), event).into_ran()
        };
        self.instance.set_on_event(Box::new(hook));
    }

    /// Runs once, after everything else, with why it is over. It replaces the callback that was set
    /// before, and never runs from within this call. Nothing runs if that was told already.
    ///
    /// Without one, an end that is neither [orderly](GroupEnd::is_orderly) nor that of the client leaves
    /// [`run`](crate::EventLoop::run) as an error.
    pub fn on_end(&self, callback: impl Callback<S, GroupConsumption<S>, GroupEnd>) {
        let callback = |state: &mut State, instance: &Rc<Instance>, end: GroupEnd| {
            callback(lend(state), &Self::new(instance.clone()), end).into_ran()
        };
        self.instance.set_on_end(Box::new(callback));
    }
}

timers_on!(GroupConsumption, |consumption| consumption.instance.port().event_loop());

impl<S> Clone for GroupConsumption<S> {
    fn clone(&self) -> Self {
        Self { instance: self.instance.clone(), _state: PhantomData }
    }
}

impl<S> fmt::Debug for GroupConsumption<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupConsumption")
            .field("member", &self.instance.name())
            .field("has_ended", &self.instance.has_ended())
            .finish_non_exhaustive()
    }
}
