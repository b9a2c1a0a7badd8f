//! What comes from the command line, the environment, the standard input, or the person at the
//! terminal.

use crate::failure::Failure;
use crate::template::{Context, Template};
use clap::Args;
use evnats::{HeaderMap, Secret};
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A header on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    name: String,
    value: String,
}

/// Reads `5s`, `500ms` or `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Reads `name:value`.
pub(crate) fn header(text: &str) -> Result<Header, &'static str> {
    let (name, value) = text.split_once(':').ok_or("a header is name:value")?;
    Ok(Header { name: name.trim().into(), value: value.trim().into() })
}

/// Reads what nobody is to see.
pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(text.into())
}

/// A variable of the environment. An empty one says nothing.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a number of bytes, in units of 1024: `100`, `64K`, `10MB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        unit => return Err(format!("unknown unit {unit:?}")),
    };
    let number: u64 = number.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

/// Reads a path. A shell leaves the `~` in `--creds=~/user.creds` as it is.
pub(crate) fn path(text: &str) -> Result<PathBuf, &'static str> {
    let Some(below) = text.strip_prefix("~/") else { return Ok(text.into()) };
    let home = std::env::home_dir().ok_or("the home directory is not known")?;
    Ok(home.join(below))
}

/// How the texts of messages are taken.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Templates {
    /// Sends {{ and }} as they are: without it, {{Count}} and other functions of the nats tool
    /// stand for another text in each message.
    #[arg(long)]
    no_templates: bool,
}

impl Templates {
    /// Reads a subject or a body.
    ///
    /// # Errors
    /// A function that there is not.
    pub(crate) fn read(self, text: &[u8]) -> Result<Template, Failure> {
        if self.no_templates { Ok(Template::literal(text)) } else { Template::parse(text) }
    }

    /// The body of messages: the argument, or else what the standard input has, which is no
    /// template.
    pub(crate) fn body(self, argument: Option<OsString>) -> Result<Template, Failure> {
        match argument {
            Some(argument) => self.read(&bytes(argument)),
            None => Ok(Template::literal(body(None)?)),
        }
    }

    /// The headers of messages.
    pub(crate) fn headers(self, headers: &[Header]) -> Result<Headers, Failure> {
        let read = |header: &Header| Ok((header.name.clone(), self.read(header.value.as_bytes())?));
        headers.iter().map(read).collect::<Result<_, _>>().map(Headers)
    }
}

/// Headers whose values are templates.
#[derive(Debug)]
pub(crate) struct Headers(Vec<(String, Template)>);

impl Headers {
    pub(crate) fn render(&self, context: &Context<'_>) -> HeaderMap {
        let headers = self.0.iter();
        headers.fold(HeaderMap::new(), |map, (name, value)| map.with(name, value.render(context)))
    }
}

/// An argument as it was given: arguments need not be text.
pub(crate) fn bytes(argument: OsString) -> Vec<u8> {
    argument.into_encoded_bytes()
}

/// A message's body or a key's value: the argument, or else what the standard input has, unless
/// that is a terminal.
pub(crate) fn body(argument: Option<OsString>) -> io::Result<Vec<u8>> {
    if let Some(argument) = argument {
        return Ok(bytes(argument));
    }
    let mut body = Vec::new();
    if !io::stdin().is_terminal() {
        io::stdin().read_to_end(&mut body)?;
    }
    Ok(body)
}

/// Whether somebody sits there who can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks before something is lost.
///
/// # Errors
/// The answer is no, or nobody is there to be asked.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    if !can_ask() {
        let message = "nobody can be asked for confirmation: use --force";
        return Err(Failure::new("confirmation_required", message));
    }
    eprint!("{question} (y/N) ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("not_confirmed", "nothing was done")),
    }
}
