//! What others wrote, in the texts of logs and errors: it must not forge lines of a log, nor give
//! orders to a terminal.

use std::fmt::{self, Display, Write};

/// A text of somebody else's for a log or an error: what would break a line, steer a terminal or
/// turn the direction of the writing is escaped, everything else is as it was.
///
/// ```
/// use evnats_protocol::printable;
/// assert_eq!(printable("größer").to_string(), "größer");
/// assert_eq!(printable("down\n[INFO] fine").to_string(), "down\\n[INFO] fine");
/// ```
#[must_use]
pub fn printable(text: &str) -> impl Display + '_ {
    Printable(text)
}

struct Printable<'a>(&'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match is_printable(character) {
                true => f.write_char(character)?,
                false => Display::fmt(&character.escape_default(), f)?,
            }
        }
        Ok(())
    }
}

fn is_printable(character: char) -> bool {
    let is_directed = matches!(character, '\u{200e}' | '\u{200f}' | '\u{61c}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_line_end = matches!(character, '\u{2028}' | '\u{2029}');
    !(character.is_control() || is_directed || is_line_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_line_or_steers_a_terminal_is_escaped() {
        for (text, shown) in [
            ("plain \"text\" \\ ü 漢", "plain \"text\" \\ ü 漢"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{1b}[2J\u{7f}\u{9b}1m", "\\u{1b}[2J\\u{7f}\\u{9b}1m"),
            ("a\u{2028}b\u{85}c", "a\\u{2028}b\\u{85}c"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(printable(text).to_string(), shown);
        }
    }
}
