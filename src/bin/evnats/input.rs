//! What comes from the command line, the environment, the standard input, or the person at the
//! terminal.

use crate::failure::Failure;
use crate::template::{Context, Template};
use clap::Args;
use evnats::{HeaderMap, OutgoingMessage, Secret};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
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

/// A limit on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Option<u64>);

impl Limit {
    /// Returns it as configurations have it.
    pub(crate) fn or_none(self) -> Option<u64> {
        self.0
    }
}

/// Reads a number, in units of 1024 if it has one, or -1 for no limit.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "-1" | "unlimited" => Ok(Limit(None)),
        text => size(text).map(Some).map(Limit),
    }
}

/// A key and its value on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Pair(String, String);

impl Pair {
    pub(crate) fn into_parts(self) -> (String, String) {
        (self.0, self.1)
    }
}

/// Reads `key=value`.
pub(crate) fn pair(text: &str) -> Result<Pair, &'static str> {
    let (key, value) = text.split_once('=').ok_or("metadata is key=value")?;
    Ok(Pair(key.into(), value.into()))
}

/// Reads `name:value`.
pub(crate) fn pair_of_header(text: &str) -> Result<Pair, &'static str> {
    header(text).map(|Header { name, value }| Pair(name, value))
}

/// A time that is not zero, which stands for none.
pub(crate) fn non_zero(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

/// Sets a member of a configuration to what is given, if something is.
pub(crate) fn set<T>(member: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *member = given;
    }
}

/// Reads a word of a configuration as it is in JSON, if one is given.
///
/// # Errors
/// It is none.
pub(crate) fn word<T: DeserializeOwned>(word: Option<&str>) -> Result<Option<T>, Failure> {
    let read = |word: &str| serde_json::from_value(word.into());
    word.map(read).transpose().map_err(|error| Failure::new("usage", error.to_string()))
}

/// Reads a file in JSON.
///
/// # Errors
/// There is no such file, or it is something else.
pub(crate) fn json_file<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    serde_json::from_slice(&file(path)?)
        .map_err(|error| Failure::new("invalid_config", format!("{}: {error}", path.display())))
}

/// Reads a file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| file_failure(path, &error))
}

/// A file that cannot be read, by its name.
pub(crate) fn file_failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new("io", format!("{}: {error}", path.display()))
}

/// A path with the home directory in it: a shell leaves the `~` in `--creds=~/user.creds` as it is.
/// The client does the same with the files that it reads by itself.
pub(crate) fn with_home(path: &Path) -> PathBuf {
    let below = path.strip_prefix("~").ok();
    let expanded = below.and_then(|below| Some(std::env::home_dir()?.join(below)));
    expanded.unwrap_or_else(|| path.into())
}

/// What is to be sent.
#[derive(Debug, Args)]
pub(crate) struct MessageArguments {
    /// Subject to send to.
    pub(crate) subject: String,
    /// The message; if absent, what the standard input has, unless it is a terminal.
    #[arg(allow_negative_numbers = true)]
    body: Option<OsString>,
    /// Adds a header; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<Header>,
    #[command(flatten)]
    templates: Templates,
}

impl MessageArguments {
    /// Reads the templates.
    ///
    /// # Errors
    /// A function that there is not, or a standard input that cannot be read.
    pub(crate) fn read(self) -> Result<MessageTemplate, Failure> {
        let read = |header: &Header| {
            let value = self.templates.read(header.value.as_bytes())?;
            Ok::<_, Failure>((header.name.clone(), value))
        };
        Ok(MessageTemplate {
            subject: self.templates.read(self.subject.as_bytes())?,
            headers: self.headers.iter().map(read).collect::<Result<_, _>>()?,
            // what the standard input has is no template
            body: match self.body {
                Some(argument) => self.templates.read(&bytes(argument))?,
                None => Template::literal(body(None)?),
            },
        })
    }
}

/// What differs from message to message.
#[derive(Debug)]
pub(crate) struct MessageTemplate {
    subject: Template,
    headers: Vec<(String, Template)>,
    body: Template,
}

/// A message as it is sent.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) subject: String,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl MessageTemplate {
    pub(crate) fn render(&self, context: &Context<'_>) -> Rendered {
        let headers = self.headers.iter();
        Rendered {
            subject: self.subject.render_text(context),
            headers: headers
                .fold(HeaderMap::new(), |map, (name, value)| map.with(name, value.render(context))),
            body: self.body.render(context),
        }
    }
}

impl Rendered {
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn message(&self) -> OutgoingMessage<'_> {
        OutgoingMessage::new(&self.subject, &self.body).headers(&self.headers)
    }
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

/// Whether somebody reads what is shown, and can be asked for more.
pub(crate) fn can_turn_pages() -> bool {
    can_ask() && io::stdout().is_terminal()
}

/// Asks whether to go on. Without a word, the answer is yes; an input that has ended says no.
pub(crate) fn wants_to_go_on(question: &str) -> bool {
    eprint!("{question} (Y/n) ");
    answer().is_ok_and(|answer| matches!(answer.as_deref(), Some("" | "y" | "yes")))
}

/// Asks before something is lost, unless it is forced.
///
/// # Errors
/// The answer is no, or nobody is there to be asked.
pub(crate) fn confirm(question: &str, force: bool) -> Result<(), Failure> {
    match (force, can_ask()) {
        (true, _) => Ok(()),
        (false, true) => ask(question),
        (false, false) => {
            let message = "nobody can be asked for confirmation: use --force";
            Err(Failure::new("confirmation_required", message))
        }
    }
}

/// Asks before something is changed that can be changed back, where somebody can be asked.
///
/// # Errors
/// The answer is no.
pub(crate) fn confirm_if_possible(question: &str, force: bool) -> Result<(), Failure> {
    if force || !can_ask() { Ok(()) } else { ask(question) }
}

fn ask(question: &str) -> Result<(), Failure> {
    eprint!("{question} (y/N) ");
    match answer()?.as_deref() {
        Some("y" | "yes") => Ok(()),
        _ => Err(Failure::new("not_confirmed", "nothing was done")),
    }
}

/// Reads an answer in small letters, unless the input has ended.
fn answer() -> io::Result<Option<String>> {
    io::stderr().flush()?;
    let mut answer = String::new();
    let len = io::stdin().read_line(&mut answer)?;
    Ok((len > 0).then(|| answer.trim().to_ascii_lowercase()))
}
