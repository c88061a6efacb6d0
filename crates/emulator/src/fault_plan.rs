//! What Lambda and SQS may do between the services and the functions by their documentation, and seldom do: a test says
//! when they do it. What goes wrong with a single request is in
//! [`RequestFaults`](crate::RequestFaults).

use std::time::Duration;

use crate::call::Call;

/// Decides whatever the developer guides leave open. By default everything happens once, in order and at once.
pub trait FaultPlan: Send + Sync {
    /// Which of so many waiting messages, the oldest first, a receive takes next: a standard queue promises no order.
    fn next_message(&self, _queue: &str, _waiting: usize) -> usize {
        0
    }

    /// How long a received message stays hidden; `None` for as long as its queue says. Zero lets another consumer have it
    /// at the same time, which "at least once" allows.
    fn visibility(&self, _queue: &str) -> Option<Duration> {
        None
    }

    /// Which of so many idle sandboxes takes an invocation; `None` is a cold start.
    fn sandbox(&self, _function: &str, idle: usize) -> Option<usize> {
        idle.checked_sub(1)
    }

    /// How a mapping delivers a batch.
    fn delivery(&self, _function: &str) -> Delivery {
        Delivery::Once
    }

    /// Most records that the stream's mapping puts into its next batch, of the `maximum` that is set.
    fn batch_size(&self, maximum: usize) -> usize {
        maximum
    }

    /// Whether the stream's mapping drops a batch that failed, and reads the stream again from its checkpoint, in batches
    /// that may have other boundaries.
    fn reads_anew(&self) -> bool {
        false
    }

    /// How many batches before its last one the stream's mapping goes back to, because it lost its checkpoint.
    fn batches_back(&self) -> usize {
        0
    }

    /// How long the stream's mapping waits before it looks again at a shard that had nothing: Lambda polls each shard
    /// four times a second.
    fn poll_interval(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// Sees what a service has done: the request, and the HTTP status and body of the answer, lost or not.
    fn answered(&self, _call: &Call<'_>, _status: u16, _answer: &[u8]) {}
}

/// How a mapping delivers a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As it should.
    Once,
    /// A second time as well, so long after the first began.
    Twice(Duration),
    /// The function's answer is lost: the mapping knows of no success and of no failure.
    AnswerLost,
}

/// Nothing out of the ordinary.
#[derive(Clone, Copy, Debug)]
pub struct NoFaults;

impl FaultPlan for NoFaults {}
