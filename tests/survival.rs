//! Consumers under everything that can happen to them, on real servers: what is stored is delivered, in
//! order, and twice only if it was not acknowledged.

mod support;

use evnats::jetstream::{
    ConsumeEvent, ConsumeOptions, Consumer, ConsumerConfig, Consumption, Listed, OrderedOptions,
    SilenceCause, StreamConfig, WindowOptions,
};
use evnats::{Client, EventLoop, Options};
use evnats_harness::{Cluster, Server, Version, requires};
use std::time::Duration;
use support::new_cluster::create_stream;
use support::{turn_until, unique};

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(20);

/// What has come of messages that are numbered from 0.
#[derive(Default)]
struct App {
    /// How often each of them has come.
    times: Vec<u8>,
    /// How many have come at least once.
    distinct: usize,
    duplicates: usize,
    events: Vec<ConsumeEvent>,
    consumer: Option<Consumer<App>>,
    unanswered: Option<u64>,
    leader: Option<String>,
    is_done: bool,
}

impl App {
    /// Counts a message. Each one comes for the first time when all before it have come.
    fn count(&mut self, text: &str) {
        let number: usize = text.parse().expect("a number");
        if self.times.len() <= number {
            self.times.resize(number + 1, 0);
        }
        match self.times[number] {
            0 => {
                assert_eq!(number, self.distinct, "a gap");
                self.distinct += 1;
            }
            _ => self.duplicates += 1,
        }
        self.times[number] += 1;
    }
}

fn quick(url: &str) -> Options {
    Options::new(url)
        .randomize_servers(false)
        .reconnect_delay(SHORT)
        .max_reconnect_delay(4 * SHORT)
        .request_timeout(2 * SECOND)
}

/// Stores numbers, each in 128 bytes.
fn store(nats: &Client<App>, subject: &str, numbers: std::ops::Range<usize>) {
    let window = nats.jetstream().publish_window(WindowOptions::new().max_outstanding(500));
    let subject = subject.to_owned();
    let mut next = numbers.start;
    let mut fill = move |_: &mut App, window: &evnats::jetstream::PublishWindow<App>| {
        while next < numbers.end {
            if window.enqueue(&subject, format!("{next:0128}")).is_err() {
                return;
            }
            next += 1;
        }
        if next == numbers.end {
            next += 1;
            window.finish(|app: &mut App, _, report| {
                assert_eq!(report.stored, report.published);
                app.is_done = true;
            });
        }
    };
    fill(&mut App::default(), &window);
    window.on_ready(fill);
}

/// A consumer that is as safe as its stream.
fn worker() -> ConsumerConfig {
    ConsumerConfig::new("worker").durable_name("worker")
}

/// A stream with so many messages and a consumer of it.
struct Setting {
    event_loop: EventLoop<App>,
    nats: Client<App>,
    app: App,
    consumer: Consumer<App>,
    subject: String,
}

fn setting(options: Options, replicas: u32, messages: usize, config: ConsumerConfig) -> Setting {
    let (event_loop, mut app) = (EventLoop::new().expect("a loop"), App::default());
    let nats = event_loop.connect(options).expect("a client");
    nats.on_error(|_, _, _| ());
    let name = unique("SURVIVAL");
    let stream = StreamConfig::new(&name).subjects([name.as_str()]).num_replicas(replicas);
    create_stream(&nats.jetstream(), stream, |app: &mut App, _, _| app.is_done = true);
    turn_until(&event_loop, &mut app, "a stream", |app| std::mem::take(&mut app.is_done));
    store(&nats, &name, 0..messages);
    turn_until(&event_loop, &mut app, "messages", |app| std::mem::take(&mut app.is_done));
    nats.jetstream().stream(&name).create_consumer(&config, |app: &mut App, _, made| {
        app.consumer = Some(made.expect("a consumer"));
    });
    turn_until(&event_loop, &mut app, "a consumer", |app| app.consumer.is_some());
    let consumer = app.consumer.take().expect("it was just there");
    Setting { event_loop, nats, app, consumer, subject: name }
}

impl Setting {
    fn consume(&self, options: ConsumeOptions) -> Consumption<App> {
        let consumption = self.consumer.consume(options, |app: &mut App, _, message| {
            app.count(&message.text());
            Ok(message.ack()?)
        });
        consumption.on_event(|app, _, event| app.events.push(event.clone()));
        consumption.on_end(|_, _, end| support::fail(format!("{end:?}")));
        consumption
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl FnMut(&mut App) -> bool) {
        turn_until(&self.event_loop, &mut self.app, what, is_so);
    }

    #[track_caller]
    fn until_distinct(&mut self, count: usize) {
        self.until(&format!("{count} messages"), |app| app.distinct >= count);
    }

    /// Waits until nothing is unanswered.
    fn until_all_answered(&mut self) {
        let mut asked = false;
        let consumer = self.consumer.clone();
        self.until("answers", move |app| {
            if !asked || app.unanswered.take_if(|left| *left > 0).is_some() {
                asked = true;
                consumer.info(|app: &mut App, _, info| {
                    app.unanswered = Some(info.map_or(u64::MAX, |info| info.num_ack_pending));
                });
            }
            app.unanswered == Some(0)
        });
    }

    /// Everything has come, and no more often than it had to.
    fn check(&mut self, messages: usize, max_duplicates: usize) {
        assert_eq!((self.app.distinct, self.app.times.len()), (messages, messages));
        println!("{messages} messages, {} of them again", self.app.duplicates);
        assert!(self.app.duplicates <= max_duplicates, "{} duplicates", self.app.duplicates);
    }

    fn leader(&mut self) -> String {
        self.app.leader = None;
        loop {
            self.app.is_done = false;
            self.consumer.info(|app: &mut App, _, info| {
                app.leader = info.ok().and_then(|info| info.cluster?.leader);
                app.is_done = true;
            });
            self.until("an answer", |app| app.is_done);
            if let Some(leader) = self.app.leader.take().filter(|leader| !leader.is_empty()) {
                return leader;
            }
        }
    }
}

/// What waits for an acknowledgement may come again after each loss of a connection or a leader.
const WINDOW: usize = 500;

fn everything_is_consumed_over_two_restarts(messages: usize) {
    let mut server = Server::start();
    let config = worker().ack_wait(2 * SECOND).max_ack_pending(WINDOW as i64);
    let mut setting = setting(quick(&server.url()), 1, messages, config);
    setting.consume(ConsumeOptions::new());
    for part in 1..=2 {
        setting.until_distinct(messages * part / 3);
        server.restart();
    }
    setting.until_distinct(messages);
    setting.until_all_answered();
    // now and then server 2.9 comes back with nothing of what it knew of a consumer
    let forgets = server.version() < Version::new(2, 10, 0);
    setting.check(messages, if forgets { 2 * messages } else { 2 * WINDOW });
}

#[test]
fn what_is_stored_is_consumed_while_the_server_restarts_twice() {
    everything_is_consumed_over_two_restarts(20_000);
}

#[test]
#[ignore = "takes a minute; the short form is above"]
fn a_million_messages_are_consumed_while_the_server_restarts_twice() {
    everything_is_consumed_over_two_restarts(1_000_000);
}

#[test]
#[ignore = "takes a minute"]
fn a_million_messages_are_consumed_once_and_in_order() {
    let server = Server::start();
    let mut setting = setting(quick(&server.url()), 1, 1_000_000, worker());
    setting.consume(ConsumeOptions::new());
    setting.until_distinct(1_000_000);
    setting.until_all_answered();
    setting.check(1_000_000, 0);
    assert_eq!(setting.app.events, []);
}

fn everything_is_consumed_while_leaders_are_killed(messages: usize) {
    let mut cluster = Cluster::start();
    let urls = cluster.urls().join(",");
    let config = worker().ack_wait(2 * SECOND).max_ack_pending(WINDOW as i64);
    let mut setting = setting(quick(&urls), 3, messages, config);
    setting.consume(ConsumeOptions::new().expires(2 * SECOND));
    setting.until_distinct(messages / 4);
    setting.consumer.step_down(None, |_, _, stepped| stepped.expect("another leader"));
    setting.until_distinct(messages / 2);
    let leader = setting.leader();
    let node = cluster.index_by_name(&leader).expect("a node");
    cluster.server_mut(node).kill9();
    setting.until_distinct(messages * 3 / 4);
    cluster.server_mut(node).start_again();
    setting.until_distinct(messages);
    setting.until_all_answered();
    setting.check(messages, 3 * WINDOW);
}

#[test]
fn what_is_stored_is_consumed_while_the_leader_is_killed() {
    everything_is_consumed_while_leaders_are_killed(8_000);
}

#[test]
#[ignore = "takes minutes; the short form is above"]
fn a_million_messages_are_consumed_while_the_leader_is_killed() {
    everything_is_consumed_while_leaders_are_killed(1_000_000);
}

/// The consumer of an ordered read is on one node, in its memory.
#[test]
fn an_ordered_read_goes_on_when_the_node_of_its_consumer_is_killed() {
    const MESSAGES: usize = 8_000;
    let mut cluster = Cluster::start();
    let mut setting = setting(quick(&cluster.urls().join(",")), 3, MESSAGES, worker());
    setting.consumer.delete(|app: &mut App, _, deleted| {
        deleted.expect("it is there");
        app.is_done = true;
    });
    setting.until("no consumer", |app| std::mem::take(&mut app.is_done));
    let stream = setting.consumer.stream().clone();
    let options = OrderedOptions::new().name_prefix("reader");
    let ordered = stream.ordered_consumer(options);
    let options = ConsumeOptions::new().max_messages(100).expires(2 * SECOND);
    let read = ordered.consume(options, |app: &mut App, read, message| {
        app.count(&message.text());
        if app.distinct == MESSAGES / 3 {
            read.pause();
        }
    });
    read.on_event(|app, _, event| app.events.push(event.clone()));
    setting.until_distinct(MESSAGES / 3);
    stream.list_consumers(|app: &mut App, _, listed| match listed {
        Listed::Item(info) => app.leader = info.cluster.and_then(|cluster| cluster.leader),
        Listed::Ended(end) => app.is_done = end.map(|_| true).expect("a list"),
    });
    setting.until("a list", |app| std::mem::take(&mut app.is_done));
    let leader = setting.app.leader.take().expect("the node of the consumer");
    let node = cluster.index_by_name(&leader).expect("a node");
    cluster.server_mut(node).kill9();
    read.resume();
    setting.until_distinct(MESSAGES);
    setting.check(MESSAGES, 0);
    let is_reset = |event: &ConsumeEvent| matches!(event, ConsumeEvent::Reset { .. });
    assert!(setting.app.events.iter().any(is_reset), "{:?}", setting.app.events);
}

/// Once a bug of a peer: it waited for messages that it had asked the old connection for.
#[test]
fn a_consumption_is_not_silent_after_a_reconnect_that_was_over_between_two_waits() {
    let mut server = Server::start();
    let mut setting = setting(quick(&server.url()), 1, 0, worker());
    setting.consume(ConsumeOptions::new());
    setting.nats.flush(|app: &mut App, _, _| app.is_done = true);
    setting.until("a flush", |app| std::mem::take(&mut app.is_done));
    server.restart();
    setting.nats.on_reconnect(|app, _, _| app.is_done = true);
    setting.until("a connection", |app| std::mem::take(&mut app.is_done));
    store(&setting.nats, &setting.subject, 0..10);
    setting.until_distinct(10);
    setting.check(10, 0);
}

#[test]
fn a_frozen_server_is_reported_and_everything_comes_when_it_goes_on() {
    let server = Server::start();
    let options = quick(&server.url()).request_timeout(SECOND / 2);
    let mut setting = setting(options, 1, 0, worker());
    let read = ConsumeOptions::new().expires(2 * SECOND).heartbeat(SECOND / 2);
    setting.consume(read);
    setting.nats.flush(|app: &mut App, _, _| app.is_done = true);
    setting.until("a flush", |app| std::mem::take(&mut app.is_done));
    server.pause();
    setting.until("a report", |app| !app.events.is_empty());
    server.resume();
    let ConsumeEvent::Silent(silence) = &setting.app.events[0] else {
        panic!("{:?}", setting.app.events)
    };
    assert!(matches!(silence.cause, SilenceCause::InfoFailed(_)), "{silence:?}");
    assert!(silence.lasted >= SECOND && silence.asked_again, "{silence:?}");
    store(&setting.nats, &setting.subject, 0..1_000);
    setting.until_distinct(1_000);
    setting.check(1_000, 0);
}

/// With heartbeats, servers from 2.11 on say nothing when as many requests wait as may.
#[test]
fn whoever_waits_in_vain_is_told_that_too_many_wait() {
    let server = Server::start();
    let config = worker().max_waiting(1);
    let mut setting = setting(quick(&server.url()), 1, 0, config);
    let options = || ConsumeOptions::new().expires(4 * SECOND).heartbeat(SECOND / 2);
    let first = setting.consume(options());
    first.on_end(|_, _, _| ());
    setting.nats.flush(|app: &mut App, _, _| app.is_done = true);
    setting.until("a flush", |app| std::mem::take(&mut app.is_done));
    setting.consume(options());
    setting.until("a report", |app| !app.events.is_empty());
    let is_known = match &setting.app.events[0] {
        ConsumeEvent::MaxWaiting => true,
        ConsumeEvent::Silent(silence) => silence.cause == SilenceCause::MaxWaiting(1),
        _ => false,
    };
    assert!(is_known, "{:?}", setting.app.events);
    first.stop();
    store(&setting.nats, &setting.subject, 0..100);
    setting.until_distinct(100);
    setting.check(100, 0);
}

#[test]
fn a_consumer_that_somebody_sets_back_is_read_again() {
    let server = Server::start();
    requires!(server, 2, 14);
    let mut setting = setting(quick(&server.url()), 1, 100, worker());
    setting.consume(ConsumeOptions::new());
    setting.until_distinct(100);
    setting.until_all_answered();
    setting.consumer.reset(Some(51), |_, _, reset| drop(reset.expect("a reset")));
    setting.until("fifty of them again", |app| app.duplicates == 50);
    setting.check(100, 50);
}

/// The callback keeps the right to answer, and the consumer waits for it.
#[test]
fn what_is_answered_later_makes_room_for_more() {
    let server = Server::start();
    let config = worker().max_ack_pending(5);
    let mut setting = setting(quick(&server.url()), 1, 10, config);
    let options = ConsumeOptions::new().expires(2 * SECOND);
    let held = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let holding = held.clone();
    setting.consumer.consume(options, move |app: &mut App, _, message| {
        app.count(&message.text());
        holding.borrow_mut().push(message.to_acker()?);
        Ok(())
    });
    setting.until_distinct(5);
    for acker in held.take() {
        acker.ack().expect("room");
    }
    setting.until_distinct(10);
    setting.check(10, 0);
}

/// A server deletes an ephemeral consumer that nobody asks for messages.
#[test]
fn a_pause_longer_than_inactive_threshold_costs_no_consumer() {
    let server = Server::start();
    let config = ConsumerConfig::new("brief").inactive_threshold(SECOND);
    let mut setting = setting(quick(&server.url()), 1, 1_000, config);
    let consumption = setting.consume(ConsumeOptions::new().max_messages(10).expires(SECOND));
    setting.until_distinct(20);
    consumption.pause();
    let paused = setting.app.distinct;
    consumption.set_timer(SECOND * 4, |app: &mut App, consumption| {
        app.is_done = true;
        consumption.resume();
    });
    setting.until("the end of the pause", |app| app.is_done);
    assert!(setting.app.distinct <= paused + 10, "{} of {paused}", setting.app.distinct);
    setting.until_distinct(1_000);
    setting.check(1_000, 0);
    assert_eq!(setting.app.events, []);
}
