//! The subjects that a stream's leader has, page by page, for one pattern after the other.

use crate::jetstream::{self, ApiRequest, StreamInfo};
use crate::kv::bucket::Bucket;

/// Which of them is asked for next. The default is the first one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::kv) struct Page {
    pattern: usize,
    offset: u64,
}

impl Page {
    /// The request for it. `None`: there is none behind the last one of the last pattern.
    pub(in crate::kv) fn request(
        self,
        bucket: &Bucket,
        patterns: &[String],
    ) -> Option<Result<ApiRequest, jetstream::Error>> {
        let filter = format!("{}{}", bucket.subjects, patterns.get(self.pattern)?);
        Some(ApiRequest::stream_subjects(&bucket.stream, &filter, self.offset))
    }

    /// Whether it is one of these patterns, and not behind the last of them.
    pub(in crate::kv) fn is_within(self, patterns: &[String]) -> bool {
        self.pattern < patterns.len()
    }

    /// The one behind it, as its answer tells.
    pub(in crate::kv) fn next(self, info: &StreamInfo) -> Self {
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
