//! What each kind of advisory tells. As with everything that is only read, members that are absent
//! have their defaults.

use crate::jetstream::manage::{PeerInfo, StreamState};
use crate::jetstream::time::{elapsed_nanos, rfc3339};
use crate::jetstream::wire::null_as_default;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// Declares what is told, with everything optional on the wire.
macro_rules! told {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
            #[serde(default)]
            #[non_exhaustive]
            pub struct $name {
                $($(#[$member_doc])* pub $member: $type,)*
            }
        )*
    };
}

told! {
    /// A stream to which something was done.
    StreamAction {
        /// The stream.
        stream: String,
    }

    /// A consumer to which something was done.
    ConsumerAction {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
    }

    /// A delivery of a message by a consumer.
    Delivery {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// The message's sequence in the stream.
        #[serde(rename = "stream_seq")]
        stream_sequence: u64,
        /// The number of this delivery among all of the consumer. 0 for a message whose deliveries are
        /// used up.
        #[serde(rename = "consumer_seq")]
        consumer_sequence: u64,
        /// How often the message was delivered by then.
        deliveries: u64,
    }

    /// A message that is not to be delivered again.
    Termination {
        /// The delivery that was answered that way.
        #[serde(flatten)]
        delivery: Delivery,
        /// What whoever terminated it has said. Empty if nothing, and from servers before 2.10.4.
        #[serde(deserialize_with = "null_as_default")]
        reason: String,
    }

    /// A message that was acknowledged. A consumer reports as many of them as its `sample_freq` says.
    ConsumerAcknowledged {
        /// The delivery that was acknowledged.
        #[serde(flatten)]
        delivery: Delivery,
        /// How long that took, counted from the delivery.
        #[serde(rename = "ack_time", deserialize_with = "elapsed_nanos")]
        after: Option<Duration>,
    }

    /// A consumer that was paused, or that goes on.
    ConsumerPauseChange {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// Whether it is paused.
        paused: bool,
        /// Until when.
        #[serde(rename = "pause_until", with = "rfc3339")]
        until: Option<SystemTime>,
    }

    /// A priority group that got another client pinned.
    GroupPinned {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// The group.
        group: String,
        /// What the client is known by: `Nats-Pin-Id` of the messages that it gets.
        #[serde(rename = "pinned_id")]
        pin_id: String,
    }

    /// A priority group whose client is no longer pinned.
    GroupUnpinned {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// The group.
        group: String,
        /// Why: `admin` or `timeout`.
        reason: String,
    }

    /// A new leader of a stream or of a consumer.
    Election {
        /// The stream.
        stream: String,
        /// The consumer. `None`: it is the stream's leader.
        consumer: Option<String>,
        /// The name of the server that leads.
        leader: String,
        /// Who keeps it, the leader included.
        #[serde(deserialize_with = "null_as_default")]
        replicas: Vec<PeerInfo>,
    }

    /// A stream or a consumer that cannot go on, because too few of its servers are there.
    QuorumLoss {
        /// The stream.
        stream: String,
        /// The consumer. `None`: it is the stream.
        consumer: Option<String>,
        /// Who keeps it.
        #[serde(deserialize_with = "null_as_default")]
        replicas: Vec<PeerInfo>,
    }

    /// A new leader of all servers of a domain. Told to the system account.
    DomainElection {
        /// The name of the server that leads.
        leader: String,
        /// The servers of the domain.
        #[serde(deserialize_with = "null_as_default")]
        replicas: Vec<PeerInfo>,
        /// The cluster.
        cluster: String,
    }

    /// A batch of which the stream stores nothing (2.12).
    BatchAbandoned {
        /// The stream.
        stream: String,
        /// The batch, by its id.
        batch: String,
        /// Why: `timeout`, `incomplete`, or another word of a newer server.
        reason: String,
    }

    /// A snapshot that the server begins to send.
    SnapshotStarted {
        /// The stream.
        stream: String,
        /// What it contained at the beginning.
        #[serde(deserialize_with = "null_as_default")]
        state: StreamState,
        /// Who has asked for it.
        client: Option<ClientInfo>,
    }

    /// A snapshot that the server has sent. Told also of one that came to no good end.
    SnapshotCompleted {
        /// The stream.
        stream: String,
        /// When it began.
        #[serde(with = "rfc3339")]
        start: Option<SystemTime>,
        /// When it ended.
        #[serde(with = "rfc3339")]
        end: Option<SystemTime>,
        /// Who has asked for it.
        client: Option<ClientInfo>,
    }

    /// A restore that begins.
    RestoreStarted {
        /// The stream.
        stream: String,
        /// Who has asked for it.
        client: Option<ClientInfo>,
    }

    /// A restore that has ended.
    RestoreCompleted {
        /// The stream.
        stream: String,
        /// When it began.
        #[serde(with = "rfc3339")]
        start: Option<SystemTime>,
        /// When it ended.
        #[serde(with = "rfc3339")]
        end: Option<SystemTime>,
        /// How many bytes the server was sent.
        bytes: u64,
        /// Who has asked for it.
        client: Option<ClientInfo>,
    }

    /// A server without room for more. Told to the system account.
    ServerOutOfStorage {
        /// The server's name.
        server: String,
        /// The server's id.
        server_id: String,
        /// The stream for which there was no room.
        stream: Option<String>,
        /// The cluster.
        cluster: String,
    }

    /// A server that was removed from its cluster, and has JetStream no more. Told to the system
    /// account.
    ServerRemoved {
        /// The server's name.
        server: String,
        /// The server's id.
        server_id: String,
        /// The cluster.
        cluster: String,
    }

    /// A server that goes on with fewer others than is safe, because it was told to. Told to the
    /// system account (2.15).
    MetaRescue {
        /// The server's name.
        server: String,
        /// The server's id.
        server_id: String,
        /// How many servers had to agree before.
        #[serde(rename = "prev_quorum")]
        previous_quorum: u64,
        /// How many have to agree now.
        new_quorum: u64,
        /// The cluster.
        cluster: String,
    }

    /// A request to the API that may have changed something, with what it was answered.
    ApiAudit {
        /// The server that has answered, by its id.
        server: String,
        /// Who has asked.
        client: Option<ClientInfo>,
        /// The subject of the request.
        subject: String,
        /// The request. Empty if it had no body.
        #[serde(deserialize_with = "null_as_default")]
        request: String,
        /// The reply.
        response: String,
    }

    /// Requests to the API that a server has dropped, because too many were waiting.
    ApiLimitReached {
        /// The server, by its name or id.
        server: String,
        /// How many requests were dropped.
        dropped: u64,
    }

    /// The client that has asked for something, as far as its server tells.
    ClientInfo {
        /// The account.
        #[serde(rename = "acc")]
        account: Option<String>,
        /// The user.
        user: Option<String>,
        /// The name of the connection.
        name: Option<String>,
        /// The host it is connected from.
        host: Option<String>,
        /// The number of the connection on its server.
        id: Option<u64>,
        /// The id of its server.
        server: Option<String>,
        /// The language of its library.
        #[serde(rename = "lang")]
        language: Option<String>,
        /// The version of its library.
        #[serde(rename = "ver")]
        version: Option<String>,
        /// What it is: `Client`, `Leafnode`.
        kind: Option<String>,
        /// How it is connected: `nats`, `websocket`, `mqtt`.
        client_type: Option<String>,
        /// When it was connected.
        #[serde(with = "rfc3339")]
        start: Option<SystemTime>,
        /// The time to it and back.
        #[serde(rename = "rtt", deserialize_with = "elapsed_nanos")]
        round_trip: Option<Duration>,
    }
}
