//! Lists, on the handle of MongoDB.

use super::connecting::Connecting;
use super::connection::Connection;
use super::connection_arguments::ConnectionArguments;
use super::each::{ListEnd, Listing, OnEnd, OnRow, Whole};
use super::options::ListCursor;
use super::page::Page;
use super::query::Query;
use super::reading::Reading;
use crate::callback::{Callback, Handler, Outcome, State, answer, lend};
use crate::mongo::error::Error;
use crate::mongo::handle::Mongo;
use bson::RawDocumentBuf;
use std::rc::Rc;
use std::sync::Arc;

impl<S: 'static> Mongo<S> {
    /// Reads a page of a list: the first one, or the one that a token leads to.
    ///
    /// ```no_run
    /// use evnats::mongo::{KvCursorStorage, ListCursor, bson::Document};
    ///
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
    /// let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
    /// let cursors = KvCursorStorage::new(&nats.jetstream().key_value("cursors"));
    /// let token = None; // or what the client has sent
    /// let list = ListCursor::on("shop", "orders").sort("-created_at,name").limit(50).token(token);
    /// mongo.list_cursor(list.storage(&cursors), |_, _, page| {
    ///     let page = page?;
    ///     println!("{:?}, and then {:?}", page.rows::<Document>()?, page.next);
    ///     Ok(())
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::List`] for what is asked wrongly, [`Error::Cursor`] for a token that is of no use here, and what
    /// MongoDB and the storage report. If a token cannot be stored, the call fails: there is no page without its
    /// continuation.
    pub fn list_cursor(
        &self,
        list: ListCursor<S>,
        callback: impl Callback<S, Self, Result<Page, Error>>,
    ) {
        let answer = answer(self, callback);
        let bridge = self.bridge().clone();
        match Query::new(list.arguments) {
            Ok(query) => {
                Reading { bridge, query: Arc::new(query), tokens: list.tokens }.begin(answer);
            }
            Err(error) => bridge.defer(answer, Err(error.into())),
        }
    }

    /// Reads a part of a list as a connection of the GraphQL Cursor Connections Specification: every row with a
    /// cursor. The list has to have its tokens [signed](ListCursor::signed), because a storage would take a write
    /// for every row.
    ///
    /// ```no_run
    /// use evnats::mongo::{ConnectionArguments, KeyRing, ListCursor};
    ///
    /// # fn answer(document: impl serde::Serialize) {}
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
    /// let keys = KeyRing::new(1, b"32 random bytes or more, and this is none")?;
    /// let after = None; // or what the client has sent
    /// let list = ListCursor::on("shop", "orders").sort("-created_at").signed(&keys);
    /// let arguments = ConnectionArguments::new().first(20).after(after);
    /// mongo.list_connection(list, arguments, |_, _, connection| {
    ///     answer(connection?); // {"edges":[{"node":{…},"cursor":"…"},…],"pageInfo":{…}}
    ///     Ok(())
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// A page's token and a row's cursor are the same thing: the place beside a row. [`Page::next`] is good as
    /// `after`, [`Page::previous`] as `before`.
    ///
    /// # Errors
    /// As [`list_cursor`](Self::list_cursor); and [`ListError`](crate::mongo::ListError) for a list that signs no
    /// tokens or has one, for `first` together with `last`, and if either is not positive or too large.
    pub fn list_connection(
        &self,
        list: ListCursor<S>,
        arguments: ConnectionArguments,
        callback: impl Callback<S, Self, Result<Connection, Error>>,
    ) {
        let (bridge, answer) = (self.bridge(), answer(self, callback));
        let now = bridge.event_loop().system_time();
        match Connecting::new(list.arguments, &list.tokens, &arguments, now) {
            Ok(connecting) => connecting.begin(bridge, answer),
            Err(error) => bridge.defer(answer, Err(error)),
        }
    }

    /// Reads a whole list, page by page, and gives every row to `on_row`, which may
    /// [pause](Listing::pause) and [stop](Listing::stop) it. A page is read when the rows of the one before are
    /// done with. It begins with the first row: a token, and what is said of tokens, does not count. `on_end` runs
    /// once, when there are no more rows or something has failed.
    ///
    /// # Errors
    /// As [`list_cursor`](Self::list_cursor), to `on_end`.
    pub fn list_cursor_each(
        &self,
        list: ListCursor<S>,
        mut on_row: impl Handler<S, Listing<S>, RawDocumentBuf>,
        on_end: impl Callback<S, Listing<S>, Result<ListEnd, Error>>,
    ) -> Listing<S> {
        let whole = Whole::new(self.bridge().clone(), Query::new(list.arguments));
        let listing = Listing::new(whole.clone());
        // both are held by the list itself, which would never be dropped otherwise
        let weak = Rc::downgrade(&whole);
        let on_row: OnRow = Box::new(move |state: &mut State, row| match weak.upgrade() {
            Some(whole) => on_row(lend(state), &Listing::new(whole), row).into_ran(),
            None => Ok(()),
        });
        let weak = Rc::downgrade(&whole);
        let on_end: OnEnd = Box::new(move |state: &mut State, ended| match weak.upgrade() {
            Some(whole) => on_end(lend(state), &Listing::new(whole), ended).into_ran(),
            None => Ok(()),
        });
        whole.begin(on_row, on_end);
        listing
    }
}
