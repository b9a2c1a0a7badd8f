//! Services as they are written.

use super::streams::time;
use super::{Output, nanos, sheet, table, write_json, write_line};
use evnats::service::{PingedService, ServiceInfo, ServiceStats};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

impl Output {
    /// The services that were found.
    pub(crate) fn services(self, services: &[ServiceInfo]) {
        if self.json {
            return services.iter().for_each(write_record);
        }
        let heading = ["Name", "Version", "ID", "Description"].map(String::from);
        let rows = services.iter().map(|info| {
            let identity = &info.identity;
            [
                identity.name.clone(),
                identity.version.clone(),
                identity.id.clone(),
                info.description.clone(),
            ]
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable();
        rows.insert(0, heading);
        match services.is_empty() {
            true => self.note("No services found"),
            false => write_line(&table(&rows)),
        }
    }

    /// The services that have replied, in the order in which they have.
    pub(crate) fn pinged_services(self, services: &[PingedService]) {
        if services.is_empty() && !self.json {
            self.note("No services found");
        }
        for PingedService { identity, round_trip, .. } in services {
            if self.json {
                let mut object = json!(identity);
                object["rtt_ns"] = nanos(*round_trip);
                write_json(&object);
            } else {
                write_line(&format!("{:<30} {} {round_trip:.3?}", identity.name, identity.id));
            }
        }
    }

    /// What a service is, and its endpoints.
    pub(crate) fn service(self, info: &ServiceInfo) {
        if self.json {
            return write_record(info);
        }
        let identity = &info.identity;
        let rows = [
            ("Service", format!("{} ({})", identity.name, identity.id)),
            ("Version", identity.version.clone()),
            ("Description", info.description.clone()),
            ("Metadata", pairs(&identity.metadata)),
        ];
        let heading = ["Endpoint", "Subject", "Queue Group", "Metadata"].map(String::from);
        let endpoints = info.endpoints.iter().map(|endpoint| {
            [
                endpoint.name.clone(),
                endpoint.subject.clone(),
                endpoint.queue_group.clone(),
                pairs(&endpoint.metadata),
            ]
        });
        let endpoints: Vec<_> = std::iter::once(heading).chain(endpoints).collect();
        write_line(&format!("{}\n{}", sheet("Service Information", &rows), table(&endpoints)));
    }

    /// What the endpoints of a service have done.
    pub(crate) fn service_stats(self, stats: &ServiceStats) {
        if self.json {
            return write_record(stats);
        }
        let identity = &stats.identity;
        let heading =
            ["Endpoint", "Requests", "Queue Group", "Errors", "Last Error", "Time", "Average"];
        let rows = stats.endpoints.iter().map(|endpoint| {
            [
                endpoint.name.clone(),
                endpoint.requests.to_string(),
                endpoint.queue_group.clone(),
                endpoint.errors.to_string(),
                endpoint.last_error.escape_debug().to_string(),
                duration(endpoint.processing_time),
                duration(endpoint.average_processing_time),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        let (name, id, since) = (&identity.name, &identity.id, time(stats.started));
        write_line(&format!("{name} ({id}) since {since}\n\n{}", table(&rows)));
    }
}

/// Services describe themselves in JSON: for programs it is left as it is.
fn write_record(record: &impl Serialize) {
    write_json(&json!(record));
}

fn pairs(metadata: &BTreeMap<String, String>) -> String {
    let pairs = metadata.iter().map(|(key, value)| format!("{key}: {value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

fn duration(duration: Duration) -> String {
    format!("{duration:.3?}")
}
