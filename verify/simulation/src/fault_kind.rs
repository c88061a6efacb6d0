//! The kinds of faults, and how often each of them happens.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use emulator::{Fault, Service};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// A request never reaches its service.
    RequestLost,
    /// A request is done, and its answer lost.
    AnswerLost,
    /// A service says "too many requests".
    Throttled,
    /// A service answers 500.
    ServerError,
    /// A service answers 503.
    Unavailable,
    /// S3 answers 409.
    Conflict,
    /// A request arrives later than its sender waits for.
    RequestLate,
    /// An answer comes later than its receiver waits for.
    AnswerLate,
    /// One of the faults above, for minutes or hours, on every request to one service.
    Outage,
    /// A function is killed at an await.
    Killed,
    /// An invocation meets a cold sandbox, though there is a warm one.
    ColdStart,
    /// All idle sandboxes end.
    ScaledIn,
    /// Sandboxes' clocks differ from the services'.
    ClockSkew,
    /// A batch is delivered twice, the second time while the first is under way or after it.
    BatchTwice,
    /// What a function answered is lost.
    BatchAnswerLost,
    /// SQS gives a message to two receivers.
    MessageTwice,
    /// SQS gives messages in another order.
    OutOfOrder,
    /// A message becomes visible while it is processed.
    VisibilityRunsOut,
    /// The stream's batches have other boundaries.
    OtherBoundaries,
    /// The stream's mapping stops trying a batch, and reads it anew.
    ReadAnew,
    /// The stream's mapping loses its checkpoint, and goes back.
    CheckpointLost,
    /// DynamoDB deletes what has expired, sooner or later.
    TtlDeletion,
    /// Hours or days pass in which nobody does anything.
    DaysPass,
    /// Dead letters are moved back to the queue.
    Redrive,
    /// Somebody puts into the table what cannot be archived.
    PoisonRecord,
    /// Some claims of a request of many are throttled.
    StatementsThrottled,
    /// Some claims of a request of many are inserted, and the answer says that something went wrong with them.
    StatementsUnknown,
    /// A function's own code panics: where it draws a claim id, or sends a request.
    Panic,
}

/// All kinds, in order.
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

/// A time in which each request to a service goes wrong in the same way.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// Which service.
    pub service: Service,
    /// How.
    pub fault: Fault,
    /// From when to when, in milliseconds since the world began.
    pub ms: (u64, u64),
}

/// How often each kind of fault happens: its part of the times that it could.
pub type Rates = BTreeMap<FaultKind, f64>;
