//! An instance of a member: watches the configuration, and does what the machine asks for.
//!
//! Nothing is borrowed while user code runs. Events and the end are told in a turn of their own, so that
//! whatever has to be done is done before.

use super::consumer::MemberConsumer;
use super::error::Error;
use super::group::{Group, GroupEnd};
use super::member::{Action, Member};
use super::names::PRIORITY_GROUP;
use super::options::GroupOptions;
use super::store::Store;
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::Port;
use crate::event_loop::TimerId;
use crate::jetstream::{
    self, ConsumeEnd, ConsumeEvent, ConsumeOptions, ConsumerError, ConsumerInfo, Consuming,
    Delivered, Stall, ack_fence,
};
use crate::kv::{Reads, Update, WatchOptions, Watching};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// For so long it is waited until the server has read the answers of a consumer that is to go.
const SETTLING: Duration = Duration::from_secs(1);

/// How often the watch of the configuration is heard of. After three times of silence it is set up again,
/// and for that long the others may wait for the partitions of whoever has lost it.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What happens while a member consumes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupEvent {
    /// There is a consumer with these filters, and it is consumed: by this instance, or by another one of
    /// the same member until that is gone.
    Assigned(Vec<String>),
    /// Nothing is consumed any more: the member has other partitions or none, or its consumer was lost.
    /// Unless it has none, its next consumer is on its way.
    Released,
    /// The consumer could not be made, and is asked for again: others have not let go of the partitions yet,
    /// or the server has no answer.
    Waiting(jetstream::Error),
    /// What happens to the consumption.
    Consumption(ConsumeEvent),
    /// Changes of the configuration do not come at the moment.
    Stalled(Stall),
    /// What was reported with `Stalled` is over.
    Resumed,
}

pub(super) type OnMessage = Box<dyn FnMut(&mut State, &Rc<Instance>, &Delivered<'_>) -> Ran>;
pub(super) type OnEvent = Box<dyn FnMut(&mut State, &Rc<Instance>, &GroupEvent) -> Ran>;
pub(super) type OnEnd = Box<dyn FnOnce(&mut State, &Rc<Instance>, GroupEnd) -> Ran>;

/// An instance of a member. It lives until it has ended, also when nobody holds it.
pub(super) struct Instance {
    store: Rc<Store>,
    name: String,
    /// Or why there cannot be any.
    consumer: Result<MemberConsumer, jetstream::Error>,
    options: ConsumeOptions,
    /// `None` until the configuration was read.
    member: RefCell<Option<Member>>,
    consuming: RefCell<Option<Consuming>>,
    /// How many consumptions were begun: what an earlier one tells is not heard any more.
    begun: Cell<u64>,
    /// Where the last message was to be answered to.
    last_delivery: RefCell<String>,
    /// Held by its reader, and holds this.
    watch: RefCell<Weak<Watching>>,
    timer: Cell<Option<TimerId>>,
    on_message: CallbackSlot<OnMessage>,
    on_event: CallbackSlot<OnEvent>,
    on_end: Cell<Option<OnEnd>>,
    /// What the program is to be told.
    told: RefCell<VecDeque<GroupEvent>>,
    end: RefCell<Option<GroupEnd>>,
    has_notice: Cell<bool>,
    is_over: Cell<bool>,
}

impl Instance {
    pub(super) fn start(
        store: &Rc<Store>,
        member: &str,
        options: GroupOptions,
        on_message: OnMessage,
    ) -> Rc<Self> {
        let GroupOptions { consumer, mut consume } = options;
        let consumer = MemberConsumer::new(store.kind, &store.group, member, &consumer);
        if let Ok(consumer) = &consumer {
            consume.group = Some(PRIORITY_GROUP.into());
            consume.expires = consumer.pull_expires();
            consume.heartbeat = None;
        }
        let instance = Rc::new(Self {
            store: store.clone(),
            name: member.to_owned(),
            consumer,
            options: consume,
            member: RefCell::default(),
            consuming: RefCell::default(),
            begun: Cell::default(),
            last_delivery: RefCell::default(),
            watch: RefCell::default(),
            timer: Cell::default(),
            on_message: CallbackSlot::new(on_message),
            on_event: CallbackSlot::default(),
            on_end: Cell::default(),
            told: RefCell::default(),
            end: RefCell::default(),
            has_notice: Cell::default(),
            is_over: Cell::default(),
        });
        match &instance.consumer {
            Ok(_) => instance.watch(),
            Err(error) => instance.finish(GroupEnd::Failed(error.clone().into())),
        }
        instance
    }

    pub(super) fn port(&self) -> &Port {
        self.store.api.port()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn has_ended(&self) -> bool {
        self.is_over.get()
    }

    pub(super) fn set_on_event(&self, hook: OnEvent) {
        drop(self.on_event.replace(hook));
    }

    pub(super) fn set_on_end(&self, callback: OnEnd) {
        drop(self.on_end.replace(Some(callback)));
    }

    /// The user wants no more of it.
    pub(super) fn stop(self: &Rc<Self>) {
        let has_member = self.with_member(Member::stop).is_some();
        match has_member {
            true => self.act(),
            false => self.finish(GroupEnd::Stopped),
        }
    }

    /// Follows the configuration.
    fn watch(self: &Rc<Self>) {
        let instance = self.clone();
        let on_update =
            move |_: &mut State, _: &Rc<Watching>, update| instance.handle_update(update);
        let bucket = &self.store.bucket;
        let options = WatchOptions::new().heartbeat(HEARTBEAT);
        let watch = bucket.watch(&[&self.store.key], Reads::Leader, options, Box::new(on_update));
        self.watch.replace(Rc::downgrade(&watch));
    }

    fn handle_update(self: &Rc<Self>, update: Update) -> Ran {
        match update {
            Update::Entry(entry) if entry.operation().is_tombstone() => self.handle_no_group(),
            Update::Cleared => self.handle_no_group(),
            Update::Entry(entry) => self.handle_config(entry.value()),
            Update::Initialized if self.member.borrow().is_none() => self.handle_no_group(),
            Update::Ended(error) if error.is_bucket_not_found() => self.handle_no_group(),
            Update::Ended(error) => self.finish(GroupEnd::Failed(error.into())),
            Update::Stalled(stall) => self.tell(GroupEvent::Stalled(stall)),
            Update::Resumed => self.tell(GroupEvent::Resumed),
            Update::Initialized | Update::Recreating { .. } | Update::Live | Update::Batch(_) => {}
        }
        Ok(())
    }

    fn handle_no_group(self: &Rc<Self>) {
        match self.with_member(Member::handle_removed) {
            Some(()) => self.act(),
            None => self.finish(GroupEnd::NotFound),
        }
    }

    fn handle_config(self: &Rc<Self>, body: &[u8]) {
        let now = self.port().now();
        if self.with_member(|member| member.handle_config(body, now)).is_none() {
            let longest_pause = match &self.consumer {
                Ok(consumer) => consumer.ack_wait(),
                Err(_) => return,
            };
            match Group::read(self.store.kind, body) {
                Ok(group) => {
                    let member = Member::new(group, &self.name, longest_pause);
                    self.member.replace(Some(member));
                }
                Err(error) => return self.finish(GroupEnd::Failed(error)),
            }
        }
        self.act();
    }

    /// `None`: the configuration was not read yet.
    fn with_member<T>(&self, run: impl FnOnce(&mut Member) -> T) -> Option<T> {
        self.member.borrow_mut().as_mut().map(run)
    }

    /// Does what the machine asks for, until it asks for nothing.
    fn act(self: &Rc<Self>) {
        while let Some(action) = self.with_member(Member::poll_action).flatten() {
            match action {
                Action::Make(filters) => self.make(filters),
                Action::Delete => self.settle_and_delete(),
                Action::Consume => self.consume(),
                Action::Stop => self.stop_consuming(),
                Action::End(end) => self.finish(end),
            }
        }
        self.arm_timer();
    }

    fn arm_timer(self: &Rc<Self>) {
        let wakeup = self.with_member(|member| member.wakeup()).flatten();
        if let Some(timer) = self.timer.take() {
            self.port().cancel_timer(timer);
        }
        let Some(wakeup) = wakeup else { return };
        let instance = self.clone();
        let on_time = move |_: &mut State| {
            instance.timer.take();
            let now = instance.port().now();
            instance.with_member(|member| member.handle_time(now));
            instance.act();
            Ok(())
        };
        let delay = wakeup.saturating_duration_since(self.port().now());
        self.timer.set(Some(self.port().set_timer(delay, Box::new(on_time))));
    }

    fn make(self: &Rc<Self>, filters: Vec<String>) {
        let Ok(consumer) = &self.consumer else { return };
        let config = consumer.config(&filters);
        let instance = self.clone();
        let on_made = move |_: &mut State, made: Result<ConsumerInfo, jetstream::Error>| {
            let (made, now) = (made.map(drop), instance.port().now());
            let is_waiting = instance.with_member(|member| {
                member.handle_made(made.clone(), now);
                member.wakeup().is_some()
            });
            match made {
                Err(error) if is_waiting == Some(true) => instance.tell(GroupEvent::Waiting(error)),
                _ => {}
            }
            instance.act();
            Ok(())
        };
        self.store.api.create_consumer(&self.store.consumed_stream(), &config, Box::new(on_made));
    }

    /// Deletes the consumer when the server has read the answers to what it has delivered: those that it
    /// has not read would be lost with it, and the messages come once more, to another member.
    fn settle_and_delete(self: &Rc<Self>) {
        let last_delivery = self.last_delivery.take();
        if last_delivery.is_empty() {
            return self.delete();
        }
        let instance = self.clone();
        let on_settled = move |_: &mut State, _: &Port, _: crate::client::Reply<'_>| {
            instance.delete();
            Ok(())
        };
        ack_fence(self.port(), &last_delivery, SETTLING, on_settled);
    }

    fn delete(self: &Rc<Self>) {
        let Ok(consumer) = &self.consumer else { return };
        let instance = self.clone();
        let on_deleted = move |_: &mut State, deleted: Result<(), jetstream::Error>| {
            if let Err(error) = deleted {
                log::debug!("consumer of {} not deleted: {error}", instance.name);
            }
            instance.with_member(Member::handle_deleted);
            instance.act();
            Ok(())
        };
        let stream = self.store.consumed_stream();
        self.store.api.delete_consumer(&stream, consumer.name(), Box::new(on_deleted));
    }

    fn consume(self: &Rc<Self>) {
        let Ok(consumer) = &self.consumer else { return };
        let instance = self.clone();
        let on_delivery = move |state: &mut State, delivered: &Delivered<'_>| {
            instance.note_delivery(delivered);
            instance.on_message.run(|on_message| on_message(state, &instance, delivered))
        };
        let stream = self.store.consumed_stream();
        let options = self.options.clone();
        let consuming =
            Consuming::start(&self.store.api, &stream, consumer.name(), options, on_delivery);
        let number = self.begun.get() + 1;
        self.begun.set(number);
        let instance = self.clone();
        consuming.set_on_event(move |_, event| {
            if instance.begun.get() == number {
                instance.handle_consume_event(event);
            }
            Ok(())
        });
        let instance = self.clone();
        consuming.set_on_end(move |_, end| {
            if instance.begun.get() == number {
                instance.handle_consume_end(end);
            }
            Ok(())
        });
        self.consuming.replace(Some(consuming));
        let filters = self.with_member(|member| member.filters().to_vec()).unwrap_or_default();
        self.tell(GroupEvent::Assigned(filters));
    }

    fn note_delivery(&self, delivered: &Delivered<'_>) {
        let mut last = self.last_delivery.borrow_mut();
        last.clear();
        if let Some(Ok(reply)) = delivered.message().reply_bytes().map(std::str::from_utf8) {
            last.push_str(reply);
        }
    }

    fn handle_consume_event(self: &Rc<Self>, event: &ConsumeEvent) {
        match event {
            ConsumeEvent::Pinned { .. } => self.with_member(|member| member.handle_pin(true)),
            ConsumeEvent::Unpinned => self.with_member(|member| member.handle_pin(false)),
            _ => None,
        };
        self.tell(GroupEvent::Consumption(event.clone()));
    }

    fn handle_consume_end(self: &Rc<Self>, end: ConsumeEnd) {
        // what was stopped here has ended for good
        if self.consuming.take().is_none() {
            return;
        }
        let now = self.port().now();
        match end {
            ConsumeEnd::Failed(jetstream::Error::Consumer(
                ConsumerError::ConsumerDeleted | ConsumerError::NotFound(_),
            )) => {
                self.with_member(|member| member.handle_consumer_lost(now));
                self.tell(GroupEvent::Released);
            }
            ConsumeEnd::Failed(error) if error.is_closed() => {
                self.finish(GroupEnd::Failed(error.into()));
            }
            ConsumeEnd::Failed(error) => self.finish(GroupEnd::Refused(error)),
            // as many as were wanted
            _ => {
                self.with_member(Member::stop);
            }
        }
        self.act();
    }

    fn stop_consuming(self: &Rc<Self>) {
        if let Some(consuming) = self.consuming.take() {
            consuming.stop();
            self.tell(GroupEvent::Released);
        }
    }

    /// It is over. What the machine says after that is not heard.
    fn finish(self: &Rc<Self>, end: GroupEnd) {
        if self.is_over.replace(true) {
            return;
        }
        if let Some(consuming) = self.consuming.take() {
            consuming.stop();
        }
        if let Some(watch) = self.watch.take().upgrade() {
            watch.stop();
        }
        // the machine may be the one that says so, and has ended; if not, it asks for nothing more
        self.with_member(Member::stop);
        self.with_member(|member| while member.poll_action().is_some() {});
        self.arm_timer();
        self.end.replace(Some(end));
        self.tell_soon();
    }

    fn tell(self: &Rc<Self>, event: GroupEvent) {
        if !self.is_over.get() {
            self.told.borrow_mut().push_back(event);
            self.tell_soon();
        }
    }

    fn tell_soon(self: &Rc<Self>) {
        if !self.has_notice.replace(true) {
            let instance = self.clone();
            self.port().defer(move |state| {
                instance.has_notice.set(false);
                instance.tell_next(state)
            });
        }
    }

    /// Tells one thing, and the next one in the next turn, also if the callback panics.
    fn tell_next(self: &Rc<Self>, state: &mut State) -> Ran {
        let event = self.told.borrow_mut().pop_front();
        if let Some(event) = event {
            let has_more = !self.told.borrow().is_empty() || self.end.borrow().is_some();
            if has_more {
                self.tell_soon();
            }
            return self.on_event.run(|on_event| on_event(state, self, &event));
        }
        let Some(end) = self.end.take() else { return Ok(()) };
        // they may hold this
        let callbacks = (self.on_message.take(), self.on_event.take());
        let ran = match self.on_end.take() {
            Some(on_end) => on_end(state, self, end),
            None if is_unheard_of(&end) => Err(Box::new(end.into())),
            None => Ok(()),
        };
        drop(callbacks);
        ran
    }
}

/// Whether an end that nobody wants to be told of is to leave the loop, as of other consumptions.
fn is_unheard_of(end: &GroupEnd) -> bool {
    let is_closed = matches!(end, GroupEnd::Failed(error) if Error::is_closed(error));
    !end.is_orderly() && !is_closed
}
