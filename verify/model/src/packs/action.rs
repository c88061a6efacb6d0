//! The steps that lead from one state of the model to the next.

use super::state::{PackId, Request};

/// A sender of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The sandbox of `ingest-fn` with this index.
    Sandbox(usize),
    /// `ops replay`.
    Replay,
}

/// A way in which a request gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The table does not execute the request, and the sender stops retrying.
    NotExecuted,
    /// The table executes the request, and the sender stops retrying.
    Executed,
    /// The table executes the request, and the sender retries.
    ExecutedAndRetried,
    /// The request is still on its way, and the sender stops retrying.
    Late,
    /// The request is still on its way, and the sender retries.
    LateAndRetried,
}

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
    /// The table executes the sender's next request, and the answer arrives.
    Answer(Actor),
    /// The sender's next request is a read, and misses an existing pack item, as a read without `ConsistentRead` can.
    MissPack(Actor),
    /// The sender's next request gets no answer.
    Lose(Actor, Loss),
    /// A write reaches the table after its sender stopped waiting.
    ArriveLate(Request, u8),
    /// A sandbox with a duplicate stops waiting for another sandbox or `replay` to close the pack of the event's claim.
    StopWaiting {
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
    /// SQS delivers a message a second time while a sandbox is working on it.
    BecomeVisible {
        message: u8,
    },
    /// A dead letter returns to the queue under a new message id.
    Redrive {
        message: u8,
    },
    /// TTL deletes an expired claim.
    DeleteClaim {
        event: usize,
    },
    /// TTL deletes an expired pack item.
    DeletePack(PackId),
    /// `replay` starts to settle an event's claim.
    Replay {
        event: usize,
    },
    Backup,
    /// The table is restored from the backup. `ingest-fn` is off until `replay` has rebuilt the pack items from their
    /// objects.
    Restore,
    /// `archive-fn` archives the next record. If `again` is true, the stream mapping delivers the record once more.
    Archive {
        again: bool,
    },
    /// A version of `archive-fn` without support for packs processes the next record.
    ArchiveByVersionBefore,
    /// `replay` runs after everything else is done.
    Finish,
}
