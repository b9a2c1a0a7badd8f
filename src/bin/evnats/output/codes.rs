//! The codes of JetStream as they are written.

use super::{Output, table, write_json, write_line};
use evnats::jetstream::ErrorCode;
use serde_json::{Value, json};

impl Output {
    /// What a code means.
    pub(crate) fn error_code(self, code: ErrorCode) {
        if self.json {
            return write_json(&code_json(code));
        }
        let text = |text: Option<&'static str>| text.unwrap_or_default();
        let class = code.http().map_or(String::new(), |http| http.to_string());
        write_line(&format!(
            "NATS Error Code: {code}\n\n        Text: {}\n        Name: {}\n        Code: {class}\n       \
             Since: server {}\n",
            text(code.text()),
            text(code.name()),
            text(code.since()),
        ));
    }

    pub(crate) fn error_codes(self, codes: &[ErrorCode]) {
        if self.json {
            return codes.iter().for_each(|code| write_json(&code_json(*code)));
        }
        let rows: Vec<_> = codes
            .iter()
            .map(|code| [code.to_string(), code.text().unwrap_or_default().to_owned()])
            .collect();
        match rows.is_empty() {
            true => self.note("No codes found"),
            false => write_line(&table(&rows)),
        }
    }
}

fn code_json(code: ErrorCode) -> Value {
    json!({
        "err_code": code.0,
        "code": code.http(),
        "name": code.name(),
        "text": code.text(),
        "since": code.since(),
    })
}
