//! Stops work shortly before the function's deadline, so that the function can report unfinished messages or records as
//! failed. Otherwise, Lambda would kill the function, and the results of the whole batch would be lost.

use std::future::Future;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

/// Time reserved for the last log lines and the response.
const RESERVE: Duration = Duration::from_secs(1);

/// Time reserved for each message or record. A batch reserves the total for its items or [`RESERVE`], whichever is
/// longer. The largest batch has 10,000 messages.
///
/// With a service that does not answer, the release builds of both functions use 20 to 65 ms of CPU time to report
/// 10,000 unfinished items. A function of 128 MB has 128/1769 of a vCPU, so it needs 0.3 to 0.9 s. The two seconds
/// reserved for 10,000 items leave room for slower CPUs. None of these times has been measured on AWS.
const RESERVE_PER_ITEM: Duration = Duration::from_micros(200);

/// The time at which the function stops working on a batch.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// The error for work that was not finished at the deadline. A request in flight may or may not have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function reached its deadline; a request in flight may have taken effect")]
pub struct DeadlineReached;

impl Deadline {
    /// Returns the time at which work must stop: one second before Lambda's `deadline`, or earlier for a batch of more
    /// than 5,000 `items`. The work always gets at least half of the time from `now` until `deadline`. `now` is the
    /// wall clock, because Lambda gives the deadline in wall-clock time.
    #[must_use]
    pub fn before(deadline: SystemTime, now: SystemTime, items: usize) -> Self {
        let left = deadline.duration_since(now).unwrap_or_default();
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let reserve = RESERVE.max(RESERVE_PER_ITEM.saturating_mul(items));
        Self(Instant::now() + left - reserve.min(left / 2))
    }

    /// Runs `work` until it is done. Drops it if the deadline is reached first.
    ///
    /// # Errors
    /// Fails if the deadline is reached first.
    pub async fn limit<F: Future>(self, work: F) -> Result<F::Output, DeadlineReached> {
        timeout_at(self.0, work).await.map_err(|_elapsed| DeadlineReached)
    }

    /// Returns a deadline that is earlier by `reserve`, or by half of the time until this deadline if that is shorter.
    #[must_use]
    pub fn earlier(self, reserve: Duration) -> Self {
        let left = self.left();
        Self(Instant::now() + left - reserve.min(left / 2))
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

    async fn stops_after(left: Duration, items: usize) -> Duration {
        let start = Instant::now();
        let now = SystemTime::now();
        let deadline = Deadline::before(now + left, now, items);
        assert_eq!(deadline.limit(std::future::pending::<()>()).await, Err(DeadlineReached));
        assert!(deadline.is_reached());
        start.elapsed()
    }

    /// Work stops one second before the deadline (two seconds for the largest batch), but never before half of the time
    /// is over.
    #[tokio::test(start_paused = true)]
    async fn work_stops_before_deadline() {
        // tokio's timer rounds up to the next millisecond.
        for (left_ms, items, expected_ms) in [
            (30_000, 10, 29_000),
            (30_000, 5_000, 29_000),
            (30_000, 7_500, 28_500),
            (30_000, 10_000, 28_000),
            (3_000, 10_000, 1_500),
            (3_000, usize::MAX, 1_500),
            (1_000, 10, 500),
            (0, 10, 0),
        ] {
            let stopped_ms = stops_after(Duration::from_millis(left_ms), items).await.as_millis();
            let expected_ms = expected_ms..=expected_ms + 1;
            assert!(expected_ms.contains(&stopped_ms), "{left_ms} ms left, {items} items: {stopped_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn finished_work_returns_its_result() {
        let now = SystemTime::now();
        let deadline = Deadline::before(now + Duration::from_secs(3), now, 10);
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7));
        assert!(!deadline.is_reached());
    }

    #[tokio::test(start_paused = true)]
    async fn earlier_deadline_leaves_half_of_the_time() {
        let now = SystemTime::now();
        let deadline = Deadline::before(now + Duration::from_secs(30), now, 10);
        assert_eq!(deadline.earlier(Duration::from_secs(5)).left(), Duration::from_secs(24));
        assert_eq!(deadline.earlier(Duration::from_secs(25)).left(), Duration::from_millis(14_500));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(deadline.earlier(Duration::from_secs(5)).left(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn time_left_falls_to_zero() {
        let now = SystemTime::now();
        let deadline = Deadline::before(now + Duration::from_secs(30), now, 10);
        assert_eq!(deadline.left(), Duration::from_secs(29));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(deadline.left(), Duration::from_secs(9));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(deadline.left(), Duration::ZERO);
    }
}
