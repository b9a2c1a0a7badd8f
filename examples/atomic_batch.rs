//! An atomic batch: money moves from one account to another in two messages, which the stream stores
//! together or not at all.
//!
//! Two transfers begin with the same balances. The second one is refused as a whole, because the first
//! one has changed them, and begins again. `cargo run --example atomic_batch` starts a server of its
//! own; with `NATS_URL` it uses that one, which has to be 2.12 or later.

use evnats::EventLoop;
use evnats::jetstream::{
    Error, JetStream, MessageQuery, PublishOptions, ReadFrom, StoredMessage, StreamConfig,
};

const STREAM: &str = "EXAMPLE_BANK";
const ALICE: &str = "example.bank.alice";
const BOB: &str = "example.bank.bob";

#[derive(Default)]
struct App {
    moved: usize,
    refused: usize,
}

type Bank = JetStream<App>;

/// What an account holds, and the message that says so.
struct Account {
    balance: i64,
    sequence: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let bank = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new(STREAM).subjects(["example.bank.*"]).allow_atomic(true);
    bank.create_stream(&config, |_, bank, created| {
        created?;
        open_accounts(bank)
    });
    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("moved {}, refused {}", app.moved, app.refused);
    Ok(())
}

/// Both accounts are new, or neither of them is opened.
fn open_accounts(bank: &Bank) -> evnats::Result {
    let is_new = PublishOptions::new().expect_last_subject_sequence(0);
    let batch = bank.atomic_batch();
    batch.add(ALICE, "100", &is_new)?;
    batch.commit(BOB, "0", &is_new, |_, bank, stored| {
        let stored = stored?;
        println!("opened {:?} accounts", stored.batch_size);
        // two transfers at once, neither of which knows of the other
        read_accounts(bank, |bank, alice, bob| {
            move_money(bank, 30, &alice, &bob)?;
            move_money(bank, 50, &alice, &bob)
        });
        Ok(())
    });
    Ok(())
}

fn move_money(bank: &Bank, amount: i64, alice: &Account, bob: &Account) -> evnats::Result {
    let unchanged =
        |account: &Account| PublishOptions::new().expect_last_subject_sequence(account.sequence);
    let batch = bank.atomic_batch();
    batch.add(ALICE, (alice.balance - amount).to_string(), &unchanged(alice))?;
    let balance = (bob.balance + amount).to_string();
    batch.commit(BOB, balance, &unchanged(bob), move |app: &mut App, bank, stored| {
        match stored {
            Ok(_) => app.moved += 1,
            // nothing of it is stored, so it can begin again
            Err(error) if error.is_wrong_last_sequence() => {
                println!("{amount}: {error}");
                app.refused += 1;
                read_accounts(bank, move |bank, alice, bob| move_money(bank, amount, &alice, &bob));
            }
            Err(error) => return Err(error.into()),
        }
        if app.moved == 2 {
            read_accounts(bank, close);
        }
        Ok(())
    });
    Ok(())
}

fn read_accounts(
    bank: &Bank,
    go_on: impl FnOnce(&Bank, Account, Account) -> evnats::Result + 'static,
) {
    let query = MessageQuery::LastBySubject;
    bank.stored_message(STREAM, query(ALICE), ReadFrom::Leader, move |_, bank, alice| {
        let alice = account(alice)?;
        bank.stored_message(STREAM, query(BOB), ReadFrom::Leader, move |_, bank, bob| {
            go_on(bank, alice, account(bob)?)
        });
        Ok(())
    });
}

fn account(message: Result<StoredMessage, Error>) -> evnats::Result<Account> {
    let message = message?;
    let balance = std::str::from_utf8(message.payload())?.parse()?;
    Ok(Account { balance, sequence: message.sequence() })
}

fn close(bank: &Bank, alice: Account, bob: Account) -> evnats::Result {
    println!("alice has {}, bob has {}", alice.balance, bob.balance);
    bank.delete_stream(STREAM, |_, bank, deleted| {
        deleted?;
        bank.client().drain();
        Ok(())
    });
    Ok(())
}
