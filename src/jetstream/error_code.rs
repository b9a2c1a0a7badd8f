//! The server's numbers for its failures, and what is known of each: one table.
//!
//! Servers add numbers with every release, so an [`ErrorCode`] is a number with names for the known
//! ones and not an enumeration: an unknown one is kept, compared and shown like any other. The texts
//! are those of server 2.15; they have changed between releases, and nothing is decided by them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The server's number for one exact failure (`err_code`).
///
/// Servers add numbers with every release, so this is a number with names for the known ones and
/// not an enumeration. The names are found by the server's own as well:
///
/// ```
/// use evnats::jetstream::ErrorCode;
///
/// assert_eq!(ErrorCode::STREAM_NOT_FOUND, ErrorCode(10059));
/// assert_eq!(ErrorCode(10059).name(), Some("StreamNotFound"));
/// assert_eq!(ErrorCode(10059).text(), Some("stream not found"));
/// assert_eq!(ErrorCode(99999).name(), None);
/// ```
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The server's name for it, without the `JS` and the `Err` around it. `None` for a code that
    /// this version does not know.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.known().map(|known| known.name)
    }

    /// The server's text; what the server fills in is in braces, and `{err}` alone is any text.
    /// `None` for a code that this version does not know.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        self.known().map(|known| known.text)
    }

    /// The class of the failure, in the manner of HTTP, that belongs to it. `None` for a code that
    /// this version does not know.
    #[must_use]
    pub fn http(self) -> Option<u16> {
        self.known().map(|known| known.http)
    }

    /// The first server that has it, as `2.11` or `2.11.9`. `None` for a code that this version
    /// does not know.
    #[must_use]
    pub fn since(self) -> Option<&'static str> {
        self.known().map(|known| known.since)
    }

    /// Returns the codes that this version knows, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|known| known.code)
    }

    /// Whether a stream, consumer or message that the request names does not exist.
    #[must_use]
    pub fn is_not_found(self) -> bool {
        matches!(
            self,
            Self::STREAM_NOT_FOUND
                | Self::CONSUMER_NOT_FOUND
                | Self::CONSUMER_DOES_NOT_EXIST
                | Self::NO_MESSAGE_FOUND
                | Self::SEQUENCE_NOT_FOUND
        )
    }

    /// Whether a publish lost against another writer: the expected last sequence was not the last.
    ///
    /// Two codes mean this. A replicated stream under contention answers some of the losers with
    /// [`WRONG_LAST_SEQUENCE_CONSTANT`](Self::WRONG_LAST_SEQUENCE_CONSTANT), whose text has no
    /// sequence.
    #[must_use]
    pub fn is_wrong_last_sequence(self) -> bool {
        matches!(self, Self::WRONG_LAST_SEQUENCE | Self::WRONG_LAST_SEQUENCE_CONSTANT)
    }

    /// Whether JetStream is switched off: on the server, or for the account.
    #[must_use]
    pub fn is_not_enabled(self) -> bool {
        matches!(self, Self::NOT_ENABLED | Self::NOT_ENABLED_FOR_ACCOUNT)
    }

    /// Whether a limit is reached that deleting, or whoever runs the server, can make room in: of
    /// the account, the server's memory or storage, or the number of streams and consumers.
    #[must_use]
    pub fn is_resource_limit(self) -> bool {
        matches!(
            self,
            Self::ACCOUNT_RESOURCES_EXCEEDED
                | Self::MAXIMUM_CONSUMERS
                | Self::MAXIMUM_STREAMS
                | Self::MEMORY_RESOURCES_EXCEEDED
                | Self::STORAGE_RESOURCES_EXCEEDED
                | Self::STREAM_MAX_BYTES_REQUIRED
                | Self::NO_LIMITS
                | Self::STREAM_MAX_STREAM_BYTES_EXCEEDED
        )
    }

    fn known(self) -> Option<&'static Known> {
        let at = TABLE.binary_search_by_key(&self, |known| known.code).ok()?;
        Some(&TABLE[at])
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A row of the table.
struct Known {
    code: ErrorCode,
    http: u16,
    since: &'static str,
    name: &'static str,
    text: &'static str,
}

/// Makes a constant and a row of each code. The rows are in order, to be searched.
macro_rules! codes {
    ($(
        $(#[$doc:meta])*
        $constant:ident = $code:literal, $http:literal, $since:literal, $name:literal, $text:literal;
    )*) => {
        impl ErrorCode {
            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = concat!("`", $text, "` (", $http, ", since server ", $since, ").")]
                #[doc(alias = $name)]
                pub const $constant: Self = Self($code);
            )*
        }

        #[cfg(test)]
        const CONSTANTS: &[(ErrorCode, &str)] =
            &[$((ErrorCode::$constant, stringify!($constant)),)*];

        const TABLE: &[Known] = &[$(
            Known { code: ErrorCode($code), http: $http, since: $since, name: $name, text: $text },
        )*];
    };
}

codes! {
    /// The account has used up its JetStream resources.
    ACCOUNT_RESOURCES_EXCEEDED = 10002, 400, "2.3", "AccountResourcesExceeded",
        "resource limits exceeded for account";
    /// The request is not what this endpoint takes.
    BAD_REQUEST = 10003, 400, "2.3", "BadRequest", "bad request";
    /// Incomplete results. Retry with back-off.
    CLUSTER_INCOMPLETE = 10004, 503, "2.3", "ClusterIncomplete", "incomplete results";
    /// The peers for a placement, or for a move, cannot be found; the text explains.
    CLUSTER_NO_PEERS = 10005, 400, "2.3", "ClusterNoPeers", "{err}";
    /// The request is one for a cluster, and the server runs alone.
    CLUSTER_NOT_ACTIVE = 10006, 500, "2.3", "ClusterNotActive", "JetStream not in clustered mode";
    /// The server has no part in the cluster's JetStream.
    CLUSTER_NOT_ASSIGNED = 10007, 500, "2.3", "ClusterNotAssigned",
        "JetStream cluster not assigned to this server";
    /// JetStream is temporarily unavailable, as during an election of the meta leader. Retry with
    /// back-off.
    TEMPORARILY_UNAVAILABLE = 10008, 503, "2.3", "ClusterNotAvail",
        "JetStream system temporarily unavailable";
    /// The server that answered is not the leader. Retry with back-off.
    NOT_LEADER = 10009, 500, "2.3", "ClusterNotLeader", "JetStream cluster can not handle request";
    /// The request needs a cluster, and the server runs alone.
    CLUSTER_REQUIRED = 10010, 503, "2.3", "ClusterRequired",
        "JetStream clustering support required";
    CLUSTER_TAGS = 10011, 400, "2.3", "ClusterTags", "tags placement not supported for operation";
    /// The consumer cannot be created or updated like this; the text explains.
    CONSUMER_CREATE = 10012, 500, "2.3", "ConsumerCreate", "{err}";
    /// A consumer of this name exists with another configuration.
    CONSUMER_NAME_IN_USE = 10013, 400, "2.3", "ConsumerNameExist", "consumer name already in use";
    /// There is no such consumer.
    CONSUMER_NOT_FOUND = 10014, 404, "2.3", "ConsumerNotFound", "consumer not found";
    SNAPSHOT_DELIVER_SUBJECT_INVALID = 10015, 400, "2.3", "SnapshotDeliverSubjectInvalid",
        "deliver subject not valid";
    CONSUMER_DURABLE_NAME_NOT_IN_SUBJECT = 10016, 400, "2.3", "ConsumerDurableNameNotInSubject",
        "consumer expected to be durable but no durable name set in subject";
    CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT =
        10017, 400, "2.3", "ConsumerDurableNameNotMatchSubject",
        "consumer name in subject does not match durable name in request";
    CONSUMER_DURABLE_NAME_NOT_SET = 10018, 400, "2.3", "ConsumerDurableNameNotSet",
        "consumer expected to be durable but a durable name was not set";
    CONSUMER_EPHEMERAL_WITH_DURABLE_IN_SUBJECT =
        10019, 400, "2.3", "ConsumerEphemeralWithDurableInSubject",
        "consumer expected to be ephemeral but detected a durable name set in subject";
    CONSUMER_EPHEMERAL_WITH_DURABLE_NAME = 10020, 400, "2.3", "ConsumerEphemeralWithDurableName",
        "consumer expected to be ephemeral but a durable name was set in request";
    STREAM_EXTERNAL_API_OVERLAP = 10021, 400, "2.3", "StreamExternalApiOverlap",
        "stream external api prefix {prefix} must not overlap with {subject}";
    STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS = 10022, 400, "2.3", "StreamExternalDelPrefixOverlaps",
        "stream external delivery prefix {prefix} overlaps with stream subject {subject}";
    /// No peers, or not enough storage, for this placement. Retry with back-off.
    INSUFFICIENT_RESOURCES = 10023, 503, "2.3", "InsufficientResources", "insufficient resources";
    STREAM_INVALID_EXTERNAL_DELIVERY_SUBJ = 10024, 400, "2.3", "StreamInvalidExternalDeliverySubj",
        "stream external delivery prefix {prefix} must not contain wildcards";
    /// The body is not valid JSON, or (since server 2.12) has a member the server does not know.
    INVALID_JSON = 10025, 400, "2.3", "InvalidJSON", "invalid JSON: {err}";
    /// The limit on the number of consumers is reached.
    MAXIMUM_CONSUMERS = 10026, 400, "2.3", "MaximumConsumersLimit",
        "maximum consumers limit reached";
    /// The limit on the number of streams is reached.
    MAXIMUM_STREAMS = 10027, 400, "2.3", "MaximumStreamsLimit", "maximum number of streams reached";
    /// Insufficient memory resources available. It takes room: delete something, or have the limit
    /// raised.
    MEMORY_RESOURCES_EXCEEDED = 10028, 500, "2.3", "MemoryResourcesExceeded",
        "insufficient memory resources available";
    /// The mirror's consumer at its origin could not be made; the text explains.
    MIRROR_CONSUMER_SETUP_FAILED = 10029, 500, "2.3", "MirrorConsumerSetupFailed", "{err}";
    MIRROR_MAX_MESSAGE_SIZE_TOO_BIG = 10030, 400, "2.3", "MirrorMaxMessageSizeTooBig",
        "stream mirror must have max message size >= source";
    MIRROR_WITH_SOURCES = 10031, 400, "2.3", "MirrorWithSources",
        "stream mirrors can not also contain other sources";
    MIRROR_WITH_START_SEQ_AND_TIME = 10032, 400, "2.3", "MirrorWithStartSeqAndTime",
        "stream mirrors can not have both start seq and start time configured";
    MIRROR_WITH_SUBJECT_FILTERS = 10033, 400, "2.3", "MirrorWithSubjectFilters",
        "stream mirrors can not contain filtered subjects";
    MIRROR_WITH_SUBJECTS = 10034, 400, "2.3", "MirrorWithSubjects",
        "stream mirrors can not contain subjects";
    /// The account has no JetStream.
    NO_ACCOUNT = 10035, 503, "2.3", "NoAccount", "account not found";
    /// A cluster does not offer this.
    CLUSTER_UNSUPPORTED_FEATURE = 10036, 503, "2.3", "ClusterUnSupportFeature",
        "not currently supported in clustered mode";
    /// No stored message matches.
    NO_MESSAGE_FOUND = 10037, 404, "2.3", "NoMessageFound", "no message found";
    NOT_EMPTY_REQUEST = 10038, 400, "2.3", "NotEmptyRequest", "expected an empty request payload";
    /// JetStream is not enabled for this account.
    NOT_ENABLED_FOR_ACCOUNT = 10039, 503, "2.3", "NotEnabledForAccount",
        "JetStream not enabled for account";
    CLUSTER_PEER_NOT_MEMBER = 10040, 400, "2.3", "ClusterPeerNotMember", "peer not a member";
    /// A failure of Raft; the text explains.
    RAFT_GENERAL = 10041, 500, "2.3", "RaftGeneral", "{err}";
    RESTORE_SUBSCRIBE_FAILED = 10042, 500, "2.3", "RestoreSubscribeFailed",
        "JetStream unable to subscribe to restore snapshot {subject}: {err}";
    /// The message to delete is not in the stream.
    SEQUENCE_NOT_FOUND = 10043, 400, "2.3", "SequenceNotFound", "sequence {seq} not found";
    CLUSTER_SERVER_NOT_MEMBER = 10044, 400, "2.3", "ClusterServerNotMember",
        "server is not a member of the cluster";
    /// The consumer at a source could not be made; the text explains.
    SOURCE_CONSUMER_SETUP_FAILED = 10045, 500, "2.3", "SourceConsumerSetupFailed", "{err}";
    SOURCE_MAX_MESSAGE_SIZE_TOO_BIG = 10046, 400, "2.3", "SourceMaxMessageSizeTooBig",
        "stream source must have max message size >= target";
    /// Insufficient storage resources available. It takes room: delete something, or have the limit
    /// raised.
    STORAGE_RESOURCES_EXCEEDED = 10047, 500, "2.3", "StorageResourcesExceeded",
        "insufficient storage resources available";
    /// The stream could not be assigned to servers; the text explains.
    STREAM_ASSIGNMENT = 10048, 500, "2.3", "StreamAssignment", "{err}";
    /// The stream could not be created; the text explains.
    STREAM_CREATE = 10049, 500, "2.3", "StreamCreate", "{err}";
    /// The stream could not be deleted; the text explains.
    STREAM_DELETE = 10050, 500, "2.3", "StreamDelete", "{err}";
    /// A failure of the stream; the text explains.
    STREAM_GENERAL_ERROR = 10051, 500, "2.3", "StreamGeneralError", "{err}";
    /// The stream's configuration is not valid; the text explains.
    STREAM_INVALID_CONFIG = 10052, 500, "2.3", "StreamInvalidConfig", "{err}";
    /// The configuration goes beyond a limit of the server or the account; the text explains.
    STREAM_LIMITS = 10053, 500, "2.3", "StreamLimits", "{err}";
    /// The message, headers included, is larger than the stream's `max_msg_size`.
    MESSAGE_TOO_LARGE = 10054, 400, "2.3", "StreamMessageExceedsMaximum",
        "message size exceeds maximum allowed";
    STREAM_MIRROR_NOT_UPDATABLE = 10055, 400, "2.3", "StreamMirrorNotUpdatable",
        "stream mirror configuration can not be updated";
    STREAM_MISMATCH = 10056, 400, "2.3", "StreamMismatch",
        "stream name in subject does not match request";
    /// The stream does not permit deleting messages.
    MESSAGE_DELETE_FAILED = 10057, 500, "2.3", "StreamMsgDeleteFailed", "{err}";
    /// A stream of this name exists with another configuration.
    STREAM_NAME_IN_USE = 10058, 400, "2.3", "StreamNameExist",
        "stream name already in use with a different configuration";
    /// There is no such stream.
    STREAM_NOT_FOUND = 10059, 404, "2.3", "StreamNotFound", "stream not found";
    /// The message was stored in another stream than the publisher expected.
    EXPECTED_STREAM_MISMATCH = 10060, 400, "2.3", "StreamNotMatch",
        "expected stream does not match";
    STREAM_REPLICAS_NOT_UPDATABLE = 10061, 400, "2.3", "StreamReplicasNotUpdatable",
        "Replicas configuration can not be updated";
    STREAM_RESTORE = 10062, 500, "2.3", "StreamRestore", "restore failed: {err}";
    /// What a replica was to store has another sequence than its own next one. Between servers.
    STREAM_SEQUENCE_NOT_MATCH = 10063, 503, "2.3", "StreamSequenceNotMatch",
        "expected stream sequence does not match";
    STREAM_SNAPSHOT = 10064, 500, "2.3", "StreamSnapshot", "snapshot failed: {err}";
    /// The subjects overlap with those of another stream.
    SUBJECTS_OVERLAP = 10065, 400, "2.3", "StreamSubjectOverlap",
        "subjects overlap with an existing stream";
    /// Stream templates are no longer part of the server (2.12).
    STREAM_TEMPLATE_CREATE = 10066, 500, "2.3", "StreamTemplateCreate", "{err}";
    /// Stream templates are no longer part of the server (2.12).
    STREAM_TEMPLATE_DELETE = 10067, 500, "2.3", "StreamTemplateDelete", "{err}";
    /// Stream templates are no longer part of the server (2.12).
    STREAM_TEMPLATE_NOT_FOUND = 10068, 404, "2.3", "StreamTemplateNotFound", "template not found";
    /// The stream could not be updated; the text explains.
    STREAM_UPDATE = 10069, 500, "2.3", "StreamUpdate", "{err}";
    /// The stream's last message id is not the expected one.
    WRONG_LAST_MESSAGE_ID = 10070, 400, "2.3", "StreamWrongLastMsgID", "wrong last msg ID: {id}";
    /// The last sequence is not the expected one; the text ends with the actual one.
    WRONG_LAST_SEQUENCE = 10071, 400, "2.3", "StreamWrongLastSequence",
        "wrong last sequence: {seq}";
    TEMP_STORAGE_FAILED = 10072, 500, "2.3", "TempStorageFailed",
        "JetStream unable to open temp storage for restore";
    /// Stream templates are no longer part of the server (2.12).
    TEMPLATE_NAME_NOT_MATCH_SUBJECT = 10073, 400, "2.3", "TemplateNameNotMatchSubject",
        "template name in subject does not match request";
    /// More than one replica asked of a server that is not clustered.
    REPLICAS_NOT_CLUSTERED = 10074, 500, "2.3", "StreamReplicasNotSupported",
        "replicas > 1 not supported in non-clustered mode";
    PEER_REMAP = 10075, 503, "2.3", "PeerRemap", "peer remap failed";
    /// JetStream is not enabled on the server.
    NOT_ENABLED = 10076, 503, "2.3", "NotEnabled", "JetStream not enabled";
    /// The message could not be stored, as with `maximum bytes exceeded`.
    STORE_FAILED = 10077, 503, "2.3.1", "StreamStoreFailed", "{err}";
    CONSUMER_CONFIG_REQUIRED = 10078, 400, "2.3.2", "ConsumerConfigRequired",
        "consumer config required";
    CONSUMER_DELIVER_TO_WILDCARDS = 10079, 400, "2.3.2", "ConsumerDeliverToWildcards",
        "consumer deliver subject has wildcards";
    CONSUMER_PUSH_MAX_WAITING = 10080, 400, "2.3.2", "ConsumerPushMaxWaiting",
        "consumer in push mode can not set max waiting";
    CONSUMER_DELIVER_CYCLE = 10081, 400, "2.3.2", "ConsumerDeliverCycle",
        "consumer deliver subject forms a cycle";
    CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED =
        10082, 400, "2.3.2", "ConsumerMaxPendingAckPolicyRequired",
        "consumer requires ack policy for max ack pending";
    CONSUMER_SMALL_HEARTBEAT = 10083, 400, "2.3.2", "ConsumerSmallHeartbeat",
        "consumer idle heartbeat needs to be >= 100ms";
    CONSUMER_PULL_REQUIRES_ACK = 10084, 400, "2.3.2", "ConsumerPullRequiresAck",
        "consumer in pull mode requires explicit ack policy on workqueue stream";
    CONSUMER_PULL_NOT_DURABLE = 10085, 400, "2.3.2", "ConsumerPullNotDurable",
        "consumer in pull mode requires a durable name";
    CONSUMER_PULL_WITH_RATE_LIMIT = 10086, 400, "2.3.2", "ConsumerPullWithRateLimit",
        "consumer in pull mode can not have rate limit set";
    CONSUMER_MAX_WAITING_NEGATIVE = 10087, 400, "2.3.2", "ConsumerMaxWaitingNegative",
        "consumer max waiting needs to be positive";
    CONSUMER_HB_REQUIRES_PUSH = 10088, 400, "2.3.2", "ConsumerHBRequiresPush",
        "consumer idle heartbeat requires a push based consumer";
    CONSUMER_FC_REQUIRES_PUSH = 10089, 400, "2.3.2", "ConsumerFCRequiresPush",
        "consumer flow control requires a push based consumer";
    CONSUMER_DIRECT_REQUIRES_PUSH = 10090, 400, "2.3.2", "ConsumerDirectRequiresPush",
        "consumer direct requires a push based consumer";
    CONSUMER_DIRECT_REQUIRES_EPHEMERAL = 10091, 400, "2.3.2", "ConsumerDirectRequiresEphemeral",
        "consumer direct requires an ephemeral consumer";
    CONSUMER_ON_MAPPED = 10092, 400, "2.3.2", "ConsumerOnMapped",
        "consumer direct on a mapped consumer";
    CONSUMER_FILTER_NOT_SUBSET = 10093, 400, "2.3.2", "ConsumerFilterNotSubset",
        "consumer filter subject is not a valid subset of the interest subjects";
    /// The deliver policy and the start position contradict each other.
    DELIVER_POLICY_CONFLICT = 10094, 400, "2.3.2", "ConsumerInvalidPolicy", "{err}";
    CONSUMER_INVALID_SAMPLING = 10095, 400, "2.3.2", "ConsumerInvalidSampling",
        "failed to parse consumer sampling configuration: {err}";
    STREAM_INVALID = 10096, 500, "2.3.2", "StreamInvalid", "stream not valid";
    /// The headers are larger than 64 KiB.
    HEADERS_TOO_LARGE = 10097, 400, "2.3.2", "StreamHeaderExceedsMaximum",
        "header size exceeds maximum allowed of 64k";
    CONSUMER_WQ_REQUIRES_EXPLICIT_ACK = 10098, 400, "2.3.2", "ConsumerWQRequiresExplicitAck",
        "workqueue stream requires explicit ack";
    CONSUMER_WQ_MULTIPLE_UNFILTERED = 10099, 400, "2.3.2", "ConsumerWQMultipleUnfiltered",
        "multiple non-filtered consumers not allowed on workqueue stream";
    CONSUMER_WQ_CONSUMER_NOT_UNIQUE = 10100, 400, "2.3.2", "ConsumerWQConsumerNotUnique",
        "filtered consumer not unique on workqueue stream";
    CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL = 10101, 400, "2.3.2", "ConsumerWQConsumerNotDeliverAll",
        "consumer must be deliver all on workqueue stream";
    CONSUMER_NAME_TOO_LONG = 10102, 400, "2.3.2", "ConsumerNameTooLong",
        "consumer name is too long, maximum allowed is {max}";
    CONSUMER_BAD_DURABLE_NAME = 10103, 400, "2.3.2", "ConsumerBadDurableName",
        "durable name can not contain '.', '*', '>'";
    CONSUMER_STORE_FAILED = 10104, 500, "2.3.2", "ConsumerStoreFailed",
        "error creating store for consumer: {err}";
    CONSUMER_EXISTING_ACTIVE = 10105, 400, "2.3.2", "ConsumerExistingActive",
        "consumer already exists and is still active";
    CONSUMER_REPLACEMENT_WITH_DIFFERENT_NAME =
        10106, 400, "2.3.2", "ConsumerReplacementWithDifferentName",
        "consumer replacement durable config not the same";
    CONSUMER_DESCRIPTION_TOO_LONG = 10107, 400, "2.3.3", "ConsumerDescriptionTooLong",
        "consumer description is too long, maximum allowed is {max}";
    CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS =
        10108, 400, "2.6", "ConsumerWithFlowControlNeedsHeartbeats",
        "consumer with flow control also needs heartbeats";
    /// The stream is sealed: it can only be read.
    STREAM_SEALED = 10109, 400, "2.6.2", "StreamSealed", "invalid operation on sealed stream";
    /// The stream does not permit purging, as with `deny_purge`; the text explains.
    STREAM_PURGE_FAILED = 10110, 500, "2.6.2", "StreamPurgeFailed", "{err}";
    /// Rollup headers are not permitted on this stream, or not valid.
    ROLLUP_FAILED = 10111, 500, "2.6.2", "StreamRollupFailed", "{err}";
    CONSUMER_INVALID_DELIVER_SUBJECT = 10112, 400, "2.6.6", "ConsumerInvalidDeliverSubject",
        "invalid push consumer deliver subject";
    /// Account requires a stream config to have max bytes set. It takes room: delete something, or
    /// have the limit raised.
    STREAM_MAX_BYTES_REQUIRED = 10113, 400, "2.7", "StreamMaxBytesRequired",
        "account requires a stream config to have max bytes set";
    CONSUMER_MAX_REQUEST_BATCH_NEGATIVE = 10114, 400, "2.7", "ConsumerMaxRequestBatchNegative",
        "consumer max request batch needs to be > 0";
    CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL = 10115, 400, "2.7", "ConsumerMaxRequestExpiresTooSmall",
        "consumer max request expires needs to be >= 1ms";
    CONSUMER_MAX_DELIVER_BACKOFF = 10116, 400, "2.7.1", "ConsumerMaxDeliverBackoff",
        "max deliver is required to be > length of backoff values";
    STREAM_INFO_MAX_SUBJECTS = 10117, 500, "2.7.2", "StreamInfoMaxSubjects",
        "subject details would exceed maximum allowed";
    /// The stream has no server at the moment: all of them are away.
    STREAM_OFFLINE = 10118, 500, "2.8", "StreamOffline", "stream is offline";
    /// The consumer has no server at the moment: all of them are away.
    CONSUMER_OFFLINE = 10119, 500, "2.8", "ConsumerOffline", "consumer is offline";
    /// No JetStream default or applicable tiered limit present. It takes room: delete something, or
    /// have the limit raised.
    NO_LIMITS = 10120, 400, "2.8", "NoLimits",
        "no JetStream default or applicable tiered limit present";
    CONSUMER_MAX_PENDING_ACK_EXCESS = 10121, 400, "2.8", "ConsumerMaxPendingAckExcess",
        "consumer max ack pending exceeds system limit of {limit}";
    /// Stream max bytes exceeds account limit max stream bytes. It takes room: delete something, or
    /// have the limit raised.
    STREAM_MAX_STREAM_BYTES_EXCEEDED = 10122, 400, "2.8", "StreamMaxStreamBytesExceeded",
        "stream max bytes exceeds account limit max stream bytes";
    STREAM_MOVE_AND_SCALE = 10123, 400, "2.8", "StreamMoveAndScale",
        "can not move and scale a stream in a single update";
    STREAM_MOVE_IN_PROGRESS = 10124, 400, "2.8", "StreamMoveInProgress",
        "stream move already in progress";
    CONSUMER_MAX_REQUEST_BATCH_EXCEEDED = 10125, 400, "2.8", "ConsumerMaxRequestBatchExceeded",
        "consumer max request batch exceeds server limit of {limit}";
    CONSUMER_REPLICAS_EXCEEDS_STREAM = 10126, 400, "2.8.3", "ConsumerReplicasExceedsStream",
        "consumer config replica count exceeds parent stream";
    CONSUMER_NAME_CONTAINS_PATH_SEPARATORS =
        10127, 400, "2.9", "ConsumerNameContainsPathSeparators",
        "Consumer name can not contain path separators";
    STREAM_NAME_CONTAINS_PATH_SEPARATORS = 10128, 400, "2.9", "StreamNameContainsPathSeparators",
        "Stream name can not contain path separators";
    /// There is nothing to cancel. Before server 2.15: no move.
    STREAM_RECONFIGURE_NOT_IN_PROGRESS = 10129, 400, "2.9", "StreamReconfigureNotInProgress",
        "stream reconfiguration not in progress";
    STREAM_NAME_EXIST_RESTORE_FAILED = 10130, 400, "2.9", "StreamNameExistRestoreFailed",
        "stream name already in use, cannot restore";
    CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH =
        10131, 400, "2.9", "ConsumerCreateFilterSubjectMismatch",
        "Consumer create request did not match filtered subject from create subject";
    CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH =
        10132, 400, "2.9.1", "ConsumerCreateDurableAndNameMismatch",
        "Consumer Durable and Name have to be equal if both are provided";
    REPLICAS_COUNT_CANNOT_BE_NEGATIVE = 10133, 400, "2.9.3", "ReplicasCountCannotBeNegative",
        "replicas count cannot be negative";
    CONSUMER_REPLICAS_SHOULD_MATCH_STREAM =
        10134, 400, "2.9.12", "ConsumerReplicasShouldMatchStream",
        "consumer config replicas must match interest retention stream's replicas";
    CONSUMER_METADATA_LENGTH = 10135, 400, "2.10", "ConsumerMetadataLength",
        "consumer metadata exceeds maximum size of {limit}";
    CONSUMER_DUPLICATE_FILTER_SUBJECTS = 10136, 400, "2.10", "ConsumerDuplicateFilterSubjects",
        "consumer cannot have both FilterSubject and FilterSubjects specified";
    CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED = 10137, 400, "2.10", "ConsumerMultipleFiltersNotAllowed",
        "consumer with multiple subject filters cannot use subject based API";
    /// Filters of one consumer overlap each other.
    FILTERS_OVERLAP = 10138, 400, "2.10", "ConsumerOverlappingSubjectFilters",
        "consumer subject filters cannot overlap";
    CONSUMER_EMPTY_FILTER = 10139, 400, "2.10", "ConsumerEmptyFilter",
        "consumer filter in FilterSubjects cannot be empty";
    SOURCE_DUPLICATE_DETECTED = 10140, 400, "2.10", "SourceDuplicateDetected",
        "duplicate source configuration detected";
    SOURCE_INVALID_STREAM_NAME = 10141, 400, "2.10", "SourceInvalidStreamName",
        "sourced stream name is invalid";
    MIRROR_INVALID_STREAM_NAME = 10142, 400, "2.10", "MirrorInvalidStreamName",
        "mirrored stream name is invalid";
    MIRROR_WITH_FIRST_SEQ = 10143, 400, "2.10", "MirrorWithFirstSeq",
        "stream mirrors can not have first sequence configured";
    SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED = 10144, 400, "2.10", "SourceMultipleFiltersNotAllowed",
        "source with multiple subject transforms cannot also have a single subject filter";
    SOURCE_INVALID_SUBJECT_FILTER = 10145, 400, "2.10", "SourceInvalidSubjectFilter",
        "source transform source: {err}";
    SOURCE_INVALID_TRANSFORM_DESTINATION = 10146, 400, "2.10", "SourceInvalidTransformDestination",
        "source transform: {err}";
    SOURCE_OVERLAPPING_SUBJECT_FILTERS = 10147, 400, "2.10", "SourceOverlappingSubjectFilters",
        "source filters can not overlap";
    /// A consumer to be created exists already with another configuration.
    CONSUMER_EXISTS = 10148, 400, "2.10", "ConsumerAlreadyExists", "consumer already exists";
    /// A consumer to be updated does not exist.
    CONSUMER_DOES_NOT_EXIST = 10149, 400, "2.10", "ConsumerDoesNotExist", "consumer does not exist";
    MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED = 10150, 400, "2.10", "MirrorMultipleFiltersNotAllowed",
        "mirror with multiple subject transforms cannot also have a single subject filter";
    MIRROR_INVALID_SUBJECT_FILTER = 10151, 400, "2.10", "MirrorInvalidSubjectFilter",
        "mirror transform source: {err}";
    MIRROR_OVERLAPPING_SUBJECT_FILTERS = 10152, 400, "2.10", "MirrorOverlappingSubjectFilters",
        "mirror subject filters can not overlap";
    CONSUMER_INACTIVE_THRESHOLD_EXCESS = 10153, 400, "2.10", "ConsumerInactiveThresholdExcess",
        "consumer inactive threshold exceeds system limit of {limit}";
    MIRROR_INVALID_TRANSFORM_DESTINATION = 10154, 400, "2.11", "MirrorInvalidTransformDestination",
        "mirror transform: {err}";
    STREAM_TRANSFORM_INVALID_SOURCE = 10155, 400, "2.11", "StreamTransformInvalidSource",
        "stream transform source: {err}";
    STREAM_TRANSFORM_INVALID_DESTINATION = 10156, 400, "2.11", "StreamTransformInvalidDestination",
        "stream transform: {err}";
    /// A pedantic request would have been corrected.
    PEDANTIC = 10157, 400, "2.11", "Pedantic", "pedantic mode: {err}";
    /// A message with the same id is being stored right now: ask again, and the answer will say
    /// that it is a duplicate.
    DUPLICATE_IN_PROCESS = 10158, 409, "2.11", "StreamDuplicateMessageConflict",
        "duplicate message id is in process";
    CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP =
        10159, 400, "2.11", "ConsumerPriorityPolicyWithoutGroup",
        "Setting PriorityPolicy requires at least one PriorityGroup to be set";
    CONSUMER_INVALID_PRIORITY_GROUP = 10160, 400, "2.11", "ConsumerInvalidPriorityGroup",
        "Provided priority group does not exist for this consumer";
    CONSUMER_EMPTY_GROUP_NAME = 10161, 400, "2.11", "ConsumerEmptyGroupName",
        "Group name cannot be an empty string";
    CONSUMER_INVALID_GROUP_NAME = 10162, 400, "2.11", "ConsumerInvalidGroupName",
        "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters";
    /// The sequence of the subject is not known yet; ask again.
    SUBJECT_SEQUENCE_NOT_READY = 10163, 503, "2.11", "StreamExpectedLastSeqPerSubjectNotReady",
        "expected last sequence per subject temporarily unavailable";
    /// Like [`WRONG_LAST_SEQUENCE`](Self::WRONG_LAST_SEQUENCE), without the actual sequence.
    WRONG_LAST_SEQUENCE_CONSTANT = 10164, 400, "2.11", "StreamWrongLastSequenceConstant",
        "wrong last sequence";
    /// The `Nats-TTL` header is not a duration of at least one second.
    TTL_INVALID = 10165, 400, "2.11", "MessageTTLInvalid", "invalid per-message TTL";
    /// The stream does not have `allow_msg_ttl`.
    TTL_DISABLED = 10166, 400, "2.11", "MessageTTLDisabled", "per-message TTL is disabled";
    /// The server sheds load. Retry with back-off.
    TOO_MANY_REQUESTS = 10167, 429, "2.11", "StreamTooManyRequests", "too many requests";
    /// The stream has no counters: its configuration has no `allow_msg_counter`.
    MESSAGE_INCR_DISABLED = 10168, 400, "2.12", "MessageIncrDisabled",
        "message counters is disabled";
    /// A stream of counters takes nothing but increments.
    MESSAGE_INCR_MISSING = 10169, 400, "2.12", "MessageIncrMissing",
        "message counter increment is missing";
    /// An increment is a header, and its message has no payload.
    MESSAGE_INCR_PAYLOAD = 10170, 400, "2.12", "MessageIncrPayload", "message counter has payload";
    /// The increment is no whole number, or the message has expectations or a rollup, too.
    MESSAGE_INCR_INVALID = 10171, 400, "2.12", "MessageIncrInvalid",
        "message counter increment is invalid";
    /// What the counter's subject has is no number.
    MESSAGE_COUNTER_BROKEN = 10172, 400, "2.12", "MessageCounterBroken",
        "message counter is broken";
    MIRROR_WITH_COUNTERS = 10173, 400, "2.12", "MirrorWithCounters",
        "stream mirrors can not also calculate counters";
    /// Atomic publish is disabled. The batch is gone; start over.
    ATOMIC_PUBLISH_DISABLED = 10174, 400, "2.12", "AtomicPublishDisabled",
        "atomic publish is disabled";
    /// Atomic publish sequence is missing. The batch is gone; start over.
    ATOMIC_PUBLISH_MISSING_SEQ = 10175, 400, "2.12", "AtomicPublishMissingSeq",
        "atomic publish sequence is missing";
    /// Atomic publish batch is incomplete. The batch is gone; start over.
    ATOMIC_PUBLISH_INCOMPLETE_BATCH = 10176, 400, "2.12", "AtomicPublishIncompleteBatch",
        "atomic publish batch is incomplete";
    /// Atomic publish unsupported header used: …. The batch is gone; start over.
    ATOMIC_PUBLISH_UNSUPPORTED_HEADER_BATCH =
        10177, 400, "2.12", "AtomicPublishUnsupportedHeaderBatch",
        "atomic publish unsupported header used: {header}";
    CONSUMER_PUSH_WITH_PRIORITY_GROUP = 10178, 400, "2.11.7", "ConsumerPushWithPriorityGroup",
        "priority groups can not be used with push consumers";
    /// Atomic publish batch ID is invalid. The batch is gone; start over.
    ATOMIC_PUBLISH_INVALID_BATCH_ID = 10179, 400, "2.12", "AtomicPublishInvalidBatchID",
        "atomic publish batch ID is invalid";
    /// Reserved: no server has sent it up to 2.15.
    STREAM_MIN_LAST_SEQ = 10180, 412, "2.12", "StreamMinLastSeq", "min last sequence";
    CONSUMER_ACK_POLICY_INVALID = 10181, 400, "2.12", "ConsumerAckPolicyInvalid",
        "consumer ack policy invalid";
    CONSUMER_REPLAY_POLICY_INVALID = 10182, 400, "2.12", "ConsumerReplayPolicyInvalid",
        "consumer replay policy invalid";
    CONSUMER_ACK_WAIT_NEGATIVE = 10183, 400, "2.12", "ConsumerAckWaitNegative",
        "consumer ack wait needs to be positive";
    CONSUMER_BACK_OFF_NEGATIVE = 10184, 400, "2.12", "ConsumerBackOffNegative",
        "consumer backoff needs to be positive";
    /// The server does not offer the API level that the request requires.
    REQUIRED_API_LEVEL = 10185, 412, "2.12", "RequiredApiLevel",
        "JetStream minimum api level required";
    MIRROR_WITH_MSG_SCHEDULES = 10186, 400, "2.12", "MirrorWithMsgSchedules",
        "stream mirrors can not also schedule messages";
    SOURCE_WITH_MSG_SCHEDULES = 10187, 400, "2.12", "SourceWithMsgSchedules",
        "stream source can not also schedule messages";
    MESSAGE_SCHEDULES_DISABLED = 10188, 400, "2.12", "MessageSchedulesDisabled",
        "message schedules is disabled";
    MESSAGE_SCHEDULES_PATTERN_INVALID = 10189, 400, "2.12", "MessageSchedulesPatternInvalid",
        "message schedules pattern is invalid";
    MESSAGE_SCHEDULES_TARGET_INVALID = 10190, 400, "2.12", "MessageSchedulesTargetInvalid",
        "message schedules target is invalid";
    MESSAGE_SCHEDULES_TTL_INVALID = 10191, 400, "2.12", "MessageSchedulesTTLInvalid",
        "message schedules invalid per-message TTL";
    MESSAGE_SCHEDULES_ROLLUP_INVALID = 10192, 400, "2.12", "MessageSchedulesRollupInvalid",
        "message schedules invalid rollup";
    /// There is a `Nats-Expected-Last-Subject-Sequence-Subject` without the header with the
    /// sequence.
    STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID =
        10193, 400, "2.12", "StreamExpectedLastSeqPerSubjectInvalid",
        "missing sequence for expected last sequence per subject";
    /// The stream cannot be loaded by this server's version; the text says why.
    STREAM_OFFLINE_REASON = 10194, 500, "2.11.9", "StreamOfflineReason", "stream is offline: {err}";
    /// The consumer cannot be loaded by this server's version; the text says why.
    CONSUMER_OFFLINE_REASON = 10195, 500, "2.11.9", "ConsumerOfflineReason",
        "consumer is offline: {err}";
    CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE =
        10196, 400, "2.12", "ConsumerPriorityGroupWithPolicyNone",
        "consumer can not have priority groups when policy is none";
    CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE =
        10197, 400, "2.12", "ConsumerPinnedTTLWithoutPriorityPolicyNone",
        "PinnedTTL cannot be set when PriorityPolicy is none";
    MIRROR_WITH_ATOMIC_PUBLISH = 10198, 400, "2.12", "MirrorWithAtomicPublish",
        "stream mirrors can not also use atomic publishing";
    /// Atomic publish batch is too large: …. The batch is gone; start over.
    ATOMIC_PUBLISH_TOO_LARGE_BATCH = 10199, 400, "2.12", "AtomicPublishTooLargeBatch",
        "atomic publish batch is too large: {size}";
    /// Atomic publish batch commit is invalid. The batch is gone; start over.
    ATOMIC_PUBLISH_INVALID_BATCH_COMMIT = 10200, 400, "2.12.1", "AtomicPublishInvalidBatchCommit",
        "atomic publish batch commit is invalid";
    /// Atomic publish batch contains duplicate message id. The batch is gone; start over.
    ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE =
        10201, 400, "2.12.1", "AtomicPublishContainsDuplicateMessage",
        "atomic publish batch contains duplicate message id";
    CLUSTER_SERVER_MEMBER_CHANGE_INFLIGHT =
        10202, 400, "2.11.12", "ClusterServerMemberChangeInflight",
        "cluster member change is in progress";
    MESSAGE_SCHEDULES_SOURCE_INVALID = 10203, 400, "2.14", "MessageSchedulesSourceInvalid",
        "message schedules source is invalid";
    CONSUMER_INVALID_RESET = 10204, 400, "2.14", "ConsumerInvalidReset", "invalid reset: {err}";
    BATCH_PUBLISH_DISABLED = 10205, 400, "2.14", "BatchPublishDisabled",
        "batch publish is disabled";
    BATCH_PUBLISH_INVALID_PATTERN = 10206, 400, "2.14", "BatchPublishInvalidPattern",
        "batch publish pattern is invalid";
    BATCH_PUBLISH_INVALID_BATCH_ID = 10207, 400, "2.14", "BatchPublishInvalidBatchID",
        "batch publish ID is invalid";
    BATCH_PUBLISH_UNKNOWN_BATCH_ID = 10208, 400, "2.14", "BatchPublishUnknownBatchID",
        "batch publish ID unknown";
    MIRROR_WITH_BATCH_PUBLISH = 10209, 400, "2.14", "MirrorWithBatchPublish",
        "stream mirrors can not also use batch publishing";
    /// Too many batches are open. Retry once others are over. Before server 2.14: 10176.
    ATOMIC_PUBLISH_TOO_MANY_INFLIGHT = 10210, 429, "2.14", "AtomicPublishTooManyInflight",
        "atomic publish too many inflight";
    /// Too many batches are open. Retry once others are over.
    BATCH_PUBLISH_TOO_MANY_INFLIGHT = 10211, 429, "2.14", "BatchPublishTooManyInflight",
        "batch publish too many inflight";
    MESSAGE_SCHEDULES_SCHEDULER_INVALID = 10212, 400, "2.14", "MessageSchedulesSchedulerInvalid",
        "message schedules invalid scheduler";
    MIRROR_DURABLE_CONSUMER_CFG_INVALID = 10213, 400, "2.14", "MirrorDurableConsumerCfgInvalid",
        "stream mirror consumer config is invalid";
    MIRROR_CONSUMER_REQUIRES_ACK_FC = 10214, 400, "2.14", "MirrorConsumerRequiresAckFC",
        "stream mirror consumer requires flow control ack policy";
    SOURCE_DURABLE_CONSUMER_CFG_INVALID = 10215, 400, "2.14", "SourceDurableConsumerCfgInvalid",
        "stream source consumer config is invalid";
    SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED =
        10216, 400, "2.14", "SourceDurableConsumerDuplicateDetected",
        "duplicate stream source consumer detected";
    SOURCE_CONSUMER_REQUIRES_ACK_FC = 10217, 400, "2.14", "SourceConsumerRequiresAckFC",
        "stream source consumer requires flow control ack policy";
    CONSUMER_ACK_FC_REQUIRES_PUSH = 10218, 400, "2.14", "ConsumerAckFCRequiresPush",
        "flow control ack policy requires a push based consumer";
    CONSUMER_ACK_FC_REQUIRES_FC = 10219, 400, "2.14", "ConsumerAckFCRequiresFC",
        "flow control ack policy requires flow control";
    CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING =
        10220, 400, "2.14", "ConsumerAckFCRequiresMaxAckPending",
        "flow control ack policy requires max ack pending";
    CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT = 10221, 400, "2.14", "ConsumerAckFCRequiresNoAckWait",
        "flow control ack policy requires unset ack wait";
    CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER =
        10222, 400, "2.14", "ConsumerAckFCRequiresNoMaxDeliver",
        "flow control ack policy requires unset max deliver";
    MESSAGE_SCHEDULES_TIME_ZONE_INVALID = 10223, 400, "2.14", "MessageSchedulesTimeZoneInvalid",
        "message schedules time zone is invalid";
    /// The rescue of the meta group did not happen; the text explains.
    CLUSTER_RESCUE = 10224, 400, "2.15", "ClusterRescue",
        "JetStream system rescue not applied: {err}";
    /// The stream was deleted and created again since the caller looked it up.
    CONSUMER_STREAM_IDENTITY_MISMATCH = 10225, 400, "2.15", "ConsumerStreamIdentityMismatch",
        "consumer's stream identity does not match: {msg}";
    /// A move, a change of replicas or of retention is under way: wait for it, or cancel it.
    STREAM_RECONFIGURE_IN_PROGRESS = 10226, 400, "2.15", "StreamReconfigureInProgress",
        "stream reconfiguration already in progress";
    /// The publish has a `Nats-Stream-Source`, which only a server may set.
    MESSAGE_SOURCE_HDR_NOT_ALLOWED = 10227, 400, "2.15", "MessageSourceHdrNotAllowed",
        "message stream source header is not allowed";
    /// The consumer at a source waits for flow control that does not come.
    SOURCE_CONSUMER_FLOW_CONTROL_STALLED = 10228, 500, "2.15", "SourceConsumerFlowControlStalled",
        "stream source consumer stalled on flow control";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The facts, one code to a line, kept apart from the table that they are to hold against.
    const FACTS: &str = include_str!("../../tests/data/jetstream_error_codes.csv");

    struct Fact {
        code: ErrorCode,
        http: u16,
        name: &'static str,
        text: &'static str,
        since: &'static str,
        kind: &'static str,
        constant: &'static str,
    }

    fn facts() -> Vec<Fact> {
        let mut lines = FACTS.lines();
        assert_eq!(lines.next(), Some("code|http|name|text|since|kind|constant"));
        let fact = |line: &'static str| {
            let [code, http, name, text, since, kind, constant] =
                line.split('|').collect::<Vec<_>>().try_into().expect("seven columns");
            let code = ErrorCode(code.parse().unwrap());
            Fact { code, http: http.parse().unwrap(), name, text, since, kind, constant }
        };
        lines.map(fact).collect()
    }

    #[test]
    fn every_code_is_known_by_name() {
        let facts = facts();
        assert_eq!(facts.len(), 227);
        for Fact { code, http, name, text, since, .. } in &facts {
            assert_eq!(code.name(), Some(*name), "{code}");
            assert_eq!(code.text(), Some(*text), "{code}");
            assert_eq!(code.http(), Some(*http), "{code}");
            assert_eq!(code.since(), Some(*since), "{code}");
        }
        let codes: Vec<_> = facts.iter().map(|fact| fact.code).collect();
        assert_eq!(ErrorCode::all().collect::<Vec<_>>(), codes);
        assert!(codes.is_sorted());
    }

    #[test]
    fn every_code_is_a_constant() {
        let expected: Vec<_> = facts().iter().map(|fact| (fact.code, fact.constant)).collect();
        assert_eq!(CONSTANTS, expected);
    }

    #[test]
    fn predicates_hold_for_the_kinds_that_they_are_about() {
        for Fact { code, kind, .. } in facts() {
            assert_eq!(code.is_not_found(), kind == "missing", "{code}");
            assert_eq!(code.is_resource_limit(), kind == "resource", "{code}");
        }
        let of = |is: fn(ErrorCode) -> bool| {
            ErrorCode::all().filter(|code| is(*code)).map(|code| code.0).collect::<Vec<_>>()
        };
        assert_eq!(of(ErrorCode::is_wrong_last_sequence), [10071, 10164]);
        assert_eq!(of(ErrorCode::is_not_enabled), [10039, 10076]);
    }

    #[test]
    fn an_unknown_code_is_kept() {
        let code: ErrorCode = serde_json::from_str("4294967295").unwrap();
        assert_eq!((code.name(), code.text(), code.http(), code.since()), (None, None, None, None));
        assert_eq!(code.to_string(), "4294967295");
        assert_eq!(serde_json::to_string(&code).unwrap(), "4294967295");
    }
}
