//! Consuming by key, as programs know it.

use super::machine::KeyedPull;
use super::options::ByKey;
use crate::jetstream::consume::closures::DeliveryHandler;
use crate::jetstream::consume::consumption::{Consumption, each};
use crate::jetstream::consume::driver::{Answers, Driver};
use crate::jetstream::consume::pull::ConsumeOptions;
use crate::jetstream::consumer::Consumer;

impl<S: 'static> Consumer<S> {
    /// Reads the consumer without end, as [`consume`](Self::consume), but key by key: a message is handed
    /// to the callback when the one before it of the same key is answered for good, acknowledged or
    /// terminated. Several keys are worked on at once ([`ByKey::max_keys`]), and the work may go on after
    /// the callback ([`Delivery::to_acker`](crate::jetstream::Delivery::to_acker)).
    ///
    /// What is to be delivered again (`nak`, `nak_after`), or what nobody is left to answer, holds up its
    /// key until it has come again and is answered; the others go on. If it never comes, as it was
    /// delivered as often as `max_deliver` permits or was removed from the stream, the key goes on without
    /// it, and [`ConsumeEvent::Skipped`](crate::jetstream::ConsumeEvent::Skipped) tells. The last delivery is
    /// known as such; else it takes twice the consumer's `ack_wait`, or twice the delay, and five seconds.
    /// As long as the consumer is paused or has no leader, or there is no connection, nothing is skipped.
    ///
    /// Nothing is delivered again for having waited: until it is answered, the server is told of
    /// everything that is here that it is under way, every half of the consumer's `ack_wait`
    /// ([`in_progress_every`](ConsumeOptions::in_progress_every)), also after a
    /// [`stop`](Consumption::stop) of what is still worked on. So an
    /// [`Acker`](crate::jetstream::Acker) that is kept and never used holds up its key for ever.
    ///
    /// What waits for its key counts as untaken. If messages of few keys fill
    /// [`max_messages`](ConsumeOptions::max_messages), other keys have to wait, too: where one key may have
    /// many messages at once, let it be larger, and with it the consumer's `max_ack_pending`.
    ///
    /// The order holds within one consumption, so a consumer should be read by one at a time, with
    /// [`AckPolicy::Explicit`](crate::jetstream::AckPolicy::Explicit). It holds when connections or servers
    /// are lost: if messages were lost on their way, newer ones wait until those have come again, for
    /// `ack_wait` and five seconds at most. A message comes twice only if its acknowledgement was lost.
    /// [`stop`](Consumption::stop) hands back what was not handed over, and the next consumption by key puts
    /// in order what comes of that within a quarter of a second. What a program had when it was killed
    /// comes again after `ack_wait`, and may come behind newer messages.
    ///
    /// The consumer's information is asked for at the beginning, and after each reconnect. If that is not
    /// permitted, an `ack_wait` of 30 s is assumed, and no `max_deliver`.
    ///
    /// # Errors
    /// As of [`consume`](Self::consume);
    /// [`ConsumerError::AcksAll`](crate::jetstream::ConsumerError::AcksAll).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let event_loop = evnats::EventLoop::<u64>::new()?;
    /// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// use evnats::jetstream::{ByKey, ConsumeOptions};
    ///
    /// let worker = js.stream("ORDERS").consumer("worker");
    /// let by_customer = ByKey::subject().max_keys(8);
    /// worker.consume_by_key(ConsumeOptions::new(), by_customer, |_, orders, order| {
    ///     let acker = order.to_acker()?;
    ///     // stands for work that takes its time: the next order of the customer waits for it
    ///     orders.set_timer(Duration::from_secs(1), move |done: &mut u64, _| {
    ///         *done += 1;
    ///         Ok(acker.ack()?)
    ///     });
    ///     Ok(())
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn consume_by_key(
        &self,
        options: ConsumeOptions,
        by_key: ByKey,
        callback: impl DeliveryHandler<S, Consumption<S>>,
    ) -> Consumption<S> {
        let checked = by_key.check().and_then(|()| options.check());
        // the machine tells it for everything at once
        let answers = Answers { in_progress_every: None, ..Answers::of(&options) };
        let (port, (key_of, max_keys)) = (self.api().port(), by_key.into_parts());
        let machine = KeyedPull::new(options, key_of, max_keys, port.random(), port.now());
        let driver = Driver::new(self.api(), self.target(), machine, answers, each(callback));
        driver.start(checked.map_err(Into::into));
        Consumption::new(driver)
    }
}
