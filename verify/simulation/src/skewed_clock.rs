//! The wall clock of a sandbox.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use emulator::Clock;

/// A clock that is ahead of the services' clock by a constant, or behind it if `skew_ms` is negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SkewedClock {
    pub(crate) clock: Clock,
    pub(crate) skew_ms: i64,
}

impl TimeSource for SkewedClock {
    fn now(&self) -> SystemTime {
        let skew = Duration::from_millis(self.skew_ms.unsigned_abs());
        if self.skew_ms < 0 { self.clock.now() - skew } else { self.clock.now() + skew }
    }
}
