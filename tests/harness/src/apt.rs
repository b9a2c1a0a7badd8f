//! Packages out of Debian's archive, through the machine's own mirror, without touching the
//! system.
//!
//! apt runs with a private state, cache and list of sources, so neither root nor an installed
//! package is needed. What the machine's configuration says about proxies and credentials still
//! holds. The signature of the archive is always verified. A machine with an old release may not
//! know the key of a new suite yet: then the current keys are taken from the package
//! `debian-archive-keyring` of a suite that the machine does trust.

use crate::{
    provision::run,
    sources::{Source, parse_deb822, parse_one_line},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The package that holds the archive's keys, and where it keeps them: under its name since 2025,
/// and before.
const KEYRING_PACKAGE: &str = "debian-archive-keyring";
const KEYRINGS: [&str; 2] = [
    "usr/share/keyrings/debian-archive-keyring.pgp",
    "usr/share/keyrings/debian-archive-keyring.gpg",
];

/// What apt's verifiers (gpgv, sqv) say of a signature by a key that is not known.
const UNKNOWN_KEY: [&str; 3] = ["no_pubkey", "public key is not available", "missing key"];

/// The sources of Debian's main archive that this machine is configured with. An error says why
/// there are none.
pub(crate) fn debian_sources() -> Result<Vec<Source>, String> {
    let paths = run(Command::new("apt-config").args([
        "shell",
        "LIST",
        "Dir::Etc::sourcelist/f",
        "PARTS",
        "Dir::Etc::sourceparts/d",
    ]))?;
    let path = |variable: &str| {
        let line = paths.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
        PathBuf::from(line.unwrap_or_default().trim_matches('\''))
    };
    let mut files = vec![path("LIST")];
    if let Ok(entries) = fs::read_dir(path("PARTS")) {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files[1..].sort();
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let parsed = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => parse_deb822(&text),
            Some("list") => parse_one_line(&text),
            _ => continue,
        };
        sources.extend(parsed.into_iter().filter_map(Source::debian_main));
    }
    if sources.is_empty() {
        Err("apt has no source of Debian's main archive".to_owned())
    } else {
        Ok(sources)
    }
}

/// Downloads `package` from `suite` and unpacks it into a new directory below `workspace`.
pub(crate) fn fetch(
    sources: &[Source],
    suite: &str,
    package: &str,
    workspace: &Path,
) -> Result<TempDir, String> {
    let mut failures = Vec::new();
    for source in sources {
        let wanted = Source { suites: vec![suite.to_owned()], ..source.clone() };
        let failure = match fetch_from(&wanted, package, workspace) {
            Ok(unpacked) => return Ok(unpacked),
            Err(failure) if has_unknown_key(&failure) => failure,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        match fetch_with_current_keys(source, &wanted, package, workspace) {
            Ok(unpacked) => return Ok(unpacked),
            Err(with_current_keys) => failures.extend([failure, with_current_keys]),
        }
    }
    Err(failures.join("; "))
}

/// Downloads what `package` needs and this machine has not got, and the package itself, and unpacks
/// all of it into a new directory below `workspace`. From the suites that the machine is configured
/// with, as what it has got is of those.
pub(crate) fn fetch_missing(
    sources: &[Source],
    package: &str,
    workspace: &Path,
) -> Result<TempDir, String> {
    let status = run(Command::new("apt-config").args(["shell", "STATUS", "Dir::State::status/f"]))?;
    let status = status.trim().trim_start_matches("STATUS=").trim_matches('\'');
    let status = fs::read_to_string(status).map_err(|error| format!("{status}: {error}"))?;
    let mut failures = Vec::new();
    for source in sources {
        match fetch_missing_from(source, package, &status, workspace) {
            Ok(unpacked) => return Ok(unpacked),
            Err(failure) => failures.push(failure),
        }
    }
    Err(failures.join("; "))
}

fn fetch_missing_from(
    source: &Source,
    package: &str,
    status: &str,
    workspace: &Path,
) -> Result<TempDir, String> {
    let apt = PrivateApt::new(source, status, workspace)?;
    let unpacked = temporary_directory(workspace, "package-")?;
    apt.update()?;
    for archive in apt.download_missing(package)? {
        run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(unpacked.path()))?;
    }
    Ok(unpacked)
}

fn has_unknown_key(failure: &str) -> bool {
    let failure = failure.to_ascii_lowercase();
    UNKNOWN_KEY.iter().any(|text| failure.contains(text))
}

/// Like [`fetch_from`], with the keys that the machine's own suite has for the archive by now.
fn fetch_with_current_keys(
    trusted: &Source,
    wanted: &Source,
    package: &str,
    workspace: &Path,
) -> Result<TempDir, String> {
    let keys = fetch_from(trusted, KEYRING_PACKAGE, workspace)?;
    let keyring = KEYRINGS
        .iter()
        .map(|path| keys.path().join(path))
        .find(|path| path.exists())
        .ok_or_else(|| format!("{KEYRING_PACKAGE} has none of {KEYRINGS:?}"))?;
    let wanted = Source { signed_by: Some(keyring.display().to_string()), ..wanted.clone() };
    fetch_from(&wanted, package, workspace)
}

fn fetch_from(source: &Source, package: &str, workspace: &Path) -> Result<TempDir, String> {
    let apt = PrivateApt::new(source, "", workspace)?;
    let unpacked = temporary_directory(workspace, "package-")?;
    apt.update()?;
    let archive = apt.download(package)?;
    run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(unpacked.path()))?;
    Ok(unpacked)
}

/// An apt that knows one source. Its directory goes when it is dropped.
struct PrivateApt {
    directory: TempDir,
}

impl PrivateApt {
    /// `status` is dpkg's file of what is installed; empty if that is not to count.
    fn new(source: &Source, status: &str, workspace: &Path) -> Result<PrivateApt, String> {
        let apt = PrivateApt {
            directory: temporary_directory(workspace, &format!("apt-{}-", source.suites[0]))?,
        };
        apt.write(source, status)
            .map_err(|error| format!("cannot set up a private apt: {error}"))?;
        Ok(apt)
    }

    fn write(&self, source: &Source, status: &str) -> io::Result<()> {
        let root = self.directory.path();
        for directory in ["state/lists/partial", "cache/archives/partial", "sources", "download"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::write(root.join("state/status"), status)?;
        fs::write(root.join("sources/archive.sources"), source.stanza())?;
        let path = |relative: &str| root.join(relative).display().to_string();
        // read after the machine's own configuration, so that it can take back the machine's hooks
        // (which act on the system), pins and default release. No sandbox: apt's own user could not
        // write here.
        let config = format!(
            r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{state}";
Dir::State::lists "{lists}";
Dir::State::status "{status}";
Dir::Cache "{cache}";
Dir::Cache::archives "{archives}";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{sources}";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"#,
            state = path("state"),
            lists = path("state/lists"),
            status = path("state/status"),
            cache = path("cache"),
            archives = path("cache/archives"),
            sources = path("sources"),
        );
        fs::write(root.join("apt.conf"), config)
    }

    fn update(&self) -> Result<(), String> {
        run(self.apt_get().arg("update")).map(drop)
    }

    /// Downloads a package, verified against the signed index, and returns its file.
    fn download(&self, package: &str) -> Result<PathBuf, String> {
        let directory = self.directory.path().join("download");
        run(self.apt_get().args(["download", package]).current_dir(&directory))?;
        packages_in(&directory)?
            .pop()
            .ok_or_else(|| format!("apt-get download {package} left no package"))
    }

    /// Downloads a package and what it needs besides what is installed. Returns the files.
    fn download_missing(&self, package: &str) -> Result<Vec<PathBuf>, String> {
        let options = ["install", "--yes", "--download-only", "--no-install-recommends"];
        run(self.apt_get().args(options).arg(package))?;
        let packages = packages_in(&self.directory.path().join("cache/archives"))?;
        if packages.is_empty() {
            return Err(format!("apt has nothing to download for {package}: it is installed"));
        }
        Ok(packages)
    }

    fn apt_get(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("-q").arg("-c").arg(self.directory.path().join("apt.conf"));
        command
    }
}

/// The package files in a directory.
fn packages_in(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    Ok(files.filter(is_package).collect())
}

fn temporary_directory(workspace: &Path, prefix: &str) -> Result<TempDir, String> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(workspace)
        .map_err(|error| format!("cannot make a directory in {}: {error}", workspace.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_told_from_other_failures() {
        let table = [
            (
                "The following signatures couldn't be verified because the public key is not available",
                true,
            ),
            ("GPG error: … InRelease: NO_PUBKEY 0123456789ABCDEF", true),
            (
                "Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key 01AB",
                true,
            ),
            ("Could not resolve 'mirror.example'", false),
            ("BADSIG 0123456789ABCDEF", false),
        ];
        for (failure, expected) in table {
            assert_eq!(has_unknown_key(failure), expected, "{failure}");
        }
    }
}
