//! Leaving a test that the server at hand is too old for, or that needs what is not installed, so that
//! it is seen: a line on stderr past the capture of the test runner, and in a file that a CI job can
//! count.

use crate::Version;
use std::{fs::OpenOptions, io::Write as _};

/// The environment variable that names the file to append skipped tests to.
const LOG_VARIABLE: &str = "EVNATS_SKIP_LOG";

/// Returns from the test if the server is older than `major.minor`.
///
/// Writes `skipped: <test name> needs nats-server 2.10, got 2.9.10` to stderr, also when the test
/// runner captures the output, and appends the same line to the file that the environment variable
/// `EVNATS_SKIP_LOG` names, if it is set. To be used directly in a test function that returns `()`.
///
/// ```no_run
/// let server = evnats_harness::Server::start();
/// evnats_harness::requires!(server, 2, 10);
/// // … from here on what only 2.10 and later can do
/// ```
#[macro_export]
macro_rules! requires {
    ($server:expr, $major:expr, $minor:expr $(,)?) => {{
        // test threads have no name of their own under `--test-threads=1`, so the name comes from
        // the function.
        fn here() {}
        if $crate::skips(::core::any::type_name_of_val(&here), $server.version(), $major, $minor) {
            return;
        }
    }};
}

/// Returns from the test, because it needs something that is not there, whatever that is.
///
/// Writes `skipped: <test name> needs <what>`, where [`requires!`] writes its lines. To be used directly
/// in a test function that returns `()`.
///
/// ```no_run
/// if !std::path::Path::new("/usr/bin/python3").exists() {
///     evnats_harness::skip!("python3");
/// }
/// ```
#[macro_export]
macro_rules! skip {
    ($what:expr $(,)?) => {{
        fn here() {}
        $crate::note_skipped(::core::any::type_name_of_val(&here), &$what.to_string());
        return;
    }};
}

/// Whether the test that `here` (a function local to [`requires!`]) lives in must be left; reports
/// it if so.
#[doc(hidden)]
#[must_use]
pub fn skips(here: &str, got: Version, major: u32, minor: u32) -> bool {
    if (got.major, got.minor) >= (major, minor) {
        return false;
    }
    note_skipped(here, &format!("nats-server {major}.{minor}, got {got}"));
    true
}

/// Reports that the test that `here` lives in is left, because it needs something.
#[doc(hidden)]
pub fn note_skipped(here: &str, what: &str) {
    let line = line(here, what);
    // `eprintln!` would go to the test runner's capture. A closed stderr is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os(LOG_VARIABLE) {
        // one write, so that lines of test binaries that run at once do not mix
        let appended = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = appended {
            panic!("{LOG_VARIABLE}: cannot append to {}: {error}", path.display());
        }
    }
}

/// The report of one skipped test.
fn line(here: &str, what: &str) -> String {
    let test = here.strip_suffix("::here").unwrap_or(here);
    let test = test.trim_end_matches("::{{closure}}");
    // the crate's name is not part of a test's name as the test runner prints it
    let test = test.split_once("::").map_or(test, |(_crate, test)| test);
    format!("skipped: {test} needs {what}\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    struct Old;

    impl Old {
        fn version(&self) -> Version {
            Version::new(2, 9, 10)
        }
    }

    /// Run by `a_skipped_test_is_reported` in a process of its own: variables cannot be set safely
    /// in this one.
    #[test]
    #[ignore = "run in a child process by a_skipped_test_is_reported"]
    fn child_that_skips() {
        requires!(Old, 2, 9);
        requires!(Old, 2, 8);
        requires!(Old, 1, 99);
        std::thread::Builder::new()
            .name("unrelated".into())
            .spawn(|| requires!(Old, 3, 0))
            .unwrap()
            .join()
            .unwrap();
        std::thread::spawn(|| skip!("a moon")).join().unwrap();
        requires!(Old, 2, 10);
        panic!("not skipped");
    }

    #[test]
    fn a_skipped_test_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("skipped");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "skip::tests::child_that_skips", "--ignored"])
            .env(LOG_VARIABLE, &log)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let expected = "skipped: skip::tests::child_that_skips needs nats-server 3.0, got 2.9.10\n\
                        skipped: skip::tests::child_that_skips needs a moon\n\
                        skipped: skip::tests::child_that_skips needs nats-server 2.10, got 2.9.10\n";
        assert_eq!(std::fs::read_to_string(log).unwrap(), expected);
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            expected,
            "stderr must not be captured"
        );
    }
}
