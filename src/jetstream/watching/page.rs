//! The subjects that a stream's leader has, page by page, for one pattern after the other.

use crate::jetstream::api::ApiRequest;
use crate::jetstream::error::Error;
use crate::jetstream::manage::StreamInfo;

/// Which of them is asked for next. The default is the first one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pattern: usize,
    offset: u64,
}

impl Page {
    /// The request for it: for subjects of the stream that begin so, and go on as the patterns say.
    /// `None`: there is none behind the last one of the last pattern.
    pub(crate) fn request<P: AsRef<str>>(
        self,
        stream: &str,
        beginning: &str,
        patterns: &[P],
    ) -> Option<Result<ApiRequest, Error>> {
        let filter = format!("{beginning}{}", patterns.get(self.pattern)?.as_ref());
        Some(ApiRequest::stream_subjects(stream, &filter, self.offset))
    }

    /// Whether it is one of these patterns, and not behind the last of them.
    pub(crate) fn is_within<P>(self, patterns: &[P]) -> bool {
        self.pattern < patterns.len()
    }

    /// The one behind it, as its answer tells.
    pub(crate) fn next(self, info: &StreamInfo) -> Self {
        let count = info.state.subjects.len() as u64;
        let offset = self.offset + count;
        match count == 0 || offset >= info.subjects_total {
            true => Self { pattern: self.pattern + 1, offset: 0 },
            false => Self { offset, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(subjects: usize, total: u64) -> StreamInfo {
        let mut info = StreamInfo::default();
        info.state.subjects = (0..subjects).map(|n| (n.to_string(), 1)).collect();
        info.subjects_total = total;
        info
    }

    #[test]
    fn pages_follow_until_all_have_come_and_then_the_next_pattern() {
        let first = Page::default();
        let second = first.next(&info(2, 3));
        assert_eq!(second, Page { pattern: 0, offset: 2 });
        assert_eq!(second.next(&info(1, 3)), Page { pattern: 1, offset: 0 });
        // subjects that went meanwhile: there is no more to come
        assert_eq!(second.next(&info(0, 3)), Page { pattern: 1, offset: 0 });
    }
}
