//! What goes on over many calls of the bridge: a watcher, or a list that is read as a whole.

use crate::callback::{Ran, State};
use std::rc::Rc;

pub(in crate::mongo) trait Tenant {
    /// The connection was closed.
    fn handle_closed(self: Rc<Self>, state: &mut State) -> Ran;
}
