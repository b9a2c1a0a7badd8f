//! Streams that are filled with numbers, and consumers of them.

use super::{Log, with_stream};
use evnats::jetstream::{Consumer, ConsumerConfig, JetStream};
use std::time::Duration;

/// Fills a stream with so many messages, `0`, `1`, and so on, and goes on with a consumer of it.
pub fn fill(
    js: &JetStream<Log>,
    name: &str,
    messages: usize,
    config: ConsumerConfig,
    go_on: impl FnOnce(&mut Log, Consumer<Log>) + 'static,
) {
    for number in 0..messages {
        js.client().publish(&format!("{name}.n"), number.to_string()).expect("room");
    }
    let stream = js.stream(name);
    js.client().flush(move |_, _, flushed| {
        flushed.expect("a flush");
        stream.create_consumer(&config, |log: &mut Log, _, made| {
            go_on(log, made.expect("a consumer"));
        });
    });
}

/// As [`fill`], with a stream of its own.
pub fn with_filled(
    messages: usize,
    config: ConsumerConfig,
    go_on: impl FnOnce(&mut Log, Consumer<Log>) + 'static,
) -> Log {
    with_stream(|config| config, move |_, js, name| fill(js, name, messages, config, go_on))
}

/// What such a stream has in it.
pub fn numbers(range: std::ops::Range<usize>) -> Log {
    range.map(|number| number.to_string()).collect()
}

/// Writes down what waits for an answer, when the server has read those that were given, and what has
/// not been delivered, and closes.
pub fn note_state(consumer: &Consumer<Log>) {
    note_state_within(consumer, 50);
}

fn note_state_within(consumer: &Consumer<Log>, attempts: u32) {
    consumer.info(move |log: &mut Log, consumer, info| {
        let info = info.expect("the consumer");
        if info.num_ack_pending > 0 && attempts > 0 {
            consumer.set_timer(Duration::from_millis(20), move |_, consumer| {
                note_state_within(consumer, attempts - 1);
            });
            return;
        }
        log.push(format!("{} unanswered, {} pending", info.num_ack_pending, info.num_pending));
        consumer.client().close();
    });
}
