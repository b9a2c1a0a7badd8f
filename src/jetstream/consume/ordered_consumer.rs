//! The handle of an ordered consumer, and the door to it from its stream.

use super::closures::{DeliveryCallback, DeliveryHandler};
use super::consumption::{Consumption, each};
use super::driver::{Answers, Driver, Program, Target};
use super::fetching::{OnEnd, OnMessage, on_each, on_one};
use super::messages::{Messages, on_demand};
use super::ordered_pull::{
    FetchWanted, OrderedHome, OrderedOptionError, OrderedOptions, OrderedPull, OrderedState,
    Reading,
};
use super::pull::{ConsumeOptions, Fetch, FetchEnd, FetchOptions, Pull};
use crate::callback::{Callback, State, answer};
use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::error::{Error, OrderedError};
use crate::jetstream::level::Requirement;
use crate::jetstream::stream::Stream;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

/// Reads a stream in order and without gaps, each message once, whatever happens to connections and
/// servers. A cheap handle; clones are the same consumer, at the same place.
///
/// It reads a consumer at the server that acknowledges nothing and is kept in memory. Whenever that one
/// loses a message, is deleted, is silent, or was on a connection or a server that is gone, it is
/// replaced by one that starts behind the last message, which is told as
/// [`Reset`](super::ConsumeEvent::Reset). There is one at a time: the one before is deleted first, or
/// was asked to be for two seconds without an answer.
///
/// It ends only when the stream is gone ([`OrderedError::StreamNotFound`]) or was created again
/// ([`OrderedError::StreamRecreated`]), when it is not permitted or possible, or when
/// [`max_resets`](OrderedOptions::max_resets) is reached.
///
/// One read goes on where the one before has ended, behind the last message that the program was
/// handed: what a stop has left untaken comes again. There is one read at a time; another one ends at
/// once with [`OrderedError::Busy`]. There are no answers to give, so options about answers do nothing.
///
/// The server's consumer is deleted at the end of a consumption, and after fetches when the last handle
/// is dropped. What cannot be deleted, the server deletes after
/// [`inactive_threshold`](OrderedOptions::inactive_threshold).
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<u64>::new()?;
/// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// use evnats::jetstream::{ConsumeOptions, OrderedOptions};
///
/// let options = OrderedOptions::new().filter_subjects(["orders.new", "orders.paid"]);
/// let orders = js.stream("ORDERS").ordered_consumer(options);
/// let reading = orders.consume(ConsumeOptions::new(), |count: &mut u64, reading, order| {
///     *count += 1;
///     let info = order.info()?;
///     println!("{} {}: {}", info.stream_sequence, order.subject(), order.text());
///     if info.pending == 0 {
///         reading.stop();
///     }
///     Ok(())
/// });
/// reading.on_event(|_, _, event| println!("{event}"));
/// reading.on_end(|count, reading, end| {
///     println!("{count} read: {end:?}");
///     reading.client().drain();
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct OrderedConsumer<S: 'static = ()> {
    stream: Stream<S>,
    shared: Rc<Shared>,
}

struct Shared {
    api: Api,
    stream: String,
    checked: Result<(), OrderedOptionError>,
    home: OrderedHome,
}

impl<S: 'static> Stream<S> {
    /// An ordered consumer of the stream, at its beginning. Nothing is sent: what is wrong with the
    /// options or the stream's name is told by the first read.
    #[must_use]
    #[doc(alias = "OrderedConsumer")]
    pub fn ordered_consumer(&self, options: OrderedOptions) -> OrderedConsumer<S> {
        let api = self.jetstream().api();
        OrderedConsumer { stream: self.clone(), shared: Shared::new(api, self.name(), options) }
    }
}

impl<S: 'static> OrderedConsumer<S> {
    /// The stream that it reads.
    #[must_use]
    pub fn stream(&self) -> &Stream<S> {
        &self.stream
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        self.stream.client()
    }

    /// Reads without end: the callback runs for each message, in order.
    ///
    /// # Errors
    /// [`on_end`](Consumption::on_end) is told [`Error::InvalidRead`], [`Error::InvalidOrdered`],
    /// [`Error::InvalidName`], [`Error::Ordered`], the server's refusal, and [`Error::Closed`], never
    /// from within this call.
    pub fn consume(
        &self,
        options: ConsumeOptions,
        callback: impl DeliveryHandler<S, Consumption<S>>,
    ) -> Consumption<S> {
        Consumption::new(self.shared.consume(options, each(callback)))
    }

    /// Reads on demand: [`Messages::next`] takes one message.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume) are told to [`next`](Messages::next) and
    /// [`on_end`](Messages::on_end).
    #[must_use]
    pub fn messages(&self, options: ConsumeOptions) -> Messages<S> {
        let program = on_demand(&options);
        Messages::new(self.shared.consume(options, program))
    }

    /// Asks once for messages, as [`Consumer::fetch`](crate::jetstream::Consumer::fetch): the first
    /// callback runs for each one, and after the last one the second callback. A reset on the way goes
    /// on with what is left of messages, bytes and time.
    ///
    /// # Errors
    /// The second callback is given those of [`consume`](Self::consume), and [`Error::Fetch`].
    pub fn fetch(
        &self,
        options: FetchOptions,
        on_delivery: impl DeliveryHandler<S, OrderedConsumer<S>>,
        on_end: impl Callback<S, OrderedConsumer<S>, Result<FetchEnd, Error>>,
    ) {
        self.shared.fetch(options, on_each(self, on_delivery), answer(self, on_end));
    }

    /// Asks for one message: a [`fetch`](Self::fetch) of one, whatever the options say of how many. The
    /// callback runs exactly once, with the message, or with `None` if none has come in time. It may
    /// ask for the next one.
    ///
    /// # Errors
    /// The callback is given those of [`fetch`](Self::fetch).
    pub fn next(
        &self,
        options: FetchOptions,
        callback: impl DeliveryCallback<S, OrderedConsumer<S>, Error>,
    ) {
        let (on_message, on_end) = on_one(self, callback);
        self.shared.fetch(options.max_messages(1), on_message, on_end);
    }
}

impl Shared {
    fn new(api: &Api, stream: &str, options: OrderedOptions) -> Rc<Self> {
        let (checked, port) = (options.check(), api.port());
        // what is wrong with them ends every read before they are used
        let options = if checked.is_ok() { options } else { OrderedOptions::new() };
        let prefix = format!("evnats_{:016x}", port.random());
        let home = OrderedHome::new(OrderedState::new(options, &prefix, port.random()));
        Rc::new(Self { api: api.clone(), stream: stream.to_owned(), checked, home })
    }

    fn consume(
        &self,
        options: ConsumeOptions,
        program: Program<OrderedPull<Pull>>,
    ) -> Rc<Driver<OrderedPull<Pull>>> {
        let checked = options.check().map_err(Error::from);
        let group = options.group.is_some();
        self.read(checked.and(without(group)), program, |_| options)
    }

    fn fetch(&self, options: FetchOptions, on_message: OnMessage, on_end: OnEnd) {
        let checked = options.check().map_err(Error::from);
        let group = options.group.is_some();
        let program = Program::<OrderedPull<Fetch>>::taking(on_message);
        let wanted = |now| FetchWanted::new(options, now);
        let driver = self.read(checked.and(without(group)), program, wanted);
        driver.set_on_end(Box::new(move |state, _, end| on_end(state, end)));
    }

    /// Begins to read. What ends it at once is told like every other end.
    fn read<M: Reading>(
        &self,
        checked: Result<Option<Requirement>, Error>,
        program: Program<OrderedPull<M>>,
        wanted: impl FnOnce(Instant) -> M::Wanted,
    ) -> Rc<Driver<OrderedPull<M>>> {
        let port = self.api.port();
        let (state, home, is_free) = match self.home.take() {
            Some(state) => (state, self.home.clone(), Ok(())),
            // a read that ends before it has done anything, and leaves the other one alone
            None => {
                let state = OrderedState::new(OrderedOptions::new(), &self.stream, 0);
                (state.clone(), OrderedHome::new(state), Err(OrderedError::Busy.into()))
            }
        };
        let target = Target::new(&self.api, &self.stream, state.name_to_read());
        let now = port.now();
        let machine = OrderedPull::new(state, home, wanted(now), port.random(), now);
        let driver = Driver::new(&self.api, target, machine, Answers::default(), program);
        let options = self.checked.clone().map_err(Error::from);
        driver.start(options.and(is_free).and(checked));
        driver
    }
}

/// Whether a read asks for no group, which the consumers do not have.
fn without(group: bool) -> Result<Option<Requirement>, Error> {
    if group { Err(OrderedOptionError::Group.into()) } else { Ok(None) }
}

/// The consumer that was kept for the next read is deleted, as there is none.
impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.home.take();
        if let Some(name) = state.as_ref().and_then(OrderedState::kept_consumer) {
            let on_deleted = |_: &mut State, deleted: Result<(), Error>| {
                if let Err(error) = deleted {
                    log::debug!("an ordered consumer was not deleted: {error}");
                }
                Ok(())
            };
            let request = ApiRequest::delete_consumer(&self.stream, name);
            self.api.call(request, Box::new(on_deleted));
        }
    }
}

timers_on!(OrderedConsumer, |consumer| consumer.shared.api.port().event_loop());

impl<S> Clone for OrderedConsumer<S> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for OrderedConsumer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedConsumer")
            .field("stream", &self.shared.stream)
            .finish_non_exhaustive()
    }
}
