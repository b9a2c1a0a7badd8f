//! The signal of a watch, event by event.

use super::Step::{Ask, Done, Wait};
use super::*;

fn hashes() -> KeyHashes {
    KeyHashes::fixed()
}

/// A machine to which the leader has said that there is nothing: what one replica says is enough.
fn initial(counts: Counts) -> Initial {
    let mut initial = Initial::new(counts, hashes());
    assert_eq!(initial.handle_leader(0), Wait);
    initial
}

/// Gives messages with rising revisions, and returns for each whether it brought the signal.
fn receive(initial: &mut Initial, messages: &[(&str, u64)]) -> Vec<bool> {
    let mut one = |(key, pending): &(&str, u64)| {
        let revision = initial.seen + 1;
        initial.handle_message(key.as_bytes(), revision, *pending) == Done
    };
    messages.iter().map(&mut one).collect()
}

#[test]
fn an_empty_bucket_is_done_when_the_consumer_exists() {
    assert_eq!(initial(Counts::Keys).handle_created(0, 0), Done);
    assert_eq!(Initial::new(Counts::Nothing, hashes()).handle_created(7, 0), Done);
}

#[test]
fn the_signal_comes_once() {
    let mut initial_of_keys = initial(Counts::Keys);
    assert_eq!(initial_of_keys.handle_created(3, 0), Wait);
    let signals = receive(&mut initial_of_keys, &[("a", 2), ("b", 1), ("c", 0), ("a", 0)]);
    assert_eq!(signals, [false, false, true, false]);
    let mut initial = initial(Counts::Messages);
    assert_eq!(receive(&mut initial, &[("a", 1), ("a", 0)]), [false, false], "not known yet");
    assert_eq!(initial.handle_created(2, 2), Done);
    assert_eq!(receive(&mut initial, &[("a", 0)]), [false]);
}

#[test]
fn keys_written_again_during_the_scan_are_waited_for() {
    let mut initial = initial(Counts::Keys);
    assert_eq!(initial.handle_created(3, 0), Wait);
    let messages = [("a", 4), ("new", 3), ("newer", 2), ("b", 1), ("c", 0)];
    assert_eq!(receive(&mut initial, &messages), [false, false, false, false, true]);
}

#[test]
fn a_key_that_comes_twice_counts_once() {
    let mut initial = initial(Counts::Keys);
    assert_eq!(initial.handle_created(3, 0), Wait);
    // server 2.10 does not count what was written again as pending
    let messages = [("a", 1), ("b", 0), ("a", 0), ("c", 0)];
    assert_eq!(receive(&mut initial, &messages), [false, false, false, true]);
}

#[test]
fn under_steady_writes_the_signal_still_comes() {
    let mut initial = initial(Counts::Messages);
    assert_eq!(initial.handle_created(3, 0), Wait);
    let messages = (1..1000).find(|n| initial.handle_message(b"k", *n, 5) == Done);
    // the three of the beginning, and then four rounds of five
    assert_eq!(messages, Some(23));
    assert_eq!(receive(&mut initial, &[("k", 0)]), [false]);
}

#[test]
fn an_idle_consumer_has_delivered_everything() {
    let mut initial = initial(Counts::Keys);
    assert_eq!(initial.handle_idle(), Wait, "the consumer is not known yet");
    assert_eq!(initial.handle_created(3, 0), Wait);
    assert_eq!(initial.handle_idle(), Done, "all three were purged before their turn");
    assert_eq!(initial.handle_idle(), Wait);
}

#[test]
fn the_count_begins_again_with_a_new_consumer() {
    let mut one = initial(Counts::Keys);
    assert_eq!(one.handle_created(5, 0), Wait);
    assert_eq!(receive(&mut one, &[("a", 4)]), [false]);
    assert_eq!(one.handle_created(2, 0), Wait, "after a reset");
    assert_eq!(receive(&mut one, &[("a", 1), ("a", 0)]), [false, true]);
    let mut one = initial(Counts::Keys);
    assert_eq!(one.handle_created(5, 0), Wait);
    assert_eq!(one.handle_created(0, 0), Done, "the rest was deleted meanwhile");
    let mut one = initial(Counts::Keys);
    assert_eq!(one.handle_created(5, 0), Wait);
    assert_eq!(receive(&mut one, &[("a", 4)]), [false]);
    assert_eq!(one.handle_created(0, 0), Done, "what was pending in the one before does not count");
}

#[test]
fn a_server_that_counts_beyond_all_measure_does_no_harm() {
    let mut initial = initial(Counts::Messages);
    assert_eq!(initial.handle_created(1, 0), Wait);
    assert_eq!(receive(&mut initial, &[("a", u64::MAX), ("b", u64::MAX)]), [false, false]);
    assert_eq!(initial.handle_idle(), Done);
}

#[test]
fn nothing_is_done_before_the_leader_has_told() {
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_created(1, 0), Wait);
    assert_eq!(initial.handle_message(b"a", 9, 0), Wait);
    assert_eq!(initial.handle_leader(9), Done);
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_created(0, 0), Wait);
    initial.handle_unanswered();
    assert_eq!(initial.handle_idle(), Ask, "the first question was lost");
    assert_eq!(initial.handle_leader(0), Done);
}

#[test]
fn a_replica_that_lags_behind_is_waited_for() {
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_leader(100), Wait);
    // it knows of two keys, and of nothing after revision 50
    assert_eq!(initial.handle_created(2, 0), Wait);
    assert_eq!(initial.handle_message(b"a", 10, 1), Wait);
    assert_eq!(initial.handle_message(b"b", 50, 0), Ask);
    assert_eq!(initial.handle_leader(100), Wait, "it is still there");
    assert_eq!(initial.handle_idle(), Ask);
    assert!(initial.is_behind());
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_message(b"c", 99, 7), Wait);
    assert!(!initial.is_behind());
    // what was pending when the leader's revision came is waited for as well
    assert_eq!(initial.handle_message(b"d", 100, 1), Wait);
    assert_eq!(initial.handle_message(b"a", 101, 0), Done);
}

#[test]
fn an_empty_replica_is_not_an_empty_bucket() {
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_leader(3), Wait);
    assert_eq!(initial.handle_created(0, 0), Ask);
    assert_eq!(initial.handle_leader(3), Wait);
    assert_eq!(initial.handle_message(b"a", 3, 0), Done);
}

#[test]
fn a_revision_that_was_purged_meanwhile_is_not_waited_for() {
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_created(1, 0), Wait);
    assert_eq!(initial.handle_message(b"a", 50, 0), Ask);
    assert_eq!(initial.handle_leader(50), Done, "100 is gone");
    // as well if everything is gone
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_created(0, 0), Ask);
    assert_eq!(initial.handle_leader(0), Done);
    // and if an older one is the last, that has not come either
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_created(0, 0), Ask);
    assert_eq!(initial.handle_leader(60), Wait);
    assert_eq!(initial.handle_message(b"a", 60, 0), Done);
}

#[test]
fn a_revision_that_was_superseded_meanwhile_is_not_waited_for() {
    let mut initial = Initial::new(Counts::Keys, hashes());
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_created(1, 0), Wait);
    assert_eq!(initial.handle_message(b"a", 103, 0), Done);
}

#[test]
fn a_fence_that_the_consumer_did_not_count_is_not_written_again_while_it_may_come() {
    // the consumer was made before the fence was stored, and its answer came after the fence's
    let mut initial = Initial::new(Counts::Keys, hashes());
    initial.set_up_to_fence();
    assert_eq!(initial.handle_leader(3), Wait);
    assert_eq!(initial.handle_created(2, 0), Wait);
    assert_eq!(receive(&mut initial, &[("a", 1), ("b", 0)]), [false, false]);
    assert_eq!(initial.handle_message(b"fence", 3, 0), Done);

    // it was purged meanwhile
    let mut initial = Initial::new(Counts::Keys, hashes());
    initial.set_up_to_fence();
    assert_eq!(initial.handle_leader(3), Wait);
    assert_eq!(initial.handle_created(0, 0), Wait);
    assert_eq!(initial.handle_idle(), Ask);
}

#[test]
fn the_leader_is_asked_once_for_every_time_that_the_consumer_is_idle() {
    let mut initial = Initial::new(Counts::Messages, hashes());
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_created(0, 0), Ask);
    for revision in 1..50 {
        assert_eq!(initial.handle_message(b"a", revision, 0), Wait);
    }
    assert_eq!(initial.handle_idle(), Ask);
    assert_eq!(initial.handle_leader(100), Wait);
    assert_eq!(initial.handle_idle(), Ask);
    assert_eq!(initial.handle_created(0, 0), Ask, "another consumer, which may know more");
}

#[test]
fn rounds_over_what_a_replica_knows_do_not_count() {
    let mut initial = Initial::new(Counts::Messages, hashes());
    assert_eq!(initial.handle_leader(1000), Wait);
    assert_eq!(initial.handle_created(1, 0), Wait);
    // more rounds than there are, all of them before the leader's revision
    assert_eq!(initial.handle_message(b"a", 1, 1), Ask);
    for revision in 2..1000 {
        assert_eq!(initial.handle_message(b"a", revision, 1), Wait, "{revision}");
    }
    // the first of them that counts, with one message to come
    assert_eq!(initial.handle_message(b"a", 1000, 1), Wait);
    assert_eq!(initial.handle_message(b"a", 1001, 0), Done);
}
