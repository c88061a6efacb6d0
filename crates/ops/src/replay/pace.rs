//! How fast requests go out, and how often progress is reported.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// How often to say how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// At most so many a second, evenly.
pub(super) struct RateLimiter(tokio::sync::Mutex<Interval>);

impl RateLimiter {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        let mut interval = interval(Duration::from_secs(1) / rate.get());
        // After a pause, no burst.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(tokio::sync::Mutex::new(interval))
    }

    pub(super) async fn wait(&self) {
        self.0.lock().await.tick().await;
    }
}

/// Says now and then how far it is.
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
