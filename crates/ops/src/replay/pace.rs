//! Limits the rate of requests and of progress reports.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Minimum time between two progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Allows a fixed number of requests per second, evenly spaced.
pub(super) struct RateLimiter(tokio::sync::Mutex<Interval>);

impl RateLimiter {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        let mut interval = interval(Duration::from_secs(1) / rate.get());
        // The default behavior would send a burst of requests after a pause.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(tokio::sync::Mutex::new(interval))
    }

    pub(super) async fn wait(&self) {
        self.0.lock().await.tick().await;
    }
}

/// Reports progress at most once per [`PROGRESS_INTERVAL`].
pub(super) struct Progress<'a> {
    note: &'a dyn Fn(&str),
    next: Cell<Instant>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(note: &'a dyn Fn(&str)) -> Self {
        Self { note, next: Cell::new(Instant::now() + PROGRESS_INTERVAL) }
    }

    pub(super) fn report(&self, text: impl FnOnce() -> String) {
        if Instant::now() >= self.next.get() {
            self.next.set(Instant::now() + PROGRESS_INTERVAL);
            (self.note)(&text());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Progress is reported once every five seconds, even if `report` is called more often.
    #[tokio::test(start_paused = true)]
    async fn progress_is_reported_every_five_seconds() {
        let reports = RefCell::new(Vec::new());
        let note = |text: &str| reports.borrow_mut().push(text.to_owned());
        let progress = Progress::new(&note);
        for second in 0..=15 {
            for _ in 0..2 {
                progress.report(|| second.to_string());
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(*reports.borrow(), ["5", "10", "15"]);
    }
}
