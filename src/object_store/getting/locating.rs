//! Where a chunk in the middle of an object is in the stream.
//!
//! Chunks that nothing has come between are one behind the other: the leader's first and last one show
//! that. Otherwise a chunk is known by how many are behind it, which direct reads tell (server 2.11), of
//! a stream without replicas; else the chunks are counted, by a consumer that delivers their headers
//! alone. Whether the place is right shows with the first chunk that comes.

use crate::callback::{Ran, State};
use crate::jetstream::{
    ApiRequest, Listed, MessageQuery, MessagesEnd, MessagesQuery, Reader, ReaderEvent,
    StoredMessage, StreamConfig,
};
use crate::object_store::error::Error;
use crate::object_store::getting::download::Download;
use crate::object_store::getting::range::Place;
use std::cell::Cell;
use std::rc::Rc;

/// So often it is guessed at most: the chunks are counted then.
const MOST_GUESSES: u32 = 40;

/// The API level of servers that tell how many messages are behind one (2.11).
const PENDING_LEVEL: u32 = 1;

/// A chunk whose sequence is known, by its number.
#[derive(Clone, Copy)]
struct Known {
    index: u64,
    sequence: u64,
}

/// The chunks around the one that is looked for.
#[derive(Clone, Copy)]
struct Search {
    place: Place,
    below: Known,
    above: Known,
    guesses: u32,
}

impl Search {
    /// Where the chunk is if all that is between is spread evenly.
    fn guess(&self) -> u64 {
        let (below, above) = (self.below, self.above);
        let chunks = (above.index - below.index).max(1);
        let sequences = above.sequence.saturating_sub(below.sequence);
        let steps = u128::from(self.place.index - below.index);
        let distance = u128::from(sequences) * steps / u128::from(chunks);
        below.sequence + u64::try_from(distance).unwrap_or(u64::MAX).max(1)
    }
}

impl Download {
    /// Finds a chunk, and reads from there on.
    pub(super) fn locate(self: &Rc<Self>, place: Place) -> Ran {
        let download = self.clone();
        self.ask_for_chunk(None, move |state, first| match first {
            Ok(first) => download.find_last(place, first.sequence()),
            // whatever it is, it shows again when the chunks are read
            Err(_) => download.read_all(state),
        });
        Ok(())
    }

    fn find_last(self: &Rc<Self>, place: Place, first: u64) -> Ran {
        let download = self.clone();
        self.ask_for_chunk(Some(()), move |state, last| {
            let Ok(last) = last else { return download.count_up_to(state, place) };
            let chunks = download.chunks();
            let is_in_a_row = last.sequence().checked_sub(first) == chunks.checked_sub(1);
            if is_in_a_row {
                return download.read_from(state, place, first + place.index);
            }
            let below = Known { index: 0, sequence: first };
            let above = Known { index: chunks.saturating_sub(1), sequence: last.sequence() };
            download.search_if_possible(Search { place, below, above, guesses: 0 });
            Ok(())
        });
        Ok(())
    }

    fn chunks(&self) -> u64 {
        self.work.borrow().as_ref().map_or(0, |work| work.info.chunks)
    }

    /// Asks the leader for the first chunk, or for the last one.
    fn ask_for_chunk(
        self: &Rc<Self>,
        last: Option<()>,
        on_chunk: impl FnOnce(&mut State, Result<StoredMessage, Error>) -> Ran + 'static,
    ) {
        let work = self.work.borrow();
        let Some(working) = &*work else { return };
        let (store, download) = (working.store.clone(), self.clone());
        let subject = store.chunk_subject(&working.info.nuid);
        drop(work);
        let query = match last {
            Some(()) => MessageQuery::LastBySubject(&subject),
            None => MessageQuery::NextBySubject { subject: &subject, from: 1 },
        };
        let request = ApiRequest::stored_message(&store.stream, query);
        let on_stored = move |state: &mut State, stored: Result<StoredMessage, Error>| {
            download.note_heard();
            match download.is_active() {
                true => on_chunk(state, stored),
                false => Ok(()),
            }
        };
        store.read(request, Box::new(on_stored));
    }

    /// Searches, if the bucket and the server permit it.
    fn search_if_possible(self: &Rc<Self>, search: Search) {
        let store = self.store();
        let (download, api) = (self.clone(), store.api.clone());
        let on_config = move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| {
            let is_alone =
                matches!(config, Ok(config) if config.allow_direct && config.num_replicas <= 1);
            if !is_alone {
                return download.count_up_to(state, search.place);
            }
            api.with_level(move |level| {
                let has_it = matches!(level, Ok(Some(level)) if level >= PENDING_LEVEL);
                let port = download.port().clone();
                port.defer(move |state| match has_it {
                    _ if !download.is_active() => Ok(()),
                    true => download.search(state, search),
                    false => download.count_up_to(state, search.place),
                });
            });
            Ok(())
        };
        store.with_config(Box::new(on_config));
    }

    /// Guesses where it is, and looks how far that is off.
    fn search(self: &Rc<Self>, state: &mut State, search: Search) -> Ran {
        if search.guesses >= MOST_GUESSES {
            return self.count_up_to(state, search.place);
        }
        let (guess, download) = (search.guess(), self.clone());
        let found = Cell::new(None);
        let work = self.work.borrow();
        let Some(working) = &*work else { return Ok(()) };
        let subject = working.store.chunk_subject(&working.info.nuid);
        let query = MessagesQuery::subject(subject).from_sequence(guess).limit(1_u64);
        let (api, stream) = (working.store.api.clone(), working.store.stream.clone());
        drop(work);
        let on_listed = move |state: &mut State, _, listed: Listed<StoredMessage, MessagesEnd>| {
            if !download.is_active() {
                return Ok(());
            }
            download.note_heard();
            match (listed, found.get()) {
                (Listed::Item(message), _) => {
                    found.set(Some(message.sequence()));
                    Ok(())
                }
                (Listed::Ended(Ok(end)), Some(sequence)) => {
                    download.handle_guess(state, search, guess, sequence, end.pending)
                }
                (Listed::Ended(_), _) => download.count_up_to(state, search.place),
            }
        };
        api.stored_messages(&stream, &query, Box::new(on_listed));
        Ok(())
    }

    fn handle_guess(
        self: &Rc<Self>,
        state: &mut State,
        mut search: Search,
        guess: u64,
        sequence: u64,
        pending: u64,
    ) -> Ran {
        let Some(index) = self.chunks().checked_sub(pending + 1) else {
            return self.count_up_to(state, search.place);
        };
        search.guesses += 1;
        match index.cmp(&search.place.index) {
            std::cmp::Ordering::Equal => self.read_from(state, search.place, sequence),
            std::cmp::Ordering::Less => {
                search.below = Known { index, sequence };
                self.search(state, search)
            }
            std::cmp::Ordering::Greater => {
                // nothing of it is between the guess and what was found
                search.above = Known { index, sequence: guess };
                self.search(state, search)
            }
        }
    }

    /// Counts the chunks up to the one that is looked for.
    fn count_up_to(self: &Rc<Self>, _: &mut State, place: Place) -> Ran {
        self.leave_reader();
        let work = self.work.borrow();
        let Some(working) = &*work else { return Ok(()) };
        let (api, number) = (working.store.api.clone(), working.reader_number);
        let nuid = working.info.nuid.clone();
        drop(work);
        let config = self.reader_config(&nuid, 1, true);
        let (download, counted) = (self.clone(), Cell::new(0));
        let reader = Reader::start(&api, config, move |state, _, event| {
            if !download.is_current(number) {
                return Ok(());
            }
            match event {
                ReaderEvent::Message(_, numbers) => {
                    download.note_heard();
                    let index = counted.replace(counted.get() + 1);
                    let expected = download.chunks().checked_sub(index + 1);
                    match expected == Some(numbers.pending) {
                        true if index == place.index => {
                            download.read_from(state, place, numbers.stream_sequence)
                        }
                        true => Ok(()),
                        false => download.read_all(state),
                    }
                }
                ReaderEvent::Idle => download.read_all(state),
                ReaderEvent::Failed(error) => {
                    // whatever it is, it shows again when the chunks are read
                    log::debug!("chunks of {:?} cannot be counted: {error}", download.name);
                    download.read_all(state)
                }
                _ => Ok(()),
            }
        });
        if let Some(work) = &mut *self.work.borrow_mut() {
            work.reader = Some(reader.downgrade());
        }
        Ok(())
    }

    /// The chunk is at this sequence.
    fn read_from(self: &Rc<Self>, _: &mut State, place: Place, sequence: u64) -> Ran {
        self.leave_reader();
        if let Some(work) = &mut *self.work.borrow_mut() {
            (work.next, work.last_sequence, work.is_located) = (place, sequence - 1, true);
        }
        self.read();
        Ok(())
    }

    /// Where it is cannot be found out, so all chunks are read from the first one on.
    fn read_all(self: &Rc<Self>, _: &mut State) -> Ran {
        self.leave_reader();
        self.read();
        Ok(())
    }
}
