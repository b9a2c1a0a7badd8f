//! What a bucket has stored of an object, as its stream's leader knows it.

use crate::callback::{Answer, State};
use crate::jetstream::{ApiRequest, MessageQuery, StoredMessage};
use crate::object_store::error::Error;
use crate::object_store::info::ObjectInfo;
use crate::object_store::store::Store;
use std::rc::Rc;

/// What was found under an object's name.
#[derive(Debug, Clone, Default)]
pub(in crate::object_store) struct Found {
    /// Its sequence; 0: nothing was ever stored there.
    pub(in crate::object_store) revision: u64,
    /// What it says, or why it cannot be read. `None`: there is nothing.
    pub(in crate::object_store) info: Option<Result<ObjectInfo, String>>,
}

impl Found {
    /// What is known of the object, if it can be read. One that was deleted is known, too.
    pub(in crate::object_store) fn known(&self) -> Option<&ObjectInfo> {
        self.info.as_ref()?.as_ref().ok()
    }

    /// The object, if there is one.
    pub(in crate::object_store) fn live(&self) -> Option<&ObjectInfo> {
        self.known().filter(|info| !info.deleted)
    }
}

impl Store {
    /// Reads what is stored of an object.
    pub(in crate::object_store) fn find_object(
        self: &Rc<Self>,
        name: &str,
        answer: Answer<Result<Found, Error>>,
    ) {
        let subject = self.meta_subject(name);
        let query = MessageQuery::LastBySubject(&subject);
        let store = self.clone();
        let on_stored = move |state: &mut State, stored: Result<StoredMessage, Error>| {
            let found = match stored {
                Ok(stored) => Ok(Found {
                    revision: stored.sequence(),
                    info: Some(ObjectInfo::read(&store.bucket, &stored)),
                }),
                Err(error) if is_no_message(&error) => Ok(Found::default()),
                Err(error) => Err(error),
            };
            answer(state, found)
        };
        self.read(ApiRequest::stored_message(&self.stream, query), Box::new(on_stored));
    }

    /// What was found of an object that has to be there.
    pub(in crate::object_store) fn known_object(
        &self,
        name: &str,
        found: Found,
    ) -> Result<ObjectInfo, Error> {
        match found.info {
            Some(Ok(info)) => Ok(info),
            Some(Err(reason)) => {
                Err(Error::Unreadable { name: name.to_owned(), revision: found.revision, reason })
            }
            None => Err(self.not_found(name)),
        }
    }

    /// The same, of one that was not deleted.
    pub(in crate::object_store) fn live_object(
        &self,
        name: &str,
        found: Found,
    ) -> Result<ObjectInfo, Error> {
        match self.known_object(name, found)? {
            info if info.deleted => Err(self.not_found(name)),
            info => Ok(info),
        }
    }

    pub(in crate::object_store) fn not_found(&self, name: &str) -> Error {
        Error::NotFound { bucket: self.bucket.to_string(), name: name.to_owned() }
    }
}

/// Whether a stream has no such message.
pub(in crate::object_store) fn is_no_message(error: &Error) -> bool {
    matches!(error, Error::JetStream(error) if error.is_no_message())
}
