//! A terminal with somebody at it, who has typed the answers before.

use super::Tool;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

pub(super) struct Terminal;

impl Terminal {
    /// Runs the tool on a terminal, and returns what that shows, what was typed included.
    #[track_caller]
    pub(super) fn run(tool: &Tool, arguments: &[&str], answers: &str) -> String {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let mut person = File::from(openpt(flags).expect("a terminal"));
        grantpt(&person).expect("granted");
        unlockpt(&person).expect("unlocked");
        let path = ptsname(&person, Vec::new()).expect("a name");
        let path = path.to_str().expect("a path");
        let screen = OpenOptions::new().read(true).write(true).open(path).expect("a terminal");
        let clone = || screen.try_clone().expect("the same terminal");
        let mut command = tool.command(arguments);
        command.stdin(clone()).stdout(clone()).stderr(clone());
        let mut child = command.spawn().expect("the tool");
        // the command has the terminal as well
        drop((command, screen));
        person.write_all(answers.as_bytes()).expect("it reads");
        let mut shown = Vec::new();
        // with nobody at the other end it is an error on Linux
        let _ = person.read_to_end(&mut shown);
        assert!(child.wait().expect("it ends").success(), "{arguments:?}");
        String::from_utf8_lossy(&shown).into_owned()
    }
}
