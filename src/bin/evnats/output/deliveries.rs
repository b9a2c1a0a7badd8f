//! Messages as consumers deliver them.

use super::{
    Output, Style, body_text, headers_json, printable, seconds, time_json, write, write_json,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evnats::jetstream::{ConsumeEvent, Delivery};
use serde_json::json;

impl Output {
    /// A message that a consumer has delivered.
    pub(crate) fn delivery<S: 'static>(self, delivery: &Delivery<'_, S>, style: Style) {
        let payload = delivery.payload();
        if style == Style::Raw && !self.json {
            return write(&[payload, b"\n"].concat());
        }
        let subject = delivery.subject();
        // of no form that is known, if there is none
        let info = delivery.info().ok();
        if self.json {
            let mut object = json!({
                "stream": info.map(|info| info.stream),
                "consumer": info.map(|info| info.consumer),
                "subject": subject,
                "sequence": info.map(|info| info.stream_sequence),
                "consumer_sequence": info.map(|info| info.consumer_sequence),
                "delivered": info.map(|info| info.delivered),
                "pending": info.map(|info| info.pending),
                "time": info.map(|info| time_json(Some(info.timestamp()))),
                "headers": headers_json(delivery.headers()),
            });
            if style != Style::HeadersOnly {
                object["payload_base64"] = STANDARD.encode(payload).into();
            }
            return write_json(&object);
        }
        let heading = match info {
            Some(info) => format!(
                "[{}] subj: {subject} / tries: {} / cons seq: {} / str seq: {} / pending: {}\n\n",
                seconds(Some(info.timestamp())),
                info.delivered,
                info.consumer_sequence,
                info.stream_sequence,
                info.pending,
            ),
            None => format!("subj: {subject} / reply: {}\n\n", printable(reply(delivery))),
        };
        let body = body_text(delivery.headers(), payload, style);
        write(&[heading.as_bytes(), &body].concat());
    }

    /// What happens while a consumer is read.
    pub(crate) fn consume_event(self, event: &ConsumeEvent) {
        self.note(&event.to_string());
    }
}

fn reply<'a, S: 'static>(delivery: &'a Delivery<'_, S>) -> &'a [u8] {
    delivery.reply_bytes().unwrap_or_default()
}
