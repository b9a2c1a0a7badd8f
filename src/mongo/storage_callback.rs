//! How storages of the program's own, and ours, give their outcomes.

use crate::callback::Answer;
use crate::mongo::error::Error;

/// Whom a storage tells the outcome of a call: it runs once, on the loop, and never within the call itself.
/// What it returns is to be passed on to the loop.
pub type StorageCallback<S, T> =
    Box<dyn FnOnce(&mut S, Result<T, Error>) -> crate::error::Result<()>>;

/// Makes one of an answer.
pub(in crate::mongo) fn typed<S: 'static, T: 'static>(
    answer: Answer<Result<T, Error>>,
) -> StorageCallback<S, T> {
    Box::new(move |state, outcome| answer(state, outcome).map_err(|error| *error))
}
