//! The main job: a chain of Key-Value operations, by callback, on the loop.
//!
//! `cargo run --example quickstart` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::{EventLoop, kv};

#[derive(Default)]
struct App {
    updates: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let nats = event_loop.connect(url)?;
    nats.on_close(|_, _, reason| println!("closed: {reason}"));

    let config = nats.jetstream().key_value("config");
    config.create_bucket(kv::Config::new().history(5), |_, config, created| {
        match created {
            Ok(status) => println!("bucket {:?} is ready", status.bucket()),
            Err(error) => return fail(config, error),
        }
        config.watch(">", kv::WatchOptions::new(), |app: &mut App, _, update| match update {
            kv::Update::Entry(entry) => {
                app.updates += 1;
                println!("  watch: {} {} = {:?}", entry.operation(), entry.key(), entry.text());
            }
            kv::Update::Initialized => println!("  watch: that is all there was"),
            update => println!("  watch: {update:?}"),
        });
        config.put("app.setting", "on", stored);
    });

    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("the watch saw {} changes", app.updates);
    Ok(())
}

fn stored(_: &mut App, config: &Config, revision: Result<u64, kv::Error>) {
    println!("put: revision {revision:?}");
    config.get("app.setting", |_, config, entry| {
        println!("get: {entry:?}");
        config.create("app.setting", "again", |_, config, created| {
            println!("create: {}", created.expect_err("the key exists"));
            config.delete("app.setting", |_, config, deleted| {
                println!("delete: revision {deleted:?}");
                config.get("app.setting", |_, config, entry| {
                    println!("get: {entry:?}");
                    config.create("app.setting", "anew", purge_and_list);
                });
            });
        });
    });
}

fn purge_and_list(_: &mut App, config: &Config, created: Result<u64, kv::Error>) {
    println!("create after delete: revision {created:?}");
    config.put("app.name", "demo", |_, config, _| {
        config.purge("app.setting", |_, config, purged| {
            println!("purge: revision {purged:?}");
            config.keys(|_, config, keys| {
                println!("keys: {keys:?}");
                config.status(|_, config, status| {
                    if let Ok(status) = status {
                        println!("status: {} values, {} bytes", status.values(), status.bytes());
                    }
                    config.delete_bucket(|_, config, deleted| {
                        println!("bucket deleted: {deleted:?}");
                        config.client().drain();
                    });
                });
            });
        });
    });
}

fn fail(config: &Config, error: kv::Error) {
    eprintln!("{error}");
    config.client().close();
}

type Config = kv::KeyValue<App>;
