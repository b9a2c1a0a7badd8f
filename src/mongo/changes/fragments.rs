//! Events that the server has split, because they are larger than a document may be, put together again
//! (`$changeStreamSplitLargeEvent`, servers from 6.0.9 and 7.0 on). Pure.
//!
//! Each fragment is an event of its own, with some of the fields, a position, and `splitEvent: {fragment,
//! of}`. A stream that is opened behind a fragment begins with the next one, so only the position of the
//! last one may be gone on from by whom has not seen those before it.

use crate::mongo::error::Error;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

/// The field that tells which fragment of how many it is.
const SPLIT: &str = "splitEvent";

/// Fragments of an event that is not whole yet.
#[derive(Default)]
pub(super) struct Fragments {
    taken: Vec<RawDocumentBuf>,
}

/// Which fragment it is, from 1, and of how many.
struct Place {
    fragment: usize,
    of: usize,
}

impl Fragments {
    /// Takes in what has come, and returns an event as soon as it is whole: one that was not split at once.
    /// It has the position of its last fragment. A fragment that does not follow the one before is an
    /// [`Error::MalformedEvent`].
    pub(super) fn take(&mut self, event: RawDocumentBuf) -> Result<Option<RawDocumentBuf>, Error> {
        let Some(place) = place(&event)? else {
            return match self.taken.is_empty() {
                true => Ok(Some(event)),
                false => Err(malformed("it comes before the last fragment of the one before it")),
            };
        };
        let expected = self.taken.len() + 1;
        if place.fragment != expected || place.of < expected {
            let Place { fragment, of } = place;
            let reason =
                format!("it is fragment {fragment} of {of}, and fragment {expected} is due");
            return Err(malformed(&reason));
        }
        self.taken.push(event);
        match place.fragment == place.of {
            true => join(&std::mem::take(&mut self.taken)).map(Some),
            false => Ok(None),
        }
    }

    /// Whether an event is not whole yet.
    pub(super) fn is_partial(&self) -> bool {
        !self.taken.is_empty()
    }
}

/// The place of a fragment. `None`: the event was not split.
fn place(event: &RawDocument) -> Result<Option<Place>, Error> {
    let split = match event.get(SPLIT) {
        Ok(Some(RawBsonRef::Document(split))) => split,
        Ok(None) => return Ok(None),
        Ok(Some(_)) => return Err(malformed("its splitEvent is no document")),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let number = |name| {
        let number = split.get_i32(name).ok().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| malformed(&format!("its splitEvent has no number as {name}")))
    };
    Ok(Some(Place { fragment: number("fragment")?, of: number("of")? }))
}

/// One event of all fields, with the position of the last fragment.
fn join(fragments: &[RawDocumentBuf]) -> Result<RawDocumentBuf, Error> {
    let unreadable = |error: bson::error::Error| malformed(&error.to_string());
    let mut whole = RawDocumentBuf::new();
    for (index, fragment) in fragments.iter().enumerate() {
        let is_last = index + 1 == fragments.len();
        for field in fragment {
            let (name, value) = field.map_err(unreadable)?;
            if name.as_str() != SPLIT && (is_last || name.as_str() != "_id") {
                whole.append(name, value);
            }
        }
    }
    Ok(whole)
}

fn malformed(reason: &str) -> Error {
    Error::MalformedEvent { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, rawdoc};

    fn fragment(number: i32, of: i32) -> RawDocumentBuf {
        let mut event = rawdoc! { "_id": { "_data": format!("8{number}") } };
        event.append(bson::cstr!("splitEvent"), rawdoc! { "fragment": number, "of": of });
        event
    }

    #[test]
    fn an_event_is_whole_with_its_last_fragment() {
        let mut fragments = Fragments::default();
        let mut first = fragment(1, 2);
        first.append(bson::cstr!("operationType"), "update");
        let mut second = fragment(2, 2);
        second.append(bson::cstr!("fullDocument"), rawdoc! { "_id": 5 });
        assert_eq!(fragments.take(first).expect("a fragment"), None);
        assert!(fragments.is_partial());
        let whole = fragments.take(second).expect("a fragment").expect("an event");
        let expected = rawdoc! {
            "operationType": "update",
            "_id": { "_data": "82" },
            "fullDocument": { "_id": 5 },
        };
        assert_eq!(whole, expected);
        assert!(!fragments.is_partial());
    }

    #[test]
    fn an_event_that_was_not_split_is_whole_as_it_is() {
        let event = rawdoc! { "_id": { "_data": "81" }, "operationType": "insert" };
        assert_eq!(Fragments::default().take(event.clone()).expect("an event"), Some(event));
    }

    #[test]
    fn fragments_that_do_not_follow_each_other_are_told_so() {
        let table = [
            vec![fragment(2, 2)],
            vec![fragment(1, 3), fragment(3, 3)],
            vec![fragment(1, 2), fragment(1, 2)],
            vec![fragment(1, 0)],
            vec![fragment(1, 2), rawdoc! { "_id": { "_data": "82" } }],
            vec![rawdoc! { "splitEvent": 5 }],
            vec![rawdoc! { "splitEvent": { "fragment": 1 } }],
            vec![rawdoc! { "splitEvent": { "fragment": -1, "of": 2 } }],
        ];
        for events in table {
            let mut fragments = Fragments::default();
            let outcome = events.into_iter().try_for_each(|event| fragments.take(event).map(drop));
            assert!(matches!(outcome, Err(Error::MalformedEvent { .. })), "{outcome:?}");
        }
    }
}
