//! How many requests have come and are not done with, and who waits for that.

use std::cell::Cell;
use std::rc::Rc;

type OnNone = Box<dyn FnOnce()>;

#[derive(Default)]
pub(super) struct OpenRequests {
    count: Cell<usize>,
    on_none: Cell<Option<OnNone>>,
}

/// A request that was not dropped yet.
pub(super) struct OpenRequest(Rc<OpenRequests>);

impl OpenRequests {
    pub(super) fn open(self: &Rc<Self>) -> OpenRequest {
        self.count.set(self.count.get() + 1);
        OpenRequest(self.clone())
    }

    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Has something run when the last one is done with, or now if there is none, in the place of what was
    /// to run then.
    pub(super) fn when_none(&self, on_none: impl FnOnce() + 'static) {
        drop(self.on_none.take());
        match self.count.get() {
            0 => on_none(),
            _ => self.on_none.set(Some(Box::new(on_none))),
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let requests = &self.0;
        requests.count.set(requests.count.get() - 1);
        if requests.count.get() == 0
            && let Some(on_none) = requests.on_none.take()
        {
            on_none();
        }
    }
}
