//! The network's map: names, addresses, and who listens where.

use super::wire::{Accept, Direction, Wire};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::time::Duration;

pub(super) struct Network {
    names: BTreeMap<String, Vec<IpAddr>>,
    hosts: BTreeMap<SocketAddr, Host>,
    pub(super) latency: Range<Duration>,
    connections: u64,
}

/// What is at an address: perhaps a server.
#[derive(Default)]
pub(super) struct Host {
    pub(super) accept: Option<Rc<RefCell<Accept>>>,
    pub(super) is_cut: bool,
    /// What would have arrived if the host were not cut off.
    pub(super) parked: Vec<(Rc<Wire>, Direction)>,
    wires: Vec<Weak<Wire>>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            names: BTreeMap::new(),
            hosts: BTreeMap::new(),
            latency: Duration::from_micros(100)..Duration::from_millis(1),
            connections: 0,
        }
    }
}

impl Network {
    pub(super) fn listen(&mut self, address: &str, accept: Accept) -> io::Result<()> {
        let host = self.host(address)?;
        if host.accept.is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        host.accept = Some(Rc::new(RefCell::new(accept)));
        Ok(())
    }

    pub(super) fn set_addresses(&mut self, name: &str, hosts: &[&str]) -> io::Result<()> {
        let addresses = hosts.iter().map(|host| self.address_of(host));
        let addresses = addresses.collect::<io::Result<_>>()?;
        self.names.insert(name.to_owned(), addresses);
        Ok(())
    }

    /// What is at `host:port`.
    pub(super) fn host(&mut self, address: &str) -> io::Result<&mut Host> {
        let address = match address.parse() {
            Ok(address) => address,
            Err(_) => {
                let (name, port) = address.rsplit_once(':').ok_or_else(no_address)?;
                let port = port.parse().map_err(|_| no_address())?;
                SocketAddr::new(self.address_of(name)?, port)
            }
        };
        Ok(self.host_at(address))
    }

    pub(super) fn host_at(&mut self, address: SocketAddr) -> &mut Host {
        self.hosts.entry(address).or_default()
    }

    pub(super) fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.names.get(name).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no such host in the simulation: {name}"),
            )
        })?;
        Ok(addresses.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    pub(super) fn next_connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// The first address of a name; a new name gets one.
    fn address_of(&mut self, name: &str) -> io::Result<IpAddr> {
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        if name.is_empty() {
            return Err(no_address());
        }
        let [_, b, c, d] = (self.names.len() as u32 + 1).to_be_bytes();
        let fresh = IpAddr::from(Ipv4Addr::new(10, b, c, d));
        let addresses = self.names.entry(name.to_owned()).or_insert_with(|| vec![fresh]);
        addresses.first().copied().ok_or_else(no_address)
    }
}

impl Host {
    pub(super) fn add(&mut self, wire: &Rc<Wire>) {
        self.wires.retain(|wire| wire.strong_count() > 0);
        self.wires.push(Rc::downgrade(wire));
    }

    pub(super) fn wires(&self) -> Vec<Rc<Wire>> {
        self.wires.iter().filter_map(Weak::upgrade).collect()
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not an address of the form host:port")
}
