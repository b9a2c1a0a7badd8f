//! The one library that the packaged `mongod` needs and a small system may lack, with what it needs in
//! turn: from Debian's archive into the target directory, without root.

use crate::apt;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The package that has it. Later suites call it otherwise, and say that it provides this.
const PACKAGE: &str = "libcurl4";

/// Where packages for this machine have their libraries.
const DIRECTORIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// Returns whether a program did not start for want of the library.
pub(super) fn is_missing(failure: &str) -> bool {
    failure.contains("libcurl.so.4")
}

/// The directory that an earlier fetch has filled.
pub(super) fn kept(root: &Path) -> Option<PathBuf> {
    let directory = place(root);
    directory.exists().then_some(directory)
}

/// Fetches the library, and returns the directory that holds it and all it needs.
pub(super) fn fetch(root: &Path) -> Result<PathBuf, String> {
    let unpacked = apt::fetch_missing(&apt::debian_sources()?, PACKAGE, root)?;
    let collected = unpacked.path().join("collected");
    let directory = place(root);
    fs::create_dir(&collected)
        .and_then(|()| collect(unpacked.path(), &collected))
        .and_then(|()| fs::rename(&collected, &directory))
        .map_err(|error| format!("cannot fill {}: {error}", directory.display()))?;
    Ok(directory)
}

fn place(root: &Path) -> PathBuf {
    root.join(PACKAGE)
}

/// Moves the libraries out of an unpacked package's tree.
fn collect(tree: &Path, collected: &Path) -> std::io::Result<()> {
    let directories = DIRECTORIES.map(|directory| tree.join(directory));
    for directory in directories.iter().filter(|directory| directory.exists()) {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            fs::rename(entry.path(), collected.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_both_places_are_collected() {
        let tree = tempfile::tempdir().unwrap();
        for (directory, name) in DIRECTORIES.into_iter().zip(["libcurl.so.4", "libz.so.1"]) {
            let directory = tree.path().join(directory);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), name).unwrap();
        }
        let collected = tree.path().join("collected");
        fs::create_dir(&collected).unwrap();
        collect(tree.path(), &collected).unwrap();
        assert!(collected.join("libcurl.so.4").exists() && collected.join("libz.so.1").exists());
    }

    #[test]
    fn a_missing_library_is_told_from_other_failures() {
        let missing = "error while loading shared libraries: libcurl.so.4: cannot open shared \
                       object file: No such file or directory";
        assert!(is_missing(missing));
        assert!(!is_missing("error while loading shared libraries: libssl.so.3: cannot open"));
    }
}
