//! The fault proxy between two plain sockets, where every byte can be seen, and once in front of a
//! real server.

#[path = "support/waiting.rs"]
mod waiting;

use evnats_harness::{Direction, Fault, FaultProxy, Server};
use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    time::{Duration, Instant},
};
use waiting::{PATIENCE, wait_for};

/// How long a test waits for something that must not happen.
const SILENCE: Duration = Duration::from_millis(100);

const BOTH: [Direction; 2] = [Direction::ToClient, Direction::ToServer];

/// A proxied connection: the sockets at its ends.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    fn open(proxy: &FaultProxy, listener: &TcpListener) -> Ends {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        Ends { client, server }
    }

    /// The sending and the receiving end of a direction.
    fn of(&mut self, direction: Direction) -> (&mut TcpStream, &mut TcpStream) {
        match direction {
            Direction::ToClient => (&mut self.server, &mut self.client),
            Direction::ToServer => (&mut self.client, &mut self.server),
        }
    }
}

/// A proxy with the same faults for every connection, one connection, and the port it leads to.
fn proxied(faults: Vec<Fault>) -> (FaultProxy, Ends, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = FaultProxy::start(port, move |_| faults.clone());
    let ends = Ends::open(&proxy, &listener);
    (proxy, ends, listener)
}

/// Bytes of which no two neighbourhoods look alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 + index / 251) as u8).collect()
}

/// Reads up to the end of the stream, or the error.
fn read_all(from: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut received = Vec::new();
    let error = from.read_to_end(&mut received).err().map(|error| error.kind());
    (received, error)
}

fn read(from: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut received = vec![0; count];
    from.read_exact(&mut received).unwrap();
    received
}

#[track_caller]
fn assert_silent(end: &mut TcpStream) {
    end.set_read_timeout(Some(SILENCE)).unwrap();
    let kind = end.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
    end.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// Whether a message gets through.
#[track_caller]
fn assert_forwards(ends: &mut Ends, direction: Direction) {
    let (from, to) = ends.of(direction);
    from.write_all(b"hello").unwrap();
    assert_eq!(read(to, 5), b"hello");
}

#[test]
fn without_faults_everything_gets_through_both_ways_at_once() {
    let (proxy, ends, _listener) = proxied(vec![]);
    let sent = bytes(3 << 20);
    std::thread::scope(|scope| {
        for end in [&ends.client, &ends.server] {
            let (mut reader, mut writer) = (end, end);
            let sent = &sent;
            scope.spawn(move || {
                writer.write_all(sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut received = Vec::new();
                reader.read_to_end(&mut received).unwrap();
                assert!(received == *sent);
            });
        }
    });
    wait_for("the connection's end", || proxy.active() == 0);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_cut_comes_after_exactly_so_many_bytes() {
    for direction in BOTH {
        for at in [0, 1, 1000, 150_000] {
            let (proxy, mut ends, _listener) = proxied(vec![Fault::Cut { direction, at }]);
            let sent = bytes(at as usize + 100);
            let (from, to) = ends.of(direction);
            let received = std::thread::scope(|scope| {
                let reader = scope.spawn(|| read_all(to));
                let _ = from.write_all(&sent); // may see the end
                reader.join().unwrap()
            });
            assert_eq!(received.1, None, "{direction:?} {at}");
            assert!(received.0 == sent[..at as usize], "{direction:?} {at}");
            assert_eq!(read_all(from).0, b"");
            wait_for("the connection's end", || proxy.active() == 0);
        }
    }
}

#[test]
fn a_reset_comes_after_exactly_so_many_bytes() {
    for direction in BOTH {
        for at in [1, 1000] {
            let (proxy, mut ends, _listener) = proxied(vec![Fault::Reset { direction, at }]);
            let sent = bytes(at as usize + 10);
            let (from, to) = ends.of(direction);
            from.write_all(&sent).unwrap();
            let expected = (sent[..at as usize].to_vec(), Some(ErrorKind::ConnectionReset));
            assert_eq!(read_all(to), expected, "{direction:?}");
            assert_eq!(read_all(from), (vec![], Some(ErrorKind::ConnectionReset)), "{direction:?}");
            wait_for("the connection's end", || proxy.active() == 0);
        }
    }
}

#[test]
fn after_a_half_close_the_other_direction_goes_on() {
    for (direction, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let (proxy, mut ends, _listener) = proxied(vec![Fault::HalfClose { direction, at: 10 }]);
        let (from, to) = ends.of(direction);
        from.write_all(&bytes(30)).unwrap();
        assert_eq!(read_all(to), (bytes(10), None));
        // far more than the buffers in between: it is discarded
        from.write_all(&vec![0; 16 << 20]).unwrap();
        assert_forwards(&mut ends, other);
        assert_eq!(proxy.active(), 1);
        drop(ends);
        wait_for("the connection's end", || proxy.active() == 0);
    }
}

#[test]
fn after_a_stall_nothing_comes_and_the_other_direction_goes_on() {
    for (direction, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let (proxy, mut ends, _listener) = proxied(vec![Fault::Stall { direction, at: 10 }]);
        let (from, to) = ends.of(direction);
        from.write_all(&bytes(30)).unwrap();
        assert_eq!(read(to, 10), bytes(10));
        assert_silent(to);
        assert_forwards(&mut ends, other);
        // the sender comes to feel it
        let (from, _) = ends.of(direction);
        from.set_write_timeout(Some(SILENCE)).unwrap();
        from.write_all(&vec![0; 64 << 20]).unwrap_err();
        proxy.resume_all();
        let (_, to) = ends.of(direction);
        assert_silent(to);
        assert_eq!(proxy.active(), 1);
    }
}

#[test]
fn a_delay_holds_back_what_comes_after() {
    for direction in BOTH {
        let hold = Duration::from_millis(200);
        let (_proxy, mut ends, _listener) = proxied(vec![Fault::Delay { direction, at: 10, hold }]);
        let (from, to) = ends.of(direction);
        from.write_all(&bytes(10)).unwrap();
        assert_eq!(read(to, 10), bytes(10));
        let sent = Instant::now();
        from.write_all(b"late").unwrap();
        assert_eq!(read(to, 4), b"late");
        assert!(sent.elapsed() >= hold);
        // once only
        from.write_all(b"soon").unwrap();
        assert_eq!(read(to, 4), b"soon");
    }
}

#[test]
fn a_trickle_comes_byte_by_byte() {
    const COUNT: usize = 2000;
    for direction in BOTH {
        let trickle = Fault::Trickle { direction, from: 5, until: 5 + COUNT as u64 };
        // that the reader is quick enough to see single bytes is up to the system, but not that it
        // never is.
        wait_for("single bytes", || {
            let (_proxy, mut ends, _listener) = proxied(vec![trickle.clone()]);
            let sent = bytes(COUNT + 50);
            let (from, to) = ends.of(direction);
            let (received, single) = std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let (mut received, mut single) = (Vec::new(), 0);
                    let mut buffer = [0; 4096];
                    while received.len() < COUNT + 50 {
                        let count = to.read(&mut buffer).unwrap();
                        assert_ne!(count, 0);
                        received.extend_from_slice(&buffer[..count]);
                        single += usize::from(count == 1);
                    }
                    (received, single)
                });
                from.write_all(&sent).unwrap();
                reader.join().unwrap()
            });
            assert!(received == sent);
            single >= 10
        });
    }
}

#[test]
fn one_byte_is_corrupted() {
    for direction in BOTH {
        let (_proxy, mut ends, _listener) = proxied(vec![
            Fault::Corrupt { direction, at: 0, xor: 0xff },
            Fault::Corrupt { direction, at: 70_000, xor: 1 },
        ]);
        let (from, to) = ends.of(direction);
        let mut expected = bytes(100_000);
        from.write_all(&expected).unwrap();
        expected[0] ^= 0xff;
        expected[70_000] ^= 1;
        assert!(read(to, expected.len()) == expected);
    }
}

#[test]
fn lines_are_dropped_and_do_not_count() {
    for direction in BOTH {
        let (_proxy, mut ends, _listener) = proxied(vec![
            Fault::DropLine { direction, prefix: b"PONG".to_vec(), count: 2 },
            Fault::Cut { direction, at: 26 },
        ]);
        let (from, to) = ends.of(direction);
        from.write_all(b"PONG\r\nPUB a 6\r\nPONG\r\n\r\nPONG\r\nPING\r\nPONG\r\n+OK\r\n").unwrap();
        let (received, error) = read_all(to);
        assert_eq!(String::from_utf8(received).unwrap(), "PUB a 6\r\nPONG\r\n\r\nPING\r\nPON");
        assert_eq!(error, None);
    }
}

#[test]
fn the_plan_is_asked_for_each_connection_and_can_be_replaced() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let cut = |at| vec![Fault::Cut { direction: Direction::ToServer, at }];
    let proxy =
        FaultProxy::start(listener.local_addr().unwrap().port(), move |index| cut(index as u64));
    let received = |proxy: &FaultProxy| {
        let mut ends = Ends::open(proxy, &listener);
        let _ = ends.client.write_all(&bytes(20));
        read_all(&mut ends.server).0.len()
    };
    assert_eq!([received(&proxy), received(&proxy), received(&proxy)], [0, 1, 2]);
    proxy.set_plan(move |index| cut(10 + index as u64));
    assert_eq!(received(&proxy), 13);
    assert_eq!(proxy.connections(), 4);
}

#[test]
fn all_connections_are_closed_or_reset_at_once() {
    for reset in [false, true] {
        let (proxy, first, listener) = proxied(vec![]);
        let second = Ends::open(&proxy, &listener);
        // one of them is held up in every way
        proxy.set_plan(|_| vec![Fault::Stall { direction: Direction::ToClient, at: 0 }]);
        let third = Ends::open(&proxy, &listener);
        proxy.stall_all();
        wait_for("three connections", || proxy.active() == 3);
        if reset {
            proxy.reset_all()
        } else {
            proxy.cut_all()
        }
        assert_eq!(proxy.active(), 0);
        let expected = reset.then_some(ErrorKind::ConnectionReset);
        for mut end in
            [first, second, third].into_iter().flat_map(|ends| [ends.client, ends.server])
        {
            assert_eq!(read_all(&mut end), (vec![], expected));
        }
    }
}

#[test]
fn what_is_stalled_goes_on_when_resumed() {
    let (proxy, mut ends, listener) = proxied(vec![]);
    for direction in BOTH {
        assert_forwards(&mut ends, direction);
    }
    proxy.stall_all();
    for direction in BOTH {
        let (from, to) = ends.of(direction);
        from.write_all(b"held back").unwrap();
        assert_silent(to);
    }
    ends.client.shutdown(Shutdown::Write).unwrap();
    // a later connection is not concerned
    assert_forwards(&mut Ends::open(&proxy, &listener), Direction::ToServer);
    proxy.resume_all();
    assert_eq!(read(&mut ends.client, 9), b"held back");
    assert_eq!(read_all(&mut ends.server), (b"held back".to_vec(), None));
}

#[test]
fn a_refused_connection_is_closed_and_the_target_can_move() {
    let (proxy, _ends, listener) = proxied(vec![]);
    let connect = || {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    };
    proxy.refuse(true);
    assert_eq!(read_all(&mut connect()), (vec![], None));
    assert_eq!((proxy.connections(), proxy.active()), (2, 1));
    proxy.refuse(false);

    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    proxy.set_target(other.local_addr().unwrap().port());
    assert_forwards(&mut Ends::open(&proxy, &other), Direction::ToClient);
    drop(other);
    assert_eq!(read_all(&mut connect()), (vec![], None));
    proxy.set_target(listener.local_addr().unwrap().port());
    assert_forwards(&mut Ends::open(&proxy, &listener), Direction::ToClient);
}

#[test]
fn a_reset_by_one_end_reaches_the_other() {
    for direction in BOTH {
        let (_proxy, mut ends, _listener) = proxied(vec![]);
        assert_forwards(&mut ends, direction);
        let Ends { client, server } = ends;
        let (from, mut to) = match direction {
            Direction::ToClient => (server, client),
            Direction::ToServer => (client, server),
        };
        rustix::net::sockopt::set_socket_linger(&from, Some(Duration::ZERO)).unwrap();
        drop(from);
        assert_eq!(read_all(&mut to), (vec![], Some(ErrorKind::ConnectionReset)), "{direction:?}");
    }
}

#[test]
fn dropping_closes_what_is_stuck() {
    let stuck = [
        Fault::Stall { direction: Direction::ToServer, at: 0 },
        Fault::Delay { direction: Direction::ToClient, at: 0, hold: Duration::from_secs(3600) },
    ];
    let (proxy, mut ends, _listener) = proxied(stuck.to_vec());
    ends.server.write_all(b"late").unwrap();
    let (full, full_ends, _full_listener) = proxied(vec![]);
    full_ends.client.set_write_timeout(Some(SILENCE)).unwrap();
    // nobody reads: the proxy's writes block
    (&full_ends.client).write_all(&vec![0; 64 << 20]).unwrap_err();
    full.stall_all();
    for proxy in [proxy, full] {
        let before = Instant::now();
        drop(proxy);
        assert!(before.elapsed() < PATIENCE);
    }
    assert_eq!(read_all(&mut ends.client).0, b"");
}

#[test]
fn a_panic_of_the_plan_fails_the_test() {
    let result = std::thread::spawn(|| {
        let proxy = FaultProxy::start(1, |_| panic!("as an assertion does"));
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        assert_eq!(read_all(&mut client).0, b"");
    });
    assert!(result.join().is_err());
}

#[test]
fn a_server_answers_through_the_proxy_but_for_one_pong() {
    let server = Server::builder().jetstream(false).start().unwrap();
    let proxy = FaultProxy::start(server.port(), |_| {
        vec![Fault::DropLine { direction: Direction::ToClient, prefix: b"PONG".to_vec(), count: 1 }]
    });
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = BufReader::new(client);
    client
        .get_mut()
        .write_all(b"CONNECT {\"verbose\":true}\r\nPING\r\nSUB a 1\r\nPING\r\n")
        .unwrap();
    let lines = client.lines().map(Result::unwrap).filter(|line| !line.starts_with("INFO "));
    assert_eq!(lines.take(3).collect::<Vec<_>>(), ["+OK", "+OK", "PONG"]);
}
