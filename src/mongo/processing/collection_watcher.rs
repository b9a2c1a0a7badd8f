//! What a program does about the documents of a collection.

use crate::mongo::changes::Ack;

/// What a program does about the documents of a collection as they change. Each method is given the document
/// as relaxed Extended JSON in UTF-8, and answers by the [`Ack`], at once or later; one that is dropped has
/// failed. The whole change is [`Ack::event`].
///
/// ```
/// use evnats::mongo::{Ack, CollectionWatcher};
///
/// struct Orders;
///
/// impl CollectionWatcher<Vec<String>> for Orders {
///     fn insert(&mut self, seen: &mut Vec<String>, json: &[u8], ack: Ack) {
///         seen.push(String::from_utf8_lossy(json).into_owned());
///         ack.ok();
///     }
///
///     fn update(&mut self, seen: &mut Vec<String>, json: &[u8], ack: Ack) {
///         self.insert(seen, json, ack);
///     }
///
///     fn delete(&mut self, seen: &mut Vec<String>, json: &[u8], ack: Ack) {
///         self.insert(seen, json, ack);
///     }
/// }
/// ```
pub trait CollectionWatcher<S: 'static>: 'static {
    /// A document was inserted.
    fn insert(&mut self, state: &mut S, json: &[u8], ack: Ack);

    /// A document was updated. It is as it is when the server looks it up, which may be after further
    /// changes; `null` if it was deleted by then.
    fn update(&mut self, state: &mut S, json: &[u8], ack: Ack);

    /// A document was replaced by another one of the same `_id`. By default that is an update.
    fn replace(&mut self, state: &mut S, json: &[u8], ack: Ack) {
        self.update(state, json, ack);
    }

    /// A document was deleted. It is as it was before if the collection
    /// [keeps that](crate::mongo::Mongo::ensure_pre_images) and the stream
    /// [asks for it](crate::mongo::ChangeStream::full_document_before_change); else there is only its key,
    /// such as `{"_id":7}`.
    fn delete(&mut self, state: &mut S, json: &[u8], ack: Ack);
}
