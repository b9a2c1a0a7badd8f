//! Processes, by their ids.

use rustix::process::{Pid, test_kill_process};

/// Whether a process exists and is more than an exit status that nobody has fetched.
pub(crate) fn exists(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    // not every init process fetches the status of orphans. Where there is no /proc, it is taken
    // to.
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_ok() && !stat.contains(") Z ")
}
