//! The steps that lead from one state of the model to the next.

use crate::state::{Claim, ClaimRequest};

/// One step of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The clock advances by one second.
    Tick,
    /// A sandbox receives the messages with these indices as one batch.
    Receive {
        sandbox: usize,
        batch: Vec<u8>,
    },
    /// The table executes a claim request. The answer reaches the sandbox, unless the sandbox has stopped waiting.
    ClaimAnswered(ClaimRequest),
    /// The table executes a claim request, but the answer is lost or reports an error.
    ClaimAnswerLost(ClaimRequest),
    /// A claim request is lost on its way or throttled, so the table does not execute it.
    ClaimRequestLost(ClaimRequest),
    /// The SDK stops waiting for the answer to a claim request. The table may still execute the request later.
    AttemptTimedOut {
        sandbox: usize,
    },
    /// The SDK sends the same claim request again.
    Retry {
        sandbox: usize,
    },
    /// The SDK stops retrying a claim request.
    StopRetrying {
        sandbox: usize,
    },
    /// `ingest-fn` got no answer to an insert, and reaches its deadline before it can send the conditional put.
    ReachDeadline {
        sandbox: usize,
    },
    /// The sandbox responds, and the queue mapping deletes the acknowledged messages.
    Respond {
        sandbox: usize,
    },
    /// The sandbox is killed and loses its memory.
    Kill {
        sandbox: usize,
    },
    /// A message becomes visible again while a sandbox is still working on it: its visibility timeout has expired, or SQS
    /// delivers it twice.
    BecomeVisible {
        message: u8,
    },
    /// TTL deletes the event's expired item from the table.
    DeleteExpired,
    /// `archive-fn` receives this number of records, starting at the checkpoint.
    Archive {
        records: usize,
    },
    /// S3 executes a `PutObject` request, and `archive-fn` receives the answer: 200, or 412 if the object already exists.
    ObjectAnswered {
        record: usize,
    },
    /// S3 executes a `PutObject` request, but its answer is lost.
    ObjectAnswerLost {
        record: usize,
    },
    /// A `PutObject` request has no effect: S3 answers with 409 (then `conflict` is true) or 503, or the request is
    /// lost.
    ObjectRefused {
        record: usize,
        conflict: bool,
    },
    /// `archive-fn` stops waiting for a `PutObject` request that is still on its way.
    ObjectTimedOut {
        record: usize,
    },
    /// A `PutObject` request arrives after `archive-fn` stopped waiting for it.
    ObjectArrivesLate(Claim),
    /// `archive-fn` responds, and the stream mapping moves its checkpoint.
    ArchiveResponds,
    KillArchive,
    /// The stream mapping loses its checkpoint and starts again at the first record.
    LoseCheckpoint,
}
