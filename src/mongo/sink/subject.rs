//! Names of databases and collections as tokens of a subject.

use std::fmt::Write;

/// What stands for a name that an event does not have.
const NONE: &str = "_";

/// The subject `<prefix>.<database>.<collection>.<operation>`.
pub(super) fn subject(
    prefix: &str,
    database: Option<&str>,
    collection: Option<&str>,
    operation: &str,
) -> String {
    let token = |name: Option<&str>| name.map_or_else(|| NONE.to_owned(), escape);
    format!("{prefix}.{}.{}.{}", token(database), token(collection), escape(operation))
}

/// The name with everything escaped that a token cannot have: `%` and two hexadecimal digits for each byte.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'.' | b'*' | b'>' | b'%' => push_escape(&mut escaped, byte),
            b'!'..=b'~' => escaped.push(char::from(byte)),
            _ => push_escape(&mut escaped, byte),
        }
    }
    escaped
}

fn push_escape(escaped: &mut String, byte: u8) {
    // a String takes everything
    let _ = write!(escaped, "%{byte:02X}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_four_tokens_whatever_the_names_are() {
        let table = [
            (Some("shop"), Some("orders"), "insert", "changes.shop.orders.insert"),
            (
                Some("shop"),
                Some("orders.old *>"),
                "update",
                "changes.shop.orders%2Eold%20%2A%3E.update",
            ),
            (Some("50%"), Some("ä\n"), "delete", "changes.50%25.%C3%A4%0A.delete"),
            (Some("shop"), None, "dropDatabase", "changes.shop._.dropDatabase"),
            (None, None, "invalidate", "changes._._.invalidate"),
        ];
        for (database, collection, operation, expected) in table {
            assert_eq!(subject("changes", database, collection, operation), expected);
        }
    }
}
