//! A message that is traced: an inbox for its trace, the message, and the events until the last one,
//! or until nobody is waited for any more.

use super::error::Error;
use super::event::TraceEvent;
use super::headers::{Delivery, headers};
use super::progress::Progress;
use crate::callback::{CallbackSlot, Handler, Outcome, Ran, State, lend};
use crate::client::{Client, Delivery as Delivered, Port};
use crate::event_loop::TimerId;
use crate::jetstream::wire::setters;
use evnats_protocol::{EndReason, HeaderMap, OutgoingMessage, SubscriptionId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The first server that traces.
const NEEDED: (u32, u32, u32) = (2, 11, 0);

/// How a message is traced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceOptions {
    /// Whether the message reaches those whom it is for. Default: it does.
    pub delivery: Delivery,
    /// How long events are waited for. Default: the timeout of requests.
    pub timeout: Option<Duration>,
}

setters!(TraceOptions { value delivery: Delivery, some timeout: Duration, });

impl TraceOptions {
    /// Delivered, and waited for as long as for requests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// What a trace tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TraceUpdate {
    /// What a server has done with the message.
    Event(Box<TraceEvent>),
    /// Something else has come to the inbox.
    Unreadable(Error),
    /// The last update.
    End(TraceEnd),
}

/// Why a trace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceEnd {
    /// Every server that has got the message has told what it did.
    Complete,
    /// The time is over, and some have not: they cannot trace, or have lost the connection, or the
    /// server does not permit it.
    Timeout,
    /// The inbox has ended: the server does not permit it, or the client is over.
    Inbox(EndReason),
}

impl fmt::Display for TraceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the trace is complete"),
            Self::Timeout => f.write_str("not every server has told what it did in time"),
            Self::Inbox(reason) => write!(f, "the inbox has ended: {reason}"),
        }
    }
}

type OnUpdate = Box<dyn FnMut(&mut State, &Rc<Tracer>, TraceUpdate) -> Ran>;

/// A trace, without the type of the user's state.
struct Tracer {
    port: Port,
    inbox: Cell<Option<SubscriptionId>>,
    timer: Cell<Option<TimerId>>,
    progress: RefCell<Progress>,
    on_update: CallbackSlot<OnUpdate>,
}

/// A trace that is being collected. A cheap handle; dropping it ends nothing.
pub struct Tracing<S: 'static = ()> {
    client: Client<S>,
    tracer: Rc<Tracer>,
}

impl<S: 'static> Client<S> {
    /// Publishes a message, and calls back with what each server that it passes has done with it, and
    /// last with the reason why nothing more comes (server 2.11). The message has no reply subject
    /// unless it was given one, so a stream stores it without an acknowledgement.
    ///
    /// ```no_run
    /// use evnats::{EventLoop, OutgoingMessage, trace::{TraceOptions, TraceUpdate}};
    ///
    /// let event_loop = EventLoop::<()>::new()?;
    /// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
    /// nats.on_connect(|_, nats, _| {
    ///     let message = OutgoingMessage::new("orders.new", "42");
    ///     nats.trace(message, &TraceOptions::new(), |_, tracing, update| match update {
    ///         TraceUpdate::Event(event) => println!("{}: {:?}", event.server.name, event.steps),
    ///         TraceUpdate::End(_) => tracing.client().drain(),
    ///         _ => {}
    ///     })?;
    ///     Ok(())
    /// });
    /// event_loop.run(&mut ())?;
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`trace::Error`](Error): the message cannot be sent, there was no connection yet, or the server
    /// cannot trace. Nothing was sent then. That the server does not permit the inbox is the trace's
    /// end; that it does not permit publishing to the inbox, which a trace needs, goes to
    /// [`on_error`](Self::on_error).
    pub fn trace(
        &self,
        message: OutgoingMessage<'_>,
        options: &TraceOptions,
        mut handler: impl Handler<S, Tracing<S>, TraceUpdate>,
    ) -> crate::error::Result<Tracing<S>> {
        let on_update = Box::new(move |state: &mut State, tracer: &Rc<Tracer>, update| {
            let client = Client::new(tracer.port.clone());
            let tracing = Tracing { client, tracer: tracer.clone() };
            handler(lend(state), &tracing, update).into_ran()
        });
        let tracer = Tracer::start(self.port(), message, options, on_update)?;
        Ok(Tracing { client: self.clone(), tracer })
    }
}

impl<S: 'static> Tracing<S> {
    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        &self.client
    }

    /// Ends it at once: the callback does not run again.
    pub fn stop(&self) {
        drop(self.tracer.end());
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.tracer.inbox.get().is_some()
    }
}

impl<S> Clone for Tracing<S> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), tracer: self.tracer.clone() }
    }
}

impl<S> fmt::Debug for Tracing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing").field("inbox", &self.tracer.inbox.get()).finish_non_exhaustive()
    }
}

impl Tracer {
    fn start(
        port: &Port,
        message: OutgoingMessage<'_>,
        options: &TraceOptions,
        on_update: OnUpdate,
    ) -> Result<Rc<Self>, Error> {
        check_server(port)?;
        let tracer = Rc::new(Self {
            port: port.clone(),
            inbox: Cell::new(None),
            timer: Cell::new(None),
            progress: RefCell::default(),
            on_update: CallbackSlot::new(on_update),
        });
        let inbox = port.new_inbox();
        let on_delivery = tracer.clone();
        let id = port.subscribe(
            &inbox,
            None,
            Box::new(move |state, delivery| match delivery {
                Delivered::Message(message) => {
                    on_delivery.handle(state, TraceEvent::parse(message))
                }
                Delivered::Ended(reason) => on_delivery.finish(state, TraceEnd::Inbox(*reason)),
            }),
        )?;
        tracer.inbox.set(Some(id));
        // of a header that occurs twice, servers read the first
        let mut all = headers(&inbox, options.delivery);
        all.extend(message.header_map().unwrap_or(&HeaderMap::new()));
        if let Err(error) = port.publish(message.headers(&all)) {
            drop(tracer.end());
            return Err(error.into());
        }
        let on_timeout = tracer.clone();
        let timeout = options.timeout.unwrap_or(port.request_timeout());
        let timer = Box::new(move |state: &mut State| on_timeout.finish(state, TraceEnd::Timeout));
        tracer.timer.set(Some(port.set_deadline(timeout, timer)));
        Ok(tracer)
    }

    fn handle(self: &Rc<Self>, state: &mut State, event: Result<TraceEvent, Error>) -> Ran {
        let update = match event {
            Ok(event) => {
                self.progress.borrow_mut().note(&event);
                TraceUpdate::Event(Box::new(event))
            }
            Err(error) => TraceUpdate::Unreadable(error),
        };
        let is_complete = self.progress.borrow().is_complete();
        if is_complete {
            // in a turn of its own, so that a callback which fails costs nobody the end
            self.finish_later();
        }
        self.on_update
            .run_while(|| self.inbox.get().is_some(), |on_update| on_update(state, self, update))
    }

    fn finish_later(self: &Rc<Self>) {
        let tracer = self.clone();
        self.port.defer(move |state| tracer.finish(state, TraceEnd::Complete));
    }

    fn finish(self: &Rc<Self>, state: &mut State, end: TraceEnd) -> Ran {
        match self.end() {
            Some(mut on_update) => on_update(state, self, TraceUpdate::End(end)),
            None => Ok(()),
        }
    }

    /// Gives back what it holds, and returns the callback, unless it has ended or it runs.
    fn end(&self) -> Option<OnUpdate> {
        let inbox = self.inbox.take()?;
        if let Some(timer) = self.timer.take() {
            self.port.cancel_timer(timer);
        }
        let on_update = self.on_update.take();
        self.port.unsubscribe(inbox);
        on_update
    }
}

/// Whether the server that the client is connected to traces.
fn check_server(port: &Port) -> Result<(), Error> {
    let info = port.server_info().ok_or(Error::NotConnected)?;
    match info.server_version().is_some_and(|version| version < NEEDED) {
        true => Err(Error::Unsupported { version: info.version }),
        false => Ok(()),
    }
}
