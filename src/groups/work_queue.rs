//! The work queue of an elastic group: a stream that takes over what the origin stores, with the number
//! of the partition before each subject.

use super::config::{ElasticGroupConfig, PartitioningFilter};
use super::names::work_queue;
use crate::jetstream::{Discard, Retention, Source, StreamConfig, SubjectTransform};

impl ElasticGroupConfig {
    /// The configuration of the work queue, which is stored as the origin is.
    pub(super) fn work_queue(&self, origin: &StreamConfig, group: &str) -> StreamConfig {
        let all = [PartitioningFilter::new(">", [])];
        let filters = match &self.partitioning_filters[..] {
            [] => &all[..],
            filters => filters,
        };
        let transforms = filters.iter().map(|filter| filter.transform(self.max_members));
        StreamConfig::new(work_queue(&origin.name, group))
            .retention(Retention::WorkQueue)
            .num_replicas(origin.num_replicas)
            .storage(origin.storage.clone())
            .max_msgs(self.max_buffered_messages)
            .max_bytes(self.max_buffered_bytes)
            .discard(Discard::New)
            .sources([Source::new(&origin.name).subject_transforms(transforms)])
            .allow_direct(true)
    }
}

impl PartitioningFilter {
    /// The change of subjects that puts the number of the partition before them.
    fn transform(&self, partitions: u32) -> SubjectTransform {
        let of: String =
            self.partitioning_wildcards.iter().map(|wildcard| format!(",{wildcard}")).collect();
        let mut dest = format!("{{{{Partition({partitions}{of})}}}}");
        let mut wildcards = 0;
        for token in self.filter.split('.') {
            dest.push('.');
            if token == "*" {
                wildcards += 1;
                dest += &format!("{{{{Wildcard({wildcards})}}}}");
            } else {
                dest += token;
            }
        }
        SubjectTransform::new(&self.filter, dest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::Storage;

    fn dest(filter: &str, wildcards: &[u32]) -> String {
        PartitioningFilter::new(filter, wildcards.iter().copied()).transform(4).dest
    }

    #[test]
    fn the_partition_is_put_before_the_subject() {
        assert_eq!(
            dest("a.*.*.>", &[1, 2]),
            "{{Partition(4,1,2)}}.a.{{Wildcard(1)}}.{{Wildcard(2)}}.>"
        );
        assert_eq!(dest("a.*.b.*", &[2]), "{{Partition(4,2)}}.a.{{Wildcard(1)}}.b.{{Wildcard(2)}}");
        assert_eq!(dest("a.*", &[]), "{{Partition(4)}}.a.{{Wildcard(1)}}");
        assert_eq!(dest(">", &[]), "{{Partition(4)}}.>");
    }

    #[test]
    fn a_work_queue_takes_over_what_the_origin_stores() {
        let origin = StreamConfig::new("S").num_replicas(3).storage(Storage::Memory);
        let config = ElasticGroupConfig::new(4)
            .partitioning_filters([PartitioningFilter::new("a.*", [1])])
            .max_buffered_messages(100);
        let made = config.work_queue(&origin, "g");
        let text = serde_json::to_value(&made).expect("JSON");
        let sources = serde_json::json!([{ "name": "S", "subject_transforms": [
            { "src": "a.*", "dest": "{{Partition(4,1)}}.a.{{Wildcard(1)}}" }
        ] }]);
        assert_eq!((&text["name"], &text["sources"]), (&"S-g".into(), &sources));
        assert_eq!((&text["retention"], &text["discard"]), (&"workqueue".into(), &"new".into()));
        assert_eq!((&text["storage"], &text["num_replicas"]), (&"memory".into(), &3.into()));
        assert_eq!((&text["max_msgs"], &text["allow_direct"]), (&100.into(), &true.into()));
        assert_eq!((made.max_bytes, made.subjects), (None, vec![]));

        let all = ElasticGroupConfig::new(4).work_queue(&origin, "g");
        assert_eq!(
            all.sources[0].subject_transforms,
            [SubjectTransform::new(">", "{{Partition(4)}}.>")]
        );
    }
}
