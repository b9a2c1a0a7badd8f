//! One process at a time fetches a program; the others wait, and find it.

use crate::provision::report;
use rustix::process::{Pid, test_kill_process};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// How long another process may take to provision before this one does it, too.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// The pause between two looks at another process's lock.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Announces that this process is fetching something, so that others wait. Only saves work: who cannot
/// have it goes ahead.
pub(crate) struct Lock {
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock of this name in the directory. `None` if it cannot be had, or its holder
    /// takes too long. `program` is what the person who waits is told of.
    pub(crate) fn take(root: &Path, name: &str, program: &str) -> Option<Lock> {
        let path = root.join(format!("{name}.lock"));
        // linked into place with its content, as nobody may see it without: the pid tells whether
        // the holder lives.
        let mut file = NamedTempFile::new_in(root).ok()?;
        write!(file, "{}", std::process::id()).ok()?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        let mut waiting = false;
        while Instant::now() < deadline {
            match fs::hard_link(file.path(), &path) {
                Ok(()) => return Some(Lock { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
            if holder_is_gone(&path) {
                // two that see this at once may remove each other's lock, and work twice
                let _ = fs::remove_file(&path);
                continue;
            }
            if !waiting {
                report(&format!("waiting for another process that provisions {program} {name} …"));
                waiting = true;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        None
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn holder_is_gone(lock: &Path) -> bool {
    let Ok(text) = fs::read_to_string(lock) else { return false };
    let pid = text.parse().ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_lock_of_a_dead_process_does_not_hold() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("2.15.lock");
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        for content in [dead.id().to_string(), "no pid".to_owned()] {
            fs::write(&path, content).unwrap();
            let lock = Lock::take(root.path(), "2.15", "nats-server").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
            drop(lock);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_lock_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let lock = Lock::take(root.path(), "2.9", "nats-server").unwrap();
        let second = std::thread::spawn({
            let root = root.path().to_owned();
            move || Lock::take(&root, "2.9", "nats-server").is_some()
        });
        assert!(
            Lock::take(root.path(), "2.10", "nats-server").is_some(),
            "another name is another lock"
        );
        assert!(!second.is_finished());
        drop(lock);
        assert!(second.join().unwrap());
    }
}
