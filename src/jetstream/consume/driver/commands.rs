//! What a program has a read do.

use super::shared::{Answer, Driver, Program};
use crate::callback::{Ran, State};
use crate::client::Port;
use crate::jetstream::consume::machine::Machine;
use crate::jetstream::consume::outcome::{ConsumeEnd, ConsumeEvent};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

/// A consumption, whatever its machine is.
pub(in crate::jetstream::consume) trait Control {
    /// Ends it. What the program has not taken is handed back.
    fn stop(self: Rc<Self>);
    /// Asks for no more, and ends when everything was taken that was asked for.
    fn drain(self: Rc<Self>);
    /// Hands nothing over until `resume`, and asks for no more.
    fn pause(self: Rc<Self>);
    fn resume(self: Rc<Self>);
    fn is_paused(&self) -> bool;
    /// Whether nothing more comes than what the program has not taken.
    fn has_ended(&self) -> bool;
    fn port(&self) -> &Port;
    /// Has somebody get the next message that nobody has got, and wait for so long.
    fn ask(self: Rc<Self>, patience: Option<Duration>, asker: OnAnswer);
    fn set_on_event(&self, hook: OnControlEvent);
    fn set_on_end(self: Rc<Self>, callback: OnControlEnd);
}

pub(in crate::jetstream::consume) type OnAnswer =
    Box<dyn FnOnce(&mut State, Rc<dyn Control>, Answer<'_, ConsumeEnd>) -> Ran>;
pub(in crate::jetstream::consume) type OnControlEvent =
    Box<dyn FnMut(&mut State, Rc<dyn Control>, &ConsumeEvent) -> Ran>;
pub(in crate::jetstream::consume) type OnControlEnd =
    Box<dyn FnOnce(&mut State, Rc<dyn Control>, ConsumeEnd) -> Ran>;

impl<M: Machine<End = ConsumeEnd>> Control for Driver<M> {
    fn stop(self: Rc<Self>) {
        let (untaken, now) = (mem::take(&mut self.held.borrow_mut().untaken), self.port().now());
        let is_for_others = self.machine.borrow_mut().forgo(untaken.len(), now);
        self.machine.borrow_mut().stop(now);
        self.act();
        if is_for_others {
            // only now, as the server would deliver it to a request that waits
            untaken.iter().for_each(|message| self.hand_back(message));
        }
        self.go_on_soon();
    }

    fn drain(self: Rc<Self>) {
        self.paused.set(false);
        self.follow_demand();
        self.machine.borrow_mut().drain(self.port().now());
        self.act();
        self.go_on_soon();
    }

    fn pause(self: Rc<Self>) {
        self.paused.set(true);
        self.follow_demand();
        self.act();
    }

    fn resume(self: Rc<Self>) {
        self.paused.set(false);
        self.follow_demand();
        self.act();
        self.go_on_soon();
    }

    fn is_paused(&self) -> bool {
        self.paused.get()
    }

    fn has_ended(&self) -> bool {
        self.has_ended()
    }

    fn port(&self) -> &Port {
        self.port()
    }

    fn ask(self: Rc<Self>, patience: Option<Duration>, asker: OnAnswer) {
        let Program::Asked(asked) = &self.program else { return };
        let driver = self.clone();
        let lapse = |number| {
            let task = move |state: &mut State| driver.lapse(state, number);
            patience.map(|patience| self.port().set_deadline(patience, Box::new(task)))
        };
        let asker = |state: &mut State, driver: &Rc<Self>, answer: Answer<'_, ConsumeEnd>| {
            asker(state, driver.clone(), answer)
        };
        asked.add(Box::new(asker), lapse);
        self.follow_demand();
        self.act();
        self.go_on_soon();
    }

    fn set_on_event(&self, mut hook: OnControlEvent) {
        let hook = move |state: &mut State, driver: &Rc<Self>, event: &ConsumeEvent| {
            hook(state, driver.clone(), event)
        };
        drop(self.on_event.replace(Box::new(hook)));
    }

    fn set_on_end(self: Rc<Self>, callback: OnControlEnd) {
        let on_end = move |state: &mut State, driver: &Rc<Self>, end: ConsumeEnd| {
            callback(state, driver.clone(), end)
        };
        Self::set_on_end(&self, Box::new(on_end));
    }
}

impl<M: Machine> Driver<M> {
    /// The time of one who has asked for a message is over.
    fn lapse(self: &Rc<Self>, state: &mut State, number: u64) -> Ran {
        let Program::Asked(asked) = &self.program else { return Ok(()) };
        let lapsed = asked.take_lapsed(number);
        self.follow_demand();
        self.act();
        lapsed.map_or(Ok(()), |asker| asker(state, self, Answer::TimedOut))
    }
}
