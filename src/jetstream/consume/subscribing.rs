//! Push consumers: the server sends their messages to a subject, which is subscribed to.

use super::closures::DeliveryHandler;
use super::consumption::{Consumption, each};
use super::driver::{Answers, Driver};
use super::push::Push;
use super::push_options::PushOptions;
use crate::jetstream::consumer::Consumer;

impl<S: 'static> Consumer<S> {
    /// Takes the messages of a push consumer, one that has a `deliver_subject`: the callback runs for
    /// each one, in the order in which they come, and answers them with the delivery's methods, unless
    /// the consumer wants no answers or [`auto_ack`](PushOptions::auto_ack) is set.
    ///
    /// Where the messages go is asked of the server first. With a `deliver_group`, each message goes to
    /// one of those that have subscribed. Heartbeats and flow control are seen to, if the consumer has
    /// them: what the server waits for is answered when the program has taken what came before, so that
    /// a consumption that is [paused](Consumption::pause) slows the server down. Without flow control,
    /// what comes meanwhile is kept here, up to [a limit](PushOptions::max_untaken). What was lost on its way is told as
    /// [`ConsumeEvent::Lost`](super::ConsumeEvent::Lost), if the consumer has heartbeats.
    ///
    /// # Errors
    /// What ends it is told to [`on_end`](Consumption::on_end), never from within this call:
    /// [`ConsumerError`](super::ConsumerError) if there is no such consumer, it is deleted, or it is a
    /// pull consumer; [`Error::SubscriptionDenied`](crate::jetstream::Error::SubscriptionDenied).
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// use evnats::jetstream::{ConsumerConfig, PushOptions};
    /// use std::time::Duration;
    ///
    /// let config = ConsumerConfig::new("mailer")
    ///     .durable_name("mailer")
    ///     .deliver_subject("mails.to.send")
    ///     .idle_heartbeat(Duration::from_secs(5))
    ///     .flow_control(true);
    /// js.stream("MAILS").create_or_update_consumer(&config, |_, _, mailer| {
    ///     mailer?.subscribe(PushOptions::new(), |_, _, mail| {
    ///         println!("{}", mail.text());
    ///         Ok(mail.ack()?)
    ///     });
    ///     Ok(())
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn subscribe(
        &self,
        options: PushOptions,
        callback: impl DeliveryHandler<S, Consumption<S>>,
    ) -> Consumption<S> {
        let answers = Answers {
            acknowledge: options.auto_ack,
            hand_back_after_error: options.auto_ack && options.nak_on_error,
            in_progress_every: options.in_progress_every,
        };
        let checked = options.check();
        let machine = Push::new(options, self.api().port().now());
        let driver = Driver::new(self.api(), self.target(), machine, answers, each(callback));
        driver.start(checked.map_err(Into::into).map(|()| None));
        Consumption::new(driver)
    }
}
