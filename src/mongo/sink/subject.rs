//! Names of databases and collections as tokens of a subject.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What stands for a name that an event does not have.
const NONE: &str = "_";

/// What is special in subjects, and the escape itself. All that is not ASCII is escaped, too.
const NOT_IN_TOKENS: &AsciiSet = &CONTROLS.add(b' ').add(b'.').add(b'*').add(b'>').add(b'%');

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
    utf8_percent_encode(name, NOT_IN_TOKENS).to_string()
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
