//! The crate's floors: imports only ever point down, and no two files import each other.
//!
//! There is one exemption: none. A `mod.rs` only declares and re-exports, so a child that needs a
//! sibling names the sibling's file.

mod imports;

use imports::{Floor, Module, arrows, assert_point_down, files_with, in_circles, paths, show};

/// What each floor may import, beside its own files.
const FLOORS: &[Floor] = &[
    ("setters", &[]),
    ("wire", &["setters"]),
    ("disconnect", &["wire"]),
    ("tables", &["random", "setters", "wire"]),
    ("pool", &["disconnect", "setters", "wire"]),
    ("random", &[]),
    ("session", &["disconnect", "random", "setters", "tables", "wire"]),
];

#[test]
fn imports_point_down() {
    assert_point_down(&arrows(), FLOORS);
}

#[test]
fn there_is_no_source_of_randomness_and_no_clock() {
    for word in ["fastrand", "getrandom", "RandomState", "Instant::now(", "SystemTime"] {
        assert_eq!(files_with(word), Vec::<String>::new(), "{word}");
    }
}

#[test]
fn no_file_imports_itself_in_a_circle() {
    assert_eq!(in_circles(&arrows()), Vec::<String>::new());
}

#[test]
fn the_reading_of_imports_finds_what_is_there() {
    let arrows = arrows();
    let imported = |module: &[&str]| {
        let module: Module = module.iter().map(|part| (*part).to_owned()).collect();
        arrows[&module].iter().map(show).collect::<Vec<_>>()
    };
    assert!(arrows.len() > 30, "{} files", arrows.len());
    assert_eq!(imported(&["tables", "fences"]), ["tables::deadlines", "tables::subscriptions"]);
    let paths =
        paths("use super::a::{self, B};\nuse crate::{c, d::E};\nfn f() { self::g::H::i() }");
    let expected = ["super::a::self", "super::a::B", "crate::c", "crate::d::E", "self::g::H::i"];
    assert_eq!(paths, expected);
}
