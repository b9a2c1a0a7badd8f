//! Protection: whether a connection has to be TLS, and what is put around its socket.
//!
//! Invariant: TLS is never forgotten. Once a connection of a client was TLS, the client makes no
//! other ones, whatever servers, URLs and announcements say later: whoever can answer in the place
//! of a server would get the credentials otherwise.

use super::link::Layers;
use super::options::Options;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::event_loop::Slot;
use evnats_protocol::{PoolServer, Security, ServerUrl};
use std::cell::Cell;
#[cfg(not(feature = "tls"))]
use std::io;
use std::rc::Rc;

pub(super) struct Protection {
    require_tls: bool,
    /// There was a connection with TLS.
    was_secured: Cell<bool>,
    #[cfg(feature = "tls")]
    tls: Rc<Tls>,
}

impl Protection {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            require_tls: options.require_tls,
            was_secured: Cell::new(false),
            #[cfg(feature = "tls")]
            tls: Rc::new(options.tls.clone()),
        }
    }

    /// A connection speaks TLS.
    pub(super) fn handle_secured(&self) {
        self.was_secured.set(true);
    }

    /// Whether TLS has to come after a server's `INFO`.
    pub(super) fn security(&self, server: Option<&PoolServer>) -> Security {
        if is_websocket(server) || self.is_tls_first() {
            Security::Settled
        } else if self.demands_tls(server) {
            Security::Demanded
        } else if cfg!(feature = "tls") {
            Security::Upgradable
        } else {
            Security::Plain
        }
    }

    /// Whether TLS comes before the server's first word.
    pub(super) fn begins_with_tls(&self, server: Option<&PoolServer>) -> bool {
        if is_websocket(server) { self.demands_tls(server) } else { self.is_tls_first() }
    }

    /// What goes around the socket before the server speaks.
    pub(super) fn layers(&self, server: Option<&PoolServer>, slot: &Slot) -> Layers {
        let tls = self.begins_with_tls(server).then(|| self.tls_layer(server));
        let websocket = websocket_layer(server.map(|server| &server.url), slot);
        Rc::new(move |mut transport| {
            if let Some(tls) = &tls {
                transport = tls(transport)?;
            }
            websocket(transport)
        })
    }

    /// What goes around the socket when the server has asked for TLS.
    #[cfg(feature = "tls")]
    pub(super) fn tls_layer(&self, server: Option<&PoolServer>) -> Layers {
        let tls = self.tls.clone();
        let host = server.map(|server| server.tls_name.as_deref().unwrap_or(server.url.host()));
        let host = host.unwrap_or_default().to_owned();
        Rc::new(move |transport| tls.connect(transport, &host))
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn tls_layer(&self, _server: Option<&PoolServer>) -> Layers {
        Rc::new(|_| Err(io::Error::other("this build has no TLS: turn on feature `tls`")))
    }

    fn demands_tls(&self, server: Option<&PoolServer>) -> bool {
        let scheme_demands = server.is_some_and(|server| server.url.scheme().demands_tls());
        scheme_demands || self.require_tls || self.was_secured.get()
    }

    fn is_tls_first(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_first();
        #[cfg(not(feature = "tls"))]
        false
    }
}

fn is_websocket(server: Option<&PoolServer>) -> bool {
    server.is_some_and(|server| server.url.scheme().is_websocket())
}

#[cfg(feature = "websocket")]
fn websocket_layer(url: Option<&ServerUrl>, slot: &Slot) -> Layers {
    let Some(url) = url.filter(|url| url.scheme().is_websocket()) else { return Rc::new(Ok) };
    let (host, path) = (url.authority(), url.path().to_owned());
    let event_loop = slot.event_loop().clone();
    Rc::new(move |transport| {
        let event_loop = event_loop.clone();
        let random = Box::new(move || event_loop.random());
        super::websocket::connect(transport, &host, &path, random)
    })
}

#[cfg(not(feature = "websocket"))]
fn websocket_layer(_url: Option<&ServerUrl>, _slot: &Slot) -> Layers {
    Rc::new(Ok)
}
