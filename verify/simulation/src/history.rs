//! What happened in a world, in order. The same seed gives the same history, byte for byte.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use emulator::Fault;

use crate::fault_kind::FaultKind;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The producer's request ended: `Err` if it does not know whether the messages were taken.
    Sent {
        /// Of the workload.
        messages: Vec<usize>,
        /// What the producer knows.
        known: Result<(), String>,
    },
    /// The queue took a message.
    Accepted {
        /// Of the workload.
        message: usize,
        /// The queue's.
        id: String,
    },
    /// A dead letter was moved back to the queue.
    Redriven {
        /// Its id before.
        old: String,
        /// And after.
        new: String,
    },
    /// A function was invoked.
    Invoked {
        /// Counts up.
        invocation: u64,
        /// Its name's last word.
        function: &'static str,
        /// Counts up over both functions.
        sandbox: u64,
        /// Seconds since 1970 by the sandbox's own clock.
        wall_seconds: u64,
        /// Message ids or sequence numbers.
        items: Vec<String>,
    },
    /// It answered.
    Answered {
        /// Which.
        invocation: u64,
        /// What it reported as failed.
        failed: Vec<String>,
        /// What its sandbox remembers that it had not before: key and claim id.
        remembered: Vec<CacheEntry>,
    },
    /// It gave an error for an answer.
    Refused {
        /// Which.
        invocation: u64,
        /// What it said.
        error: String,
    },
    /// It was killed on purpose.
    Killed {
        /// Which.
        invocation: u64,
    },
    /// It ran into its timeout.
    TimedOut {
        /// Which.
        invocation: u64,
    },
    /// It panicked.
    Crashed {
        /// Which.
        invocation: u64,
    },
    /// A function wrote a log line with an outcome.
    Logged {
        /// In which invocation.
        invocation: u64,
        /// The outcome.
        outcome: String,
        /// As in the line.
        message_id: String,
        /// As in the line.
        claim_id: String,
    },
    /// A client sent a request.
    Requested {
        /// In which invocation; none for the producer and for edits by hand.
        invocation: Option<u64>,
        /// What.
        operation: String,
        /// Of what: the claim's event and id, or the object's key.
        subject: String,
        /// What went wrong.
        fault: Option<Fault>,
    },
    /// A function's own code panicked on purpose.
    Panicked {
        /// In which invocation.
        invocation: Option<u64>,
        /// On what: the subject of the request that it was about to send, or a claim id.
        subject: String,
    },
    /// A service refused a request by itself.
    Declined {
        /// HTTP status.
        status: u16,
        /// Of what.
        subject: String,
    },
    /// The table took a claim.
    Claimed(StoredClaim),
    /// Somebody put an item into the table by hand.
    PutByHand {
        /// Its partition key.
        pk: String,
    },
    /// The bucket took an object.
    Stored {
        /// Its key.
        key: String,
        /// Of its content.
        hash: u64,
    },
    /// DynamoDB deleted so many expired items.
    Swept(usize),
    /// Idle sandboxes ended.
    ScaledIn,
    /// So many seconds passed in which nobody did anything.
    Passed(u64),
    /// A fault that is no request's.
    Fault(FaultKind),
    /// From here on nothing goes wrong.
    NoFaults,
}

/// A claim as the table took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClaim {
    /// `EVENT#..`.
    pub pk: String,
    /// As text.
    pub claim_id: String,
    /// As text.
    pub claimed_at: String,
    /// Epoch seconds.
    pub ttl: u64,
    /// Base64, as on the wire.
    pub digest: String,
    /// Of the message that won.
    pub message_id: String,
}

/// An entry of a warm cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheEntry {
    /// Half of the SHA-256 of the event id.
    pub key: [u8; 16],
    /// Of the claim.
    pub claim_id: String,
    /// Base64.
    pub digest: String,
}

/// A moment and what happened, in milliseconds since the world began.
pub type History = Vec<(u64, Entry)>;

/// The whole history as text, one line each.
#[must_use]
pub fn text(history: &History) -> String {
    history.iter().map(|(at_ms, entry)| format!("{:>10}.{:03} {entry}\n", at_ms / 1_000, at_ms % 1_000)).collect()
}

/// Of bytes, the same in every process.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { messages, known: Ok(()) } => write!(f, "sent {messages:?}"),
            Self::Sent { messages, known: Err(error) } => write!(f, "sent {messages:?}, perhaps: {error}"),
            Self::Accepted { message, id } => write!(f, "queue took message {message} as {id}"),
            Self::Redriven { old, new } => write!(f, "redrove {old} as {new}"),
            Self::Invoked { invocation, function, sandbox, wall_seconds, items } => {
                let items = items.join(" ");
                write!(f, "#{invocation} {function} in sandbox {sandbox} at {wall_seconds}: {items}")
            }
            Self::Answered { invocation, failed, remembered } => {
                write!(f, "#{invocation} answered, failed: [{}]", failed.join(" "))?;
                remembered.iter().try_for_each(|entry| write!(f, ", remembers {}", entry.claim_id))
            }
            Self::Refused { invocation, error } => write!(f, "#{invocation} answered with an error: {error}"),
            Self::Killed { invocation } => write!(f, "#{invocation} was killed"),
            Self::TimedOut { invocation } => write!(f, "#{invocation} ran into its timeout"),
            Self::Crashed { invocation } => write!(f, "#{invocation} panicked"),
            Self::Logged { invocation, outcome, message_id, claim_id } => {
                write!(f, "#{invocation} logged {outcome} {message_id} {claim_id}")
            }
            Self::Requested { invocation, operation, subject, fault } => {
                match invocation {
                    Some(invocation) => write!(f, "#{invocation} {operation} {subject}")?,
                    None => write!(f, "{operation} {subject}")?,
                }
                fault.iter().try_for_each(|fault| write!(f, " {fault:?}"))
            }
            Self::Panicked { invocation: Some(invocation), subject } => {
                write!(f, "#{invocation} panicked on {subject}")
            }
            Self::Panicked { invocation: None, subject } => write!(f, "panicked on {subject}"),
            Self::Declined { status, subject } => write!(f, "service answered {status} to {subject}"),
            Self::Claimed(StoredClaim { pk, claim_id, claimed_at, ttl, digest, message_id }) => {
                write!(f, "table took {pk} {claim_id} at {claimed_at} until {ttl} {digest} of {message_id}")
            }
            Self::PutByHand { pk } => write!(f, "put {pk} by hand"),
            Self::Stored { key, hash } => write!(f, "bucket took {key} {hash:016x}"),
            Self::Swept(deleted) => write!(f, "TTL deleted {deleted}"),
            Self::ScaledIn => write!(f, "idle sandboxes ended"),
            Self::Passed(seconds) => write!(f, "{seconds} s passed"),
            Self::Fault(kind) => write!(f, "fault {kind}"),
            Self::NoFaults => write!(f, "from here on nothing goes wrong"),
        }
    }
}
