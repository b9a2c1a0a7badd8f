//! A change on its way through the dispatch functions.

use crate::error::Error as AnyError;
use crate::mongo::changes::event::ChangeEvent;
use std::rc::Rc;

pub(super) struct Delivery {
    pub(super) number: u64,
    pub(super) event: Rc<ChangeEvent>,
    /// The function that is next.
    pub(super) step: usize,
    /// What a function before has failed with. It stays, whatever those behind it return.
    pub(super) error: Option<Rc<AnyError>>,
}

impl Delivery {
    /// On to the next function.
    pub(super) fn passed(mut self, outcome: Result<(), AnyError>) -> Self {
        self.step += 1;
        if let Err(error) = outcome {
            self.error.get_or_insert(Rc::new(error));
        }
        self
    }
}
