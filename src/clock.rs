//! The one clock: wall time when the process began, advanced by a monotonic clock, so that a step of the wall clock
//! cannot tear a bracket in two.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::ports::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    wall: Timestamp,
    since: Instant,
}

impl SystemClock {
    /// Anchored now.
    #[allow(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn start() -> Self {
        Self {
            wall: Timestamp::now(),
            since: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.since.elapsed()).unwrap_or(SignedDuration::MAX);
        let now = self.wall.saturating_add(gone).unwrap_or(self.wall);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
