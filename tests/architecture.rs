//! The crate's floors: imports only ever point down, and the circles of files within a floor are
//! known.

#[path = "../protocol/tests/imports/mod.rs"]
mod imports;

use imports::{Floor, arrows, assert_point_down, files_with, in_circles, paths};

/// What each floor may import, beside its own files; CONTRIBUTING.md has the picture.
const FLOORS: &[Floor] = &[
    ("error", &[]),
    ("callback", &["error"]),
    ("event_loop", &["callback", "error"]),
    ("simulation", &["error", "event_loop"]),
    ("client", &["callback", "error", "event_loop"]),
    ("jetstream", &["callback", "client", "error", "event_loop"]),
    ("kv", &["callback", "client", "error", "event_loop", "jetstream"]),
    ("object_store", &["callback", "client", "error", "event_loop", "jetstream"]),
    ("groups", &["callback", "client", "error", "event_loop", "jetstream", "kv"]),
    ("mongo", &["callback", "client", "error", "event_loop", "jetstream", "kv"]),
    ("service", &["callback", "client", "error", "event_loop", "jetstream"]),
    ("trace", &["callback", "client", "error", "event_loop", "jetstream"]),
];

/// The files that import each other, for two reasons that CONTRIBUTING.md gives: a callback is lent
/// the client that keeps it, and what happens in a simulated world happens on its wires.
const IN_CIRCLES: [&str; 8] = [
    "client::connection",
    "client::driver",
    "client::hooks",
    "client::port",
    "client::route",
    "simulation::network",
    "simulation::wire",
    "simulation::world",
];

#[test]
fn imports_point_down() {
    let arrows = arrows();
    assert!(arrows.len() > 60, "{} files", arrows.len());
    assert_point_down(&arrows, FLOORS);
}

#[test]
fn files_import_each_other_in_the_known_circles_only() {
    assert_eq!(in_circles(&arrows()), IN_CIRCLES);
}

/// What nobody may guess comes from the system. A generator that can be guessed is for jitter, and
/// for simulations, which can be repeated.
#[test]
fn randomness_that_can_be_guessed_is_for_jitter_and_simulations_only() {
    assert_eq!(
        files_with("fastrand"),
        ["jetstream::consume::ordered", "jetstream::consume::pull::backoff", "simulation::world"]
    );
    assert_eq!(files_with("getrandom"), ["event_loop::platform::random"]);
    // its seeds are the system's
    assert_eq!(files_with("RandomState"), ["jetstream::watching::hashing"]);
}

#[test]
fn every_part_of_a_group_counts() {
    assert_eq!(paths("use crate::a::{B, c::D};"), ["crate::a::B", "crate::a::c::D"]);
}
