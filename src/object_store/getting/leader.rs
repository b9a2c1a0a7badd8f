//! Chunks from the stream's leader, one after the other: slow, and always what counts. They are counted
//! before, because a chunk does not tell its number, and the next one may not be the next of the object.

use crate::callback::{Ran, State};
use crate::jetstream::{ApiRequest, MessageQuery, StoredMessage};
use crate::object_store::error::Error;
use crate::object_store::getting::download::Download;
use crate::object_store::objects::meta::{Found, is_no_message};
use std::rc::Rc;

impl Download {
    /// Goes on with the leader, if that has all chunks.
    pub(super) fn turn_to_leader(self: &Rc<Self>) {
        let work = self.work.borrow();
        let Some(working) = &*work else { return };
        let (store, nuid) = (working.store.clone(), working.info.nuid.clone());
        let (chunks, is_whole) = (working.info.chunks, working.hasher.is_some());
        drop(work);
        let download = self.clone();
        let on_count = move |state: &mut State, counted: Result<u64, Error>| {
            match counted {
                _ if !download.is_active() => {}
                Ok(count) if count != chunks => {
                    download.find_out_why(format!("the stream has {count} of its {chunks} chunks"));
                }
                // of a whole object, the digest shows it in the end
                Err(error) if !is_whole => {
                    return download.try_again(state, error, Self::turn_to_leader);
                }
                _ => download.ask_leader(),
            }
            Ok(())
        };
        store.count_chunks(&nuid, Box::new(on_count));
    }

    /// Asks for the next chunk.
    fn ask_leader(self: &Rc<Self>) {
        let work = self.work.borrow();
        let Some(working) = &*work else { return };
        let subject = working.store.chunk_subject(&working.info.nuid);
        let query =
            MessageQuery::NextBySubject { subject: &subject, from: working.last_sequence + 1 };
        let request = ApiRequest::stored_message(&working.store.stream, query);
        let (store, download) = (working.store.clone(), self.clone());
        drop(work);
        let on_stored = move |state: &mut State, stored: Result<StoredMessage, Error>| match stored
        {
            _ if !download.is_active() => Ok(()),
            Ok(stored) => download.take_from_leader(state, &stored),
            Err(error) if is_no_message(&error) => {
                download.find_out_why("a chunk is missing".into());
                Ok(())
            }
            Err(error) => download.try_again(state, error, Self::ask_leader),
        };
        store.read(request, Box::new(on_stored));
    }

    fn take_from_leader(self: &Rc<Self>, state: &mut State, stored: &StoredMessage) -> Ran {
        self.note_heard();
        // also if the callback unwinds or fails
        let _asking = AskLater(self);
        self.take(state, stored.payload(), stored.sequence())
    }

    /// Whether there are chunks that are wanted behind those that have come.
    fn wants_more(&self) -> bool {
        let work = self.work.borrow();
        self.is_active()
            && work.as_ref().is_some_and(|work| {
                work.next.index < work.info.chunks
                    && (work.hasher.is_some() || work.next.offset < work.wanted.end)
            })
    }

    /// The leader does not have all chunks: either it is another object by now, or it is damaged.
    fn find_out_why(self: &Rc<Self>, reason: String) {
        let work = self.work.borrow();
        let Some(working) = &*work else { return };
        let (info, store) = (working.info.clone(), working.store.clone());
        drop(work);
        let (name, download) = (info.name.clone(), self.clone());
        let on_found = move |state: &mut State, found: Result<Found, Error>| match found {
            _ if !download.is_active() => Ok(()),
            Ok(found) => {
                let is_same = found.live().is_some_and(|live| live.nuid == info.nuid);
                let error = match is_same {
                    true => download.damaged(reason),
                    false => Error::Changed { name: info.name.clone() },
                };
                download.end(state, Err(error))
            }
            Err(error) => download.try_again(state, error, Self::turn_to_leader),
        };
        store.find_object(&name, Box::new(on_found));
    }
}

/// Asks for the next chunk when this one is done with.
struct AskLater<'a>(&'a Rc<Download>);

impl Drop for AskLater<'_> {
    fn drop(&mut self) {
        let download = self.0.clone();
        self.0.port().defer(move |_| {
            if download.wants_more() {
                download.ask_leader();
            }
            Ok(())
        });
    }
}
