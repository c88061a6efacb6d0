//! One clock for everything: the SDK, the services, the functions and the tasks.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use tokio::time::Instant;

/// A wall clock that advances with tokio's. In a runtime that was started paused, it stands still until a test, or
/// everybody's waiting, moves it on.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    epoch: SystemTime,
}

impl Clock {
    /// Tells the real time.
    #[must_use]
    pub fn real() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// Tells `epoch` now.
    #[must_use]
    pub fn starting_at(epoch: SystemTime) -> Self {
        Self { started: Instant::now(), epoch }
    }

    /// The wall clock's time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.epoch + self.started.elapsed()
    }

    /// What it told first.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        self.epoch
    }

    /// Since 1970.
    #[must_use]
    pub fn since_epoch(&self) -> Duration {
        self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// As the SDK and the functions take it.
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
