//! The main job: a chain of Key-Value operations, by callback, on the loop.
//!
//! `cargo run --example quickstart` starts a server of its own; with `NATS_URL` it uses that one. A
//! step that fails ends the program with its error: `?` in a callback leaves `run`.

use evnats::{EventLoop, kv};

#[derive(Default)]
struct App {
    updates: usize,
}

type Config = kv::KeyValue<App>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    let nats = event_loop.connect(url)?;

    let config = nats.jetstream().key_value("config");
    config.create_bucket(kv::Config::new().history(5), |_, config, created| {
        println!("bucket {:?} is ready", created?.bucket());
        config.watch(">", kv::WatchOptions::new(), |app, _, update| match update {
            kv::Update::Entry(entry) => {
                app.updates += 1;
                println!("  watch: {} {} = {:?}", entry.operation(), entry.key(), entry.text());
            }
            kv::Update::Initialized => println!("  watch: that is all there was"),
            update => println!("  watch: {update:?}"),
        });
        config.put("app.setting", "on", stored);
        Ok(())
    });

    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("the watch saw {} changes", app.updates);
    Ok(())
}

fn stored(_: &mut App, config: &Config, revision: Result<u64, kv::Error>) -> evnats::Result {
    println!("put: revision {}", revision?);
    config.get("app.setting", |_, config, entry| {
        println!("get: {:?}", entry?);
        config.create("app.setting", "again", |_, config, created| {
            println!("create: {}", created.expect_err("the key exists"));
            config.delete("app.setting", deleted);
        });
        Ok(())
    });
    Ok(())
}

fn deleted(_: &mut App, config: &Config, revision: Result<u64, kv::Error>) -> evnats::Result {
    println!("delete: revision {}", revision?);
    config.get("app.setting", |_, config, entry| {
        println!("get: {:?}", entry?);
        config.create("app.setting", "once more", |_, config, created| {
            println!("create after delete: revision {}", created?);
            config.put("app.name", "demo", |_, config, _| {
                config.purge("app.setting", purged);
            });
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

fn purged(_: &mut App, config: &Config, revision: Result<u64, kv::Error>) -> evnats::Result {
    println!("purge: revision {}", revision?);
    config.keys(|_, config, keys| {
        println!("keys: {:?}", keys?);
        config.status(|_, config, status| {
            let status = status?;
            println!("status: {} values, {} bytes", status.values(), status.bytes());
            config.delete_bucket(|_, config, deleted| {
                deleted?;
                println!("bucket deleted");
                config.client().drain();
                Ok(())
            });
            Ok(())
        });
        Ok(())
    });
    Ok(())
}
