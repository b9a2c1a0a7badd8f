//! Finding the binary of a release, or fetching it into the target directory.
//!
//! Nothing outside the target directory is changed and no privilege is used. A binary appears there
//! by an atomic rename and is never changed again, so processes that provision at once can at worst
//! work twice; a lock file keeps them from that where it can.

use crate::{Release, Version, apt, lock::Lock};
use std::{
    ffi::OsStr,
    fmt, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Instant,
};

/// What the program is called everywhere.
const PROGRAM: &str = "nats-server";

/// What `go install` calls it.
const GO_MODULE: &str = "github.com/nats-io/nats-server/v2";

/// Finds the `nats-server` of a release, or fetches it. The answer is kept for the life of the
/// process.
///
/// In this order: the environment variable of the release (`NATS_SERVER_BIN`,
/// `NATS_SERVER_BIN_2_10`, `NATS_SERVER_BIN_2_9`), whose binary is used whatever its version;
/// `nats-server` on the `PATH`, if it is of the release; an earlier copy at
/// `nats-server/<release>/nats-server` in the target directory. Then it is fetched to there: from
/// Debian's archive through the mirror that the machine's apt is configured with, from an installed
/// Homebrew formula, or by `go install`. Progress is reported on stderr.
///
/// # Errors
///
/// When the variable's binary does not run, or all ways fail. The text says what to do.
pub fn provision(release: Release) -> Result<PathBuf, ProvisionError> {
    static FOUND: [OnceLock<Result<PathBuf, ProvisionError>>; 3] = [const { OnceLock::new() }; 3];

    // the other threads of this process wait here while the first one looks
    FOUND[release as usize].get_or_init(|| find(release)).clone()
}

/// Why there is no `nats-server` to test against. Debugs as it displays, so that `unwrap` shows what
/// to do.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The environment names a binary that does not run.
    #[error("{variable} names {}, which does not run as a nats-server: {reason}", path.display())]
    #[non_exhaustive]
    Override {
        /// The environment variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// No binary was found, and none could be fetched.
    #[error(
        "there is no nats-server {release} and it could not be fetched; install one (Debian {}: \
         `apt-get install nats-server`; macOS: `brew install nats-server`; with Go: `go install \
         {GO_MODULE}@{}`) and put it on the PATH or its path into {}; what was tried:\n{}",
        release.debian_suite(), release.go_version(), release.binary_variable(), tried.join("\n")
    )]
    #[non_exhaustive]
    Unavailable {
        /// The release that was asked for.
        release: Release,
        /// Each way, and why it failed.
        tried: Vec<String>,
    },
}

impl fmt::Debug for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The version that a binary says it has. An error says why it is not a `nats-server`.
pub(crate) fn version_of(binary: impl AsRef<OsStr>) -> Result<Version, String> {
    let output = run(Command::new(binary).arg("--version"))?;
    Version::from_command_output(&output)
        .ok_or_else(|| format!("`--version` gives no version: {output:?}"))
}

/// Runs a command to its end. Returns its stdout; an error holds the command and all that it wrote.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    // messages are looked into, and shown to people of all tongues
    let result = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let name = || {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    };
    let output = result.map_err(|error| format!("`{}`: {error}", name()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` failed ({}): {} {}", name(), output.status, stdout.trim(), stderr.trim()))
}

fn find(release: Release) -> Result<PathBuf, ProvisionError> {
    let variable = release.binary_variable();
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from) {
        let checked = version_of(&path).and_then(|_| absolute(&path));
        return checked.map_err(|reason| ProvisionError::Override { variable, path, reason });
    }
    if let Some(path) = on_path(release) {
        return Ok(path);
    }
    let cache = Cache::new(target_directory().join(PROGRAM), release);
    cache.get_or_fetch().map_err(|tried| ProvisionError::Unavailable { release, tried })
}

/// A server runs in a directory of its own, so a relative path must not stay relative. A bare name
/// is for the PATH.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, String> {
    if path.components().count() == 1 && !path.exists() {
        return Ok(path.to_owned());
    }
    std::path::absolute(path).map_err(|error| error.to_string())
}

fn on_path(release: Release) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(PROGRAM))
        .filter(|program| program.is_absolute())
        .find(|program| program.is_file() && is_of(program, release).is_ok())
}

fn is_of(binary: &Path, release: Release) -> Result<(), String> {
    let version = version_of(binary)?;
    if release.accepts(version) {
        Ok(())
    } else {
        Err(format!("{} is of {version}", binary.display()))
    }
}

/// Cargo's target directory as far as it can be known at run time: of the environment, or the
/// workspace's own.
pub(crate) fn target_directory() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    // this crate is tests/harness in the workspace
    let workspace = manifest.ancestors().nth(2).unwrap_or(manifest);
    // if relative, then to where cargo was started, which is as a rule the workspace, and not to
    // here: tests run in the directory of their package.
    workspace.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Where fetched binaries of one release are kept.
struct Cache {
    root: PathBuf,
    release: Release,
}

impl Cache {
    fn new(root: PathBuf, release: Release) -> Cache {
        Cache { root, release }
    }

    fn binary(&self) -> PathBuf {
        self.root.join(self.release.name()).join(PROGRAM)
    }

    /// The kept binary. One that does not run, say of another architecture, is as good as none.
    fn get(&self) -> Option<PathBuf> {
        let binary = self.binary();
        (binary.exists() && is_of(&binary, self.release).is_ok()).then_some(binary)
    }

    /// The kept binary, or a new one. An error lists what was tried.
    fn get_or_fetch(&self) -> Result<PathBuf, Vec<String>> {
        if let Some(binary) = self.get() {
            return Ok(binary);
        }
        fs::create_dir_all(&self.root)
            .map_err(|error| vec![format!("cannot make {}: {error}", self.root.display())])?;
        let _lock = Lock::take(&self.root, &self.release.to_string(), PROGRAM);
        if let Some(binary) = self.get() {
            return Ok(binary); // Another process was faster.
        }
        report(&format!("provisioning {PROGRAM} {} …", self.release));
        let started = Instant::now();
        let mut tried = Vec::new();
        for (name, fetch) in [
            ("apt", Cache::fetch_by_apt as Fetch),
            ("brew", Cache::fetch_by_brew),
            ("go", Cache::fetch_by_go),
        ] {
            match fetch(self) {
                Ok(binary) => {
                    let seconds = started.elapsed().as_secs_f32();
                    report(&format!(
                        "provisioned {PROGRAM} {} by {name} in {seconds:.1} s",
                        self.release
                    ));
                    return Ok(binary);
                }
                Err(reason) => tried.push(format!("* {name}: {reason}")),
            }
        }
        Err(tried)
    }

    fn fetch_by_apt(&self) -> Result<PathBuf, String> {
        let sources = apt::debian_sources()?;
        let unpacked = apt::fetch(&sources, self.release.debian_suite(), PROGRAM, &self.root)?;
        let binary = ["usr/sbin", "usr/bin"]
            .map(|directory| unpacked.path().join(directory).join(PROGRAM))
            .into_iter()
            .find(|path| path.exists())
            .ok_or("the package holds no nats-server")?;
        self.keep(&binary)
    }

    /// An installed formula that is not on the PATH. Installing it would change the system, which
    /// is the user's call.
    fn fetch_by_brew(&self) -> Result<PathBuf, String> {
        let prefix = run(Command::new("brew").args(["--prefix", "--installed", PROGRAM]))?;
        let binary = Path::new(prefix.trim()).join("bin").join(PROGRAM);
        is_of(&binary, self.release)?;
        Ok(binary)
    }

    fn fetch_by_go(&self) -> Result<PathBuf, String> {
        let directory =
            tempfile::Builder::new().prefix("go-").tempdir_in(&self.root).map_err(|error| {
                format!("cannot make a directory in {}: {error}", self.root.display())
            })?;
        let module = format!("{GO_MODULE}@{}", self.release.go_version());
        run(Command::new("go").args(["install", &module]).env("GOBIN", directory.path()))?;
        self.keep(&directory.path().join(PROGRAM))
    }

    /// Keeps a fetched binary, which is below the root, if it is of the release.
    fn keep(&self, fetched: &Path) -> Result<PathBuf, String> {
        is_of(fetched, self.release)?;
        let binary = self.binary();
        move_to(fetched, &binary)?;
        Ok(binary)
    }
}

/// Moves a fetched binary to its place, whole or not at all. Both have to be in the same file system.
pub(crate) fn move_to(fetched: &Path, binary: &Path) -> Result<(), String> {
    let moved = binary
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::rename(fetched, binary));
    moved.map_err(|error| {
        format!("cannot move {} to {}: {error}", fetched.display(), binary.display())
    })
}

/// One way to fetch a binary into the cache.
type Fetch = fn(&Cache) -> Result<PathBuf, String>;

/// Tells the person who waits for a test what it is doing, past the capture of the test runner.
pub(crate) fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_binary_must_be_of_its_release() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path().to_owned(), Release::V2_10);
        assert_eq!(cache.get(), None);
        let fetched = root.path().join("fetched");
        let script = |version: &str| {
            // by another process: a file that this one has open for writing while another thread
            // forks is busy.
            let write =
                "printf '#!/bin/sh\necho nats-server: v%s\n' \"$2\" > \"$1\"; chmod 755 \"$1\"";
            run(Command::new("sh").args(["-c", write, "sh"]).arg(&fetched).arg(version)).unwrap();
        };
        script("2.9.10");
        assert!(cache.keep(&fetched).unwrap_err().contains("is of 2.9.10"));
        script("2.10.27");
        let kept = cache.keep(&fetched).unwrap();
        assert_eq!(cache.get(), Some(kept));
        assert!(!fetched.exists());
    }

    #[test]
    fn what_to_do_is_in_the_error() {
        let error = ProvisionError::Unavailable {
            release: Release::V2_10,
            tried: vec!["* apt: none".to_owned()],
        };
        let text = error.to_string();
        for part in
            ["nats-server 2.10", "NATS_SERVER_BIN_2_10", "v2@v2.10", "trixie", "* apt: none"]
        {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
}
