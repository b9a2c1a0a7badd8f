//! TLS and credentials in the handshake: nothing is written too early, and nothing to the wrong one.

use crate::support::{Driver, INFO, config, resuming};
use evnats_protocol::{Authentication, ClientOp, Phase, Security, Which};

#[test]
fn an_upgrade_to_tls_comes_before_anything_is_written() {
    for security in [Security::Upgradable, Security::Demanded] {
        let mut driver = Driver::new(resuming());
        driver.session.handle_connecting(driver.now);
        driver.session.leg(Which::Current).handle_connected(security);
        driver.receive("INFO {\"tls_required\":true,\"max_payload\":9}\r\n");
        assert!(driver.events().is_empty());
        assert_eq!(driver.session.phase(), Phase::AwaitingTls);
        assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
        driver.session.leg(Which::Current).handle_secured();
        let ops = driver.written_ops();
        assert!(matches!(&ops[0], ClientOp::Connect(connect) if connect.tls_required));
        assert_eq!(driver.events_after("PONG\r\n"), ["connected"]);
    }
}

#[test]
fn bytes_in_the_clear_do_not_count_as_bytes_through_tls() {
    let info = "INFO {\"tls_required\":true,\"max_payload\":9}\r\n";
    let reason = "not connected: protocol violation by the server: unexpected bytes before TLS \
                  during the handshake";
    let mut driver = Driver::new(resuming());
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Upgradable);
    assert_eq!(driver.events_after(format!("{info}PONG\r\n")), [reason]);

    let mut driver = Driver::new(resuming());
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Upgradable);
    driver.events_after(info);
    driver.receive("PI");
    driver.session.leg(Which::Current).handle_secured();
    assert_eq!(driver.events(), [reason]);
}

#[test]
fn tls_that_is_demanded_and_not_offered_is_an_error() {
    let mut driver = Driver::new(resuming());
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Demanded);
    let expected = "not connected: TLS: the server does not offer it, and it is required here";
    assert_eq!(driver.events_after(INFO), [expected]);
    let mut driver = Driver::new(resuming());
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Demanded);
    driver.events_after(INFO.replace('{', "{\"tls_available\":true,"));
    assert_eq!(driver.session.phase(), Phase::AwaitingTls);
}

#[test]
fn tls_is_not_upgraded_twice() {
    let mut driver = Driver::new(resuming());
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Settled);
    driver.events_after(INFO.replace('{', "{\"tls_required\":true,"));
    assert_eq!(driver.session.phase(), Phase::AwaitingPong);
}

#[test]
fn who_the_client_is_may_be_asked_for_when_the_nonce_is_known() {
    let mut driver = Driver::new(config(|config| config.ask_authentication = true));
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.events_after(INFO.replace('{', "{\"nonce\":\"n0nce\","));
    assert_eq!(driver.session.phase(), Phase::AwaitingAuthentication);
    assert_eq!(driver.session.server_info().unwrap().nonce.as_deref(), Some("n0nce"));
    assert!(driver.written().is_empty());
    let authentication = Authentication::new().user("joe").pass("s3cret");
    driver.session.leg(Which::Current).authenticate(authentication.clone());
    let ops = driver.written_ops();
    let [ClientOp::Connect(connect), ClientOp::Ping] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!(connect.authentication, authentication);
    assert!(!format!("{ops:?}").contains("s3cret"));
}

#[test]
fn a_connect_line_that_servers_do_not_accept_is_its_own_error() {
    let mut driver = Driver::new(config(|config| {
        config.connect.authentication.jwt = Some("j".repeat(4096).into());
    }));
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    let events = driver.events_after(INFO);
    assert!(events[0].contains("max_control_line (4096 bytes); raise it here"), "{events:?}");
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
}

#[test]
fn a_transport_is_read_unless_it_is_not_open_or_waits_for_tls() {
    let mut driver = Driver::new(config(|config| config.ask_authentication = true));
    let wants_read = |driver: &mut Driver| driver.session.leg(Which::Current).wants_read();
    assert!(!wants_read(&mut driver), "there is none");
    driver.session.leg(Which::Current).handle_connected(Security::Upgradable);
    assert!(wants_read(&mut driver));
    driver.events_after(INFO.replace('{', "{\"tls_required\":true,"));
    assert!(!wants_read(&mut driver), "what comes now is for TLS");
    driver.session.leg(Which::Current).handle_secured();
    assert_eq!(driver.session.phase(), Phase::AwaitingAuthentication);
    assert!(wants_read(&mut driver), "the server may close");
    driver.session.leg(Which::Current).authenticate(Authentication::new().user("joe"));
    driver.written();
    assert_eq!(driver.events_after("PONG\r\n"), ["connected"]);
    assert!(wants_read(&mut driver));
    driver.session.close();
    assert!(!wants_read(&mut driver));
}
