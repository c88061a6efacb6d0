//! The kinds of faults that can happen in a world.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use emulator::{Fault, Service};

/// A kind of fault.
///
/// The position of a variant seeds the random numbers of its kind. Add a new kind at the end: in any other place, it
/// would change the worlds of all seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// A request never reaches its service.
    RequestLost,
    /// A service executes a request, but its answer is lost.
    AnswerLost,
    /// A service throttles a request and does not execute it.
    Throttled,
    /// A service answers a request with 500 and does not execute it.
    ServerError,
    /// A service answers a request with 503 and does not execute it.
    Unavailable,
    /// S3 answers a request with 409 and does not execute it.
    S3Conflict,
    /// A request takes between a second and a minute to arrive. By then, the client may have stopped waiting for the answer.
    RequestLate,
    /// An answer takes between a second and a minute to arrive. By then, the client may have stopped waiting for it.
    AnswerLate,
    /// For a time, all requests to one service fail in the same way.
    Outage,
    /// A sandbox is killed during an invocation, while the handler is suspended at an `await`.
    Killed,
    /// An invocation runs in a new sandbox or in a random idle one, instead of the sandbox that became idle last.
    ColdStart,
    /// Lambda ends all idle sandboxes.
    ScaledIn,
    /// Each sandbox has a clock that differs from the services' clock.
    ClockSkew,
    /// A mapping delivers a batch twice. The second delivery starts during or after the first one.
    BatchTwice,
    /// A function handles a batch, but its answer does not reach the mapping.
    BatchAnswerLost,
    /// SQS delivers a message to two receivers.
    MessageTwice,
    /// SQS delivers messages out of order.
    OutOfOrder,
    /// A message becomes visible again while it is being processed.
    VisibilityExpired,
    /// The stream mapping limits a batch to a random number of records, instead of the configured maximum.
    ShorterBatches,
    /// The stream mapping does not retry a failed batch, but reads the stream again from its checkpoint.
    StreamReread,
    /// The stream mapping loses its latest checkpoints and continues from an earlier one.
    CheckpointLost,
    /// DynamoDB deletes all expired items.
    TtlDeletion,
    /// Hours or days pass without any activity.
    IdlePeriod,
    /// Someone moves the dead letters back to the queue.
    Redrive,
    /// Someone puts a poison record into the table: an item that `archive-fn` cannot archive.
    PoisonRecord,
    /// DynamoDB throttles at least one statement of a batched insert.
    StatementsThrottled,
    /// DynamoDB executes a batched insert, but reports an error for at least one of its statements.
    StatementsUnknown,
    /// A function's own code panics while it generates a claim id or sends a request.
    Panic,
    /// Someone disables the queue mapping for about a day, so that messages may reach the end of their retention.
    IngestDisabled,
    /// Someone disables the stream mapping for about a day, so that records may leave the stream before they are read.
    ArchiveDisabled,
    /// Dead letters stay in their queue until about the end of their retention.
    DeadLettersKept,
}

/// Returns all kinds of faults, in the order of their declaration.
#[must_use]
pub fn all() -> &'static [FaultKind] {
    FaultKind::value_variants()
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no kind is skipped");
        f.write_str(value.get_name())
    }
}

/// A period in which requests to one service fail with the same fault.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub service: Service,
    pub fault: Fault,
    /// Start and end of the outage, in milliseconds since the world began. The end is exclusive.
    pub ms: (u64, u64),
}

/// Probability of each kind of fault, from 0 to 1, at every point where that kind can happen.
pub type Rates = BTreeMap<FaultKind, f64>;
