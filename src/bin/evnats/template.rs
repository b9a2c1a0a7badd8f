//! Templates, with the functions that the `nats` tool has: `{{Count}}` in a subject, a body or a
//! header stands for another text in each message.
//!
//! What looks like a template and is none is an error: sent as it is, it would be noticed by the
//! receiver, if by anybody.

use crate::failure::Failure;
use std::time::{Duration, SystemTime};

/// A text with functions in it.
#[derive(Debug, Clone)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(Vec<u8>),
    Function(Function),
}

#[derive(Debug, Clone, Copy)]
enum Function {
    Count,
    Id,
    Random { min: usize, max: usize },
    Request,
    Time,
    TimeStamp,
    Unix,
    UnixNano,
}

/// What the functions of one message depend on.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The number of the message, from 1.
    pub(crate) count: u64,
    /// The time that the message is made at.
    pub(crate) now: SystemTime,
    /// The body of the request that is replied to.
    pub(crate) request: &'a [u8],
}

impl Context<'_> {
    /// A message that is no reply.
    pub(crate) fn of(count: u64) -> Self {
        Self { count, now: SystemTime::now(), request: b"" }
    }
}

const OPENING: &[u8] = b"{{";
const CLOSING: &[u8] = b"}}";
const HELP: &str = "the functions are Count, ID, Random MIN MAX, Request, Time, TimeStamp, Unix \
                    and UnixNano; --no-templates sends the text as it is";

impl Template {
    /// A text without functions, whatever it looks like.
    pub(crate) fn literal(text: impl Into<Vec<u8>>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// Reads a template.
    ///
    /// # Errors
    /// A function that there is not, or one that does not end.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(start) = find(rest, OPENING) {
            parts.push(Part::Text(rest[..start].to_vec()));
            let inside = &rest[start + OPENING.len()..];
            let end = find(inside, CLOSING).ok_or_else(|| refused(&rest[start..]))?;
            let after = start + OPENING.len() + end + CLOSING.len();
            let function = Function::parse(&inside[..end]);
            parts.push(Part::Function(function.ok_or_else(|| refused(&rest[start..after]))?));
            rest = &rest[after..];
        }
        parts.push(Part::Text(rest.to_vec()));
        Ok(Self(parts))
    }

    /// The text for one message.
    pub(crate) fn render(&self, context: &Context<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.extend_from_slice(literal),
                Part::Function(Function::Request) => text.extend_from_slice(context.request),
                Part::Function(function) => text.extend(function.text(context).into_bytes()),
            }
        }
        text
    }

    /// The same where it has to be valid UTF-8; anything else in it is replaced.
    pub(crate) fn render_text(&self, context: &Context<'_>) -> String {
        String::from_utf8_lossy(&self.render(context)).into_owned()
    }
}

impl Function {
    /// Reads what is between the braces. A dot before the name is allowed, as in older versions of
    /// the `nats` tool.
    fn parse(text: &[u8]) -> Option<Self> {
        let words: Vec<_> = std::str::from_utf8(text).ok()?.split_whitespace().collect();
        let (name, arguments) = words.split_first()?;
        match (name.trim_start_matches('.'), arguments) {
            ("Count", []) => Some(Self::Count),
            ("ID", []) => Some(Self::Id),
            ("Random", [min, max]) => {
                let (min, max) = (min.parse().ok()?, max.parse().ok()?);
                (min <= max).then_some(Self::Random { min, max })
            }
            ("Request", []) => Some(Self::Request),
            ("Time", []) => Some(Self::Time),
            ("TimeStamp", []) => Some(Self::TimeStamp),
            ("Unix", []) => Some(Self::Unix),
            ("UnixNano", []) => Some(Self::UnixNano),
            _ => None,
        }
    }

    fn text(self, context: &Context<'_>) -> String {
        let since_1970 = context.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Count => context.count.to_string(),
            Self::Id => letters(ID_LENGTH),
            Self::Random { min, max } => letters(length(min, max)),
            Self::Request => String::from_utf8_lossy(context.request).into_owned(),
            Self::Time => time_of_day(since_1970),
            Self::TimeStamp => humantime::format_rfc3339_seconds(context.now).to_string(),
            Self::Unix => since_1970.as_secs().to_string(),
            Self::UnixNano => since_1970.as_nanos().to_string(),
        }
    }
}

/// As long as the identifiers that NATS programs make.
const ID_LENGTH: usize = 22;

/// So many random letters and digits.
fn letters(count: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(count).collect()
}

fn length(min: usize, max: usize) -> usize {
    fastrand::usize(min..=max)
}

/// The time of the day in UTC, as `3:04PM`.
fn time_of_day(since_1970: Duration) -> String {
    let minutes = since_1970.as_secs() / 60 % (24 * 60);
    let (hour, minute) = (minutes / 60, minutes % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    format!("{}:{minute:02}{half}", (hour + 11) % 12 + 1)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn refused(text: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(text);
    Failure::new("invalid_template", format!("unknown template {text:?}: {HELP}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_790_000_000_123_456_789);
        let context = Context { count: 7, now, request: b"question" };
        Template::parse(template.as_bytes()).expect("a template").render_text(&context)
    }

    #[test]
    fn functions_stand_for_texts() {
        assert_eq!(rendered("plain } { text"), "plain } { text");
        assert_eq!(rendered("orders.{{Count}}.{{ .Count }}!"), "orders.7.7!");
        assert_eq!(rendered("{{Unix}} {{UnixNano}}"), "1790000000 1790000000123456789");
        assert_eq!(rendered("{{TimeStamp}} {{Time}}"), "2026-09-21T14:13:20Z 2:13PM");
        assert_eq!(rendered("re: {{Request}}"), "re: question");
        assert_eq!(rendered("{{ID}}").len(), 22);
        assert_ne!(rendered("{{ID}}"), rendered("{{ID}}"));
        assert!((3..=5).contains(&rendered("{{ Random 3 5 }}").len()));
    }

    #[test]
    fn midnight_and_noon_are_twelve() {
        assert_eq!(time_of_day(Duration::ZERO), "12:00AM");
        assert_eq!(time_of_day(Duration::from_secs(12 * 3600 + 5 * 60)), "12:05PM");
        assert_eq!(time_of_day(Duration::from_secs(23 * 3600)), "11:00PM");
    }

    #[test]
    fn what_is_no_template_is_not_sent() {
        for text in ["{{Coutn}}", "a {{Count", "{{}}", "{{Random 5 3}}", "{{Random 1}}"] {
            let failure = Template::parse(text.as_bytes()).expect_err(text);
            assert!(failure.to_string().contains("--no-templates"), "{failure}");
        }
    }
}
