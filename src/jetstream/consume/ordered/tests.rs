//! One behavior a test, in virtual time: nothing sleeps. How they combine is left to `simulation`.

mod simulation;

use super::*;
use crate::jetstream::manage::SequenceInfo;

const HEARTBEAT: Duration = Duration::from_secs(5);
/// A base for the clock; [`Instant`] has no zero.
fn epoch() -> Instant {
    use std::sync::OnceLock;
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn at(seconds: u64) -> Instant {
    epoch() + Duration::from_secs(seconds)
}

fn config(deliver_policy: DeliverPolicy) -> OrderedConfig {
    OrderedConfig {
        stream: "S".into(),
        name_prefix: "p".into(),
        deliver_policy,
        ..OrderedConfig::default()
    }
}

fn reader(deliver_policy: DeliverPolicy) -> Ordered {
    Ordered::new(config(deliver_policy), 7)
}

impl Ordered {
    /// The next action that is more than something to tell.
    fn poll(&mut self) -> Option<Action> {
        std::iter::from_fn(|| self.poll_action())
            .find(|action| !matches!(action, Action::Stalled(_) | Action::Resumed))
    }
}

/// What is to be told, of everything that waits.
fn told(ordered: &mut Ordered) -> Vec<Action> {
    std::iter::from_fn(|| ordered.poll_action())
        .filter(|action| matches!(action, Action::Stalled(_) | Action::Resumed))
        .collect()
}

fn actions(ordered: &mut Ordered) -> Vec<Action> {
    std::iter::from_fn(|| ordered.poll()).collect()
}

/// Takes the actions of a start and gives back the requested configuration.
fn expect_start(ordered: &mut Ordered, incarnation: u64) -> ConsumerConfig {
    let actions = actions(ordered);
    let [Action::Subscribe { incarnation: inbox }, Action::Create { incarnation: created, config }] =
        &actions[..]
    else {
        panic!("no start: {actions:?}")
    };
    assert_eq!((*inbox, *created), (incarnation, incarnation));
    assert_eq!(config.name, Some(format!("p_{incarnation}")));
    (**config).clone()
}

/// As [`expect_start`], behind the deletion of the incarnation before.
fn expect_restart(ordered: &mut Ordered, incarnation: u64) -> ConsumerConfig {
    let name = format!("p_{}", incarnation - 1);
    assert_eq!(ordered.poll(), Some(Action::Delete { name }));
    expect_start(ordered, incarnation)
}

fn info(num_pending: u64, consumer_sequence: u64, stream_sequence: u64) -> ConsumerInfo {
    ConsumerInfo {
        num_pending,
        delivered: SequenceInfo { consumer_sequence, stream_sequence, last_active: None },
        ..ConsumerInfo::default()
    }
}

/// A reader whose first consumer runs since second 0.
fn running(deliver_policy: DeliverPolicy) -> Ordered {
    let mut ordered = reader(deliver_policy);
    expect_start(&mut ordered, 1);
    ordered.handle_created(1, Ok(&info(0, 0, 0)), at(0));
    assert_eq!(
        actions(&mut ordered),
        [Action::Created { incarnation: 1, initial: 0, received: 0 }]
    );
    ordered
}

fn ack(stream_sequence: u64, consumer_sequence: u64) -> Vec<u8> {
    ack_at(stream_sequence, consumer_sequence, stream_sequence)
}

fn ack_at(stream_sequence: u64, consumer_sequence: u64, nanos: u64) -> Vec<u8> {
    format!("$JS.ACK.S.C.1.{stream_sequence}.{consumer_sequence}.{nanos}.0").into_bytes()
}

/// The stream sequence, if the message is to be delivered.
fn delivered(verdict: Verdict) -> Option<u64> {
    match verdict {
        Verdict::Deliver(delivery) => Some(delivery.stream_sequence),
        Verdict::Ignore | Verdict::Gap => None,
    }
}

fn receive(ordered: &mut Ordered, incarnation: u64, stream: u64, consumer: u64, time: u64) -> bool {
    delivered(ordered.handle_message(incarnation, &ack(stream, consumer), at(time))).is_some()
}

fn heartbeat(last_consumer_sequence: u64) -> Status<'static> {
    Status {
        code: 100,
        description: "Idle Heartbeat",
        last_consumer_sequence: Some(last_consumer_sequence),
        ..Status::default()
    }
}

/// Lets the time pass up to the deadline.
fn lapse(ordered: &mut Ordered) {
    let deadline = ordered.next_deadline().unwrap();
    ordered.handle_timeout(deadline);
}

fn start_at(config: &ConsumerConfig) -> Option<u64> {
    match config.deliver_policy {
        DeliverPolicy::ByStartSequence(sequence) => Some(sequence),
        _ => None,
    }
}

#[test]
fn asks_for_a_consumer_that_leaves_no_trace() {
    let mut ordered = reader(DeliverPolicy::All);
    assert_eq!(
        expect_start(&mut ordered, 1),
        ConsumerConfig {
            name: Some("p_1".into()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            ack_wait: Some(Duration::from_secs(79_200)),
            max_deliver: Some(1),
            num_replicas: 1,
            mem_storage: true,
            inactive_threshold: Some(Duration::from_secs(30)),
            idle_heartbeat: Some(HEARTBEAT),
            flow_control: true,
            ..ConsumerConfig::default()
        }
    );
}

#[test]
fn filters() {
    let start = |policy, filters: &[&str]| {
        let filter_subjects = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let mut ordered = Ordered::new(OrderedConfig { filter_subjects, ..config(policy) }, 7);
        let config = expect_start(&mut ordered, 1);
        (config.filter_subject, config.filter_subjects)
    };
    assert_eq!(start(DeliverPolicy::All, &[]), (None, vec![]));
    assert_eq!(start(DeliverPolicy::LastPerSubject, &[]), (Some(">".into()), vec![]));
    assert_eq!(start(DeliverPolicy::LastPerSubject, &["a"]), (Some("a".into()), vec![]));
    assert_eq!(
        start(DeliverPolicy::LastPerSubject, &["a", "b"]),
        (None, vec!["a".into(), "b".into()])
    );
}

#[test]
fn delivers_in_order() {
    let mut ordered = running(DeliverPolicy::All);
    for (stream, consumer) in [(3, 1), (4, 2), (9, 3)] {
        assert!(receive(&mut ordered, 1, stream, consumer, 1));
        assert_eq!(ordered.last_stream_sequence(), stream);
    }
    assert_eq!(ordered.poll(), None);
    assert_eq!(ordered.resets(), 0);
}

#[test]
fn created_tells_how_much_was_there_and_how_much_has_come() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    assert!(receive(&mut ordered, 1, 1, 1, 0));
    ordered.handle_created(1, Ok(&info(3, 2, 2)), at(0));
    assert_eq!(
        actions(&mut ordered),
        [Action::Created { incarnation: 1, initial: 5, received: 1 }]
    );
    assert!(receive(&mut ordered, 1, 2, 2, 0));
}

#[test]
fn gap_starts_anew_behind_the_last_message() {
    let mut ordered = running(DeliverPolicy::LastPerSubject);
    assert!(receive(&mut ordered, 1, 5, 1, 1));
    assert_eq!(ordered.handle_message(1, &ack(8, 3), at(1)), Verdict::Gap);
    let config = expect_restart(&mut ordered, 2);
    assert_eq!(start_at(&config), Some(6));
    assert_eq!(config.filter_subject, None);
    // the consumer sequence starts over
    assert!(receive(&mut ordered, 2, 7, 1, 1));
    assert!(receive(&mut ordered, 2, 8, 2, 1));
    assert_eq!(ordered.resets(), 1);
}

#[test]
fn duplicate_is_ignored() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 1, 1, 1));
    assert!(receive(&mut ordered, 1, 2, 2, 1));
    assert_eq!(ordered.handle_message(1, &ack(1, 1), at(1)), Verdict::Ignore);
    assert_eq!(ordered.handle_message(1, &ack(2, 2), at(1)), Verdict::Ignore);
    assert!(receive(&mut ordered, 1, 3, 3, 1));
    assert_eq!(ordered.poll(), None);
    // nor does it stand in for a delivery that is missing
    assert_eq!(ordered.handle_message(1, &ack(3, 3), at(1)), Verdict::Ignore);
    assert_eq!(ordered.handle_message(1, &ack(5, 5), at(1)), Verdict::Gap);
}

#[test]
fn foreign_message_is_ignored() {
    let mut ordered = running(DeliverPolicy::All);
    assert_eq!(ordered.handle_message(1, b"_INBOX.x", at(1)), Verdict::Ignore);
    assert_eq!(ordered.handle_message(1, b"", at(1)), Verdict::Ignore);
    assert!(receive(&mut ordered, 1, 1, 1, 1));
}

#[test]
fn stale_incarnation_is_ignored() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 1, 1, 1));
    assert_eq!(ordered.handle_message(1, &ack(3, 3), at(1)), Verdict::Gap);
    expect_restart(&mut ordered, 2);
    // would be the next one of either incarnation, by its numbers
    assert_eq!(ordered.handle_message(1, &ack(2, 2), at(1)), Verdict::Ignore);
    assert_eq!(ordered.handle_message(1, &ack(2, 1), at(1)), Verdict::Ignore);
    ordered.handle_status(1, &heartbeat(9), at(1));
    let deleted = Status { code: 409, description: "Consumer Deleted", ..Status::default() };
    ordered.handle_status(1, &deleted, at(1));
    assert_eq!(ordered.poll(), None);
    assert!(receive(&mut ordered, 2, 2, 1, 1));
}

#[test]
fn replay_from_a_lagging_replica_is_skipped() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 5, 1, 1));
    ordered.handle_status(1, &heartbeat(2), at(1));
    expect_restart(&mut ordered, 2);
    assert_eq!(ordered.handle_message(2, &ack(4, 1), at(1)), Verdict::Ignore);
    assert_eq!(ordered.handle_message(2, &ack(5, 2), at(1)), Verdict::Ignore);
    assert!(receive(&mut ordered, 2, 6, 3, 1));
}

#[test]
fn stream_created_anew_is_terminal() {
    let mut ordered = running(DeliverPolicy::All);
    let reply = ack_at(50, 1, 1_000);
    assert!(delivered(ordered.handle_message(1, &reply, at(1))).is_some());
    ordered.handle_status(1, &heartbeat(2), at(1));
    expect_restart(&mut ordered, 2);
    ordered.handle_created(2, Ok(&info(0, 0, 3)), at(1));
    assert!(matches!(ordered.poll(), Some(Action::Created { .. })));
    assert_eq!(ordered.handle_message(2, &ack_at(4, 1, 1_001), at(2)), Verdict::Ignore);
    assert_eq!(
        actions(&mut ordered),
        [Action::Failed(OrderedError::StreamRecreated), Action::Delete { name: "p_2".into() }]
    );
    assert!(ordered.is_finished());
}

#[test]
fn missed_heartbeats() {
    let mut ordered = running(DeliverPolicy::All);
    assert_eq!(ordered.next_deadline(), Some(at(15)));
    assert!(receive(&mut ordered, 1, 1, 1, 4));
    assert_eq!(ordered.next_deadline(), Some(at(19)));
    ordered.handle_status(1, &heartbeat(1), at(9));
    assert_eq!(ordered.next_deadline(), Some(at(24)));
    ordered.handle_timeout(at(23));
    assert_eq!(ordered.poll(), None);
    ordered.handle_timeout(at(24));
    assert_eq!(start_at(&expect_restart(&mut ordered, 2)), Some(2));
    assert_eq!(ordered.next_deadline(), None, "the driver times the request");
}

#[test]
fn heartbeat_that_disagrees_is_a_gap() {
    for last in [0, 1, 3] {
        let mut ordered = running(DeliverPolicy::All);
        assert!(receive(&mut ordered, 1, 4, 1, 1));
        assert!(receive(&mut ordered, 1, 5, 2, 1));
        ordered.handle_status(1, &heartbeat(2), at(2));
        assert_eq!(ordered.poll(), None);
        ordered.handle_status(1, &heartbeat(last), at(3));
        assert_eq!(start_at(&expect_restart(&mut ordered, 2)), Some(6), "{last}");
    }
}

#[test]
fn flow_control_is_answered() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 1, 1, 1));
    let request = Status {
        code: 100,
        description: "FlowControl Request",
        reply: Some(b"$JS.FC.S.p_1.x"),
        ..Status::default()
    };
    ordered.handle_status(1, &request, at(2));
    assert_eq!(actions(&mut ordered), [Action::Reply { subject: b"$JS.FC.S.p_1.x".to_vec() }]);
    assert_eq!(ordered.next_deadline(), Some(at(17)));

    let stalled = Status { stalled: Some(b"$JS.FC.S.p_1.y"), ..heartbeat(1) };
    ordered.handle_status(1, &stalled, at(3));
    assert_eq!(actions(&mut ordered), [Action::Reply { subject: b"$JS.FC.S.p_1.y".to_vec() }]);

    // a consumer that is left gets no answer any more
    ordered.handle_status(1, &stalled, at(3));
    ordered.handle_status(1, &heartbeat(2), at(3));
    expect_restart(&mut ordered, 2);
}

#[test]
fn consumer_deleted() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 1, 1, 1));
    let status = Status { code: 409, description: "Consumer Deleted", ..Status::default() };
    ordered.handle_status(1, &status, at(1));
    // there is nothing left to delete
    assert_eq!(start_at(&expect_start(&mut ordered, 2)), Some(2));
}

#[test]
fn no_responders_status_starts_anew_and_unknown_ones_do_nothing() {
    let mut ordered = running(DeliverPolicy::All);
    for code in [404, 409, 299] {
        ordered.handle_status(1, &Status { code, description: "New", ..Status::default() }, at(9));
    }
    assert_eq!(ordered.poll(), None);
    assert_eq!(ordered.next_deadline(), Some(at(15)), "no sign of life");
    ordered.handle_status(1, &Status { code: 503, ..Status::default() }, at(9));
    expect_restart(&mut ordered, 2);
}

fn api(code: u16, err_code: u32) -> ApiError {
    ApiError::new(code, ErrorCode(err_code), "text")
}

#[test]
fn terminal_create_errors() {
    for (error, expected) in [
        (
            CreateError::Api(api(404, 10059)),
            vec![Action::Failed(OrderedError::StreamNotFound(api(404, 10059)))],
        ),
        (
            CreateError::Api(api(400, 10138)),
            vec![Action::Failed(OrderedError::Rejected(api(400, 10138)))],
        ),
        (
            CreateError::Malformed("x".into()),
            vec![
                Action::Failed(OrderedError::Malformed("x".into())),
                Action::Delete { name: "p_1".into() },
            ],
        ),
    ] {
        let mut ordered = reader(DeliverPolicy::All);
        expect_start(&mut ordered, 1);
        ordered.handle_created(1, Err(error), at(0));
        assert_eq!(actions(&mut ordered), expected);
        assert!(ordered.is_finished());
        assert_eq!(ordered.next_deadline(), None);
        ordered.stop();
        ordered.handle_disconnected();
        ordered.handle_reconnected();
        ordered.handle_timeout(at(100));
        assert_eq!(ordered.poll(), None);
    }
}

#[test]
fn stream_deleted_while_reading() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 1, 1, 1));
    let status = Status { code: 409, description: "Consumer Deleted", ..Status::default() };
    ordered.handle_status(1, &status, at(1));
    expect_start(&mut ordered, 2);
    ordered.handle_created(2, Err(CreateError::Api(api(404, 10059))), at(1));
    let error = OrderedError::StreamNotFound(api(404, 10059));
    assert_eq!(actions(&mut ordered), [Action::Failed(error)]);
}

#[test]
fn filters_that_the_server_dropped() {
    let filter_subjects = vec!["a".to_owned(), "b".to_owned()];
    let wanted = OrderedConfig { filter_subjects, ..config(DeliverPolicy::All) };
    let mut ordered = Ordered::new(wanted, 7);
    expect_start(&mut ordered, 1);
    let info = ConsumerInfo { config: Some(ConsumerConfig::default()), ..info(0, 0, 0) };
    ordered.handle_created(1, Ok(&info), at(0));
    assert_eq!(
        actions(&mut ordered),
        [Action::Failed(OrderedError::FiltersUnsupported), Action::Delete { name: "p_1".into() }]
    );
}

/// Fails the current start and gives back the wait until the next one.
fn failed_start(ordered: &mut Ordered, incarnation: u64, error: CreateError, now: Instant) -> f64 {
    let unanswered = error == CreateError::Unanswered;
    ordered.handle_created(incarnation, Err(error), now);
    let name = format!("p_{incarnation}");
    let expected = unanswered.then_some(Action::Delete { name });
    assert_eq!(ordered.poll(), expected, "one that may exist is deleted");
    assert_eq!(ordered.poll(), None);
    ordered.next_deadline().unwrap().duration_since(now).as_secs_f64()
}

#[test]
fn back_off_grows_up_to_a_cap_and_starts_over_after_success() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    let errors = [
        CreateError::Unanswered,
        CreateError::NoResponders,
        CreateError::Api(api(503, 10008)),
        CreateError::Api(api(503, 10023)),
    ];
    let mut now = at(0);
    for (incarnation, seconds) in (1..).zip([1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]) {
        let error = errors[incarnation as usize % errors.len()].clone();
        let delay = failed_start(&mut ordered, incarnation, error, now);
        assert!(delay <= seconds && delay >= 0.8 * seconds, "{delay} for {seconds}");
        ordered.handle_timeout(now);
        assert_eq!(ordered.poll(), None, "too early");
        now = ordered.next_deadline().unwrap();
        ordered.handle_timeout(now);
        expect_start(&mut ordered, incarnation + 1);
    }
    assert_eq!(ordered.resets(), 0);

    ordered.handle_created(8, Ok(&info(1, 0, 0)), now);
    assert!(delivered(ordered.handle_message(8, &ack(1, 1), now)).is_some());
    ordered.poll();
    ordered.handle_status(8, &heartbeat(2), now);
    expect_restart(&mut ordered, 9);
    assert!(failed_start(&mut ordered, 9, CreateError::Unanswered, now) <= 1.0);
}

#[test]
fn readers_with_different_seeds_spread() {
    let mut delays: Vec<_> = (0..20)
        .map(|seed| {
            let mut ordered = Ordered::new(config(DeliverPolicy::All), seed);
            expect_start(&mut ordered, 1);
            (failed_start(&mut ordered, 1, CreateError::NoResponders, at(0)) * 1e6) as u64
        })
        .collect();
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 15, "{delays:?}");
}

#[test]
fn consumers_that_never_work_are_not_recreated_in_a_loop() {
    let mut ordered = running(DeliverPolicy::All);
    let gone = Status { code: 409, description: "Consumer Deleted", ..Status::default() };
    ordered.handle_status(1, &gone, at(1));
    expect_start(&mut ordered, 2);
    ordered.handle_created(2, Ok(&info(0, 0, 0)), at(1));
    ordered.poll();
    ordered.handle_status(2, &gone, at(1));
    assert_eq!(ordered.poll(), None);
    assert!(ordered.next_deadline().unwrap() > at(1));
    // nor does the time before count for anything while waiting
    assert_eq!(ordered.handle_message(2, &ack(1, 1), at(1)), Verdict::Ignore);
    ordered.handle_timeout(at(2));
    expect_start(&mut ordered, 3);
}

#[test]
fn messages_before_the_create_response_count() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    assert!(receive(&mut ordered, 1, 1, 1, 0));
    ordered.handle_status(1, &heartbeat(1), at(0));
    assert!(receive(&mut ordered, 1, 2, 2, 0));
    ordered.handle_created(1, Ok(&info(0, 2, 2)), at(1));
    actions(&mut ordered);
    assert!(receive(&mut ordered, 1, 3, 3, 2));
}

#[test]
fn gap_before_the_create_response() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    assert!(receive(&mut ordered, 1, 1, 1, 0));
    assert_eq!(ordered.handle_message(1, &ack(3, 3), at(0)), Verdict::Gap);
    // whether there is something to delete is not known yet
    assert_eq!(start_at(&expect_start(&mut ordered, 2)), Some(2));
    ordered.handle_created(1, Ok(&info(0, 3, 3)), at(0));
    assert_eq!(actions(&mut ordered), [Action::Delete { name: "p_1".into() }]);
    assert!(receive(&mut ordered, 2, 2, 1, 0));
    ordered.handle_created(2, Ok(&info(0, 2, 3)), at(0));
    assert_eq!(
        actions(&mut ordered),
        [Action::Created { incarnation: 2, initial: 2, received: 1 }]
    );
}

#[test]
fn late_outcomes_of_left_incarnations() {
    for (outcome, exists) in [
        (Ok(&info(0, 0, 0)), true),
        (Err(CreateError::Unanswered), true),
        (Err(CreateError::NoResponders), false),
        (Err(CreateError::Api(api(404, 10059))), false),
    ] {
        let mut ordered = reader(DeliverPolicy::All);
        expect_start(&mut ordered, 1);
        assert_eq!(ordered.handle_message(1, &ack(2, 2), at(0)), Verdict::Gap);
        expect_start(&mut ordered, 2);
        ordered.handle_created(1, outcome, at(0));
        let expected = exists.then(|| Action::Delete { name: "p_1".into() });
        assert_eq!(ordered.poll(), expected);
        assert!(receive(&mut ordered, 2, 1, 1, 0), "the current one is not touched");
    }
}

#[test]
fn reset_before_any_message_keeps_the_policy() {
    let time = std::time::SystemTime::UNIX_EPOCH;
    for policy in [
        DeliverPolicy::All,
        DeliverPolicy::LastPerSubject,
        DeliverPolicy::ByStartSequence(5),
        DeliverPolicy::ByStartTime(time),
    ] {
        let mut ordered = running(policy.clone());
        ordered.handle_timeout(at(15));
        assert_eq!(expect_restart(&mut ordered, 2).deliver_policy, policy);
    }
}

#[test]
fn new_and_last_stay_where_they_first_were() {
    for policy in [DeliverPolicy::New, DeliverPolicy::Last] {
        let mut ordered = reader(policy.clone());
        expect_start(&mut ordered, 1);
        ordered.handle_created(1, Err(CreateError::NoResponders), at(0));
        lapse(&mut ordered);
        // there never was a first place
        assert_eq!(expect_start(&mut ordered, 2).deliver_policy, policy);
        ordered.handle_created(2, Ok(&info(0, 0, 41)), at(1));
        ordered.poll();
        lapse(&mut ordered);
        assert_eq!(ordered.poll(), Some(Action::Delete { name: "p_2".into() }));
        lapse(&mut ordered);
        assert_eq!(start_at(&expect_start(&mut ordered, 3)), Some(42));
        // a later consumer starts elsewhere; that changes nothing
        ordered.handle_created(3, Ok(&info(0, 0, 50)), at(17));
        ordered.poll();
        lapse(&mut ordered);
        assert_eq!(ordered.poll(), Some(Action::Delete { name: "p_3".into() }));
        lapse(&mut ordered);
        assert_eq!(start_at(&expect_start(&mut ordered, 4)), Some(42));
    }
}

#[test]
fn origin_of_a_consumer_that_had_delivered_before_it_answered() {
    let mut ordered = reader(DeliverPolicy::New);
    expect_start(&mut ordered, 1);
    ordered.handle_created(1, Ok(&info(0, 2, 43)), at(0));
    ordered.poll();
    ordered.handle_timeout(at(15));
    assert_eq!(start_at(&expect_restart(&mut ordered, 2)), Some(42));
}

#[test]
fn origin_of_a_consumer_that_was_left_before_it_answered() {
    let mut ordered = reader(DeliverPolicy::New);
    expect_start(&mut ordered, 1);
    ordered.handle_created(1, Err(CreateError::NoResponders), at(0));
    lapse(&mut ordered);
    expect_start(&mut ordered, 2);
    assert_eq!(ordered.handle_message(2, &ack(43, 2), at(2)), Verdict::Gap);
    ordered.handle_created(2, Ok(&info(0, 0, 41)), at(2));
    assert_eq!(actions(&mut ordered), [Action::Delete { name: "p_2".into() }]);
    lapse(&mut ordered);
    assert_eq!(start_at(&expect_start(&mut ordered, 3)), Some(42));
}

#[test]
fn reconnect_starts_anew() {
    let mut ordered = running(DeliverPolicy::All);
    assert!(receive(&mut ordered, 1, 3, 1, 1));
    ordered.handle_disconnected();
    ordered.handle_disconnected();
    assert_eq!(ordered.next_deadline(), None);
    assert_eq!(ordered.poll(), None, "there is nobody to talk to");
    assert_eq!(ordered.handle_message(1, &ack(4, 2), at(1)), Verdict::Ignore);
    ordered.handle_reconnected();
    ordered.handle_reconnected();
    assert_eq!(start_at(&expect_restart(&mut ordered, 2)), Some(4));
    assert_eq!(ordered.resets(), 1);
}

#[test]
fn disconnected_while_creating_or_waiting() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    ordered.handle_disconnected();
    ordered.handle_created(1, Err(CreateError::Unanswered), at(0));
    ordered.handle_reconnected();
    expect_restart(&mut ordered, 2);

    ordered.handle_created(2, Err(CreateError::NoResponders), at(0));
    assert!(ordered.next_deadline().is_some());
    ordered.handle_disconnected();
    assert_eq!(ordered.next_deadline(), None);
    ordered.handle_timeout(at(100));
    ordered.handle_reconnected();
    expect_start(&mut ordered, 3);

    // a request that was never handed out needs no deletion
    let mut ordered = reader(DeliverPolicy::All);
    ordered.handle_disconnected();
    ordered.handle_reconnected();
    expect_start(&mut ordered, 2);
}

#[test]
fn stop_deletes_exactly_once() {
    let mut ordered = running(DeliverPolicy::All);
    ordered.stop();
    ordered.stop();
    assert!(!ordered.is_finished());
    assert_eq!(actions(&mut ordered), [Action::Delete { name: "p_1".into() }]);
    assert!(ordered.is_finished());
    assert_eq!(ordered.handle_message(1, &ack(1, 1), at(0)), Verdict::Ignore);
    ordered.handle_timeout(at(100));
    assert_eq!((ordered.poll(), ordered.next_deadline()), (None, None));
}

#[test]
fn stop_while_creating_deletes_once_it_is_known() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    ordered.stop();
    assert_eq!(ordered.poll(), None);
    assert!(!ordered.is_finished());
    ordered.handle_created(1, Ok(&info(0, 0, 0)), at(0));
    assert_eq!(actions(&mut ordered), [Action::Delete { name: "p_1".into() }]);
    assert!(ordered.is_finished());
}

#[test]
fn stop_before_anything_was_done() {
    let mut ordered = reader(DeliverPolicy::All);
    ordered.stop();
    assert_eq!(ordered.poll(), None);
    assert!(ordered.is_finished());
}

#[test]
fn stop_while_disconnected_hands_out_what_is_to_be_deleted() {
    let mut ordered = running(DeliverPolicy::All);
    ordered.handle_disconnected();
    assert_eq!(ordered.poll(), None);
    ordered.stop();
    assert_eq!(actions(&mut ordered), [Action::Delete { name: "p_1".into() }]);
    assert!(ordered.is_finished());
}

#[test]
fn the_next_consumer_waits_while_it_is_held_and_nothing_else_does() {
    let mut ordered = running(DeliverPolicy::All);
    ordered.handle_status(1, &Status { code: 503, ..Status::default() }, at(1));
    ordered.hold_creation(true);
    assert_eq!(ordered.poll(), Some(Action::Delete { name: "p_1".into() }));
    assert_eq!(ordered.poll(), Some(Action::Subscribe { incarnation: 2 }));
    assert_eq!(ordered.poll(), None);
    assert!(ordered.is_held());
    ordered.hold_creation(false);
    assert!(matches!(ordered.poll(), Some(Action::Create { incarnation: 2, .. })));
    assert!(!ordered.is_held() && !ordered.is_running());
    ordered.handle_created(2, Ok(&info(0, 0, 0)), at(2));
    assert!(ordered.is_running());
}

#[test]
fn a_stream_that_was_created_at_another_time_is_another_one() {
    let time = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let mut ordered = running(DeliverPolicy::All);
    ordered.handle_stream(time(7));
    assert!(receive(&mut ordered, 1, 5, 1, 1));
    ordered.handle_stream(None);
    ordered.handle_stream(time(7));
    assert_eq!(ordered.poll(), None);
    ordered.handle_status(1, &heartbeat(2), at(2));
    expect_restart(&mut ordered, 2);
    ordered.handle_created(2, Ok(&info(0, 0, 5)), at(2));
    ordered.poll();
    ordered.handle_stream(time(8));
    assert_eq!(ordered.poll(), Some(Action::Failed(OrderedError::StreamRecreated)));
    assert_eq!(ordered.poll(), Some(Action::Delete { name: "p_2".into() }));
    assert!(ordered.is_finished());
}

#[test]
fn a_restart_leaves_a_consumer_that_runs_and_nothing_else() {
    let mut ordered = running(DeliverPolicy::LastPerSubject);
    ordered.restart(at(1));
    let config = expect_restart(&mut ordered, 2);
    assert_eq!(config.deliver_policy, DeliverPolicy::LastPerSubject, "nothing has come yet");
    ordered.restart(at(1));
    assert_eq!(ordered.poll(), None, "it is being made");
    assert_eq!(told(&mut ordered), []);
}

/// A consumer of which nothing is heard is left, and the next one is made.
fn starve(ordered: &mut Ordered, incarnation: u64, now: Instant) -> Instant {
    ordered.handle_created(incarnation, Ok(&info(1, 0, 0)), now);
    assert!(matches!(ordered.poll(), Some(Action::Created { .. })));
    let now = ordered.next_deadline().expect("it is waited for");
    ordered.handle_timeout(now);
    now
}

/// Has the machine start, after the pause that it may make.
fn pass(ordered: &mut Ordered, mut now: Instant) -> Instant {
    if let Some(deadline) = ordered.next_deadline() {
        now = deadline;
        ordered.handle_timeout(now);
    }
    while ordered.poll().is_some() {}
    now
}

#[test]
fn deliveries_that_never_arrive_are_told_and_so_is_the_end_of_that() {
    let mut ordered = reader(DeliverPolicy::All);
    expect_start(&mut ordered, 1);
    let now = starve(&mut ordered, 1, at(0));
    assert_eq!(told(&mut ordered), [], "once may happen");
    let now = starve(&mut ordered, 2, now);
    assert_eq!(told(&mut ordered), [Action::Stalled(Stall::NoDeliveries)]);
    let now = pass(&mut ordered, now);
    let now = starve(&mut ordered, 3, now);
    assert_eq!(told(&mut ordered), [], "it is known");
    let now = pass(&mut ordered, now);
    ordered.handle_created(4, Ok(&info(1, 0, 0)), now);
    assert!(receive(&mut ordered, 4, 1, 1, 60));
    assert_eq!(told(&mut ordered), [Action::Resumed]);
    ordered.handle_status(4, &heartbeat(1), now);
    assert_eq!(told(&mut ordered), []);
}

#[test]
fn another_reason_is_told_as_well() {
    let mut ordered = running(DeliverPolicy::All);
    let mut now = at(15);
    ordered.handle_timeout(now);
    for incarnation in 2..6 {
        while ordered.poll().is_some() {}
        let refusal = if incarnation < 4 { CreateError::Unanswered } else { CreateError::Denied };
        ordered.handle_created(incarnation, Err(refusal), now);
        let expected = match incarnation {
            2 => vec![Action::Stalled(Stall::NoAnswer)],
            4 => vec![Action::Stalled(Stall::Denied)],
            _ => vec![],
        };
        assert_eq!(told(&mut ordered), expected, "{incarnation}");
        now = pass(&mut ordered, now);
    }
}

#[test]
fn heartbeats_that_say_stalled_are_no_life_for_ever() {
    let stalled = Status { stalled: Some(b"$JS.FC.S.p_1.y"), ..heartbeat(1) };
    let mut ordered = running(DeliverPolicy::All);
    for (incarnation, start) in [(1, 0), (2, 100)] {
        // something comes each time before the server stops
        assert!(receive(&mut ordered, incarnation, incarnation, 1, start + 1));
        for second in [5, 10, 15] {
            ordered.handle_status(incarnation, &stalled, at(start + second));
            assert!(matches!(ordered.poll(), Some(Action::Reply { .. })));
        }
        assert_eq!(ordered.next_deadline(), Some(at(start + 16)));
        ordered.handle_timeout(at(start + 16));
        let expected = match incarnation {
            1 => vec![],
            _ => vec![Action::Stalled(Stall::FlowControl)],
        };
        let actions: Vec<_> = std::iter::from_fn(|| ordered.poll_action()).collect();
        let told = actions.into_iter().filter(|action| matches!(action, Action::Stalled(_)));
        assert_eq!(told.collect::<Vec<_>>(), expected);
        ordered.handle_created(incarnation + 1, Ok(&info(1, 0, 0)), at(start + 100));
        while ordered.poll().is_some() {}
    }
    // messages alone do not mean that it is over, and one after an answer does
    assert!(receive(&mut ordered, 3, 3, 1, 201));
    assert_eq!(told(&mut ordered), []);
    ordered.handle_status(3, &stalled, at(202));
    assert!(matches!(ordered.poll(), Some(Action::Reply { .. })));
    assert!(receive(&mut ordered, 3, 4, 2, 203));
    assert_eq!(told(&mut ordered), [Action::Resumed]);
}

#[test]
fn an_idle_consumer_ends_every_trouble() {
    let mut ordered = running(DeliverPolicy::All);
    let now = at(15);
    ordered.handle_timeout(now);
    while ordered.poll().is_some() {}
    let now = starve(&mut ordered, 2, now);
    assert_eq!(told(&mut ordered), [Action::Stalled(Stall::NoDeliveries)]);
    let now = pass(&mut ordered, now);
    ordered.handle_created(3, Ok(&info(0, 0, 0)), now);
    ordered.handle_status(3, &heartbeat(0), now);
    assert_eq!(told(&mut ordered), [Action::Resumed]);
}
