//! The crate's floors: imports only ever point down, and no two files import each other.
//!
//! The paths that begin with `crate`, `super` or `self` in `src` are followed to the files they
//! lead to. Comments and unit tests do not count.
//!
//! There is one exemption: none. A `mod.rs` only declares and re-exports, so a child that needs a
//! sibling names the sibling's file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each floor may import, beside its own files. The crate's root re-exports from all of them.
const FLOORS: [(&str, &[&str]); 5] = [
    ("wire", &[]),
    ("disconnect", &["wire"]),
    ("tables", &["wire"]),
    ("pool", &["disconnect", "wire"]),
    ("session", &["disconnect", "tables", "wire"]),
];

const STARTS: [&str; 3] = ["crate::", "super::", "self::"];

/// A module's path without the crate, such as `["wire", "decode"]`.
type Module = Vec<String>;

#[test]
fn imports_point_down() {
    for (file, imported) in arrows() {
        let Some(floor) = file.first() else { continue };
        let (_, below) = FLOORS.iter().find(|(name, _)| name == floor).expect("a known floor");
        for module in imported {
            let target = module.first().map_or("the crate's root", String::as_str);
            let is_allowed = target == floor || below.contains(&target);
            assert!(is_allowed, "{} imports {}", file.join("::"), module.join("::"));
        }
    }
}

#[test]
fn no_file_imports_itself_in_a_circle() {
    let arrows = arrows();
    for file in arrows.keys() {
        let mut reached = BTreeSet::new();
        let mut open = vec![file];
        while let Some(module) = open.pop() {
            for next in arrows.get(module).into_iter().flatten() {
                assert!(next != file, "a circle through {} and {}", show(file), show(module));
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
    }
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

fn show(module: &Module) -> String {
    module.join("::")
}

/// Every file of the crate with the files that it imports.
fn arrows() -> BTreeMap<Module, BTreeSet<Module>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&source);
    let modules: BTreeSet<Module> = files.iter().map(|file| module(&source, file)).collect();
    let arrows_of = |file: &PathBuf| {
        let module = module(&source, file);
        let text = code(&fs::read_to_string(file).expect("a readable file"));
        let is_folder = file.ends_with("mod.rs") || file.ends_with("lib.rs");
        let targets = paths(&text).into_iter().map(|path| absolute(&path, &module, is_folder));
        let mut targets: BTreeSet<_> = targets.map(|path| file_of(path, &modules)).collect();
        targets.remove(&module);
        (module, targets)
    };
    files.iter().map(arrows_of).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// `src/wire/decode.rs` is `wire::decode`, `src/wire/mod.rs` is `wire`.
fn module(source: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(source).expect("a file of the crate").with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod" && part != "lib").collect()
}

/// The text without comments and without the unit tests at its end. What is imported by a child's
/// name or from another crate begins with `self`, too.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| from_self(line) + "\n").collect()
}

fn from_self(line: &str) -> String {
    match line.split_once("use ") {
        Some((before, path)) if !STARTS.iter().any(|start| path.starts_with(start)) => {
            format!("{before}use self::{path}")
        }
        _ => line.to_owned(),
    }
}

/// The paths that begin with `crate`, `super` or `self`, those in braces one by one.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = STARTS.iter().filter_map(|start| rest.find(start)).min() {
        let (before, tail) = rest.split_at(at);
        let end = tail.find(|c: char| !is_of_path(c)).unwrap_or(tail.len());
        let is_start = !before.ends_with(is_of_path);
        let (path, after) = tail.split_at(end);
        rest = after;
        match after.strip_prefix('{').filter(|_| path.ends_with("::")) {
            _ if !is_start => {}
            Some(group) => paths.extend(members(group).iter().map(|name| format!("{path}{name}"))),
            None => paths.push(path.to_owned()),
        }
    }
    paths
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// What a group of imports holds, up to its closing brace.
fn members(group: &str) -> Vec<&str> {
    let end = group.find('}').expect("the end of the group");
    let names = group[..end].split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

fn absolute(path: &str, module: &Module, is_folder: bool) -> Module {
    let mut absolute = module.clone();
    if !is_folder && !path.starts_with("self::") {
        // in a file, `super` is the folder, which is where the file's own name ends
        absolute.pop();
    } else if path.starts_with("super::") {
        absolute.pop();
    }
    for part in path.split("::").filter(|part| !part.is_empty() && *part != "self") {
        match part {
            "crate" => absolute.clear(),
            "super" => {}
            part => absolute.push(part.to_owned()),
        }
    }
    absolute
}

/// The file that a path leads to: the longest part of it that is one.
fn file_of(mut path: Module, modules: &BTreeSet<Module>) -> Module {
    while !modules.contains(&path) {
        path.pop();
    }
    path
}
