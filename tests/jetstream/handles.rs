//! Handles of streams and consumers: they do what the flat calls do, and know what was told last.

use super::{Js, code, level, with_stream};
use crate::support::{Log, run, unique};
use evnats::jetstream::{
    Consumer, ConsumerConfig, Error, ErrorCode, Listed, MessageQuery, MessagesQuery, PurgeOptions,
    ReadFrom, Stream, StreamConfig, StreamDetails,
};
use std::time::{Duration, SystemTime};

/// Creates a stream by its handle, and goes on with that.
pub(crate) fn with_handle(go_on: impl FnOnce(&mut Log, &Stream<Log>) + 'static) -> Log {
    with_stream(|log, js, name| go_on(log, &js.stream(name)))
}

/// Deletes the stream, and closes the client.
pub(crate) fn end(stream: &Stream<Log>) {
    stream.delete(|_, stream, deleted| {
        deleted.expect("deleted");
        stream.client().close();
    });
}

#[test]
fn a_handle_may_exist_before_its_stream_and_does_what_the_flat_calls_do() {
    let _: Log = run(|nats| {
        let orders = nats.jetstream().stream(&unique("ORDERS"));
        let config = StreamConfig::default().subjects([format!("{}.>", orders.name())]);
        orders.info(move |_, orders, info| {
            assert!(info.expect_err("nobody has made it").is_not_found());
            make_and_change(orders, &config);
        });
    });
}

fn make_and_change(orders: &Stream<Log>, config: &StreamConfig) {
    let wanted = config.clone();
    orders.create(config, move |_, orders, created| {
        let config = wanted;
        assert_eq!(created?.config.name, orders.name());
        orders.create_or_update(&config.description("d"), |_, orders, updated| {
            let config = updated?.config;
            assert_eq!(config.description.as_deref(), Some("d"));
            orders.update(&config.max_msgs(7), |_, orders, updated| {
                assert_eq!(updated?.config.max_msgs, Some(7));
                orders.seal(|_, orders, sealed| {
                    assert!(sealed?.config.sealed);
                    end(orders);
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
        Ok(())
    });
}

#[test]
fn a_handle_reads_and_removes_messages() {
    with_handle(|_, stream| {
        let subject = format!("{}.a", stream.name());
        stream.jetstream().publish(&subject, "1", |_, _, stored| assert!(stored.is_ok()));
        let stream = stream.clone();
        stream.jetstream().clone().publish(&subject, "2", move |_, _, stored| {
            stored?;
            let first = MessageQuery::Sequence(1);
            stream.stored_message(first, ReadFrom::Leader, |_, stream, found| {
                assert_eq!(found?.payload(), b"1");
                stream.purge(&PurgeOptions::new().keep(1), |_, stream, purged| {
                    assert_eq!(purged?, 1);
                    let details = StreamDetails::new().subjects_filter(">");
                    stream.info_with(&details, |_, stream, info| {
                        let info = info?;
                        assert_eq!(info.state.subjects.len(), 1);
                        let cached = stream.cached_info().expect("what was just told");
                        assert_eq!(cached.state.first_sequence, 2);
                        assert!(cached.state.subjects.is_empty(), "details are not kept");
                        end(stream);
                        Ok(())
                    });
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn what_was_told_last_is_known_to_every_clone_and_to_no_other_handle() {
    with_handle(|_, stream| {
        let (twin, stranger) = (stream.clone(), stream.jetstream().stream(stream.name()));
        assert!(stream.cached_info().is_none(), "nothing was asked by this handle");
        stream.info(move |_, stream, info| {
            assert_eq!(twin.cached_info().as_deref(), Some(&info?));
            assert!(stranger.cached_info().is_none());
            stream.delete(move |_, stream, deleted| {
                deleted?;
                assert!(twin.cached_info().is_none(), "it is gone");
                stream.client().close();
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn a_handle_takes_no_configuration_of_another_name() {
    with_handle(|_, stream| {
        let is_refused =
            |error: Error| assert!(matches!(error, Error::InvalidName { .. }), "{error}");
        let other = StreamConfig::new("OTHER");
        stream.create(&other, move |_, _, made| is_refused(made.expect_err("another name")));
        stream.update(&other, move |_, _, made| is_refused(made.expect_err("another name")));
        let worker = stream.consumer("worker");
        worker.update(&ConsumerConfig::new("other"), move |_, worker, made| {
            is_refused(made.expect_err("another name"));
            end(worker.stream());
        });
    });
}

#[test]
fn a_name_that_cannot_be_one_is_an_error_of_the_call() {
    let log: Log = run(|nats| {
        let stream = nats.jetstream().stream("a b");
        let note = |log: &mut Log, error: Error| log.push(error.to_string());
        stream.info(move |log, _, info| note(log, info.expect_err("a space")));
        stream.consumer("worker").info(move |log, _, info| note(log, info.expect_err("a space")));
        let dotted = nats.jetstream().stream("S").consumer("a.b");
        dotted.delete(move |log, consumer, deleted| {
            note(log, deleted.expect_err("a dot"));
            consumer.client().close();
        });
    });
    let reason = "it has a space, a dot, a wildcard or a slash";
    let of = |name: &str| format!("invalid name {name:?}: {reason}");
    assert_eq!(log, [of("a b"), of("a b"), of("a.b")]);
}

#[test]
fn consumers_are_made_by_their_stream_and_managed_by_their_handle() {
    with_handle(|_, stream| {
        let config = ConsumerConfig::default().durable_name("worker");
        stream.create_consumer(&config, |_, stream, worker| {
            let worker = worker?;
            assert_eq!((worker.name(), worker.stream().name()), ("worker", stream.name()));
            let info = worker.cached_info().expect("what the creation told");
            let config = info.config.clone().expect("its configuration");
            worker.update(&config.description("changed"), |_, worker, updated| {
                let config = updated?.config.expect("its configuration");
                assert_eq!(config.description.as_deref(), Some("changed"));
                worker.info(|_, worker, info| {
                    assert_eq!(worker.cached_info().as_deref(), Some(&info?));
                    worker.delete(|_, worker, deleted| {
                        deleted?;
                        assert!(worker.cached_info().is_none());
                        worker.info(|_, worker, info| {
                            assert_eq!(code(info), ErrorCode::CONSUMER_NOT_FOUND);
                            end(worker.stream());
                        });
                        Ok(())
                    });
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn a_consumer_without_a_name_gets_one_that_nobody_else_has() {
    with_handle(|_, stream| {
        let config = ConsumerConfig::default().inactive_threshold(Duration::from_secs(60));
        stream.create_consumer(&config.clone(), move |_, stream, one| {
            let one = one?;
            stream.create_or_update_consumer(&config, move |_, stream, other| {
                let other = other?;
                assert!(!one.name().is_empty() && one.name() != other.name());
                one.info(|_, one, info| {
                    assert_eq!(info?.name, one.name());
                    // one that is to be changed has to be named
                    one.stream().update_consumer(&ConsumerConfig::default(), |_, stream, made| {
                        let error = made.expect_err("no name");
                        assert!(matches!(error, Error::InvalidName { .. }), "{error}");
                        end(stream);
                    });
                    Ok(())
                });
                let _ = stream;
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn a_consumers_handle_pauses_resets_and_unpins_it_or_says_what_the_server_lacks() {
    with_handle(|_, stream| {
        let until = SystemTime::now() + Duration::from_secs(600);
        let check = |needs: u32, feature: &'static str, error: Option<Error>| {
            let unsupported = Error::Unsupported { feature, needs, has: level() };
            assert_eq!(error, (level() < needs).then_some(unsupported));
        };
        stream.create_consumer(&ConsumerConfig::new("worker"), move |_, _, worker| {
            worker?.pause(until, move |_, worker: &Consumer<Log>, paused| {
                check(1, "pause_consumer", paused.err());
                worker.resume(move |_, worker, resumed| {
                    check(1, "pause_consumer", resumed.err());
                    worker.reset(None, move |_, worker, reset| {
                        check(4, "reset_consumer", reset.err());
                        worker.unpin("none", |_, worker, unpinned| {
                            assert!(unpinned.is_err(), "it has no groups");
                            end(worker.stream());
                        });
                    });
                });
            });
            Ok(())
        });
    });
}

#[test]
fn handles_have_timers_and_show_their_names() {
    let log: Log = run(|nats| {
        let js: Js = nats.jetstream();
        let worker = js.stream("S").consumer("worker");
        worker.stream().set_timer(Duration::ZERO, |log: &mut Log, stream| {
            log.push(format!("{stream:?}"));
        });
        worker.set_timer(Duration::ZERO, |log: &mut Log, worker| {
            log.push(format!("{worker:?}"));
            worker.client().close();
        });
    });
    let stream = "Stream { name: \"S\", .. }";
    assert_eq!(
        log,
        [stream.to_owned(), format!("Consumer {{ name: \"worker\", stream: {stream}, .. }}")]
    );
}

/// Every call calls back once, and never before it returns, also if nothing can be sent any more.
#[test]
fn every_call_of_a_client_that_is_over_is_answered_once() {
    const CALLS: usize = 36;
    let log: Log = run(|nats| {
        nats.on_close(|_, nats, _| {
            let stream = nats.jetstream().stream("S");
            call_everything(&stream, &stream.consumer("C"));
        });
        nats.close();
    });
    assert_eq!(log.len(), CALLS, "{log:?}");
    let is_closed = |line: &String| line.contains("closed") || line.contains("draining");
    assert!(log.iter().all(is_closed), "{log:?}");
}

/// Notes the error of a call.
fn fail<H, T: std::fmt::Debug>(log: &mut Log, _: &H, outcome: Result<T, Error>) {
    log.push(outcome.expect_err("it is over").to_string());
}

fn fail_listed<H, T, E: std::fmt::Debug>(log: &mut Log, _: &H, listed: Listed<T, E>) {
    let Listed::Ended(end) = listed else { panic!("an item of nothing") };
    log.push(end.expect_err("it is over").to_string());
}

fn call_everything(stream: &Stream<Log>, consumer: &Consumer<Log>) {
    let js = stream.jetstream();
    let (config, named) = (StreamConfig::default(), ConsumerConfig::new("C"));
    let (query, many) = (MessageQuery::Sequence(1), MessagesQuery::subject(">"));
    js.account_info(fail);
    js.stream_names(None, fail);
    js.stream_by_subject("a", fail);
    js.list_streams(None, fail_listed);
    js.list_stream_names(None, fail_listed);
    stream.create(&config, fail);
    stream.update(&config, fail);
    stream.create_or_update(&config, fail);
    stream.info(fail);
    stream.info_with(&StreamDetails::new(), fail);
    stream.seal(fail);
    stream.promote_mirror(&[], fail);
    stream.delete(fail);
    stream.purge(&PurgeOptions::new(), fail);
    stream.stored_message(query, ReadFrom::Leader, fail);
    stream.stored_message(query, ReadFrom::Direct, fail);
    stream.stored_message_without_headers(query, fail);
    stream.stored_messages(&many, fail_listed);
    stream.delete_message(1, fail);
    stream.secure_delete_message(1, fail);
    stream.list_consumers(fail_listed);
    stream.list_consumer_names(fail_listed);
    stream.consumer_names(fail);
    stream.create_consumer(&named, fail);
    stream.update_consumer(&named, fail);
    stream.create_or_update_consumer(&named, fail);
    stream.step_down(None, fail);
    stream.remove_peer("n", fail);
    consumer.info(fail);
    consumer.update(&named, fail);
    consumer.delete(fail);
    consumer.pause(SystemTime::now(), fail);
    consumer.resume(fail);
    consumer.unpin("g", fail);
    consumer.reset(None, fail);
    consumer.step_down(None, fail);
}
