//! `stream view`: the messages of a stream, page by page where somebody can be asked, and all of them
//! elsewhere.
//!
//! They are read one after the other from the leader, which every server and every stream permits. What
//! is stored after the beginning is not shown: so there is an end.

use crate::failure::Failure;
use crate::input;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::jetstream::{Error, ErrorCode, MessageQuery, ReadFrom, StoredMessage, Stream};
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

const NO_MESSAGE: ErrorCode = ErrorCode::NO_MESSAGE_FOUND;

#[derive(Debug, Args)]
pub(crate) struct View {
    /// Name of the stream.
    stream: String,
    /// How many messages to show before asking for more, on a terminal.
    #[arg(default_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    size: u64,
    /// Begins at this sequence.
    #[arg(long, value_name = "SEQUENCE", conflicts_with_all = ["since", "last"])]
    id: Option<u64>,
    /// Begins with what was stored within this time, as 1h30m.
    #[arg(long, value_parser = input::duration, value_name = "DURATION", conflicts_with = "last")]
    since: Option<Duration>,
    /// Begins with the last but so many messages.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// Shows only messages of a subject, which may have wildcards.
    #[arg(long, default_value = ">")]
    subject: String,
    /// Shows so many messages at most.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Leaves the payloads out.
    #[arg(long, conflicts_with = "raw")]
    headers_only: bool,
    /// Shows nothing but the payloads, one a line.
    #[arg(long)]
    raw: bool,
}

pub(crate) fn view(arguments: View, session: Session) -> Result<(), Failure> {
    let asks = session.is_for_people() && input::can_turn_pages();
    session.run(|app, client| {
        let stream = app.jetstream(client).stream(&arguments.stream);
        stream.info(move |app: &mut App, stream, info| {
            let Some(info) = app.check(stream.client(), info) else { return };
            let (first, last) = (info.state.first_sequence, info.state.last_sequence);
            let style = arguments.style();
            let View { size, id, since, last: from_last, subject, count, .. } = arguments;
            let page = asks.then_some(size);
            let viewer =
                Viewer { stream: stream.clone(), subject, last, style, count, page, shown: 0 };
            let behind = last.saturating_add(1);
            if let Some(since) = since {
                let start = SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
                Search { start, from: first, to: behind }.go_on(app, viewer);
            } else if let Some(count) = from_last {
                LookBack::new(count, first, behind).go_on(app, viewer);
            } else {
                viewer.show_from(app, id.unwrap_or(first));
            }
        });
        Ok(())
    })
}

impl View {
    fn style(&self) -> Style {
        match (self.raw, self.headers_only) {
            (true, _) => Style::Raw,
            (_, true) => Style::HeadersOnly,
            _ => Style::Full,
        }
    }
}

/// What is shown, and how far that has come.
struct Viewer {
    stream: Stream<App>,
    subject: String,
    /// The last sequence at the beginning.
    last: u64,
    style: Style,
    count: Option<u64>,
    /// So many are shown before asking for more, if somebody can be asked.
    page: Option<u64>,
    shown: u64,
}

impl Viewer {
    /// Reads the first message of a subject from a sequence on. `None`: there was none at the beginning.
    fn read(
        self,
        app: &mut App,
        from: u64,
        subject: &str,
        go_on: impl FnOnce(Self, &mut App, Option<StoredMessage>) + 'static,
    ) {
        if from > self.last {
            return go_on(self, app, None);
        }
        let query = MessageQuery::NextBySubject { subject, from: from.max(1) };
        let stream = self.stream.clone();
        let on_read = move |app: &mut App, stream: &Stream<App>, read: Result<_, Error>| {
            let read = match read {
                Err(error) if error.api().is_some_and(|error| error.err_code() == NO_MESSAGE) => {
                    None
                }
                read => match app.check(stream.client(), read) {
                    Some(message) => Some(message),
                    None => return,
                },
            };
            let last = self.last;
            go_on(self, app, read.filter(|message: &StoredMessage| message.sequence() <= last));
        };
        stream.stored_message(query, ReadFrom::Leader, on_read);
    }

    fn show_from(self, app: &mut App, from: u64) {
        let subject = self.subject.clone();
        self.read(app, from, &subject, |mut viewer, app, message| {
            let Some(message) = message else { return viewer.end(app) };
            app.output.viewed(viewer.stream.name(), &message, viewer.style);
            viewer.shown += 1;
            let is_full = viewer.page.is_some_and(|page| viewer.shown.is_multiple_of(page));
            if Some(viewer.shown) == viewer.count {
                app.finish(viewer.stream.client());
            } else if is_full && message.sequence() < viewer.last {
                viewer.turn_page(app, message.sequence() + 1);
            } else {
                viewer.show_from(app, message.sequence().saturating_add(1));
            }
        });
    }

    fn turn_page(self, app: &mut App, from: u64) {
        let client = self.stream.client().clone();
        app.ask(&client, "Next page?", move |app, wants_it| {
            if wants_it {
                self.show_from(app, from);
            } else {
                app.finish(self.stream.client());
            }
        });
    }

    fn end(&self, app: &mut App) {
        if self.shown == 0 {
            app.output.note("No messages found");
        } else if self.page.is_some() {
            app.output.note(&format!("That was the last message in Stream {}", self.stream.name()));
        }
        app.finish(self.stream.client());
    }
}

/// The search for the first message that is not older than a time: sequences grow with the time.
struct Search {
    start: SystemTime,
    from: u64,
    to: u64,
}

impl Search {
    fn go_on(self, app: &mut App, viewer: Viewer) {
        if self.from >= self.to {
            return viewer.show_from(app, self.from);
        }
        let middle = self.from + (self.to - self.from) / 2;
        viewer.read(app, middle, ">", move |viewer, app, message| {
            let older =
                message.filter(|message| message.time().is_some_and(|time| time < self.start));
            let search = match older {
                Some(message) => Self { from: message.sequence().saturating_add(1), ..self },
                None => Self { to: middle, ..self },
            };
            search.go_on(app, viewer);
        });
    }
}

/// The search for the last but so many messages. Nothing is read backwards, so it looks at wider and wider
/// pieces of the stream, each before the one before.
struct LookBack {
    count: usize,
    /// The first sequence of the stream.
    first: u64,
    /// What is here and behind it has been looked at.
    from: u64,
    span: u64,
    found: VecDeque<u64>,
}

impl LookBack {
    fn new(count: u64, first: u64, behind: u64) -> Self {
        let found = VecDeque::new();
        let span = count;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Self { count, first, from: behind, span, found }
    }

    fn go_on(self, app: &mut App, viewer: Viewer) {
        if self.found.len() >= self.count || self.from <= self.first {
            let start = self.found.front().copied().unwrap_or(self.from);
            return viewer.show_from(app, start);
        }
        let from = self.from.saturating_sub(self.span).max(self.first);
        self.look(app, viewer, from, from, VecDeque::new());
    }

    /// Looks at what is left of a piece.
    fn look(
        mut self,
        app: &mut App,
        viewer: Viewer,
        from: u64,
        next: u64,
        mut piece: VecDeque<u64>,
    ) {
        let subject = viewer.subject.clone();
        viewer.read(app, next, &subject, move |viewer, app, message| {
            match message.filter(|message| message.sequence() < self.from) {
                Some(message) => {
                    piece.push_back(message.sequence());
                    if piece.len() + self.found.len() > self.count {
                        piece.pop_front();
                    }
                    self.look(app, viewer, from, message.sequence() + 1, piece);
                }
                None => {
                    piece.append(&mut self.found);
                    let span = self.span.saturating_mul(2);
                    Self { from, span, found: piece, ..self }.go_on(app, viewer);
                }
            }
        });
    }
}
