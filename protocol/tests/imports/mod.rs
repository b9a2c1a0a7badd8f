//! Who imports whom: the paths that begin with `crate`, `super` or `self` in `src`, followed to the
//! files they lead to. Comments and unit tests do not count.

#![allow(unreachable_pub, reason = "each test binary has its own copy")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A floor's name, and what it may import beside its own files.
pub type Floor = (&'static str, &'static [&'static str]);

/// A module's path without the crate, such as `["wire", "decode"]`.
pub type Module = Vec<String>;

/// Every file of a crate with the files that it imports.
pub type Arrows = BTreeMap<Module, BTreeSet<Module>>;

const STARTS: [&str; 3] = ["crate::", "super::", "self::"];

/// Panics if a file imports what is not on its own floor or one that it may import. The crate's root
/// re-exports from all of them.
pub fn assert_point_down(arrows: &Arrows, floors: &[Floor]) {
    for (file, imported) in arrows {
        let Some(floor) = file.first() else { continue };
        let (_, below) = floors.iter().find(|(name, _)| name == floor).expect("a known floor");
        for module in imported {
            let target = module.first().map_or("the crate's root", String::as_str);
            let is_allowed = target == floor || below.contains(&target);
            assert!(is_allowed, "{} imports {}", show(file), show(module));
        }
    }
}

/// The files from which a chain of imports leads back to them.
pub fn in_circles(arrows: &Arrows) -> Vec<String> {
    let is_in_circle = |file: &&Module| {
        let mut reached = BTreeSet::new();
        let mut open = vec![*file];
        while let Some(module) = open.pop() {
            let imported = arrows.get(module).into_iter().flatten();
            open.extend(imported.filter(|next| reached.insert(*next)));
        }
        reached.contains(file)
    };
    arrows.keys().filter(is_in_circle).map(show).collect()
}

pub fn show(module: &Module) -> String {
    module.join("::")
}

/// The files of the crate that have a word in their code.
pub fn files_with(word: &str) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let has_it =
        |file: &PathBuf| code(&fs::read_to_string(file).expect("a readable file")).contains(word);
    let mut found: Vec<_> = files(&source)
        .into_iter()
        .filter(has_it)
        .map(|file| show(&module(&source, &file)))
        .collect();
    found.sort();
    found
}

/// Every file of the crate with the files that it imports.
pub fn arrows() -> Arrows {
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
    // unit tests in files of their own, and programs, which use the crate from outside
    let is_outside = |path: &PathBuf| path.ends_with("tests") || path.ends_with("src/bin");
    let paths = paths.filter(|path| !is_outside(&path.with_extension("")));
    let files = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
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
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| from_self(&without_scope(line)) + "\n").collect()
}

/// A line without the scope of a visibility, which is no import, and without what a module within
/// the file calls the file.
fn without_scope(line: &str) -> String {
    let line = match (line.find("pub(in "), line.find(") ")) {
        (Some(start), Some(end)) => format!("{}{}", &line[..start], &line[end + 2..]),
        _ => line.to_owned(),
    };
    match line.starts_with(' ') {
        true => line.replace("super::", "self::"),
        false => line,
    }
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
pub fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = STARTS.iter().filter_map(|start| rest.find(start)).min() {
        let (before, tail) = rest.split_at(at);
        let end = tail.find(|c: char| !is_of_path(c)).unwrap_or(tail.len());
        // what a macro names with `$crate` is imported where the macro is used
        let is_start = !before.ends_with(is_of_path) && !before.ends_with('$');
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
