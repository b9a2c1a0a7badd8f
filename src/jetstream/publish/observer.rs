//! Who publishes over a client and lives beside it: told of the connection, and let go of with the loop.

use crate::callback::State;
use crate::client::{Observed, ObserverId, Port};
use std::rc::{Rc, Weak};

pub(crate) trait Observer: 'static {
    /// What has become of the connection.
    fn observe(self: Rc<Self>, observed: Observed);

    /// Whether the client's end has been observed. Then everything is told, and released after that.
    fn has_ended(&self) -> bool;

    /// Lets go of every callback: the loop is gone, nothing is to be told any more, and what the callbacks
    /// have captured may be the observer itself.
    fn release(&self);
}

/// An observer as the client knows it.
struct WhileObserved<T: Observer>(Weak<T>);

impl<T: Observer> Drop for WhileObserved<T> {
    fn drop(&mut self) {
        if let Some(observer) = self.0.upgrade().filter(|observer| !observer.has_ended()) {
            observer.release();
        }
    }
}

/// Has it observe the connection, without being held by it.
pub(crate) fn observe<T: Observer>(port: &Port, observer: &Rc<T>) -> ObserverId {
    let observer = WhileObserved(Rc::downgrade(observer));
    port.observe(Box::new(move |_: &mut State, observed| {
        if let Some(observer) = observer.0.upgrade() {
            observer.observe(observed);
        }
        Ok(())
    }))
}
