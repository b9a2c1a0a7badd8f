//! Files that a get is written to: under another name until it is whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that has its name when it is [kept](Self::keep), and is gone otherwise.
pub(super) struct NewFile {
    file: Option<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Creates it beside the place that it is for.
    pub(super) fn create(path: &Path, random: u64) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut temporary = name.to_owned();
        temporary.push(format!(".{random:016x}.part"));
        let temporary = path.with_file_name(temporary);
        let file = File::create_new(&temporary)?;
        Ok(Self { file: Some(file), temporary, path: path.to_owned() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// It is whole: replaces what has the name.
    pub(super) fn keep(mut self) -> io::Result<()> {
        if let Some(mut file) = self.file.take() {
            file.flush()?;
        }
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // gone already if it was kept
        let _ = fs::remove_file(&self.temporary);
    }
}
