//! Which of several patterns are needed: the server refuses filters that overlap (10138).
//!
//! The patterns are put into a tree by their tokens, so that each is held against those that could
//! cover it and not against all.

use std::collections::{BTreeMap, HashSet};

/// What is behind the first tokens of some patterns.
#[derive(Default)]
struct Node<'a> {
    children: BTreeMap<&'a str, Node<'a>>,
    /// A pattern ends here.
    is_end: bool,
}

/// Patterns that no other one covers, each once, in their order.
pub(in crate::kv) fn uncovered<'a>(patterns: &[&'a str]) -> Vec<&'a str> {
    let mut root = Node::default();
    for pattern in patterns {
        let node = pattern
            .split('.')
            .fold(&mut root, |node, token| node.children.entry(token).or_default());
        node.is_end = true;
    }
    let mut known = HashSet::new();
    let kept = patterns.iter().filter(|pattern| known.insert(**pattern) && !root.covers(pattern));
    kept.copied().collect()
}

impl Node<'_> {
    /// Whether a pattern other than this one, which is in the tree, covers it.
    fn covers(&self, pattern: &str) -> bool {
        let (mut itself, mut others) = (Some(self), Vec::new());
        for token in pattern.split('.') {
            let is_rest = token == ">";
            // whoever is on another way must not end in ">" where this one goes on …
            let ends = |node: &&Node<'_>| node.children.contains_key(">");
            if others.iter().any(ends) || (!is_rest && itself.iter().any(ends)) {
                return true;
            }
            if is_rest {
                return false;
            }
            let mut next = Vec::new();
            for node in &others {
                next.extend(node.children.get(token).filter(|_| token != "*"));
                next.extend(node.children.get("*"));
            }
            if token != "*" {
                next.extend(itself.and_then(|node| node.children.get("*")));
            }
            itself = itself.and_then(|node| node.children.get(token));
            others = next;
        }
        // … and must not end where this one ends
        others.iter().any(|node| node.is_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn covered_patterns_are_left_out() {
        assert_eq!(uncovered(&["a.b", "a.*", "c"]), ["a.*", "c"]);
        assert_eq!(uncovered(&["a", "a"]), ["a"]);
        assert_eq!(uncovered(&[">", "a.>", "b"]), [">"]);
        assert_eq!(uncovered(&["a.*", "*.b"]), ["a.*", "*.b"]);
        assert_eq!(uncovered(&["a.>", "a"]), ["a.>", "a"]);
        assert_eq!(uncovered(&["*.*", "*.>", "a.b.c"]), ["*.>"]);
        // "a.b.c" is matched by the first alone
        assert_eq!(uncovered(&["a.>", "*.*"]), ["a.>", "*.*"]);
    }

    /// Held one against the other, they would take 10,000,000,000 comparisons.
    #[test]
    fn a_hundred_thousand_patterns_are_not_compared_with_each_other() {
        let mut patterns: Vec<String> = (0..100_000).map(|n| format!("a.{n}.b")).collect();
        patterns.push("a.7.*".into());
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let kept = uncovered(&patterns);
        assert_eq!(kept.len(), 100_000);
        assert!(!kept.contains(&"a.7.b"));
    }

    /// Whether everything that the other one matches is matched by the first.
    fn covers(by: &str, pattern: &str) -> bool {
        let (mut by, mut tokens) = (by.split('.'), pattern.split('.'));
        loop {
            match (by.next(), tokens.next()) {
                (None, None) | (Some(">"), Some(_)) => return true,
                (Some("*"), Some(token)) if token != ">" => {}
                (Some(one), Some(other)) if one == other => {}
                _ => return false,
            }
        }
    }

    /// The plain way.
    fn compared<'a>(patterns: &[&'a str]) -> Vec<&'a str> {
        let is_covered = |index: usize, pattern: &str| {
            patterns.iter().enumerate().any(|(other, by)| {
                let same = *by == pattern;
                other != index && covers(by, pattern) && (!same || other < index)
            })
        };
        let kept = patterns.iter().enumerate().filter(|(index, one)| !is_covered(*index, one));
        kept.map(|(_, pattern)| *pattern).collect()
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec!["a", "b", "*"]);
        (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_comparing_finds(patterns in prop::collection::vec(pattern(), 0..8)) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            prop_assert_eq!(uncovered(&patterns), compared(&patterns));
        }
    }
}
