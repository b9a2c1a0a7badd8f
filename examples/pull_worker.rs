//! A worker: it consumes orders and answers each of them. What it can do it acknowledges, what cannot be
//! done it terminates with a reason, and what may be done later it hands back with a delay.
//!
//! It ends when all orders are settled, or earlier in order on SIGINT (Ctrl-C) and SIGTERM: what has come
//! and was not worked on is handed back, and every order is accounted for. `cargo run --example
//! pull_worker` starts a server of its own; with `NATS_URL` it uses that one. With `--terminate` it sends
//! the signal to itself after the twentieth order.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    unix::main()
}

#[cfg(not(unix))]
fn main() {
    println!("this example is about Unix signals, too");
}

#[cfg(unix)]
mod unix {
    use evnats::jetstream::{
        ConsumeEnd, ConsumeOptions, Consumer, ConsumerConfig, Consumption, Delivery, StreamConfig,
        WindowOptions,
    };
    use evnats::{EventLoop, Result};
    use mio::Interest;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::{pipe, raise};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    const STREAM: &str = "EXAMPLE_PULL";
    const ORDERS: u64 = 50;
    const OPENING: Duration = Duration::from_millis(300);

    /// What became of the orders.
    #[derive(Default)]
    struct Shop {
        packed: u64,
        refused: u64,
        put_off: u64,
        terminates: bool,
    }

    pub(crate) fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
        // yours: let url = "nats://127.0.0.1:4222";
        let (url, _server) = evnats_harness::url_or_server()?;
        let event_loop = EventLoop::new()?;
        let js = event_loop.connect(url)?.jetstream();
        let config = StreamConfig::new(STREAM).subjects(["example.pull.*"]);
        js.create_stream(&config, |_: &mut Shop, js, created| {
            created?;
            let window = js.publish_window(WindowOptions::new());
            for number in 1..=ORDERS {
                let cups = if number == 7 { "a dragon".into() } else { number.to_string() };
                window.enqueue("example.pull.cups", cups)?;
            }
            // more than is asked for at once, which the worker learns
            let config = ConsumerConfig::new("packer").durable_name("packer").max_batch(20);
            js.stream(STREAM).create_consumer(&config, |_, _, packer| work(&packer?));
            Ok(())
        });
        let terminates = std::env::args().any(|argument| argument == "--terminate");
        let mut shop = Shop { terminates, ..Shop::default() };
        event_loop.run(&mut shop)?;
        Ok(())
    }

    fn work(packer: &Consumer<Shop>) -> Result {
        let orders = packer.consume(ConsumeOptions::new(), pack);
        orders.on_event(|_, _, event| println!("{event}"));
        // the source that waits for signals must not hold the loop
        packer.client().on_close(|_, client, _| client.handle().stop());
        let packer = packer.clone();
        orders.on_end(move |shop, _, end| match end {
            ConsumeEnd::Failed(error) => Err(error.into()),
            _ => account(shop, &packer),
        });
        stop_on_signals(orders)
    }

    /// Works on one order. Whatever comes of it, the order is answered.
    fn pack(shop: &mut Shop, orders: &Consumption<Shop>, order: &Delivery<'_, Shop>) -> Result {
        let is_first_try = order.info()?.delivered == 1;
        match order.text().parse::<u64>() {
            // not as long as the shop is closed for large orders
            Ok(cups) if cups % 10 == 0 && is_first_try => {
                order.nak_after(OPENING)?;
                shop.put_off += 1;
            }
            Ok(_) => {
                order.ack()?;
                shop.packed += 1;
            }
            // this will not get any better
            Err(_) => {
                order.terminate_with("not a number of cups")?;
                shop.refused += 1;
            }
        }
        let settled = shop.packed + shop.refused;
        if settled == ORDERS {
            orders.stop();
        }
        if settled == 20 && shop.terminates {
            shop.terminates = false;
            raise(SIGTERM)?;
        }
        Ok(())
    }

    /// A signal handler may do next to nothing, so it writes to a pipe, and the pipe is a source of the
    /// loop.
    fn stop_on_signals(orders: Consumption<Shop>) -> Result {
        let (wakes, woken) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, wakes.try_clone()?)?;
        }
        woken.set_nonblocking(true)?;
        let woken = mio::net::UnixStream::from_std(woken);
        orders.client().handle().add_source(woken, Interest::READABLE, move |_, signals, _| {
            println!("stopping");
            signals.remove();
            orders.stop();
        })?;
        Ok(())
    }

    /// Compares what was done with what the server has left, which reads the answers in its own time.
    fn account(_: &mut Shop, packer: &Consumer<Shop>) -> Result {
        packer.info(|shop: &mut Shop, packer, info| {
            let info = info?;
            let left = info.num_pending + info.num_ack_pending;
            if shop.packed + shop.refused + left > ORDERS {
                packer.set_timer(Duration::from_millis(20), account);
                return Ok(());
            }
            println!("{} put off for a while", shop.put_off);
            println!(
                "{ORDERS} orders: {} packed, {} refused, {left} left",
                shop.packed, shop.refused
            );
            let js = packer.stream().jetstream();
            js.delete_stream(STREAM, |_, js, deleted| {
                js.client().close();
                deleted.map_err(evnats::Error::from)
            });
            Ok(())
        });
        Ok(())
    }
}
