//! Pull consumers: what is asked of the server, and what follows from what it says. Machines without
//! socket and clock.
//!
//! [`Pull`](machine::Pull) consumes without end, [`Fetch`](fetch::Fetch) asks once. Both are told of
//! every message and status, and say when they want to be told the time. Their driver owns the
//! subscription, the timer, and the messages that the program has not taken yet.
#![allow(dead_code, unreachable_pub, reason = "the driver comes next")]

mod backoff;
mod fetch;
mod fetch_options;
mod keep_alive;
mod limits;
mod machine;
mod option_error;
mod options;
mod outcome;
mod request;
mod silence;
mod window;
