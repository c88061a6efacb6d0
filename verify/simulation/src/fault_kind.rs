//! The kinds of faults and their rates.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use emulator::{Fault, Service};

/// A kind of fault.
///
/// The order of the variants seeds the random numbers of each kind: a new kind goes to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// A request never reaches its service.
    RequestLost,
    /// A service carries out a request, and the answer is lost.
    AnswerLost,
    /// A service throttles a request.
    Throttled,
    /// A service answers 500.
    ServerError,
    /// A service answers 503.
    Unavailable,
    /// S3 answers 409.
    S3Conflict,
    /// A request takes seconds to arrive, up to a minute. Its sender may have stopped waiting.
    RequestLate,
    /// An answer takes seconds to arrive, up to a minute. Its receiver may have stopped waiting.
    AnswerLate,
    /// Every request to one service fails in the same way for seconds or minutes.
    Outage,
    /// A function is killed at an await.
    Killed,
    /// An invocation gets a new or a random idle sandbox, instead of the one that would otherwise take it.
    ColdStart,
    /// Lambda ends all idle sandboxes.
    ScaledIn,
    /// The sandboxes' clocks differ from the services' clock.
    ClockSkew,
    /// A batch is delivered twice: the second delivery starts during or after the first.
    BatchTwice,
    /// A function's answer is lost.
    BatchAnswerLost,
    /// SQS delivers a message to two receivers.
    MessageTwice,
    /// SQS delivers messages out of order.
    OutOfOrder,
    /// A message becomes visible again while it is being processed.
    VisibilityExpired,
    /// The stream mapping sends a batch with fewer records than it could.
    ShorterBatches,
    /// The stream mapping drops a failed batch and reads the stream again from its checkpoint.
    StreamReread,
    /// The stream mapping loses its checkpoint and goes back to an earlier one.
    CheckpointLost,
    /// DynamoDB deletes the expired items.
    TtlDeletion,
    /// Hours or days pass without any activity.
    IdlePeriod,
    /// Dead letters are moved back to the queue.
    Redrive,
    /// Someone puts an item that cannot be archived into the table.
    PoisonRecord,
    /// DynamoDB throttles some statements of a batched insert.
    StatementsThrottled,
    /// DynamoDB executes a batched insert but reports an error for some of its statements.
    StatementsUnknown,
    /// A function's own code panics where it generates a claim id or sends a request.
    Panic,
}

/// Returns all kinds, in the order of their declaration.
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
    /// Start and end, in milliseconds since the world began.
    pub ms: (u64, u64),
}

/// The probability of each kind of fault at each opportunity, from 0 to 1.
pub type Rates = BTreeMap<FaultKind, f64>;
