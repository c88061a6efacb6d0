//! The steps that the model can take.

use crate::state::{Claim, ClaimRequest};

/// One step of anything.
#[expect(missing_docs, reason = "the fields are what their variant says")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The true time moves on.
    Tick,
    /// A sandbox receives a batch of these messages.
    Receive { sandbox: usize, batch: Vec<u8> },
    /// A request to write a claim arrives, and its answer comes back if somebody still waits for it.
    ClaimAnswered(ClaimRequest),
    /// A request to write a claim arrives, and its answer is lost, or says that something went wrong.
    ClaimAnswerLost(ClaimRequest),
    /// A request to write a claim is lost, or throttled.
    ClaimRequestLost(ClaimRequest),
    /// An attempt times out, and its request is still on its way.
    AttemptTimedOut { sandbox: usize },
    /// The SDK sends the same request again.
    Retry { sandbox: usize },
    /// The SDK gives up.
    GiveUp { sandbox: usize },
    /// The deadline comes between an insert and its put.
    OutOfTime { sandbox: usize },
    /// The response goes to the mapping, which deletes what it may.
    Respond { sandbox: usize },
    /// The process is killed, with all that it remembers.
    Kill { sandbox: usize },
    /// The visibility timeout runs out while the message is still being worked on, or SQS delivers it twice.
    VisibleAgain { message: u8 },
    /// The table's TTL deletes the item.
    TtlDeletes,
    /// `archive-fn` gets this many records from the checkpoint on.
    Archive { records: usize },
    /// A `PutObject` request is answered: written, or 412.
    ObjectAnswered { record: usize },
    /// It has its effect, and its answer is lost.
    ObjectAnswerLost { record: usize },
    /// It has none: 409, 503, or lost.
    ObjectRefused { record: usize, conflict: bool },
    /// Its sender gives up while it is still on its way.
    ObjectTimedOut { record: usize },
    /// A `PutObject` request arrives for which nobody waits any more.
    ObjectArrivesLate(Claim),
    /// The response goes to the mapping, which moves its checkpoint.
    ArchiveResponds,
    /// `archive-fn` is killed.
    KillArchive,
    /// The mapping loses its checkpoint, and goes back to the beginning.
    Rewind,
}
