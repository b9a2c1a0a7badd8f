//! The session under virtual time: every test is a driver and a scripted server in one, and only
//! the public API is used.
//!
//! What the session reports and what it writes are compared as short texts, in order, so that a
//! test also fails on what it did not expect. No test sleeps.

mod buffer;
mod close;
mod denied;
mod drain;
mod fences;
mod handshake;
mod keep_alive;
mod limits;
mod moving;
mod pause;
mod requests;
mod resume;
mod security;
mod shortcuts;
mod subscriptions;
mod support;
