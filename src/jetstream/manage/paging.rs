//! How far something has come that a server gives out in pages, each from where the last one ended.
//!
//! Invariant: it ends, also if what there is grows all the time, or the server does not count right.

use crate::jetstream::error::Error;

/// So much more than there was at the beginning may come in any case.
const SLACK: u64 = 10_000;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Paging {
    /// Where the next page begins. What comes a second time, because something was added before it
    /// meanwhile, counts again.
    offset: u64,
    /// So much may come at most. `None` before the first page.
    bound: Option<u64>,
    /// What the last page began with.
    first: Option<String>,
}

impl Paging {
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes a page with so many items, the name of its first one, and how many the server counts.
    /// Returns whether it was the last page.
    pub(super) fn handle_page(
        &mut self,
        count: usize,
        first: Option<&str>,
        total: u64,
    ) -> Result<bool, Error> {
        let comes_again = first.is_some() && self.first.as_deref() == first;
        self.first = first.map(str::to_owned);
        self.offset += count as u64;
        if count == 0 || self.offset >= total {
            return Ok(true);
        }
        let bound = *self.bound.get_or_insert(total.saturating_mul(2).saturating_add(SLACK));
        if comes_again || self.offset > bound {
            return Err(Error::Malformed("a listing that does not end".into()));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_all_have_come_or_none_come() {
        let mut paging = Paging::default();
        assert_eq!(paging.handle_page(2, Some("a"), 3), Ok(false));
        assert_eq!(paging.offset(), 2);
        assert_eq!(paging.handle_page(1, Some("c"), 3), Ok(true));
        let mut paging = Paging::default();
        assert_eq!(paging.handle_page(2, Some("a"), 9), Ok(false));
        assert_eq!(paging.handle_page(0, None, 9), Ok(true), "the rest was deleted meanwhile");
        assert_eq!(Paging::default().handle_page(0, None, 0), Ok(true));
    }

    #[test]
    fn it_goes_on_while_there_are_more_and_not_for_ever() {
        let mut paging = Paging::default();
        let mut pages = 0_u64;
        let error = loop {
            pages += 1;
            let (first, total) = (pages.to_string(), paging.offset() + 2000);
            match paging.handle_page(1000, Some(&first), total) {
                Ok(is_last) => assert!(!is_last),
                Err(error) => break error,
            }
        };
        assert_eq!(pages, 15, "twice the first total, and some");
        assert!(matches!(error, Error::Malformed(_)));
    }

    #[test]
    fn a_page_that_comes_again_is_an_error() {
        let mut paging = Paging::default();
        assert_eq!(paging.handle_page(2, Some("a"), u64::MAX), Ok(false));
        assert!(paging.handle_page(2, Some("a"), u64::MAX).is_err());
    }
}
