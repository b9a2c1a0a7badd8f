//! Consuming by key on a real server: each key in order, several keys at once, whatever becomes of the
//! messages, the connection and the server.

mod support;

use evnats::jetstream::{
    AckPolicy, Acker, ByKey, ConsumeEnd, ConsumeEvent, ConsumeOptions, Consumer, ConsumerConfig,
    ConsumerError, Consumption, Delivery, Error, StreamConfig,
};
use evnats::{Client, EventLoop, Options};
use evnats_harness::{Cluster, Server, requires};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::new_cluster::create_stream;
use support::{turn_until, unique};

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(20);

#[derive(Default)]
struct App {
    /// What is being worked on, by key.
    at_work: BTreeMap<String, usize>,
    most_at_work: usize,
    /// What was done of each key, in the order of the first success.
    done: BTreeMap<String, Vec<usize>>,
    deliveries: BTreeMap<usize, u64>,
    count: usize,
    again: usize,
    seen: BTreeSet<usize>,
    /// Spreads what is random.
    seed: u64,
    log: Vec<String>,
    events: Vec<ConsumeEvent>,
    end: Option<ConsumeEnd>,
    consumer: Option<Consumer<App>>,
    ackers: Vec<Acker<App>>,
    leader: Option<String>,
}

impl App {
    /// A number below the limit.
    fn random(&mut self, limit: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % limit
    }

    /// The work on a message begins. Nothing else of its key is being worked on.
    fn begin(&mut self, key: &str, number: usize) {
        let other = self.at_work.insert(key.to_owned(), number);
        assert_eq!(other, None, "{number} of {key} is handed over beside another one");
        self.most_at_work = self.most_at_work.max(self.at_work.len());
        *self.deliveries.entry(number).or_default() += 1;
    }

    fn end_work(&mut self, key: &str) {
        assert!(self.at_work.remove(key).is_some(), "{key}");
    }

    /// The work on a message was a success, perhaps not the first one.
    fn succeed(&mut self, key: &str, number: usize) {
        if self.seen.insert(number) {
            self.done.entry(key.to_owned()).or_default().push(number);
            self.count += 1;
        } else {
            self.again += 1;
        }
    }
}

/// A stream with a consumer of it.
struct Setting {
    event_loop: EventLoop<App>,
    nats: Client<App>,
    app: App,
    consumer: Consumer<App>,
    stream: String,
}

fn setting(server: &Server, config: ConsumerConfig) -> Setting {
    setting_at(&server.url(), 1, config)
}

fn setting_at(urls: &str, replicas: u32, config: ConsumerConfig) -> Setting {
    let (event_loop, mut app) = (EventLoop::new().expect("a loop"), App::default());
    app.seed = 0x9e37_79b9_7f4a_7c15;
    let options = Options::new(urls).reconnect_delay(SHORT).max_reconnect_delay(SHORT);
    let nats = event_loop.connect(options).expect("a client");
    nats.on_error(|_, _, _| ());
    let stream = unique("KEYS");
    let subjects = [format!("{stream}.*")];
    let stream_config = StreamConfig::new(&stream).subjects(subjects).num_replicas(replicas);
    create_stream(&nats.jetstream(), stream_config, move |_, js, made| {
        js.stream(&made.config.name).create_consumer(&config, |app: &mut App, _, made| {
            app.consumer = Some(made.expect("a consumer"));
        });
    });
    turn_until(&event_loop, &mut app, "a consumer", |app| app.consumer.is_some());
    let consumer = app.consumer.take().expect("it was just there");
    Setting { event_loop, nats, app, consumer, stream }
}

fn worker() -> ConsumerConfig {
    ConsumerConfig::new("worker").durable_name("worker").ack_wait(2 * SECOND)
}

impl Setting {
    /// Stores numbers from 0, by turns for each of so many keys.
    fn store(&mut self, count: usize, keys: usize) {
        for number in 0..count {
            let subject = format!("{}.{}", self.stream, number % keys);
            self.nats.publish(&subject, number.to_string()).expect("room");
            if number % 500 == 499 {
                self.flush();
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        support::flush(&self.event_loop, &mut self.app, &self.nats);
    }

    /// Consumes by subject, notes events and the end.
    fn consume(
        &self,
        options: ConsumeOptions,
        by_key: ByKey,
        mut work: impl FnMut(&mut App, &Consumption<App>, &Delivery<'_, App>) -> evnats::Result
        + 'static,
    ) -> Consumption<App> {
        let consumption =
            self.consumer.consume_by_key(options, by_key, move |app, orders, order| {
                work(app, orders, order)
            });
        consumption.on_event(|app, _, event| app.events.push(event.clone()));
        consumption.on_end(|app, _, end| app.end = Some(end));
        consumption
    }

    /// The server that has the consumer.
    fn leader(&mut self) -> String {
        self.consumer.info(|app: &mut App, _, info| {
            app.leader = info.ok().and_then(|info| info.cluster?.leader);
        });
        self.until("a leader", |app| app.leader.is_some());
        self.app.leader.take().expect("it was just there")
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl FnMut(&mut App) -> bool) {
        turn_until(&self.event_loop, &mut self.app, what, is_so);
    }
}

fn number_of(message: &Delivery<'_, App>) -> usize {
    message.text().parse().expect("a number")
}

/// Each key's messages in order, as many as there are.
fn in_order(count: usize, keys: usize) -> BTreeMap<String, Vec<usize>> {
    let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for number in 0..count {
        expected.entry((number % keys).to_string()).or_default().push(number);
    }
    expected
}

fn key_of(message: &Delivery<'_, App>) -> String {
    message.subject().split('.').nth(1).unwrap_or_default().to_owned()
}

/// Works for a while, and then answers in one of many ways.
fn work_later(
    app: &mut App,
    orders: &Consumption<App>,
    order: &Delivery<'_, App>,
) -> evnats::Result {
    let (number, key, acker) = (number_of(order), key_of(order), order.to_acker()?);
    let is_first = order.info()?.delivered == 1;
    app.begin(&key, number);
    let (delay, chance) = (app.random(20), app.random(100));
    orders.set_timer(Duration::from_millis(delay), move |app: &mut App, _| {
        app.end_work(&key);
        let outcome = match chance {
            0..5 if is_first => return Ok(acker.nak()?),
            5..8 if is_first => return Ok(acker.nak_after(SHORT)?),
            8 if is_first => {
                drop(acker);
                return Ok(());
            }
            9..12 => acker.terminate(),
            _ => acker.ack(),
        };
        // what could not be written comes again
        if outcome.is_ok() {
            app.succeed(&key, number);
        }
        Ok(())
    });
    Ok(())
}

#[test]
fn each_key_is_in_order_through_naks_lost_ackers_terminations_and_a_restart() {
    let mut server = Server::start();
    let mut setting = setting(&server, worker().max_ack_pending(2_000));
    setting.store(5_000, 50);
    let by_key = ByKey::subject().max_keys(20);
    setting.consume(ConsumeOptions::new(), by_key, work_later);
    setting.until("half of them", |app| app.count >= 2_500);
    server.restart();
    setting.until("all of them", |app| app.count == 5_000);
    let app = &setting.app;
    println!("{} again, {} keys at once", app.again, app.most_at_work);
    assert_eq!(app.done, in_order(5_000, 50));
    assert_eq!(app.most_at_work, 20);
    // what was acknowledged when the connection was lost
    assert!(app.again <= 100, "{} again", app.again);
    assert!(!app.events.iter().any(|event| matches!(event, ConsumeEvent::Skipped { .. })));
    assert_eq!(app.end, None);
}

#[test]
#[ignore = "takes twenty seconds; the restart above is the short form"]
fn each_key_is_in_order_while_the_leader_is_killed() {
    let mut cluster = Cluster::start();
    let config = worker().max_ack_pending(1_000);
    let mut setting = setting_at(&cluster.urls().join(","), 3, config);
    setting.store(2_000, 30);
    let by_key = ByKey::subject().max_keys(20);
    setting.consume(ConsumeOptions::new().expires(2 * SECOND), by_key, work_later);
    setting.until("some of them", |app| app.count >= 500);
    setting.consumer.step_down(None, |_, _, stepped| stepped.expect("another leader"));
    setting.until("half of them", |app| app.count >= 1_000);
    let leader = setting.leader();
    let node = cluster.index_by_name(&leader).expect("a node");
    cluster.server_mut(node).kill9();
    setting.until("all of them", |app| app.count == 2_000);
    println!("{} again", setting.app.again);
    assert_eq!(setting.app.done, in_order(2_000, 30));
}

/// One key has more messages than are held at once, and its first one is always to come again.
#[test]
fn a_full_window_lets_through_what_its_key_waits_for() {
    let server = Server::start();
    let mut setting = setting(&server, worker());
    setting.store(40, 1);
    let options = ConsumeOptions::new().max_messages(4);
    setting.consume(options, ByKey::subject(), |app, _, order| {
        app.begin("0", number_of(order));
        app.end_work("0");
        match order.info()?.delivered {
            1 if number_of(order) % 10 == 1 => Ok(()),
            1 => Ok(order.nak_after(SHORT)?),
            _ => {
                app.succeed("0", number_of(order));
                Ok(order.ack()?)
            }
        }
    });
    setting.until("all of them", |app| app.count == 40);
    assert_eq!(setting.app.done, in_order(40, 1));
    assert_eq!(setting.app.events, []);
}

#[test]
fn a_key_goes_on_without_what_was_delivered_as_often_as_may_be() {
    let server = Server::start();
    let mut setting = setting(&server, worker().max_deliver(2));
    setting.store(6, 2);
    setting.consume(ConsumeOptions::new(), ByKey::subject(), |app, _, order| {
        app.log.push(order.text().into_owned());
        match number_of(order) {
            0 => Ok(order.nak()?),
            _ => Ok(order.ack()?),
        }
    });
    setting.until("all of them", |app| app.log.len() == 7);
    let of_key = |key: usize| {
        let log = setting.app.log.iter().map(|number| number.parse().expect("a number"));
        log.filter(move |number: &usize| number % 2 == key).collect::<Vec<_>>()
    };
    assert_eq!((of_key(0), of_key(1)), (vec![0, 0, 2, 4], vec![1, 3, 5]));
    assert_eq!(setting.app.events, [ConsumeEvent::Skipped { stream_sequence: 1 }]);
}

#[test]
fn a_key_goes_on_without_what_was_removed_from_the_stream() {
    let server = Server::start();
    let mut setting = setting(&server, worker().ack_wait(SECOND / 2));
    setting.store(2, 1);
    let (js, stream) = (setting.nats.jetstream(), setting.stream.clone());
    setting.consume(ConsumeOptions::new(), ByKey::subject(), move |app, _, order| {
        app.log.push(order.text().into_owned());
        if number_of(order) == 0 {
            js.delete_message(&stream, 1, |_, _, deleted| deleted.expect("a deletion"));
            return Ok(order.nak_after(SECOND / 2)?);
        }
        Ok(order.ack()?)
    });
    setting.until("the other one", |app| app.log.len() == 2);
    assert_eq!(setting.app.log, ["0", "1"]);
    assert_eq!(setting.app.events, [ConsumeEvent::Skipped { stream_sequence: 1 }]);
}

/// Servers do not keep the order of what is handed back.
#[test]
fn what_a_stop_leaves_untaken_is_the_next_ones_at_once_and_in_order() {
    let server = Server::start();
    // older ones forget what comes first until `ack_wait` is over, if nobody asks for it at that moment
    requires!(server, 2, 10);
    let mut setting = setting(&server, worker().ack_wait(600 * SECOND));
    setting.store(100, 3);
    let by_key = ByKey::subject().max_keys(2);
    let orders = setting.consume(ConsumeOptions::new(), by_key, |app, _, order| {
        app.ackers.push(order.to_acker()?);
        Ok(())
    });
    setting.until("two of them", |app| app.ackers.len() == 2);
    // all of them have come when this has
    setting.flush();
    orders.stop();
    setting.until("the end", |app| app.end.is_some());
    assert_eq!(setting.app.end, Some(ConsumeEnd::Stopped));
    setting.consume(ConsumeOptions::new(), ByKey::subject(), |app, _, order| {
        app.succeed(&key_of(order), number_of(order));
        Ok(order.ack()?)
    });
    setting.until("the others", |app| app.count == 98);
    let mut expected = in_order(100, 3);
    expected.iter_mut().for_each(|(_, numbers)| numbers.retain(|number| *number > 1));
    assert_eq!(setting.app.done, expected);
}

/// Those that wait for their key as well, and those that are worked on after a stop.
#[test]
fn slow_work_is_not_delivered_again() {
    let server = Server::start();
    let mut setting = setting(&server, worker().ack_wait(SECOND / 2));
    setting.store(3, 1);
    let slow = |app: &mut App, orders: &Consumption<App>, order: &Delivery<'_, App>| {
        let acker = order.to_acker()?;
        app.log.push(format!("{} {}", order.text(), order.info()?.delivered));
        if app.log.len() == 3 {
            orders.stop();
        }
        orders.client().set_timer(SECOND, move |app: &mut App, _| {
            app.count += 1;
            Ok(acker.ack()?)
        });
        Ok(())
    };
    setting.consume(ConsumeOptions::new(), ByKey::subject(), slow);
    setting.until("all of them", |app| app.count == 3);
    assert_eq!(setting.app.log, ["0 1", "1 1", "2 1"]);
    setting.flush();
    setting.consumer.info(|app: &mut App, _, info| {
        let info = info.expect("the consumer");
        app.log.push(format!("{} delivered", info.delivered.consumer_sequence));
    });
    setting.until("the consumer", |app| app.log.len() == 4);
    assert_eq!(setting.app.log[3], "3 delivered");
}

#[test]
fn a_drain_ends_when_everything_that_is_held_was_handed_over() {
    let server = Server::start();
    let mut setting = setting(&server, worker());
    setting.store(30, 3);
    let options = ConsumeOptions::new().expires(SECOND);
    setting.consume(options, ByKey::subject(), |app, orders, order| {
        orders.drain();
        let (number, key, acker) = (number_of(order), key_of(order), order.to_acker()?);
        app.begin(&key, number);
        orders.set_timer(SHORT, move |app: &mut App, _| {
            app.end_work(&key);
            app.succeed(&key, number);
            Ok(acker.ack()?)
        });
        Ok(())
    });
    setting.until("the end", |app| app.end.is_some());
    assert_eq!(setting.app.end, Some(ConsumeEnd::Drained));
    setting.until("the last one", |app| app.count == 30);
    assert_eq!(setting.app.done, in_order(30, 3));
}

#[test]
fn what_is_answered_for_the_program_counts_as_answered() {
    let server = Server::start();
    let mut setting = setting(&server, worker().ack_wait(600 * SECOND));
    setting.store(20, 2);
    let options = ConsumeOptions::new().auto_ack(true).nak_on_error(true);
    setting.consume(options, ByKey::subject(), |app, _, order| {
        if order.info()?.delivered == 1 && number_of(order).is_multiple_of(3) {
            return Err(evnats::Error::other("not now"));
        }
        app.succeed(&key_of(order), number_of(order));
        Ok(())
    });
    let mut failed = 0;
    while setting.app.count < 20 {
        failed += usize::from(setting.event_loop.dispatch(&mut setting.app, Some(SECOND)).is_err());
    }
    assert_eq!(failed, 7);
    assert_eq!(setting.app.done, in_order(20, 2));
}

#[test]
fn an_acknowledgement_of_all_is_refused() {
    let server = Server::start();
    let mut setting = setting(&server, worker().ack_policy(AckPolicy::All));
    setting.store(3, 3);
    setting.consume(ConsumeOptions::new(), ByKey::subject(), |_, _, _| {
        support::fail("a message");
        Ok(())
    });
    setting.until("the end", |app| app.end.is_some());
    let expected = ConsumeEnd::Failed(Error::Consumer(ConsumerError::AcksAll));
    assert_eq!(setting.app.end, Some(expected));
}

/// What wants no answer is done when the callback has run.
#[test]
fn a_consumer_without_answers_is_read_as_it_comes() {
    let server = Server::start();
    let mut setting = setting(&server, worker().ack_policy(AckPolicy::None));
    setting.store(100, 3);
    setting.consume(ConsumeOptions::new(), ByKey::subject(), |app, _, order| {
        app.succeed(&key_of(order), number_of(order));
        Ok(())
    });
    setting.until("all of them", |app| app.count == 100);
    assert_eq!(setting.app.done, in_order(100, 3));
}

#[test]
fn no_keys_at_once_is_an_error_of_the_end() {
    let server = Server::start();
    let mut setting = setting(&server, worker());
    setting.consume(ConsumeOptions::new(), ByKey::subject().max_keys(0), |_, _, _| Ok(()));
    setting.until("the end", |app| app.end.is_some());
    let end = setting.app.end.take().expect("an end");
    let error = end.failure().expect("an error").to_string();
    assert!(error.starts_with("max_keys of 0"), "{error}");
}
