//! Streams that lose the directory they are about to be stored in. With the last stream of an account,
//! such as the one by which a cluster has proved that it is ready, servers remove the account's
//! directory, also if another stream is about to be stored in it. Then that one is not created, and the
//! next attempt succeeds.

use evnats::jetstream::{Error, ErrorCode, JetStream, StreamConfig, StreamInfo};

/// Whether a stream was not created because its directory may have been removed.
pub fn has_lost_directory(error: &Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::STREAM_CREATE)
}

/// Creates a stream, again if it has lost its directory, and goes on with it.
pub fn create_stream<S: 'static>(
    js: &JetStream<S>,
    config: StreamConfig,
    go_on: impl FnOnce(&mut S, &JetStream<S>, StreamInfo) + 'static,
) {
    let again = config.clone();
    js.create_stream(&config, move |state: &mut S, js, created| match created {
        Err(error) if has_lost_directory(&error) => create_stream(js, again, go_on),
        created => go_on(state, js, created.expect("a stream")),
    });
}
