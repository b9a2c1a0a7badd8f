//! Priority groups of consumers on a real server: who of several clients is served.

mod support;

use evnats::jetstream::{
    ConsumeEvent, ConsumeOptions, Consumer, ConsumerConfig, Error, FetchError, FetchOptions,
    PriorityPolicy, StreamConfig,
};
use evnats::{Client, EventLoop};
use evnats_harness::requires;
use std::time::Duration;
use support::{flush, server, turn_until, unique};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct App {
    /// Who has got which message.
    got: Vec<(usize, usize)>,
    events: Vec<(usize, ConsumeEvent)>,
    consumer: Option<Consumer<App>>,
    waiting: Option<u64>,
    ends: Vec<Result<(), Error>>,
}

/// A consumer with a group, and the clients that read it, each by a handle of its own.
struct Setting {
    event_loop: EventLoop<App>,
    app: App,
    clients: Vec<Client<App>>,
    consumers: Vec<Consumer<App>>,
    next: usize,
}

fn setting(policy: PriorityPolicy, clients: usize) -> Setting {
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let connect = |_| event_loop.connect(server().url().as_str()).expect("a client");
    let clients: Vec<_> = (0..clients).map(connect).collect();
    let (mut app, name) = (App::default(), unique("GROUPS"));
    let config = StreamConfig::new(&name).subjects([name.as_str()]);
    clients[0].jetstream().create_stream(&config, move |_, js, created| {
        let config = ConsumerConfig::new("worker")
            .durable_name("worker")
            .priority_groups(["jobs"])
            .priority_policy(policy);
        let stream = created.map(|info| js.stream(&info.config.name)).expect("a stream");
        stream.create_consumer(&config, |app: &mut App, _, made| {
            app.consumer = Some(made.expect("a consumer"));
        });
    });
    turn_until(&event_loop, &mut app, "a consumer", |app| app.consumer.is_some());
    let handle = |nats: &Client<App>| nats.jetstream().stream(&name).consumer("worker");
    let consumers = clients.iter().map(handle).collect();
    Setting { event_loop, app, clients, consumers, next: 0 }
}

fn options() -> ConsumeOptions {
    ConsumeOptions::new().group("jobs").expires(2 * SECOND).max_messages(10)
}

impl Setting {
    fn consume(&mut self, client: usize, options: ConsumeOptions) {
        let consumption = self.consumers[client].consume(options, move |app, _, message| {
            app.got.push((client, message.text().parse().expect("a number")));
            Ok(message.ack()?)
        });
        consumption.on_event(move |app, _, event| app.events.push((client, event.clone())));
        consumption.on_end(|_, _, end| support::fail(format!("{end:?}")));
        flush(&self.event_loop, &mut self.app, &self.clients[client]);
    }

    /// Waits until so many requests wait at the consumer.
    fn until_waiting(&mut self, count: u64) {
        let (consumer, mut asked) = (self.consumers[0].clone(), false);
        turn_until(&self.event_loop, &mut self.app, "waiting requests", |app| {
            if app.waiting == Some(count) {
                return true;
            }
            if !std::mem::replace(&mut asked, true) || app.waiting.take().is_some() {
                consumer.info(|app: &mut App, _, info| {
                    app.waiting = Some(info.expect("the consumer").num_waiting);
                });
            }
            false
        });
    }

    /// Publishes so many more, and waits until each of all has come once.
    fn publish(&mut self, count: usize) {
        let subject = self.consumers[0].stream().name().to_owned();
        for number in self.next..self.next + count {
            self.clients[0].publish(&subject, number.to_string()).expect("room");
        }
        self.next += count;
    }

    fn until_all_came(&mut self) {
        let next = self.next;
        turn_until(&self.event_loop, &mut self.app, "all messages", |app| app.got.len() >= next);
        let mut numbers: Vec<_> = self.app.got.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..self.next).collect::<Vec<_>>());
    }

    /// Who has got the messages from this one on.
    fn served_from(&self, first: usize) -> Vec<usize> {
        let late = self.app.got.iter().filter(|(_, number)| *number >= first);
        let mut served: Vec<_> = late.map(|(client, _)| *client).collect();
        served.sort_unstable();
        served.dedup();
        served
    }
}

#[test]
fn one_client_is_pinned_and_another_one_when_it_is_unpinned() {
    requires!(server(), 2, 11);
    let mut setting = setting(PriorityPolicy::PinnedClient, 2);
    setting.consume(0, options());
    setting.consume(1, options());
    setting.publish(50);
    setting.until_all_came();
    let [first] = setting.served_from(0)[..] else { panic!("{:?}", setting.app.got) };
    let pinned = |event: &ConsumeEvent| matches!(event, ConsumeEvent::Pinned { .. });
    assert!(
        matches!(&setting.app.events[..], [(client, event)] if *client == first && pinned(event))
    );
    setting.consumers[0].unpin("jobs", |_, _, unpinned| unpinned.expect("a pinned one"));
    flush(&setting.event_loop, &mut setting.app, &setting.clients[0]);
    setting.publish(50);
    setting.until_all_came();
    let [second] = setting.served_from(50)[..] else { panic!("{:?}", setting.app.got) };
    let events = &setting.app.events;
    assert!(events.iter().any(|(client, event)| *client == second && pinned(event)), "{events:?}");
}

#[test]
fn who_overflows_is_served_only_while_enough_is_to_be_delivered() {
    requires!(server(), 2, 11);
    let mut setting = setting(PriorityPolicy::Overflow, 1);
    setting.consume(0, options().min_pending(100));
    setting.publish(50);
    let end = std::time::Instant::now() + SECOND / 2;
    turn_until(&setting.event_loop, &mut setting.app, "half a second", |_| {
        std::time::Instant::now() >= end
    });
    assert_eq!(setting.app.got, [], "too few wait");
    setting.publish(100);
    turn_until(&setting.event_loop, &mut setting.app, "what is too much", |app| {
        app.got.len() >= 51
    });
}

#[test]
fn who_has_the_lower_number_is_served_first() {
    requires!(server(), 2, 12);
    let mut setting = setting(PriorityPolicy::Prioritized, 2);
    setting.consume(0, options().priority(5));
    setting.consume(1, options().priority(1).max_messages(1000));
    setting.until_waiting(2);
    setting.publish(100);
    setting.until_all_came();
    assert_eq!(setting.served_from(0), [1]);
}

/// The pin is kept with the handle, so that the next fetch is known again.
#[test]
fn fetches_of_one_handle_are_the_pinned_client_and_those_of_another_one_wait() {
    requires!(server(), 2, 11);
    let mut setting = setting(PriorityPolicy::PinnedClient, 2);
    setting.publish(4);
    let fetch = |setting: &mut Setting, client: usize| {
        let options = FetchOptions::messages(2).group("jobs").expires(SECOND / 2);
        setting.consumers[client].fetch(
            options,
            move |app: &mut App, _, message| {
                app.got.push((client, message.text().parse().expect("a number")));
                Ok(message.ack()?)
            },
            |app, _, end| app.ends.push(end.map(drop)),
        );
        turn_until(&setting.event_loop, &mut setting.app, "an end", |app| !app.ends.is_empty());
        setting.app.ends.remove(0)
    };
    assert_eq!(fetch(&mut setting, 0), Ok(()));
    assert_eq!(fetch(&mut setting, 1), Ok(()), "it waits in vain");
    assert_eq!(fetch(&mut setting, 0), Ok(()));
    assert_eq!(setting.app.got, [(0, 0), (0, 1), (0, 2), (0, 3)]);
    setting.consumers[1].unpin("jobs", |_, _, unpinned| unpinned.expect("a pinned one"));
    flush(&setting.event_loop, &mut setting.app, &setting.clients[1]);
    setting.publish(2);
    // its pin is not the right one any more, which it learns
    let mut ends = vec![fetch(&mut setting, 0), fetch(&mut setting, 0)];
    ends.retain(|end| *end != Err(Error::Fetch(FetchError::Unpinned)));
    assert!(!ends.is_empty() && ends.iter().all(Result::is_ok), "{ends:?}");
    setting.until_all_came();
}

#[test]
fn a_group_is_not_asked_of_a_server_without_groups() {
    if server().version().minor >= 11 {
        return;
    }
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let consumer = nats.jetstream().stream("KEPT").consumer("C");
    let consumption = consumer.consume(options(), |_, _, _| support::fail("a message"));
    consumption.on_end(|app: &mut App, _, end| {
        app.ends.push(end.failure().map_or(Ok(()), |error| Err(error.clone())));
    });
    let mut app = App::default();
    turn_until(&event_loop, &mut app, "an end", |app| !app.ends.is_empty());
    let unsupported = Error::Unsupported { feature: "group", needs: 1, has: 0 };
    assert_eq!(app.ends, [Err(unsupported)]);
}
