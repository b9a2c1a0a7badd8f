//! The user's home in paths of files: a shell replaces `~`, and what does not come from a shell has
//! it as it was written.

use std::borrow::Cow;
use std::path::Path;

/// The path with a leading `~/` replaced. Without a home it stays as it is.
pub(super) fn expand(path: &Path) -> Cow<'_, Path> {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => Cow::Owned(home.join(rest)),
        _ => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_tilde_is_the_home() {
        let home = std::env::home_dir().expect("a home");
        assert_eq!(expand(Path::new("~/a/b")), home.join("a/b"));
        assert_eq!(expand(Path::new("~")), home);
        for path in ["/a/~/b", "a", "~joe/a", "./~/a", ""] {
            assert_eq!(expand(Path::new(path)), Path::new(path));
        }
    }
}
