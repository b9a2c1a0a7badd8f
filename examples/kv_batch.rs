//! Several keys changed as one: money moves between two accounts, so that nobody ever sees it twice or not
//! at all, and somebody else who is faster is noticed.
//!
//! `cargo run --example kv_batch` starts a server of its own; with `NATS_URL` it uses that one, which has
//! to be 2.12 or later.

use evnats::EventLoop;
use evnats::kv::{Committed, Config, Error, KeyValue, Snapshot};

type Kv = KeyValue<()>;

/// An account as it was read: what is in it, and at which revision.
#[derive(Clone, Copy)]
struct Account {
    amount: i64,
    revision: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<()>::new()?;
    let accounts = event_loop.connect(url)?.jetstream().key_value("example_accounts");
    // a bucket that is there already can be updated to take batches
    let config = Config::new().atomic_batches(true);
    accounts.create_bucket(config, |_, kv, created| {
        created?;
        open(kv);
        Ok(())
    });
    event_loop.run(&mut ())?;
    Ok(())
}

/// Both accounts are opened, or none of them.
fn open(kv: &Kv) {
    kv.batch().create("alice", "100").create("bob", "0").commit(|_, kv, committed| {
        let committed: Committed = committed?;
        let at = |key| committed.revision(key).unwrap_or_default();
        let alice = Account { amount: 100, revision: at("alice") };
        let bob = Account { amount: 0, revision: at("bob") };
        transfer(kv, 30, alice, bob, |kv, moved| {
            let (alice, bob) = moved?;
            println!("alice has {} and bob has {}", alice.amount, bob.amount);
            be_too_late(kv, alice, bob);
            Ok(())
        });
        Ok::<_, evnats::Error>(())
    });
}

/// Moves an amount, if both accounts are still what they were when they were read.
fn transfer(
    kv: &Kv,
    amount: i64,
    from: Account,
    to: Account,
    then: impl FnOnce(&Kv, Result<(Account, Account), Error>) -> evnats::Result + 'static,
) {
    let (from_has, to_has) = (from.amount - amount, to.amount + amount);
    let batch = kv.batch().update("alice", from_has.to_string(), from.revision).update(
        "bob",
        to_has.to_string(),
        to.revision,
    );
    batch.commit(move |_, kv, committed| {
        let moved = committed.map(|committed| {
            let first = committed.first();
            (
                Account { amount: from_has, revision: first },
                Account { amount: to_has, revision: committed.last() },
            )
        });
        then(kv, moved)
    });
}

/// Somebody else writes one of the accounts, and what is known of it is old.
fn be_too_late(kv: &Kv, alice: Account, bob: Account) {
    kv.put("bob", "35", move |_, kv, put| {
        put?;
        transfer(kv, 20, alice, bob, |kv, moved| match moved {
            Err(error) if error.is_conflict() => {
                println!("nothing was moved: {error}");
                read_again(kv);
                Ok(())
            }
            moved => moved.map(drop).map_err(Into::into),
        });
        Ok::<_, evnats::Error>(())
    });
}

fn read_again(kv: &Kv) {
    kv.get_many(["alice", "bob"], |_, kv, accounts| {
        let accounts: Snapshot = accounts?;
        println!("read again, both as of one time");
        let (Some(alice), Some(bob)) = (account(&accounts, "alice"), account(&accounts, "bob"))
        else {
            return Err(evnats::Error::other("an account is gone"));
        };
        transfer(kv, 20, alice, bob, |kv, moved| {
            let (alice, bob) = moved?;
            println!("alice has {} and bob has {}", alice.amount, bob.amount);
            close(kv, alice, bob);
            Ok(())
        });
        Ok(())
    });
}

fn account(accounts: &Snapshot, key: &str) -> Option<Account> {
    let entry = accounts.get(key)?;
    Some(Account { amount: entry.text().parse().ok()?, revision: entry.revision() })
}

/// What is left goes to the other account, with the account itself.
fn close(kv: &Kv, alice: Account, bob: Account) {
    let all = (alice.amount + bob.amount).to_string();
    let batch = kv.batch().delete_at("alice", alice.revision).update("bob", all, bob.revision);
    batch.commit(|_, kv, committed| {
        committed?;
        kv.get("alice", |_, kv, found| {
            let shown = found?.map_or("none".to_owned(), |entry| entry.text().into_owned());
            println!("the account is closed: alice has {shown}");
            kv.delete_bucket(|_, kv, deleted| {
                kv.client().drain();
                deleted.map_err(evnats::Error::from)
            });
            Ok::<_, evnats::Error>(())
        });
        Ok::<_, evnats::Error>(())
    });
}
