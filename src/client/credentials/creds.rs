//! The `.creds` file: which of its lines are the JWT and the seed.
//!
//! It is read as bytes: a file may have been through an editor that has left its marks, or have
//! notes in any encoding around the blocks. A line counts if it stands alone between two lines of
//! dashes, and is told by what it looks like, or else by the label above it. Whether it is right
//! is for others to say.

use super::CredentialsError;
use crate::client::home;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Far more than a server takes.
const MAX_LEN: usize = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jwt,
    Seed,
}

/// A line under a line of dashes.
struct Line<'a> {
    kind: Kind,
    text: &'a str,
    /// A line of dashes follows.
    is_closed: bool,
}

/// The JWT and the seed.
pub(super) fn find(bytes: &[u8]) -> Result<(&str, &str), CredentialsError> {
    let lines = lines(bytes);
    let pick = |kind, what, missing| {
        let of_kind = || lines.iter().filter(|line| line.kind == kind);
        match of_kind().find(|line| line.is_closed) {
            Some(line) => Ok(line.text),
            None if of_kind().next().is_some() => Err(CredentialsError::Truncated(what)),
            None => Err(missing),
        }
    };
    let jwt = pick(Kind::Jwt, "JWT", CredentialsError::MissingJwt)?;
    Ok((jwt, pick(Kind::Seed, "seed", CredentialsError::MissingSeed)?))
}

fn lines(bytes: &[u8]) -> Vec<Line<'_>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let all = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut all = all.filter(|line| !line.is_empty()).peekable();
    let mut lines = Vec::new();
    let mut above: &[u8] = b"";
    while let Some(line) = all.next() {
        let is_closed = all.peek().is_some_and(|next| is_delimiter(next));
        if is_delimiter(above)
            && !is_delimiter(line)
            && let Ok(text) = std::str::from_utf8(line)
            && let Some(kind) = kind(text, above)
        {
            lines.push(Line { kind, text, is_closed });
        }
        above = line;
    }
    lines
}

/// What a line is, by itself or by its label.
fn kind(text: &str, label: &[u8]) -> Option<Kind> {
    let is_labeled = |word: &[u8]| {
        label.windows(word.len()).any(|part| part == word) && !label.windows(3).any(|p| p == b"END")
    };
    if text.split('.').count() == 3 && !text.contains(char::is_whitespace) {
        Some(Kind::Jwt)
    } else if text.starts_with('S') && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Some(Kind::Seed)
    } else if is_labeled(b"JWT") {
        Some(Kind::Jwt)
    } else if is_labeled(b"SEED") {
        Some(Kind::Seed)
    } else {
        None
    }
}

fn is_delimiter(line: &[u8]) -> bool {
    line.starts_with(b"---") && line.ends_with(b"---")
}

pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialsError> {
    let path = home::expand(path);
    // never grown, because the old memory would be left behind as it is
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
    let limit = u64::try_from(MAX_LEN).unwrap_or(u64::MAX);
    let read = File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error: io::Error| CredentialsError::Io {
        path: path.into_owned(),
        kind: error.kind(),
        message: error.to_string(),
    })
}
