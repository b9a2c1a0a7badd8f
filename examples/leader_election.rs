//! Three candidates, of which one leads: the first leader resigns, the second one crashes, and each time
//! another one leads.
//!
//! `cargo run --example leader_election` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::kv::{Config, Election, ElectionEvent, ElectionOptions, KeyValue};
use evnats::{Client, EventLoop};
use std::time::Duration;

/// A leader that is not heard of for so long is replaced.
const TTL: Duration = Duration::from_secs(2);

struct App {
    candidates: Vec<Client<App>>,
    /// The fencing tokens, in the order in which the leaders were elected.
    tokens: Vec<u64>,
}

type Kv = KeyValue<App>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    // three processes, in truth
    let candidates =
        vec![event_loop.connect(&*url)?, event_loop.connect(&*url)?, event_loop.connect(&*url)?];
    let ada = candidates[0].jetstream().key_value("example_election");
    ada.create_bucket(Config::new(), |_, ada, created| {
        created?;
        stand(ada, "ada");
        Ok::<_, evnats::Error>(())
    });
    event_loop.run(&mut App { candidates, tokens: Vec::new() })?;
    Ok(())
}

fn stand(kv: &Kv, name: &'static str) {
    let options = ElectionOptions::new(name).ttl(TTL);
    kv.election("scheduler", options, move |app, election, event| match event {
        ElectionEvent::Elected { revision } => {
            app.tokens.push(revision);
            lead(app, election, name);
        }
        ElectionEvent::Lost(lost) => eprintln!("{name} leads no longer: {lost}"),
        ElectionEvent::Leader(leader) => eprintln!("{name} sees that {leader:?} leads"),
        ElectionEvent::Ended(error) => eprintln!("{name} does not stand any more: {error}"),
        _ => {}
    });
}

/// What a leader does here: not much.
fn lead(app: &mut App, election: &Election<App>, name: &str) {
    match app.tokens.len() {
        1 => {
            println!("{name} leads");
            for (place, other) in [(1, "bob"), (2, "eve")] {
                stand(&app.candidates[place].jetstream().key_value("example_election"), other);
            }
            println!("{name} resigns");
            // and does not stand again, so that it is the others' turn
            election.stop(|_, _, stopped| stopped.map_err(evnats::Error::from));
        }
        2 => {
            println!("a second one leads, and crashes");
            election.bucket().client().close();
        }
        _ => {
            let is_rising = app.tokens.is_sorted_by(|one, next| one < next);
            assert!(is_rising, "{:?}", app.tokens);
            println!("a third one leads; every token was higher than the one before");
            election.stop(|app, election, stopped| {
                stopped?;
                election
                    .bucket()
                    .delete_bucket(|_, _, deleted| deleted.map_err(evnats::Error::from));
                app.candidates.iter().for_each(|candidate| candidate.drain());
                Ok(())
            });
        }
    }
}
