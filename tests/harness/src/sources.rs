//! apt's lists of sources, read just far enough to find the mirror of Debian's main archive that
//! the machine itself uses, in both formats that sources.list(5) describes.
//!
//! An entry that cannot be understood is left out, never guessed at. `trusted=yes` is left out,
//! too: what is fetched with the help of these entries is always verified.

/// Names under which the suites of Debian's main archive go. Its security and updates suites have a
/// suffix, those of other archives (Ubuntu's, a vendor's) have other names.
const DEBIAN_SUITES: [&str; 13] = [
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "sid",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "experimental",
];

/// One source of binary packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uris: Vec<String>,
    pub(crate) suites: Vec<String>,
    pub(crate) components: Vec<String>,
    /// The value of `Signed-By` as it stands: paths, fingerprints, or a whole key on indented
    /// lines.
    pub(crate) signed_by: Option<String>,
}

impl Source {
    /// This source cut down to Debian's main archive, if it has that.
    pub(crate) fn debian_main(mut self) -> Option<Source> {
        self.suites.retain(|suite| DEBIAN_SUITES.contains(&suite.as_str()));
        self.components.retain(|component| component == "main");
        self.uris.retain(|uri| !uri.starts_with("cdrom:"));
        let complete = ![&self.suites, &self.components, &self.uris].into_iter().any(Vec::is_empty);
        complete.then_some(self)
    }

    /// The source as a stanza in the deb822 format, for its package indexes only.
    pub(crate) fn stanza(&self) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nTargets: Packages\n",
            self.uris.join(" "),
            self.suites.join(" "),
            self.components.join(" ")
        );
        if let Some(keys) = &self.signed_by {
            text.push_str(&format!("Signed-By: {keys}\n"));
        }
        text
    }
}

/// Reads the one-line format of `*.list` files: `deb [options] uri suite component…`.
pub(crate) fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line).collect()
}

/// Reads the deb822 format of `*.sources` files: stanzas of fields.
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields = Vec::new();
    // the empty line ends the last stanza
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue; // Comments may stand anywhere, also within a field.
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim_end());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    // not `deb-src`
    let mut rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let mut signed_by = None;
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (options, after) = bracketed.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("signed-by"))
            .map(|(_, value)| value.replace(',', " "));
        rest = after.trim_start();
    }
    if rest.starts_with("cdrom:") {
        return None; // Its URI may hold spaces.
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

fn stanza(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| {
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let enabled =
        field("enabled").is_none_or(|value| !["no", "false", "0", "off"].contains(&value));
    let binary = words("types").iter().any(|kind| kind == "deb");
    (enabled && binary && field("uris").is_some() && field("suites").is_some()).then(|| Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").filter(|value| !value.is_empty()).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(
        uris: &[&str],
        suites: &[&str],
        components: &[&str],
        signed_by: Option<&str>,
    ) -> Source {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Source {
            uris: owned(uris),
            suites: owned(suites),
            components: owned(components),
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn one_line_format() {
        let plain =
            || source(&["http://mirror.example/debian"], &["trixie"], &["main", "contrib"], None);
        let table = [
            ("", vec![]),
            ("# deb http://mirror.example/debian trixie main", vec![]),
            ("deb-src http://mirror.example/debian trixie main", vec![]),
            ("deb http://mirror.example/debian", vec![]),
            ("deb [arch=amd64 http://mirror.example/debian trixie main", vec![]),
            ("deb cdrom:[Debian 13 _Trixie_ - amd64]/ trixie main", vec![]),
            ("deb http://mirror.example/debian trixie main contrib", vec![plain()]),
            (
                "  deb\thttp://mirror.example/debian  trixie\tmain contrib # the mirror",
                vec![plain()],
            ),
            (
                "deb [ arch=amd64 trusted=yes ] http://mirror.example/debian trixie main contrib",
                vec![plain()],
            ),
            (
                "deb [arch=amd64 signed-by=/keys/a.gpg,/keys/b.gpg] https://mirror.example/d sid main\n\
                 deb file:/srv/local ./\n",
                vec![
                    source(
                        &["https://mirror.example/d"],
                        &["sid"],
                        &["main"],
                        Some("/keys/a.gpg /keys/b.gpg"),
                    ),
                    source(&["file:/srv/local"], &["./"], &[], None),
                ],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse_one_line(text), expected, "{text:?}");
        }
    }

    #[test]
    fn deb822_format() {
        let table = [
            ("", vec![]),
            ("Types: deb\nSuites: sid\nComponents: main\n", vec![]),
            (
                "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n",
                vec![],
            ),
            (
                "Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main",
                vec![],
            ),
            (
                "# written by an installer\nTypes: deb deb-src\n# an older mirror\nURIs: http://mirror.example/debian\n\
                 Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /keys/debian.gpg\n\n\n\
                 types: deb\nuris: http://mirror.example/security\nsuites: bookworm-security\ncomponents: main\n\
                 trusted: yes\n",
                vec![
                    source(
                        &["http://mirror.example/debian"],
                        &["bookworm", "bookworm-updates"],
                        &["main"],
                        Some("/keys/debian.gpg"),
                    ),
                    source(
                        &["http://mirror.example/security"],
                        &["bookworm-security"],
                        &["main"],
                        None,
                    ),
                ],
            ),
            (
                "Types: deb\nURIs: http://one.example/debian\n http://two.example/debian\nSuites:\n sid\n# why\n trixie\n\
                 Components: main\nSigned-By:\n -----BEGIN\n .\n  key\n -----END\n",
                vec![source(
                    &["http://one.example/debian", "http://two.example/debian"],
                    &["sid", "trixie"],
                    &["main"],
                    Some("\n -----BEGIN\n .\n  key\n -----END"),
                )],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse_deb822(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_stanza_reads_back() {
        for keys in
            [None, Some("/keys/a.gpg /keys/b.gpg"), Some("\n -----BEGIN\n .\n key\n -----END")]
        {
            let source =
                source(&["http://mirror.example/debian"], &["sid", "trixie"], &["main"], keys);
            assert_eq!(parse_deb822(&source.stanza()), [source]);
        }
    }

    #[test]
    fn only_the_main_archive_of_debian_counts() {
        let keep = |suites: &[&str], components: &[&str]| {
            source(&["http://mirror.example/x", "cdrom:[disc]/"], suites, components, None)
                .debian_main()
        };
        let expected =
            |suite: &str| Some(source(&["http://mirror.example/x"], &[suite], &["main"], None));
        assert_eq!(
            keep(&["bookworm", "bookworm-updates"], &["main", "contrib"]),
            expected("bookworm")
        );
        assert_eq!(keep(&["stable"], &["main"]), expected("stable"));
        assert_eq!(keep(&["bookworm-security"], &["main"]), None);
        assert_eq!(keep(&["noble"], &["main", "universe"]), None);
        assert_eq!(keep(&["./"], &[]), None);
        assert_eq!(keep(&["trixie"], &["contrib"]), None);
        assert_eq!(source(&["cdrom:[disc]/"], &["trixie"], &["main"], None).debian_main(), None);
    }
}
