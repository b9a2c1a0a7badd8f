//! The replica set that `MONGODB_URI` names: its members, as far as the small client here can talk to
//! them.

use super::{MongoError, primary};

/// The environment variable.
const VARIABLE: &str = "MONGODB_URI";

/// The port of a member that is named without one.
const DEFAULT_PORT: u16 = 27017;

/// What the environment holds; `None` if the variable is not set, or empty.
pub(super) fn from_env() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|uri| !uri.is_empty())
}

/// The addresses of all members: those that the first one named that answers knows, and the named ones
/// if it is to be the only one.
pub(super) fn members(uri: &str) -> Result<Vec<String>, MongoError> {
    let named = addresses(uri)?;
    if option(uri, "directConnection") == Some("true") {
        return Ok(named);
    }
    let mut failure = MongoError::Uri { reason: "it names no server" };
    for address in &named {
        match primary::hello(address) {
            Ok(hello) if hello.get_str("setName").is_err() => {
                failure = MongoError::Uri { reason: "its server is of no replica set" };
            }
            Ok(hello) => {
                let hosts = hello.get_array("hosts").into_iter().flatten();
                return Ok(hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect());
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The addresses in a connection string.
fn addresses(uri: &str) -> Result<Vec<String>, MongoError> {
    let refused = |reason| Err(MongoError::Uri { reason });
    let Some(rest) = uri.strip_prefix("mongodb://") else {
        return refused("it does not begin with mongodb://");
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let hosts = &rest[..end];
    if hosts.contains('@') {
        return refused("it has credentials");
    }
    if ["tls", "ssl"].iter().any(|name| option(uri, name) == Some("true")) {
        return refused("it asks for TLS");
    }
    let hosts = hosts.split(',').filter(|host| !host.is_empty());
    Ok(hosts.map(with_port).collect())
}

fn with_port(host: &str) -> String {
    // a colon within brackets is one of an IPv6 address
    let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    if has_port { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") }
}

fn option<'a>(uri: &'a str, name: &str) -> Option<&'a str> {
    let (_, options) = uri.split_once('?')?;
    let mut pairs = options.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_a_connection_string() {
        let table = [
            ("mongodb://a:1,b/?replicaSet=x", vec!["a:1", "b:27017"]),
            ("mongodb://[::1]:1,[::2]/db", vec!["[::1]:1", "[::2]:27017"]),
            ("mongodb://a?tls=false", vec!["a:27017"]),
        ];
        for (uri, expected) in table {
            assert_eq!(addresses(uri).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn what_the_small_client_cannot_do_is_refused() {
        let table = [
            ("mongodb+srv://a/", "begin with"),
            ("mongodb://user:secret@a/", "credentials"),
            ("mongodb://a/?w=1&TLS=true", "TLS"),
            ("mongodb://a/?ssl=true", "TLS"),
        ];
        for (uri, reason) in table {
            let text = addresses(uri).unwrap_err().to_string();
            assert!(text.contains(reason) && !text.contains("secret"), "{uri}: {text}");
        }
    }
}
