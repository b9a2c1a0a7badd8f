//! What a stream says of a batch that is published fast: how far it is, what is missing, how it ended.

use crate::jetstream::api_error::ApiError;
use crate::jetstream::envelope::ResponseError;
use crate::jetstream::publish::pub_ack::{PubAck, parse_pub_ack};
use serde::Deserialize;

/// A message of the server about a batch that goes on.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Flow {
    /// Everything up to `seq` has come; the next word comes `msgs` messages later.
    Ack { seq: u64, msgs: u64 },
    /// What is between is missing: from `last_seq` on, up to `seq`. If it is the lower one, a message has
    /// come after later ones.
    Gap { last_seq: u64, seq: u64 },
    /// A message was refused.
    Err { seq: u64, error: ApiError },
}

/// What a message about a batch says.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    Flow(Flow),
    /// The batch is over: so much of it is stored.
    End(Result<PubAck, ResponseError>),
}

impl Word {
    pub(super) fn read(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(flow) => Self::Flow(flow),
            // an acknowledgement and an error have no type
            Err(_) => Self::End(parse_pub_ack(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_servers() {
        let flow = |body: &str| match Word::read(body.as_bytes()) {
            Word::Flow(flow) => flow,
            other => panic!("{other:?}"),
        };
        assert_eq!(flow(r#"{"type":"ack","seq":3,"msgs":10}"#), Flow::Ack { seq: 3, msgs: 10 });
        let gap = Flow::Gap { last_seq: 2, seq: 4 };
        assert_eq!(flow(r#"{"type":"gap","last_seq":2,"seq":4}"#), gap);
        let refused = r#"{"type":"err","seq":2,"error":{"code":400,"err_code":10071}}"#;
        assert!(matches!(flow(refused), Flow::Err { seq: 2, .. }));

        let end = br#"{"stream":"S","seq":9,"batch":"u1","count":8}"#;
        let Word::End(Ok(ack)) = Word::read(end) else { panic!() };
        assert_eq!((ack.sequence, ack.batch_size), (9, Some(8)));
        let error = br#"{"error":{"code":400,"err_code":10208},"stream":"S","seq":0}"#;
        assert!(matches!(Word::read(error), Word::End(Err(ResponseError::Api(_)))));
        for body in ["", "ok", r#"{"type":"new","seq":1}"#] {
            let word = Word::read(body.as_bytes());
            assert!(matches!(word, Word::End(Err(ResponseError::Malformed(_)))), "{body}");
        }
    }
}
