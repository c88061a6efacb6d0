//! Stops work shortly before the function's deadline, so that unfinished items are reported as failed. Otherwise Lambda would
//! kill the function, and the results of the whole batch would be lost.

use std::future::Future;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

/// Time reserved for the last log lines and the response. A function of 128 MB has a fourteenth of a core. The time that it
/// needs for ten thousand lines has not been measured on AWS.
const RESERVE: Duration = Duration::from_secs(1);

/// The time at which work on a batch stops.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// The deadline was reached before the work was done. A request in flight may or may not have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function reached its deadline; a request in flight may have taken effect")]
pub struct DeadlineReached;

impl Deadline {
    /// Returns the time one second before Lambda's `deadline`, or halfway to it if less than two seconds are left. `now` is
    /// the wall clock, because Lambda gives the deadline in wall-clock time.
    #[must_use]
    pub fn before(deadline: SystemTime, now: SystemTime) -> Self {
        let left = deadline.duration_since(now).unwrap_or_default();
        Self(Instant::now() + left - RESERVE.min(left / 2))
    }

    /// Runs `work` until it is done or the deadline is reached, and then drops it.
    ///
    /// # Errors
    /// Fails if the deadline is reached first.
    pub async fn limit<F: Future>(self, work: F) -> Result<F::Output, DeadlineReached> {
        timeout_at(self.0, work).await.map_err(|_elapsed| DeadlineReached)
    }

    /// Returns the time until the deadline, or zero after it.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns true if the deadline has been reached.
    #[must_use]
    pub fn is_reached(self) -> bool {
        Instant::now() >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn stops_after(left: Duration) -> Duration {
        let start = Instant::now();
        let now = SystemTime::now();
        let deadline = Deadline::before(now + left, now);
        assert_eq!(deadline.limit(std::future::pending::<()>()).await, Err(DeadlineReached));
        assert!(deadline.is_reached());
        start.elapsed()
    }

    /// Work stops one second before the deadline, or halfway to it if less than two seconds are left.
    #[tokio::test(start_paused = true)]
    async fn work_stops_before_deadline() {
        // tokio's timer rounds up to the next millisecond.
        for (left_ms, expected_ms) in [(30_000, 29_000), (1_000, 500), (0, 0)] {
            let stopped_ms = stops_after(Duration::from_millis(left_ms)).await.as_millis();
            assert!((expected_ms..=expected_ms + 1).contains(&stopped_ms), "{left_ms} ms left: {stopped_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn finished_work_returns_its_result() {
        let now = SystemTime::now();
        let deadline = Deadline::before(now + Duration::from_secs(3), now);
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7));
        assert!(!deadline.is_reached());
    }
}
