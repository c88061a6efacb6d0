//! The steps of the model.

use crate::state::{Claim, ClaimRequest};

/// One step of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The clock advances by one second.
    Tick,
    /// A sandbox receives a batch of these messages.
    Receive { sandbox: usize, batch: Vec<u8> },
    /// The table executes a claim request, and the answer reaches the sandbox if it still waits for one.
    ClaimAnswered(ClaimRequest),
    /// The table executes a claim request, but its answer is lost or reports an error.
    ClaimAnswerLost(ClaimRequest),
    /// A claim request is lost or throttled.
    ClaimRequestLost(ClaimRequest),
    /// An attempt times out while its request is still on its way.
    AttemptTimedOut { sandbox: usize },
    /// The SDK sends the same request again.
    Retry { sandbox: usize },
    /// The SDK stops retrying.
    StopRetrying { sandbox: usize },
    /// The function's deadline passes between an insert and the put that would follow.
    ReachDeadline { sandbox: usize },
    /// The sandbox responds, and the queue mapping deletes the acknowledged messages.
    Respond { sandbox: usize },
    /// The sandbox is killed and loses its memory.
    Kill { sandbox: usize },
    /// A message becomes visible while a sandbox is still working on it: its visibility timeout expired, or SQS
    /// delivers it twice.
    BecomeVisible { message: u8 },
    /// The table's TTL deletes the expired item.
    DeleteExpired,
    /// `archive-fn` receives this many records, starting at the checkpoint.
    Archive { records: usize },
    /// S3 answers a `PutObject` request: the object was written, or it already exists (412).
    ObjectAnswered { record: usize },
    /// S3 executes a `PutObject` request, but its answer is lost.
    ObjectAnswerLost { record: usize },
    /// A `PutObject` request has no effect: 409 (`conflict`), 503, or lost.
    ObjectRefused { record: usize, conflict: bool },
    /// `archive-fn` stops waiting for a `PutObject` request that is still on its way.
    ObjectTimedOut { record: usize },
    /// A `PutObject` request arrives after `archive-fn` stopped waiting for it.
    ObjectArrivesLate(Claim),
    /// `archive-fn` responds, and the stream mapping moves its checkpoint.
    ArchiveResponds,
    /// `archive-fn` is killed.
    KillArchive,
    /// The stream mapping loses its checkpoint and starts again at the first record.
    LoseCheckpoint,
}
