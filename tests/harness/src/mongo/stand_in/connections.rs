//! The connections that a stand-in has open, so that they can be closed, and whoever waits be woken.

use super::lock;
use std::{
    collections::HashMap,
    net::{Shutdown, TcpStream},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub(super) struct Connections {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    accepted: usize,
    open: HashMap<usize, TcpStream>,
    is_ending: bool,
}

/// Closes and forgets a connection when it is dropped.
pub(super) struct Open<'a> {
    connections: &'a Connections,
    index: usize,
}

impl Connections {
    /// Takes a new connection in. `None` at the end.
    pub(super) fn add(&self, stream: &TcpStream) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.is_ending {
            return None;
        }
        let index = state.accepted;
        state.open.insert(index, stream.try_clone().ok()?);
        state.accepted += 1;
        Some(index)
    }

    pub(super) fn guard(&self, index: usize) -> Open<'_> {
        Open { connections: self, index }
    }

    /// Closes everything.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.is_ending = true;
        state.open.values().for_each(close);
        self.ended.notify_all();
    }

    pub(super) fn accepted(&self) -> usize {
        lock(&self.state).accepted
    }

    pub(super) fn open(&self) -> usize {
        lock(&self.state).open.len()
    }

    /// Waits, unless everything ends meanwhile.
    pub(super) fn pause(&self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        let state = lock(&self.state);
        let waited = self.ended.wait_timeout_while(state, pause, |state| !state.is_ending);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(stream) = lock(&self.connections.state).open.remove(&self.index) {
            close(&stream);
        }
    }
}

fn close(stream: &TcpStream) {
    // fails if the peer has closed already
    let _ = stream.shutdown(Shutdown::Both);
}
