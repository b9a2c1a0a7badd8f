//! When a stream was created, which tells it from another one that has its name.
//!
//! Server 2.15 also has an identity for that (`Nats-Stream-Identity`), and checks it only for the
//! consumers that servers make themselves, to copy a stream. The time is told by all of them, in every
//! reply about a stream.

use std::time::SystemTime;

/// The time that was told first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Creation(Option<SystemTime>);

impl Creation {
    /// Takes the time that a reply tells. Returns whether it is told of another stream.
    pub(super) fn is_another(&mut self, told: Option<SystemTime>) -> bool {
        told.is_some_and(|told| *self.0.get_or_insert(told) != told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_time_counts_and_none_says_nothing() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let mut creation = Creation::default();
        assert!(!creation.is_another(None));
        assert!(!creation.is_another(at(1)));
        assert!(!creation.is_another(at(1)));
        assert!(!creation.is_another(None));
        assert!(creation.is_another(at(2)));
        assert!(!creation.is_another(at(1)));
    }
}
