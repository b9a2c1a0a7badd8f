//! A call has its result or a typed error, in time, and exactly once.

use super::{TIMEOUT, World, endless, impatient, note, outcome, together};
use crate::support::Log;
use evnats::EventLoop;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{Error, Mongo, Options, mongodb};
use evnats_harness::{MongoStandIn, Reply, ReservedPort, mongo_database};
use std::time::{Duration, Instant};

/// Runs a call to its end, and returns the result.
fn call<T: Send + 'static, F>(
    options: impl Into<Options>,
    operation: impl FnOnce(mongodb::Client) -> F + Send + 'static,
) -> Result<T, Error>
where
    F: Future<Output = mongodb::error::Result<T>> + Send + 'static,
{
    let event_loop = EventLoop::<Vec<Result<T, Error>>>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(options).expect("MongoDB");
    mongo.call(operation, |results, _, result| results.push(result));
    let mut results = crate::support::finish(&event_loop);
    assert_eq!(results.len(), 1);
    results.remove(0)
}

#[test]
fn a_call_has_its_result_and_callbacks_call_again() {
    let _company = together();
    let database = mongo_database!();
    let mut world = World::new(database.uri());
    let name = database.name().to_owned();
    let rows = move |client: mongodb::Client| client.database(&name).collection::<Document>("rows");
    let insert = {
        let rows = rows.clone();
        async move |client| rows(client).insert_one(doc! { "_id": 1, "text": "hello" }).await
    };
    world.mongo.call(insert, move |_, mongo, inserted| {
        assert_eq!(inserted?.inserted_id.as_i32(), Some(1));
        let find = async move |client| rows(client).find_one(doc! { "_id": 1 }).await;
        mongo.call(find, |_, mongo, found| {
            assert_eq!(found?.expect("a row").get_str("text").unwrap(), "hello");
            mongo.ping(note("ping"));
            mongo.close(|log, _, ()| log.push("closed".into()));
            Ok(())
        });
        Ok(())
    });
    world.finish();
    assert_eq!(world.log, ["ping: ok", "closed"]);
}

#[test]
fn a_connection_string_that_cannot_be_used_is_refused_without_a_word_of_the_password() {
    let _company = together();
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    for uri in [
        "",
        "mongodb://",
        "nats://127.0.0.1",
        "mongodb://a:hunter2@h:1:2/?x",
        "mongodb://h/?w=hunter2&q",
    ] {
        let error = event_loop.connect_mongo(uri).expect_err(uri);
        let Some(Error::InvalidUri { .. }) = error.downcast_ref() else {
            panic!("{uri}: {error:?}")
        };
        let shows = format!("{error} {error:?}").contains("hunter2");
        assert!(!(uri.contains('@') && shows), "{uri}: {error}");
    }
    assert!(event_loop.is_empty());
}

#[test]
fn no_server_is_an_error_that_may_pass() {
    let _company = together();
    let port = ReservedPort::any().unwrap();
    let options = Options::new(format!("mongodb://127.0.0.1:{}/", port.port()))
        .server_selection_timeout(Duration::from_millis(200));
    let started = Instant::now();
    let error = call(options, async |client| client.list_database_names().await).unwrap_err();
    assert!(matches!(error, Error::Driver { is_network: true, .. }), "{error:?}");
    assert!(error.is_temporary() && started.elapsed() < Duration::from_secs(5), "{error}");
}

#[test]
fn a_wrong_password_is_an_error_that_does_not_pass() {
    let _company = together();
    let database = mongo_database!();
    let uri = database.uri().replace("://", "://nobody:hunter2@");
    let error = call(&uri, async |client| client.list_database_names().await).unwrap_err();
    assert!(!error.is_temporary(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
}

#[test]
fn an_error_of_the_server_has_its_code_and_labels() {
    let _company = together();
    let stand_in = MongoStandIn::start(|request| match request.command() {
        "ping" => Reply::error_with_labels(286, "ChangeStreamHistoryLost", &["B", "A"]),
        _ => Reply::Usual,
    });
    let ping = async |client: mongodb::Client| {
        client.database("admin").run_command(doc! { "ping": 1 }).await
    };
    let Err(Error::Server(error)) = call(stand_in.uri(), ping) else { panic!("no error") };
    assert_eq!((error.code, error.code_name.as_str()), (286, "ChangeStreamHistoryLost"));
    assert_eq!(error.labels, ["A", "B"]);
    assert!(!error.is_temporary());
}

#[test]
fn a_unique_index_that_is_violated_is_an_error_of_the_server() {
    let _company = together();
    let database = mongo_database!();
    let collection =
        |client: mongodb::Client, name: &str| client.database(name).collection::<Document>("rows");
    let name = database.name().to_owned();
    let twice = async move |client| {
        let rows = collection(client, &name);
        rows.insert_one(doc! { "_id": 1 }).await?;
        rows.insert_one(doc! { "_id": 1 }).await
    };
    let name = database.name().to_owned();
    let many = async move |client| {
        collection(client, &name).insert_many([doc! { "_id": 2 }, doc! { "_id": 1 }]).await
    };
    let one = call(database.uri(), twice).map(drop);
    let many = call(database.uri(), many).map(drop);
    for result in [one, many] {
        let Err(Error::Server(error)) = result else {
            panic!("no error of the server: {result:?}")
        };
        assert_eq!(error.code, 11000, "{error}");
        assert!(error.message.contains("E11000") && !error.is_temporary(), "{error}");
    }
}

#[test]
fn a_call_without_an_outcome_ends_in_time() {
    let _company = together();
    let stand_in = MongoStandIn::start(|_| Reply::Usual);
    let mut world = World::new(impatient(&stand_in));
    let started = Instant::now();
    world.mongo.call(endless, note("long"));
    world.mongo.call_within(Duration::from_millis(50), endless, |log: &mut Log, _, result| {
        let Err(Error::Timeout { within }) = result else { panic!("no timeout") };
        log.push(format!("short: {within:?}"));
    });
    world.mongo.ping(note("ping"));
    world.finish();
    world.log.sort();
    assert_eq!(world.log, ["long: timeout", "ping: ok", "short: 50ms"]);
    let took = started.elapsed();
    assert!(took >= TIMEOUT && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(world.ping(), "ping: ok");
}

#[test]
fn more_calls_than_there_may_be_are_busy() {
    let _company = together();
    let stand_in = MongoStandIn::start(|_| Reply::Usual);
    let mut world = World::new(impatient(&stand_in).max_calls(2));
    for name in ["a", "b", "c", "d"] {
        world.mongo.call(endless, note(name));
        assert!(world.log.is_empty(), "no callback runs within a command");
    }
    world.until_told(2);
    assert_eq!(world.log, ["c: busy", "d: busy"]);
    world.until_told(4);
    assert_eq!(world.log[2..], ["a: timeout", "b: timeout"]);
    assert_eq!(world.ping(), "ping: ok");
}

#[test]
fn a_thousand_calls_have_a_thousand_outcomes() {
    let _company = together();
    let database = mongo_database!();
    let mut world = World::new(database.uri());
    fn again(mongo: &Mongo<Log>, left: usize) {
        mongo.ping(move |log: &mut Log, mongo, result| {
            log.push(outcome(result));
            if left > 0 {
                again(mongo, left - 1);
            }
        });
    }
    // a hundred at once, each of which goes on ten times
    (0..100).for_each(|_| again(&world.mongo, 9));
    world.finish();
    assert_eq!(world.log, vec!["ok"; 1000]);
}
