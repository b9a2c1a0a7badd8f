//! What is created on a cluster that has just been started, or on a busy one. In an election nobody
//! answers; and with the last stream of an account, such as the one by which a cluster has proved that it
//! is ready, servers remove the account's directory, also if another stream is about to be stored in it,
//! which is not created then. The next attempt succeeds, also if the one before it has.

use evnats::jetstream::{Error, ErrorCode, JetStream, StreamConfig, StreamInfo};
use evnats::kv::{self, Config, KeyValue};
use std::time::Duration;

/// The pause before another attempt.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether another attempt to create a stream may succeed.
pub fn is_for_the_moment(error: &Error) -> bool {
    let has_lost_directory =
        error.api().is_some_and(|api| api.err_code() == ErrorCode::STREAM_CREATE);
    has_lost_directory || error.is_temporary()
}

/// Creates a stream, and goes on with it.
pub fn create_stream<S: 'static>(
    js: &JetStream<S>,
    config: StreamConfig,
    go_on: impl FnOnce(&mut S, &JetStream<S>, StreamInfo) + 'static,
) {
    let again = config.clone();
    js.create_stream(&config, move |state: &mut S, js, created| match created {
        Err(error) if is_for_the_moment(&error) => {
            js.set_timer(PAUSE, move |_, js| create_stream(js, again, go_on));
        }
        created => go_on(state, js, created.expect("a stream")),
    });
}

/// Creates a bucket, and goes on with it.
pub fn create_bucket<S: 'static>(
    kv: &KeyValue<S>,
    config: Config,
    go_on: impl FnOnce(&mut S, &KeyValue<S>) + 'static,
) {
    let again = config.clone();
    kv.create_bucket(config, move |state: &mut S, kv, created| match created {
        Err(kv::Error::JetStream(error)) if is_for_the_moment(&error) => {
            kv.set_timer(PAUSE, move |_, kv| create_bucket(kv, again, go_on));
        }
        created => {
            created.expect("a bucket");
            go_on(state, kv);
        }
    });
}
