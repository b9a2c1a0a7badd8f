//! The consumption against a server that says anything, in any order: requests are bounded, whatever is
//! answered, and there is always a next one.

use super::simulation::{AFTERMATH, refusal, some_options};
use super::*;
use crate::jetstream::consume::status::RequestLimit;
use proptest::prelude::*;

/// Anything that a driver may tell the machine.
#[derive(Debug, Clone)]
enum Input {
    Message(u64, Option<String>),
    Release(u64),
    Status(u64, StatusKind<'static>, Option<Amount>),
    Pass(u64),
    Disconnected,
    Reconnected,
    Pause,
    Resume,
    Info,
    NoInfo,
}

fn input() -> impl Strategy<Value = Input> {
    let other = (0..999_u16, "[a-z]{0,3}")
        .prop_map(|(code, text)| StatusKind::Other { code, text: text.into() });
    let limit = prop_oneof![
        any::<Option<u64>>().prop_map(RequestLimit::Batch),
        any::<Option<u64>>().prop_map(RequestLimit::Bytes),
        any::<Option<u64>>()
            .prop_map(|nanos| RequestLimit::Expires(nanos.map(Duration::from_nanos))),
    ];
    let kind = prop_oneof![
        refusal(),
        other,
        limit.prop_map(StatusKind::Exceeded),
        Just(StatusKind::Heartbeat),
        Just(StatusKind::MessageTooLarge),
        Just(StatusKind::BatchCompleted),
        Just(StatusKind::NoMessages),
    ];
    let amount = (0..20_u64, any::<u64>()).prop_map(|(messages, bytes)| Amount { messages, bytes });
    prop_oneof![
        4 => (any::<u64>(), prop::option::of("[ab]")).prop_map(|(len, id)| Input::Message(len, id)),
        4 => any::<u64>().prop_map(Input::Release),
        20 => (0..4_u64, kind, prop::option::of(amount))
            .prop_map(|(back, kind, left)| Input::Status(back, kind, left)),
        6 => (0..3_000_u64).prop_map(Input::Pass),
        1 => Just(Input::Disconnected),
        1 => Just(Input::Reconnected),
        1 => Just(Input::Pause),
        2 => Just(Input::Resume),
        1 => Just(Input::Info),
        1 => Just(Input::NoInfo),
    ]
}

impl Input {
    fn apply(self, bench: &mut Bench) {
        let (pull, now) = (&mut bench.pull, bench.now);
        match self {
            Self::Message(len, id) => _ = pull.handle_message(len, id.as_deref(), now),
            Self::Release(len) => pull.release(len, now),
            Self::Status(back, kind, pending) => {
                let number = pull.last_number.saturating_sub(back);
                pull.handle_status(number, &PullStatus { kind, pending }, now);
            }
            Self::Pass(millis) => bench.pass(millis as u32 * MS),
            Self::Disconnected => pull.handle_disconnected(now),
            Self::Reconnected => pull.handle_reconnected(now),
            Self::Pause => pull.pause(now),
            Self::Resume => pull.resume(now),
            Self::Info => pull.handle_consumer_info(Ok(&ConsumerInfo::default()), now),
            Self::NoInfo => pull.handle_consumer_info(Err(&Error::Closed), now),
        }
        bench.obey();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The short way of messages that are taken at once leads where the long one does.
    #[test]
    fn a_message_that_passes_leaves_what_one_leaves_that_was_handled_and_released(
        options in some_options(),
        group in prop::option::of("g"),
        inputs in prop::collection::vec((input(), 0..20_u64), 0..60),
    ) {
        let options = ConsumeOptions { group, ..options };
        let (mut short, mut long) = (Bench::new(options.clone()), Bench::new(options));
        long.now = short.now;
        long.pull.handle_reconnected(long.now);
        short.pull.handle_reconnected(short.now);
        short.obey();
        long.obey();
        let mut untaken = 0_u64;
        for (input, messages) in inputs {
            for _ in 0..messages {
                long.come(1, 0);
                long.release(1, 0);
                if untaken > 0 || !short.pull.pass(short.now) {
                    short.come(1, 0);
                    short.release(1, 0);
                }
                prop_assert_eq!(short.pull.poll_action(), None);
            }
            match input {
                Input::Message(..) => untaken += 1,
                Input::Release(_) if untaken == 0 => continue,
                Input::Release(_) => untaken -= 1,
                _ => {}
            }
            input.clone().apply(&mut short);
            input.apply(&mut long);
            prop_assert_eq!(&short.pulls, &long.pulls);
            prop_assert_eq!(short.told(), long.told());
            prop_assert_eq!((short.asked, &short.ends), (long.asked, &long.ends));
            prop_assert_eq!(short.pull.next_deadline(), long.pull.next_deadline());
            prop_assert_eq!(short.pull.received, long.pull.received);
        }
    }

    #[test]
    fn whatever_is_said_requests_are_bounded_and_there_is_always_a_next_one(
        options in some_options(),
        group in prop::option::of("g"),
        inputs in prop::collection::vec(input(), 0..150),
    ) {
        let mut bench = Bench::new(ConsumeOptions { group, ..options });
        let (mut causes, mut untaken, start) = (10_u64, 0_u64, bench.now);
        for input in inputs {
            match &input {
                Input::Message(..) => (causes, untaken) = (causes + 3, untaken + 1),
                Input::Reconnected => causes += 1,
                Input::Release(_) if untaken == 0 => continue,
                Input::Release(_) => untaken -= 1,
                _ => {}
            }
            input.apply(&mut bench);
            let bound = causes + 6 * (bench.now - start).as_secs();
            prop_assert!(bench.pulls.len() as u64 <= bound, "{} > {bound}", bench.pulls.len());
        }
        prop_assert_eq!(&bench.ends, &[]);
        bench.pull.handle_reconnected(bench.now);
        bench.pull.resume(bench.now);
        (0..untaken).for_each(|_| bench.pull.release(0, bench.now));
        bench.pass(AFTERMATH);
        let before = bench.pulls.len();
        bench.pass(AFTERMATH);
        prop_assert!(bench.pulls.len() > before, "it asks for ever");
        bench.pull.stop();
        bench.obey();
        prop_assert_eq!(&bench.ends, &[ConsumeEnd::Stopped]);
    }
}
