//! What a failure of a change stream means for the next attempt. The codes are those of the server's
//! `error_codes.yml`; which of them are resumable is from the driver's specification of change streams.

use crate::mongo::error::{Error, ServerError};

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The same position may work later.
    Passing,
    /// The position is no good any more.
    PositionLost,
    /// Nothing that is done again would help.
    Lasting,
}

/// ChangeStreamFatalError, ChangeStreamHistoryLost, ShardRemovedError, and relatives of older servers.
const POSITION_LOST: [i32; 4] = [280, 286, 464, 40_576];

/// InvalidResumeToken, and a key string that cannot be decoded: only when a stream is opened.
const BAD_TOKEN: [i32; 2] = [260, 50_811];

/// BadValue, FailedToParse, Unauthorized, TypeMismatch, AuthenticationFailed, IllegalOperation,
/// NoMatchingDocument, CommandNotFound, InvalidNamespace, InvalidOptions, CommandNotSupportedOnView, BSONObjectTooLarge,
/// a stage that is not known, not a replica set, a field that is not known.
const LASTING: [i32; 16] =
    [2, 9, 13, 14, 18, 20, 47, 59, 72, 73, 115, 166, 10_334, 40_324, 40_415, 40_573];

/// `was_open`: whether the stream had been opened.
pub(super) fn classify(error: &Error, was_open: bool) -> Class {
    match error {
        Error::Server(error) => classify_code(error, was_open),
        Error::Driver { .. }
        | Error::Timeout { .. }
        | Error::ConnectionsLeft
        | Error::Busy { .. }
        | Error::Panicked => Class::Passing,
        _ => Class::Lasting,
    }
}

fn classify_code(error: &ServerError, was_open: bool) -> Class {
    let code = error.code;
    let is_bad_token = BAD_TOKEN.contains(&code)
        || error.message.contains("KeyString format error")
        || error.message.contains("resume token");
    if POSITION_LOST.contains(&code) || (!was_open && is_bad_token) {
        Class::PositionLost
    } else if LASTING.contains(&code) {
        Class::Lasting
    } else {
        Class::Passing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_passing_lasting_or_of_the_position() {
        let of_server = |code, message: &str| {
            Error::Server(ServerError {
                code,
                code_name: String::new(),
                message: message.to_owned(),
                labels: Vec::new(),
            })
        };
        let table = [
            (of_server(286, ""), true, Class::PositionLost),
            (of_server(280, ""), false, Class::PositionLost),
            (of_server(260, ""), false, Class::PositionLost),
            (of_server(260, ""), true, Class::Passing),
            (of_server(9, "Bad resume token: _data"), false, Class::PositionLost),
            (of_server(9, "unknown operator"), false, Class::Lasting),
            (of_server(40_573, ""), false, Class::Lasting),
            (of_server(13, ""), true, Class::Lasting),
            (of_server(43, ""), true, Class::Passing),
            (of_server(91, ""), true, Class::Passing),
            (Error::Timeout { within: std::time::Duration::ZERO }, true, Class::Passing),
            (Error::ConnectionsLeft, true, Class::Passing),
            (Error::Closed, true, Class::Lasting),
            (Error::Authentication { message: String::new() }, false, Class::Lasting),
        ];
        for (error, was_open, expected) in table {
            assert_eq!(classify(&error, was_open), expected, "{error:?}, open: {was_open}");
        }
    }
}
