//! Faults of queues and mappings: rare behavior that the documentation of SQS and Lambda allows. With a [`FaultPlan`],
//! a test decides when such a fault happens. For faults of single requests, see
//! [`RequestFaults`](crate::RequestFaults).

use std::time::Duration;

use crate::call::Call;

/// Decides how queues and mappings behave where AWS's developer guides leave the behavior open. The default
/// methods cause no faults.
pub trait FaultPlan: Send + Sync {
    /// Returns the index of the message that a receive takes next. `waiting` is the number of visible messages, and the
    /// message at index 0 became visible first. A standard queue does not promise any order.
    fn next_message(&self, _queue: &str, _waiting: usize) -> usize {
        0
    }

    /// Returns how long a received message stays hidden. `None` keeps the visibility timeout of the request or of the
    /// queue. If the time is zero, a second consumer can receive the message at once, as at-least-once delivery allows.
    fn visibility(&self, _queue: &str) -> Option<Duration> {
        None
    }

    /// Returns the index of the idle sandbox that takes an invocation, or `None` for a cold start. `idle` is the number
    /// of idle sandboxes.
    fn sandbox(&self, _function: &str, idle: usize) -> Option<usize> {
        idle.checked_sub(1)
    }

    /// Returns true if this function's mapping is disabled at the moment. A disabled mapping does not poll, but still
    /// finishes the batches that it has received.
    fn is_disabled(&self, _function: &str) -> bool {
        false
    }

    /// Returns how this function's mapping delivers its next batch.
    fn delivery(&self, _function: &str) -> Delivery {
        Delivery::Once
    }

    /// Returns the batch size that the stream mapping uses for its next batch. `maximum` is the configured batch size.
    fn batch_size(&self, maximum: usize) -> usize {
        maximum
    }

    /// Returns true if the stream mapping must drop the batch that it is delivering, and read the shard again from its
    /// last checkpoint. The new batches may have other boundaries. The mapping calls this after each failed or
    /// partly failed try, unless it bisects the batch.
    fn rereads_from_checkpoint(&self) -> bool {
        false
    }

    /// Returns how many of its latest checkpoints the stream mapping loses. The mapping then redelivers all batches
    /// after the last checkpoint that remains.
    fn lost_checkpoints(&self) -> usize {
        0
    }

    /// Returns how long the stream mapping waits before it polls an empty shard again. The default is Lambda's own
    /// rate: four polls of each shard per second.
    fn poll_interval(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// Observes a request after a service has executed it. `status` and `answer` are the answer's HTTP status and body.
    /// The client may not get this answer if a test injects a fault into the request.
    fn answered(&self, _call: &Call<'_>, _status: u16, _answer: &[u8]) {}
}

/// The way in which a mapping delivers a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The mapping invokes the function once and gets the answer.
    Once,
    /// The mapping invokes the function twice with the same batch. The second invocation begins this long after the
    /// first.
    Twice(Duration),
    /// The mapping invokes the function once and never gets the answer, so it does not know whether the batch
    /// succeeded.
    AnswerLost,
}

/// A fault plan without faults.
#[derive(Clone, Copy, Debug)]
pub struct NoFaults;

impl FaultPlan for NoFaults {}
