//! Stopping in time: what is not done shortly before the function's deadline is reported as failed, rather than killed
//! half-way with the answers of all the others.

use std::future::Future;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

/// Kept back for writing the last log lines and the response. A function of 128 MB has a fourteenth of a core; how long
/// ten thousand lines take it has not been measured on AWS.
const RESERVE: Duration = Duration::from_secs(1);

/// When to stop working on a batch.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// The deadline came before the work was done. Whether a request in flight had its effect is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's deadline came first; whether the request took effect is not known")]
pub struct DeadlineReached;

impl Deadline {
    /// One second before Lambda's own `deadline`, or half-way to it if there are less than two seconds left. `now` is
    /// the wall clock, by which Lambda states the deadline.
    #[must_use]
    pub fn before(deadline: SystemTime, now: SystemTime) -> Self {
        let left = deadline.duration_since(now).unwrap_or_default();
        Self(Instant::now() + left - RESERVE.min(left / 2))
    }

    /// Runs `work` until it is done or the deadline comes, and then drops it.
    ///
    /// # Errors
    /// When the deadline comes first.
    pub async fn limit<F: Future>(self, work: F) -> Result<F::Output, DeadlineReached> {
        timeout_at(self.0, work).await.map_err(|_elapsed| DeadlineReached)
    }

    /// How long there is until then.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is time to stop.
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

    #[tokio::test(start_paused = true)]
    async fn work_stops_a_second_before_the_deadline_or_half_way_to_a_near_one() {
        // tokio's timer rounds up to the next millisecond.
        for (left_ms, expected_ms) in [(30_000, 29_000), (1_000, 500), (0, 0)] {
            let stopped_ms = stops_after(Duration::from_millis(left_ms)).await.as_millis();
            assert!((expected_ms..=expected_ms + 1).contains(&stopped_ms), "{left_ms} ms left: {stopped_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_done_in_time_gives_its_result() {
        let now = SystemTime::now();
        let deadline = Deadline::before(now + Duration::from_secs(3), now);
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7));
        assert!(!deadline.is_reached());
    }
}
