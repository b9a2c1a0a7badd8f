//! Paths as keys: slashes in the program, dots in the bucket, in the form that orbit.go gives them.

use super::coding::{CodecError, KeyCodec};

/// What a leading slash is, since no key begins with a dot.
const ROOT: &str = "_root_";

/// Paths: `/app/port` is the key `_root_.app.port`, `app/port` is `app.port`, and `/` is `_root_`, so that
/// patterns work on the parts of paths: `/app/*`, `/app/>`. One slash at the end is left out.
///
/// In the bucket a dot in a path is a slash: `a.b` and `a/b` are one key, and read as `a/b`. A key with a
/// slash in it is none that it has encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathKeys;

impl KeyCodec for PathKeys {
    fn encode(&self, key: &str) -> Result<String, CodecError> {
        let (root, path) = match key.strip_prefix('/') {
            Some("") => return Ok(ROOT.into()),
            Some(path) => (format!("{ROOT}."), path),
            None => (String::new(), key),
        };
        Ok(root + &path.strip_suffix('/').unwrap_or(path).replace('/', "."))
    }

    fn decode(&self, key: &str) -> Result<String, CodecError> {
        if key.contains('/') {
            return Err(CodecError::new("it has a slash in it, which would be a dot"));
        }
        let path = key.replace('.', "/");
        Ok(match path.strip_prefix(ROOT) {
            Some("") => "/".into(),
            Some(rest) if rest.starts_with('/') => rest.into(),
            _ => path,
        })
    }

    fn encode_pattern(&self, pattern: &str) -> Result<String, CodecError> {
        self.encode(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_have_the_form_that_orbit_gives_them() {
        let table = [
            ("/foo/bar", "_root_.foo.bar", "/foo/bar"),
            ("foo/bar", "foo.bar", "foo/bar"),
            ("/foo", "_root_.foo", "/foo"),
            ("foo/bar/", "foo.bar", "foo/bar"),
            ("/", "_root_", "/"),
            ("/foo/bar/", "_root_.foo.bar", "/foo/bar"),
            ("foo.bar", "foo.bar", "foo/bar"),
            ("_root_x/y", "_root_x.y", "_root_x/y"),
        ];
        for (path, encoded, decoded) in table {
            assert_eq!(PathKeys.encode(path).as_deref(), Ok(encoded));
            assert_eq!(PathKeys.decode(encoded).as_deref(), Ok(decoded));
        }
    }

    #[test]
    fn patterns_match_parts_of_paths() {
        let table = [
            ("/user/*", "_root_.user.*"),
            ("/app/*/config/>", "_root_.app.*.config.>"),
            ("user/*", "user.*"),
            (">", ">"),
        ];
        for (pattern, encoded) in table {
            assert_eq!(PathKeys.encode_pattern(pattern).as_deref(), Ok(encoded));
        }
    }

    #[test]
    fn a_slash_in_the_bucket_is_none_of_a_path() {
        assert!(PathKeys.decode("a/b").is_err());
    }

    proptest! {
        #[test]
        fn every_path_comes_back(path in "/?[a-z]{1,3}(/[a-z _]{1,3}){0,4}|/") {
            let encoded = PathKeys.encode(&path).expect("any path is encoded");
            prop_assert_eq!(PathKeys.decode(&encoded), Ok(path));
        }

        #[test]
        fn no_two_keys_are_decoded_to_the_same(key in "(_root_|[a-z_]{1,3})(\\.(_root_|[a-z]{1,2})){0,3}") {
            let decoded = PathKeys.decode(&key).expect("there is no slash in it");
            prop_assert_eq!(PathKeys.encode(&decoded), Ok(key));
        }
    }
}
