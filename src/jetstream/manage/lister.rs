//! Listing streams and consumers, by names or with all that is told of them: one page is asked for
//! after the other, and reported item by item.
//!
//! The items of a page wait here until they are reported, a part of them in each turn. Those behind one
//! whose callback panics or fails come in the next turn.

use super::consumer_config::ConsumerInfo;
use super::listing::{Feed, Listed, OnListed, Source};
use super::paging::Paging;
use super::stream_info::StreamInfo;
use crate::callback::{Answer, Ran, State};
use crate::event_loop::TimerId;
use crate::jetstream::api::{Api, ApiReply, ApiRequest, json_replies};
use crate::jetstream::error::Error;
use crate::jetstream::wire::null_as_default;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

json_replies!(Page<String>, Page<StreamInfo>, Page<ConsumerInfo>);

/// So many items are reported in a turn.
const ITEMS_PER_TURN: usize = 1024;

/// What of a listing could not be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListEnd {
    /// The names of those about which nobody has told the server anything in time. They may have been
    /// reported, with no more than their configuration; listings of names have them like all others.
    pub missing: Vec<String>,
    /// The names of those that their servers cannot serve, because they are too old for them, and why
    /// (2.12).
    pub offline: BTreeMap<String, String>,
}

/// The body of a request for a page.
#[derive(Serialize)]
struct PageRequest<'a> {
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
}

/// A page of names, or of what is told.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Page<T: Default> {
    total: u64,
    #[serde(
        rename = "streams",
        alias = "consumers",
        deserialize_with = "null_as_default",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    /// Server 2.9 has `null` in the place of a consumer that is deleted meanwhile.
    items: Vec<Option<T>>,
    #[serde(deserialize_with = "null_as_default")]
    missing: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    offline: BTreeMap<String, String>,
}

/// What is listed.
pub(crate) trait Item: Default + 'static {
    /// Whether the server that is asked knows it by itself, and answers at once. It waits for others
    /// up to 4 s: a request that is sent again would never be answered within its timeout.
    const IS_KNOWN: bool = false;

    fn name(&self) -> &str;
}

impl Item for String {
    const IS_KNOWN: bool = true;

    fn name(&self) -> &str {
        self
    }
}

impl Item for StreamInfo {
    fn name(&self) -> &str {
        &self.config.name
    }
}

impl Item for ConsumerInfo {
    fn name(&self) -> &str {
        &self.name
    }
}

/// A listing under way.
struct Lister<T> {
    api: Api,
    /// Where pages are asked for.
    operation: String,
    subject: Option<String>,
    progress: RefCell<Progress<T>>,
    feed: Feed<T, ListEnd>,
    /// For what is to be reported in the next turn.
    timer: Cell<Option<TimerId>>,
}

struct Progress<T> {
    paging: Paging,
    waiting: VecDeque<T>,
    end: ListEnd,
    /// Set with the last page.
    outcome: Option<Result<(), Error>>,
}

impl<T> Source for Lister<T> {
    fn stop(&self) {
        self.feed.close();
        // also those may be the user's concern no more
        self.progress.borrow_mut().waiting.clear();
        self.cancel_timer();
    }

    fn is_active(&self) -> bool {
        self.feed.is_active()
    }
}

impl<T> Lister<T> {
    fn cancel_timer(&self) {
        if let Some(timer) = self.timer.take() {
            self.api.port().cancel_timer(timer);
        }
    }
}

impl<T: Item> Lister<T>
where
    Page<T>: ApiReply,
{
    fn ask(self: Rc<Self>) {
        let offset = self.progress.borrow().paging.offset();
        let body = PageRequest { offset, subject: self.subject.as_deref() };
        let request = ApiRequest::new(self.operation.clone()).with(&body);
        let lister = self.clone();
        let on_page = move |state: &mut State, page| {
            if !lister.is_active() {
                return Ok(());
            }
            lister.handle_page(page);
            lister.report(state)
        };
        match T::IS_KNOWN {
            true => self.api.read(request, Box::new(on_page)),
            false => self.api.call(request, Box::new(on_page)),
        }
    }

    fn handle_page(&self, page: Result<Page<T>, Error>) {
        let mut progress = self.progress.borrow_mut();
        let page = match page {
            Ok(page) => page,
            Err(error) => return progress.outcome = Some(Err(error)),
        };
        let first = page.items.iter().flatten().next().map(Item::name);
        // a place on the page is also that of one of which nothing is told
        let is_listed =
            |name: &&String| page.items.iter().flatten().any(|item| item.name() == *name);
        let count = page.items.len() + page.missing.iter().filter(|name| !is_listed(name)).count();
        let is_last = progress.paging.handle_page(count, first, page.total);
        progress.outcome = match is_last {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        progress.waiting.extend(page.items.into_iter().flatten());
        progress.end.missing.extend(page.missing);
        progress.end.offline.extend(page.offline);
    }

    /// Reports what waits, and goes on with the next page, or with the end.
    fn report(self: Rc<Self>, state: &mut State) -> Ran {
        self.report_later();
        for _ in 0..ITEMS_PER_TURN {
            let item = self.progress.borrow_mut().waiting.pop_front();
            let Some(item) = item else { break };
            self.feed.item(state, self.clone(), item)?;
        }
        if !self.is_active() || !self.progress.borrow().waiting.is_empty() {
            return Ok(());
        }
        self.cancel_timer();
        let mut progress = self.progress.borrow_mut();
        let Some(outcome) = progress.outcome.take() else {
            drop(progress);
            self.ask();
            return Ok(());
        };
        let end = std::mem::take(&mut progress.end);
        drop(progress);
        self.feed.end(state, self.clone(), outcome.map(|()| end))
    }

    /// Has what then waits reported in the next turn.
    fn report_later(self: &Rc<Self>) {
        let lister = self.clone();
        let on_time = move |state: &mut State| lister.report(state);
        let timer = self.api.port().set_timer(Duration::ZERO, Box::new(on_time));
        self.timer.set(Some(timer));
    }

    fn refuse(self: Rc<Self>, error: Error) {
        self.progress.borrow_mut().outcome = Some(Err(error));
        self.report_later();
    }
}

impl Api {
    /// Lists what an operation gives out in pages.
    pub(super) fn list<T: Item>(
        &self,
        operation: Result<String, Error>,
        subject: Option<&str>,
        callback: OnListed<T, ListEnd>,
    ) -> Rc<dyn Source>
    where
        Page<T>: ApiReply,
    {
        let (operation, error) = match operation {
            Ok(operation) => (operation, None),
            Err(error) => (String::new(), Some(error)),
        };
        let lister = Rc::new(Lister {
            api: self.clone(),
            operation,
            subject: subject.map(str::to_owned),
            progress: RefCell::new(Progress {
                paging: Paging::default(),
                waiting: VecDeque::new(),
                end: ListEnd::default(),
                outcome: None,
            }),
            feed: Feed::new(callback),
            timer: Cell::new(None),
        });
        match error {
            Some(error) => lister.clone().refuse(error),
            None => lister.clone().ask(),
        }
        lister
    }
}

/// Collects what is listed.
pub(super) fn collect<T: 'static>(answer: Answer<Result<Vec<T>, Error>>) -> OnListed<T, ListEnd> {
    let (mut items, mut answer) = (Vec::new(), Some(answer));
    Box::new(move |state, _, listed| match listed {
        Listed::Item(item) => {
            items.push(item);
            Ok(())
        }
        Listed::Ended(end) => {
            let items = end.map(|_| std::mem::take(&mut items));
            answer.take().map_or(Ok(()), |answer| answer(state, items))
        }
    })
}
