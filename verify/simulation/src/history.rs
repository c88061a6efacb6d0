//! The history of a world: everything that happened, in order. The same seed gives the same history, byte for byte.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use emulator::Fault;

use crate::fault_kind::FaultKind;

#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A request that the producer sent to the queue ended.
    Sent {
        /// Positions of the request's messages in `Scenario::messages`.
        messages: Vec<usize>,
        /// `Ok` if the answer confirmed that the queue accepted every message.
        result: Result<(), String>,
    },
    /// The queue accepted a message.
    Accepted {
        /// Position of the message in `Scenario::messages`.
        message: usize,
        /// Message id that the queue assigned.
        id: String,
    },
    /// Someone moved a dead letter back to the queue, and the queue gave it a new message id.
    Redriven { old_id: String, new_id: String },
    /// A mapping invoked a function.
    Invoked {
        invocation: u64,
        /// `ingest` or `archive`.
        function: &'static str,
        /// Number of the sandbox. The sandboxes of both functions are numbered together.
        sandbox: u64,
        /// Time at which the invocation began, by the sandbox's clock, in seconds since 1970.
        wall_seconds: u64,
        /// For `ingest-fn`, the ids of the batch's messages. For `archive-fn`, the sequence numbers of the batch's records.
        items: Vec<String>,
    },
    /// An invocation returned a partial batch response.
    Answered {
        invocation: u64,
        /// Message ids or sequence numbers that the response reported as failed.
        failed: Vec<String>,
        /// Claims in the sandbox's cache that are not in an earlier `Answered` entry of the same sandbox.
        newly_cached: Vec<CacheEntry>,
    },
    /// An invocation returned an error.
    Failed { invocation: u64, error: String },
    /// A fault killed an invocation.
    Killed { invocation: u64 },
    /// An invocation reached the function's timeout.
    TimedOut { invocation: u64 },
    /// A panic ended an invocation.
    Crashed { invocation: u64 },
    /// A function wrote the summary line of a batch, with metrics that count this number of messages or records.
    Counted { invocation: u64, items: usize },
    /// A function logged the outcome of a message or a record.
    Logged { invocation: u64, outcome: String, message_id: String, claim_id: String },
    /// A function or the producer sent a request to a service.
    Requested {
        /// The invocation that sent the request; `None` for the producer.
        invocation: Option<u64>,
        operation: String,
        /// For S3, the object's key. For DynamoDB, the claim's id and partition key. For other services, empty.
        subject: String,
        fault: Option<Fault>,
    },
    /// A fault made a function's own code panic.
    PanicInjected {
        invocation: Option<u64>,
        /// Subject of the request that the code was about to send, or the text `a claim id` if the code was generating one.
        subject: String,
    },
    /// A service itself refused a request, for example because a condition was not met. Errors that a fault injects are
    /// not recorded here.
    ServiceError { status: u16, subject: String },
    /// The table stored a claim.
    Claimed(StoredClaim),
    /// The table stored a pack.
    PackStored(StoredPack),
    /// Someone put an item into the table by hand.
    PutByHand { pk: String },
    /// The bucket stored an object.
    ObjectStored {
        key: String,
        /// Hash of the content.
        hash: u64,
    },
    /// DynamoDB deleted this number of expired items.
    TtlDeleted(usize),
    /// Lambda ended all idle sandboxes.
    ScaledIn,
    /// Someone disabled the mapping of this function, `ingest` or `archive`. At that time, the queue was empty, and no
    /// record in the stream was still waiting for `archive-fn`.
    Disabled(&'static str),
    /// Someone enabled the mapping of this function again.
    Enabled(&'static str),
    /// Number of messages in the queue, shortly before the queue mapping was enabled again.
    QueueCounted(usize),
    /// Ids of the messages in the dead-letter queue. At that time, the queue of `ingest-fn` was empty.
    DeadLettersListed(BTreeSet<String>),
    /// This number of seconds passed without any activity.
    Idle(u64),
    /// A fault happened to a queue or a mapping, and not to a single request.
    Fault(FaultKind),
    /// No more faults happen from this point on.
    FaultsEnded,
}

/// A claim that the table stored, with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClaim {
    /// Partition key: `EVENT#` and the event id.
    pub pk: String,
    /// Sort key: `CLAIM` or `CLAIM#<tag>`.
    pub sk: String,
    pub claim_id: String,
    /// Time of the claim as an RFC 3339 timestamp.
    pub claimed_at: String,
    /// Last second in which the claim holds the event, in seconds since 1970.
    pub ttl: u64,
    /// Digest of the claimed body, in base64.
    pub digest: String,
    /// Id of the message that won the event.
    pub message_id: String,
    /// Trace id of that message. Empty if the claim has none.
    pub trace_id: String,
    /// Id of the pack that a packed claim names. Empty for a claim with an object of its own.
    pub pack_id: String,
}

/// A pack that the table stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPack {
    pub pack_id: String,
    /// Ids of the claims that the pack lists.
    pub claim_ids: Vec<String>,
    /// Last second in which the pack is valid, in seconds since 1970.
    pub ttl: u64,
}

/// A claim in the warm cache of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheEntry {
    /// First half of the SHA-256 of the event id.
    pub key: [u8; 16],
    pub claim_id: String,
    /// Digest of the claimed body, in base64.
    pub digest: String,
}

/// All entries in order, each with its time in milliseconds since the world began.
pub type History = Vec<(u64, Entry)>;

/// Formats a history as text, one line for each entry.
#[must_use]
pub fn text(history: &History) -> String {
    history.iter().map(|(at_ms, entry)| format!("{:>10}.{:03} {entry}\n", at_ms / 1_000, at_ms % 1_000)).collect()
}

/// Returns a hash of `bytes`. Equal bytes have the same hash in every process.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { messages, result: Ok(()) } => {
                write!(f, "producer knows that the queue accepted messages {messages:?}")
            }
            Self::Sent { messages, result: Err(error) } => {
                write!(f, "producer does not know if the queue accepted messages {messages:?}: {error}")
            }
            Self::Accepted { message, id } => write!(f, "queue accepted message {message} as {id}"),
            Self::Redriven { old_id, new_id } => write!(f, "dead letter {old_id} redriven as {new_id}"),
            Self::Invoked { invocation, function, sandbox, wall_seconds, items } => {
                let items = items.join(" ");
                write!(f, "#{invocation} invoked {function} in sandbox {sandbox} at {wall_seconds} with {items}")
            }
            Self::Answered { invocation, failed, newly_cached } => {
                write!(f, "#{invocation} answered, failed items: [{}]", failed.join(" "))?;
                newly_cached.iter().try_for_each(|entry| write!(f, ", cached {}", entry.claim_id))
            }
            Self::Failed { invocation, error } => write!(f, "#{invocation} returned an error: {error}"),
            Self::Killed { invocation } => write!(f, "#{invocation} was killed"),
            Self::TimedOut { invocation } => write!(f, "#{invocation} timed out"),
            Self::Crashed { invocation } => write!(f, "#{invocation} crashed with a panic"),
            Self::Logged { invocation, outcome, message_id, claim_id } => {
                write!(f, "#{invocation} logged {outcome} message={message_id} claim={claim_id}")
            }
            Self::Counted { invocation, items } => write!(f, "#{invocation} counted {items} outcomes"),
            Self::Requested { invocation, operation, subject, fault } => {
                match invocation {
                    Some(invocation) => write!(f, "#{invocation} sent {operation} {subject}")?,
                    None => write!(f, "producer sent {operation} {subject}")?,
                }
                fault.iter().try_for_each(|fault| write!(f, " with fault {fault:?}"))
            }
            Self::PanicInjected { invocation: Some(invocation), subject } => {
                write!(f, "#{invocation} panics on purpose at {subject}")
            }
            Self::PanicInjected { invocation: None, subject } => write!(f, "panic on purpose at {subject}"),
            Self::ServiceError { status, subject } => {
                write!(f, "service refused {subject} with status {status}, without a fault")
            }
            Self::PackStored(StoredPack { pack_id, claim_ids, ttl }) => {
                write!(f, "table stored pack {pack_id} with claims [{}], ttl {ttl}", claim_ids.join(" "))
            }
            Self::Claimed(StoredClaim { pk, sk, claim_id, claimed_at, ttl, digest, message_id, trace_id, pack_id }) => {
                write!(
                    f,
                    "table stored claim {claim_id} of {pk} {sk} for message {message_id}, claimed at {claimed_at}, ttl {ttl}, \
                     digest {digest}, trace {trace_id:?}, pack {pack_id:?}"
                )
            }
            Self::PutByHand { pk } => write!(f, "item {pk} put by hand"),
            Self::ObjectStored { key, hash } => write!(f, "bucket stored {key} with hash {hash:016x}"),
            Self::TtlDeleted(count) => write!(f, "TTL deleted {count} items"),
            Self::ScaledIn => write!(f, "idle sandboxes ended"),
            Self::Disabled(function) => write!(f, "mapping of {function} disabled"),
            Self::Enabled(function) => write!(f, "mapping of {function} enabled"),
            Self::QueueCounted(messages) => write!(f, "{messages} messages in the queue"),
            Self::DeadLettersListed(ids) => write!(f, "{} messages in the dead-letter queue", ids.len()),
            Self::Idle(seconds) => write!(f, "idle for {seconds} s"),
            Self::Fault(kind) => write!(f, "fault {kind}"),
            Self::FaultsEnded => write!(f, "faults ended"),
        }
    }
}
