//! A lock that two workers share: one dies while it holds it, and the other one takes over. The fencing
//! token keeps what the dead one has left behind from doing harm.
//!
//! `cargo run --example distributed_lock` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::kv::{Config, KeyValue, LockOptions};
use evnats::{Client, EventLoop};
use std::time::Duration;

/// Whoever is not heard of for so long has lost the lock.
const TTL: Duration = Duration::from_secs(2);

/// What the lock protects: it refuses whoever has a lower token than it has seen.
#[derive(Default)]
struct Stock {
    books: u32,
    newest_token: u64,
}

impl Stock {
    fn write(&mut self, token: u64, books: u32) -> bool {
        let is_accepted = token >= self.newest_token;
        if is_accepted {
            *self = Self { books, newest_token: token };
        }
        is_accepted
    }
}

struct App {
    stock: Stock,
    /// The token of the worker that dies.
    left_behind: Option<u64>,
    workers: [Client<App>; 2],
}

type Kv = KeyValue<App>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    // two workers, who know nothing of each other
    let workers = [event_loop.connect(&*url)?, event_loop.connect(&*url)?];
    let [one, two] = [0, 1].map(|n: usize| workers[n].jetstream().key_value("example_locks"));
    // with per_key_ttl (server 2.11), the lock would also expire when nobody is looking
    one.create_bucket(Config::new(), move |_, one, created| {
        created?;
        work_and_die(one, two);
        Ok::<_, evnats::Error>(())
    });
    event_loop.run(&mut App { stock: Stock::default(), left_behind: None, workers })?;
    Ok(())
}

fn work_and_die(one: &Kv, two: Kv) {
    let options = LockOptions::new().owner("worker 1").ttl(TTL);
    one.lock("stock", options, move |app, lock, acquired| {
        let token = acquired?;
        println!("worker 1 has the lock, and writes 10 books");
        app.stock.write(token, 10);
        app.left_behind = Some(token);
        take_over(&two);
        // the lock is not released: that is what dying is like
        println!("worker 1 has died with the lock");
        lock.bucket().client().close();
        Ok::<_, evnats::Error>(())
    });
}

fn take_over(two: &Kv) {
    let options = LockOptions::new().owner("worker 2").ttl(TTL);
    two.lock("stock", options, |app, lock, acquired| {
        let token = acquired?;
        println!("worker 2 has the lock, and writes 12 books");
        lock.on_lost(|_, _, lost| eprintln!("worker 2 has to stop: {lost}"));
        app.stock.write(token, 12);
        // a write of the first worker that was on its way all the time
        let late = app.left_behind.is_some_and(|token| app.stock.write(token, 11));
        assert!(!late, "its token is old");
        println!("what worker 1 has left to write is refused: {} books", app.stock.books);
        lock.release(|app, lock, released| {
            released?;
            lock.bucket().delete_bucket(|_, _, deleted| deleted.map_err(evnats::Error::from));
            app.workers[1].drain();
            Ok(())
        });
        Ok::<_, evnats::Error>(())
    });
}
