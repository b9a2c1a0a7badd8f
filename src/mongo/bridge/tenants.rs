//! Tenants are held until they have ended, and told when the connection is closed, though they may be waiting for
//! something else then.

use super::core::Bridge;
use super::tenant::Tenant;
use crate::callback::State;
use std::rc::Rc;
use std::time::Duration;

impl Bridge {
    /// Holds it from now on. With the loop, it is dropped.
    pub(in crate::mongo) fn take_in(&self, tenant: Rc<dyn Tenant>) {
        if self.is_closed() {
            self.tell_closed(tenant.clone());
        }
        self.tenants.borrow_mut().push(tenant);
    }

    /// It has ended.
    pub(in crate::mongo) fn let_go<T: Tenant>(&self, tenant: &Rc<T>) {
        let address = Rc::as_ptr(tenant).cast::<()>();
        let is_it = |other: &Rc<dyn Tenant>| Rc::as_ptr(other).cast::<()>() == address;
        let mut tenants = self.tenants.borrow_mut();
        if let Some(index) = tenants.iter().position(is_it) {
            tenants.swap_remove(index);
        }
    }

    /// Tells all of them, in the next turn.
    pub(super) fn tell_tenants(&self) {
        let tenants = self.tenants.borrow().clone();
        tenants.into_iter().for_each(|tenant| self.tell_closed(tenant));
    }

    fn tell_closed(&self, tenant: Rc<dyn Tenant>) {
        let tell = move |state: &mut State| tenant.handle_closed(state);
        self.event_loop().set_timer(Duration::ZERO, Box::new(tell));
    }
}
