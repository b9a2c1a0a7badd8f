//! One behavior a test, in virtual time.

use super::*;
use crate::jetstream::api_error::ApiError;

const SECOND: Duration = Duration::from_secs(1);

fn info(adjust: impl FnOnce(ConsumerConfig) -> ConsumerConfig) -> ConsumerInfo {
    let config = ConsumerConfig::new("C").deliver_subject("to").idle_heartbeat(SECOND);
    ConsumerInfo { config: Some(adjust(config)), ..ConsumerInfo::default() }
}

/// A machine that has been told of its consumer, and listens.
fn listening() -> (Push, Instant) {
    let now = Instant::now();
    let mut push = Push::new(PushOptions::new(), now);
    assert_eq!(push.poll_action(), Some(Action::AskConsumer));
    push.handle_told(Told::Consumer(Ok(&info(|config| config))), now);
    let listen = Action::Listen { subject: "to".into(), queue_group: None };
    assert_eq!(push.poll_action(), Some(listen));
    (push, now)
}

fn deliver(push: &mut Push, sequence: u64, now: Instant) -> Verdict {
    push.receive(format!("$JS.ACK.S.C.1.9.{sequence}.1700000000000000000.0").as_bytes(), 1, now)
}

fn heartbeat(push: &mut Push, last: u64, stalled: Option<&'static str>, now: Instant) {
    let stalled = stalled.map_or(String::new(), |to| format!("Nats-Consumer-Stalled: {to}\r\n"));
    let block =
        format!("NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {last}\r\n{stalled}\r\n");
    push.handle_status(0, &Message::new("to", 1, None, Some(block.as_bytes()), b""), now);
}

fn flow_control(push: &mut Push, now: Instant) {
    let block = b"NATS/1.0 100 FlowControl Request\r\n\r\n";
    push.handle_status(0, &Message::new("to", 1, Some("$JS.FC.S.C.x"), Some(block), b""), now);
}

fn reply(subject: &str) -> Option<Action<ConsumeEnd>> {
    Some(Action::Reply { subject: subject.into() })
}

fn told(push: &mut Push) -> Option<ConsumeEvent> {
    match push.poll_action() {
        Some(Action::Tell(event)) => Some(event),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flow_control_is_answered_when_the_program_has_taken_what_came_before() {
    let (mut push, now) = listening();
    flow_control(&mut push, now);
    assert_eq!(push.poll_action(), reply("$JS.FC.S.C.x"));
    assert_eq!(deliver(&mut push, 1, now), Verdict::Deliver);
    assert_eq!(deliver(&mut push, 2, now), Verdict::Deliver);
    flow_control(&mut push, now);
    push.release(1, now);
    assert_eq!(push.poll_action(), None, "one is left");
    push.release(1, now);
    assert_eq!(push.poll_action(), reply("$JS.FC.S.C.x"));
}

/// Once a bug of a peer: heartbeats went on coming, and the consumer waited for its answer.
#[test]
fn a_push_consumer_is_not_stuck_on_heartbeats() {
    let (mut push, now) = listening();
    heartbeat(&mut push, 0, Some("$JS.FC.S.C.lost"), now);
    assert_eq!(push.poll_action(), reply("$JS.FC.S.C.lost"));
    assert_eq!(push.poll_action(), None);
}

#[test]
fn what_the_server_has_delivered_and_has_not_come_was_lost() {
    let (mut push, now) = listening();
    heartbeat(&mut push, 40, None, now);
    assert_eq!(told(&mut push), None, "those before it were somebody else's");
    deliver(&mut push, 41, now);
    heartbeat(&mut push, 41, None, now);
    assert_eq!(told(&mut push), None);
    heartbeat(&mut push, 44, None, now);
    assert_eq!(told(&mut push), Some(ConsumeEvent::Lost { count: 3 }));
    heartbeat(&mut push, 44, None, now);
    assert_eq!(told(&mut push), None, "once");
    heartbeat(&mut push, 2, None, now);
    assert_eq!(told(&mut push), None, "it was set back");
    heartbeat(&mut push, 3, None, now);
    assert_eq!(told(&mut push), Some(ConsumeEvent::Lost { count: 1 }));
}

#[test]
fn what_others_of_a_group_have_got_was_not_lost() {
    let now = Instant::now();
    let mut push = Push::new(PushOptions::new(), now);
    push.poll_action();
    push.handle_told(Told::Consumer(Ok(&info(|config| config.deliver_group("g")))), now);
    let listen = Action::Listen { subject: "to".into(), queue_group: Some("g".into()) };
    assert_eq!(push.poll_action(), Some(listen));
    deliver(&mut push, 1, now);
    heartbeat(&mut push, 9, None, now);
    assert_eq!(told(&mut push), None);
}

#[test]
fn after_two_missing_heartbeats_the_cause_is_found_out_and_told_once() {
    let (mut push, now) = listening();
    assert_eq!(push.next_deadline(), Some(now + 2 * SECOND));
    heartbeat(&mut push, 0, None, now + SECOND);
    push.handle_timeout(now + 2 * SECOND);
    assert_eq!(push.poll_action(), None, "too early");
    for round in 1..=2 {
        let now = now + (1 + 2 * round) * SECOND;
        push.handle_timeout(now);
        assert_eq!(push.poll_action(), Some(Action::AskConsumer));
        assert_eq!(push.next_deadline(), None, "an answer comes");
        let paused = ConsumerInfo { paused: true, ..info(|config| config) };
        push.handle_told(Told::Consumer(Ok(&paused)), now);
        match (told(&mut push), round) {
            (Some(ConsumeEvent::Silent(silence)), 1) => {
                assert_eq!(silence.cause, SilenceCause::Paused(None));
                assert_eq!(silence.lasted, 2 * SECOND);
            }
            (None, 2) => {}
            other => panic!("{other:?}"),
        }
    }
    heartbeat(&mut push, 0, None, now + 6 * SECOND);
    assert_eq!(push.next_deadline(), Some(now + 8 * SECOND));
}

#[test]
fn a_slow_program_is_no_silence() {
    let (mut push, now) = listening();
    deliver(&mut push, 1, now);
    assert_eq!(push.next_deadline(), None);
    push.release(1, now + 60 * SECOND);
    assert_eq!(push.next_deadline(), Some(now + 62 * SECOND));
}

#[test]
fn a_consumer_without_heartbeats_is_looked_for_now_and_then() {
    let now = Instant::now();
    let mut push = Push::new(PushOptions::new(), now);
    push.poll_action();
    let info = info(|config| config.idle_heartbeat(Duration::ZERO));
    push.handle_told(Told::Consumer(Ok(&info)), now);
    push.poll_action();
    assert_eq!(push.next_deadline(), Some(now + UNHEARD));
    push.handle_timeout(now + UNHEARD);
    assert_eq!(push.poll_action(), Some(Action::AskConsumer));
    push.handle_told(Told::Consumer(Ok(&info)), now + UNHEARD);
    assert_eq!(push.poll_action(), None, "it is there, and has nothing");
    assert!(push.next_deadline() > Some(now + UNHEARD), "a busy loop");
}

fn not_found() -> Error {
    let api = serde_json::json!({"code": 404, "err_code": 10014, "description": "no consumer"});
    Error::Api(serde_json::from_value::<ApiError>(api).expect("an error"))
}

#[test]
fn a_consumer_that_is_gone_ends_it() {
    let (mut push, now) = listening();
    push.handle_reconnected(now);
    assert_eq!(push.poll_action(), Some(Action::AskConsumer));
    push.handle_told(Told::Consumer(Err(&not_found())), now);
    let Some(Action::End(ConsumeEnd::Failed(Error::Consumer(ConsumerError::NotFound(_))))) =
        push.poll_action()
    else {
        panic!("no end")
    };
    let (mut push, now) = listening();
    let block = b"NATS/1.0 409 Consumer Deleted\r\n\r\n";
    push.handle_status(0, &Message::new("to", 1, None, Some(block), b""), now);
    let deleted = ConsumeEnd::Failed(ConsumerError::ConsumerDeleted.into());
    assert_eq!(push.poll_action(), Some(Action::End(deleted)));
    assert_eq!(deliver(&mut push, 1, now), Verdict::HandBack);
}

#[test]
fn a_pull_consumer_is_none() {
    let now = Instant::now();
    let mut push = Push::new(PushOptions::new(), now);
    push.poll_action();
    let config = ConsumerConfig::new("C");
    let info = ConsumerInfo { config: Some(config), ..ConsumerInfo::default() };
    push.handle_told(Told::Consumer(Ok(&info)), now);
    let end = ConsumeEnd::Failed(ConsumerError::PullBased.into());
    assert_eq!(push.poll_action(), Some(Action::End(end)));
}

#[test]
fn a_question_that_is_not_answered_is_asked_again() {
    let now = Instant::now();
    let mut push = Push::new(PushOptions::new(), now);
    push.poll_action();
    push.handle_told(Told::Consumer(Err(&Error::NotAvailable)), now);
    assert_eq!(push.next_deadline(), Some(now + ASK_AGAIN));
    push.handle_timeout(now + ASK_AGAIN);
    assert_eq!(push.poll_action(), Some(Action::AskConsumer));
    push.handle_disconnected(now);
    assert_eq!(push.next_deadline(), None);
    push.handle_told(Told::Consumer(Err(&Error::NotAvailable)), now);
    push.handle_reconnected(now);
    assert_eq!(push.poll_action(), Some(Action::AskConsumer));
    assert_eq!(push.poll_action(), None);
}

#[test]
fn a_drain_waits_for_what_is_on_its_way() {
    let (mut push, now) = listening();
    push.drain(now);
    assert_eq!(push.poll_action(), Some(Action::StopListening));
    assert_eq!(deliver(&mut push, 1, now), Verdict::Deliver);
    push.handle_told(Told::Drained, now);
    assert_eq!(push.poll_action(), Some(Action::End(ConsumeEnd::Drained)));
    let mut push = Push::new(PushOptions::new().stop_after(1), now);
    push.poll_action();
    push.handle_told(Told::Consumer(Ok(&info(|config| config))), now);
    push.poll_action();
    deliver(&mut push, 1, now);
    assert_eq!(push.poll_action(), Some(Action::End(ConsumeEnd::Complete)));
}

#[test]
fn what_there_is_no_room_for_is_handed_back_and_told() {
    let (mut push, now) = listening();
    push.options = PushOptions::new().max_untaken(2);
    let verdicts = (1..=5).map(|sequence| deliver(&mut push, sequence, now)).collect::<Vec<_>>();
    assert_eq!(verdicts[..2], [Verdict::Deliver; 2]);
    assert_eq!(verdicts[2..], [Verdict::HandBack; 3]);
    push.release(1, now);
    assert_eq!(told(&mut push), None);
    push.release(1, now);
    assert_eq!(told(&mut push), Some(ConsumeEvent::Lost { count: 3 }));
    push.options = PushOptions::new().max_untaken_bytes(1);
    assert_eq!(deliver(&mut push, 6, now), Verdict::Deliver, "one has room");
    assert_eq!(deliver(&mut push, 7, now), Verdict::HandBack);
}
