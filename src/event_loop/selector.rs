//! The selector as registrations know it: where sources are registered, and under which tokens.

use mio::Registry;

pub(crate) trait Selector {
    /// There is none in a simulation.
    fn registry(&self) -> Option<&Registry>;

    /// Tokens are this one and those after it.
    fn first_token(&self) -> usize {
        0
    }

    /// How many tokens there are.
    fn tokens(&self) -> usize {
        usize::MAX
    }

    /// Whether the process is not the one that made the selector.
    fn is_forked(&self) -> bool {
        false
    }
}
