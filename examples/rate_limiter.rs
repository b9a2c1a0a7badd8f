//! A rate limiter that many share: a bucket of tokens in one key, taken out by compare and set, so that no
//! two workers get the same one.
//!
//! `cargo run --example rate_limiter` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::kv::{Config, Entry, Error, KeyValue};
use evnats::{Client, EventLoop};
use std::time::{Duration, SystemTime};

/// So many requests may come at once …
const CAPACITY: u32 = 5;
/// … and another one after each of these.
const EVERY: Duration = Duration::from_secs(1);
const KEY: &str = "client.42";

/// What has become of the requests, and who has made them.
struct App {
    passed: u32,
    refused: u32,
    workers: [Client<App>; 2],
}

type Kv = KeyValue<App>;

/// What is in the key: how many tokens there were, and when that was so.
#[derive(Clone, Copy)]
struct Tokens {
    count: u32,
    /// In milliseconds since 1970. The clocks of the workers should agree about as well as the limit is to
    /// be kept.
    at: u64,
}

impl Tokens {
    fn full(now: u64) -> Self {
        Self { count: CAPACITY, at: now }
    }

    fn read(entry: &Entry) -> Option<Self> {
        let text = entry.text();
        let (count, at) = text.split_once(' ')?;
        Some(Self { count: count.parse().ok()?, at: at.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{} {}", self.count, self.at)
    }

    /// Adds what has come since.
    fn refilled(self, now: u64) -> Self {
        let every = EVERY.as_millis() as u64;
        let new = now.saturating_sub(self.at) / every;
        let count = u64::from(self.count) + new;
        match count >= u64::from(CAPACITY) {
            true => Self::full(now),
            false => Self { count: count as u32, at: self.at + new * every },
        }
    }

    /// Takes one out. `None`: there is none.
    fn taken(self) -> Option<Self> {
        Some(Self { count: self.count.checked_sub(1)?, ..self })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    // two workers, who know nothing of each other
    let workers = [event_loop.connect(&*url)?, event_loop.connect(&*url)?];
    let [one, two] = [0, 1].map(|n: usize| workers[n].jetstream().key_value("example_limits"));
    // tokens that nobody asks for are forgotten: a new key is a full one
    let config = Config::new().ttl(Duration::from_secs(60));
    one.create_bucket(config, move |_, one, created| {
        created?;
        for _ in 0..6 {
            ask(one);
            ask(&two);
        }
        Ok::<_, evnats::Error>(())
    });
    event_loop.run(&mut App { passed: 0, refused: 0, workers })?;
    Ok(())
}

/// Asks for one request, and counts the answer.
fn ask(kv: &Kv) {
    acquire(kv, |app, kv, may_pass| {
        match may_pass? {
            true => app.passed += 1,
            false => app.refused += 1,
        }
        if app.passed + app.refused == 12 {
            let App { passed, refused, .. } = app;
            println!("12 requests of two workers: {passed} may pass, {refused} are refused");
            kv.set_timer(EVERY, |_, kv| ask_once_more(kv));
        }
        Ok(())
    });
}

/// A token has come since.
fn ask_once_more(kv: &Kv) {
    acquire(kv, |app, kv, may_pass| {
        println!("a token later, {}", if may_pass? { "one may pass" } else { "none may pass" });
        kv.delete_bucket(|_, _, deleted| deleted.map_err(evnats::Error::from));
        app.workers.iter().for_each(|nats| nats.drain());
        Ok(())
    });
}

/// Takes a token out, and calls back with whether there was one.
fn acquire(
    kv: &Kv,
    then: impl FnOnce(&mut App, &Kv, Result<bool, Error>) -> evnats::Result + 'static,
) {
    kv.get(KEY, move |app, kv, found| {
        let now = now();
        let (tokens, revision) = match found {
            // what cannot be read is as good as new
            Ok(Some(entry)) => (Tokens::read(&entry), Some(entry.revision())),
            Ok(None) => (None, None),
            Err(error) => return then(app, kv, Err(error)),
        };
        let tokens = tokens.unwrap_or(Tokens::full(now)).refilled(now);
        let Some(left) = tokens.taken() else { return then(app, kv, Ok(false)) };
        let on_written = move |app: &mut App, kv: &Kv, written: Result<u64, Error>| {
            match written {
                Ok(_) => then(app, kv, Ok(true)),
                // another worker was faster: what is left may be less
                Err(error) if error.is_conflict() => {
                    acquire(kv, then);
                    Ok(())
                }
                Err(error) => then(app, kv, Err(error)),
            }
        };
        match revision {
            Some(revision) => kv.update(KEY, left.text(), revision, on_written),
            None => kv.create(KEY, left.text(), on_written),
        }
        Ok(())
    });
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
