//! Faults of queues and mappings: what the documentation of SQS and Lambda allows, but what rarely happens. A test decides
//! when it happens. Faults of single requests are in [`RequestFaults`](crate::RequestFaults).

use std::time::Duration;

use crate::call::Call;

/// Decides what the developer guides leave open. By default, everything happens once, in order and without delay.
pub trait FaultPlan: Send + Sync {
    /// Returns which of the `waiting` messages a receive takes next, as an index into them, the oldest first. A standard
    /// queue promises no order.
    fn next_message(&self, _queue: &str, _waiting: usize) -> usize {
        0
    }

    /// Returns how long a received message stays hidden; `None` stands for the visibility timeout. With zero, another
    /// consumer can receive the message at the same time, which at-least-once delivery allows.
    fn visibility(&self, _queue: &str) -> Option<Duration> {
        None
    }

    /// Returns the index of the idle sandbox that takes an invocation; `None` is a cold start.
    fn sandbox(&self, _function: &str, idle: usize) -> Option<usize> {
        idle.checked_sub(1)
    }

    /// Returns how a mapping delivers the next batch.
    fn delivery(&self, _function: &str) -> Delivery {
        Delivery::Once
    }

    /// Returns the maximum number of records in the stream mapping's next batch. `maximum` is the configured batch size.
    fn batch_size(&self, maximum: usize) -> usize {
        maximum
    }

    /// Returns true if the stream mapping drops a failed batch and reads the stream again from its checkpoint. The new
    /// batches may have other boundaries.
    fn rereads_from_checkpoint(&self) -> bool {
        false
    }

    /// Returns how many of its latest checkpoints the stream mapping loses. It then delivers the batches after the last
    /// remaining checkpoint again.
    fn lost_checkpoints(&self) -> usize {
        0
    }

    /// Returns how long the stream mapping waits before it polls an empty shard again. Lambda polls each shard four times
    /// a second.
    fn poll_interval(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// Observes a request that a service has executed, with the HTTP status and body of the answer. The client may not
    /// get that answer.
    fn answered(&self, _call: &Call<'_>, _status: u16, _answer: &[u8]) {}
}

/// The way in which a mapping delivers a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The mapping invokes the function once and gets the answer.
    Once,
    /// The mapping invokes the function a second time, this long after the first invocation began.
    Twice(Duration),
    /// The mapping invokes the function once, and the answer is lost. The mapping knows neither a success nor a failure.
    AnswerLost,
}

/// A fault plan without faults.
#[derive(Clone, Copy, Debug)]
pub struct NoFaults;

impl FaultPlan for NoFaults {}
