use super::*;

fn reason(url: &str) -> &'static str {
    ServerUrl::parse_list(url).expect_err(url).reason
}

fn url(url: &str) -> ServerUrl {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[test]
fn forms_of_urls() {
    let table = [
        ("nats://demo:4223", "nats://demo:4223"),
        ("nats://demo", "nats://demo:4222"),
        ("demo", "nats://demo:4222"),
        ("127.0.0.1:1/", "nats://127.0.0.1:1"),
        ("nats://[::1]:4223", "nats://[::1]:4223"),
        ("[::1]", "nats://[::1]:4222"),
        ("[fe80::1%eth0]:1", "nats://[fe80::1%eth0]:1"),
        ("tls://demo", "tls://demo:4222"),
        ("ws://demo", "ws://demo:80"),
        ("wss://demo/nats", "wss://demo:443/nats"),
        ("nats://joe:s3cret@demo", "nats://demo:4222"),
        ("unix:/run/nats.sock", "unix:/run/nats.sock"),
        ("unix:///run/nats.sock", "unix:/run/nats.sock"),
        // schemes know no case, and hosts may be called as they are
        ("NATS://demo", "nats://demo:4222"),
        ("Wss://Demo", "wss://Demo:443"),
        ("UNIX:/run/nats.sock", "unix:/run/nats.sock"),
        ("nats", "nats://nats:4222"),
        ("nats:4223", "nats://nats:4223"),
        ("joe:pw@nats:4223", "nats://nats:4223"),
    ];
    for (given, shown) in table {
        assert_eq!(url(given).to_string(), shown, "{given}");
    }
}

#[test]
fn a_list_may_have_commas_too_many_and_has_to_name_a_server() {
    for list in ["a, nats://b:1,[::1]", "a,b,c,", ",a,,b, ,c"] {
        assert_eq!(ServerUrl::parse_list(list).expect(list).len(), 3, "{list}");
    }
    for list in ["", " ", ",", " , "] {
        assert_eq!(reason(list), "no server is named");
    }
    let error = ServerUrl::parse_list("a,b:x,c").unwrap_err();
    assert_eq!(error.place, 2);
    assert!(error.to_string().contains("number 2"), "{error}");
}

#[test]
fn user_information_is_percent_decoded() {
    let user_info = |text: &str| url(text).user_info;
    let user = |user: &str, password: &str| {
        Some(UserInfo::User { user: user.into(), password: password.into() })
    };
    assert_eq!(user_info("nats://joe:s3cret@a"), user("joe", "s3cret"));
    assert_eq!(user_info("nats://j%40e:p%3aw%2F%2C@a"), user("j@e", "p:w/,"));
    assert_eq!(user_info("nats://joe:p@ss@a"), user("joe", "p@ss"));
    assert_eq!(user_info("nats://joe:@a"), user("joe", ""));
    assert_eq!(user_info("nats://t0ken@a"), Some(UserInfo::Token("t0ken".into())));
    assert_eq!(user_info("nats://a"), None);
}

#[test]
fn user_information_ends_before_the_first_slash_question_mark_or_hash() {
    for (given, host, path) in [
        ("ws://h/p?who=a@x", "h", "/p?who=a@x"),
        ("ws://h?who=a@x", "h", "/?who=a@x"),
        ("ws://h:81/p?q#a@x", "h", "/p?q"),
        ("wss://joe:pw@h/p?q=/@", "h", "/p?q=/@"),
    ] {
        let url = url(given);
        assert_eq!((url.host(), url.path()), (host, path), "{given}");
    }
    // what is more likely a password than a path
    for given in ["ws://joe:80/x@h", "nats://joe:80/x@h", "nats://joe:80?x@h", "nats://h#@x"] {
        assert_eq!(reason(given), ENCODE, "{given}");
    }
}

#[test]
fn a_comma_that_may_be_a_part_of_a_password_is_no_separator() {
    for list in ["nats://joe:1,pw@h", "joe:pw@x,y@h", "a,t0ken@h", "nats://a:1,joe:pw@h"] {
        assert_eq!(reason(list), AMBIGUOUS, "{list}");
    }
    let list = ServerUrl::parse_list("joe:pw@a,b,nats://t0ken@c").unwrap();
    assert_eq!(list.iter().map(ServerUrl::host).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(list[2].user_info().is_some());
}

#[test]
fn malformed_urls_and_what_is_said_of_them() {
    for (given, expected) in [
        ("nats://", "host is missing"),
        (":4222", "host is missing"),
        ("joe:pw@", "host is missing"),
        ("http://a", "unknown scheme"),
        ("a:b", "not a number"),
        ("a:", "not a number"),
        ("a:+1", "not a number"),
        ("a:99999", "between 1 and 65535"),
        ("a:0", "between 1 and 65535"),
        ("nats:joe:pw@h", "two slashes"),
        ("nats:/h", "two slashes"),
        ("tls:h", "two slashes"),
        ("nats://::1:4222", "brackets"),
        ("::1", "brackets"),
        ("joe:pw@fe80::1", "brackets"),
        ("[::1", "']' is missing"),
        ("[demo]", "malformed"),
        ("a b", "malformed"),
        ("joe%40h", "malformed"),
        ("joe:pw%40h", "not a number"),
        ("a\nb", "malformed"),
        ("[::1]x", "only a port"),
        ("nats://a/b", "only a port"),
        ("nats://a?b", "only a port"),
        ("ws://a/b c", "percent-encoded"),
        ("ws://a/b\r\nX: y", "percent-encoded"),
        ("ws://a?ü", "percent-encoded"),
        ("unix:", "path is missing"),
        ("nats://@a", "information is empty"),
        ("nats://%ff@a", "not UTF-8"),
    ] {
        assert!(reason(given).contains(expected), "{given}: {}", reason(given));
    }
}

#[test]
fn nothing_that_is_shown_is_secret() {
    for given in ["nats://joe:s3cret@a", "s3cret@a", "ws://a/p?jwt=s3cret", "ws://a#s3cret"] {
        let url = url(given);
        let shown = format!("{url} {url:?} {url:#?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert!(url("ws://a/p?jwt=s3cret").path().contains("s3cret"), "it is sent");
}

#[test]
fn an_announced_server_has_to_be_a_host_and_a_port() {
    let own = url("tls://joe:pw@a:1");
    for (authority, shown) in [
        ("10.0.0.1:4223", Some("tls://10.0.0.1:4223")),
        ("[::1]:4223", Some("tls://[::1]:4223")),
        ("b", Some("tls://b:4222")),
        ("", None),
        ("b:x", None),
        ("b/c:1", None),
        ("joe@b:1", None),
        ("b\nINFO forged:1", None),
        ("b\u{1b}[2J:1", None),
    ] {
        let announced = own.announced(authority).map(|url| url.to_string());
        assert_eq!(announced.as_deref(), shown, "{authority:?}");
    }
}
