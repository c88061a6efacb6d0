//! The one clock that the SDK clients, the emulated services, the functions and all timers share.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use tokio::time::Instant;

/// A wall clock that advances with tokio's clock. A paused tokio clock moves only if a test advances it, or if every
/// task is waiting: then it jumps to the next timer.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    epoch: SystemTime,
}

impl Clock {
    /// Creates a clock that starts at the machine's current time.
    #[must_use]
    pub fn real() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// Creates a clock that shows `epoch` now.
    #[must_use]
    pub fn starting_at(epoch: SystemTime) -> Self {
        Self { started: Instant::now(), epoch }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.epoch + self.started.elapsed()
    }

    /// Returns the time that the clock showed when it was created.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        self.epoch
    }

    /// Returns the time since the Unix epoch.
    #[must_use]
    pub fn since_epoch(&self) -> Duration {
        self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns this clock as a time source for the SDK and the functions.
    #[must_use]
    pub fn shared(&self) -> SharedTimeSource {
        SharedTimeSource::new(*self)
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        Self::now(self)
    }
}

impl dynoxide::storage_backend::Clock for Clock {
    fn now_unix_secs(&self) -> u64 {
        self.since_epoch().as_secs()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.since_epoch().as_secs_f64()
    }
}
