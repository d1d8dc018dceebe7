//! The process's only clock: the wall time at the start, advanced by a monotonic clock, so that a step of the wall clock
//! cannot fall between two readings that bound one exchange.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Clock;

/// The difference from the wall clock, ms, above which the wall clock was stepped and not slewed.
const STEP_MS: i64 = 250;

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct SystemClock {
    wall: Timestamp,
    since: Instant,
    /// The sum of the wall clock's steps that this clock has adopted, ms.
    followed_ms: AtomicI64,
}

impl SystemClock {
    /// Starts the clock at the current wall time.
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the time")]
    pub(crate) fn start() -> Self {
        Self {
            wall: Timestamp::now(),
            since: Instant::now(),
            followed_ms: AtomicI64::new(0),
        }
    }

    fn apart_from(&self, wall: Timestamp) -> Option<SignedDuration> {
        let step = wall.as_millisecond() - self.now().as_millisecond();
        if step.abs() < STEP_MS {
            return None;
        }
        self.followed_ms.fetch_add(step, Ordering::Relaxed);
        Some(SignedDuration::from_millis(step))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.since.elapsed()).unwrap_or(SignedDuration::MAX);
        let now = self.wall.saturating_add(gone).unwrap_or(self.wall);
        let ms = now
            .as_millisecond()
            .saturating_add(self.followed_ms.load(Ordering::Relaxed));
        Timestamp::from_millisecond(ms).unwrap_or(now)
    }

    #[allow(clippy::disallowed_methods, reason = "the only place that reads the time")]
    fn follow_step(&self) -> Option<SignedDuration> {
        self.apart_from(Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_follows_step_once_and_ignores_slew() {
        let clock = SystemClock::start();
        let before = clock.now();
        assert_eq!(clock.apart_from(before + SignedDuration::from_millis(100)), None);
        let step = clock
            .apart_from(before + SignedDuration::from_secs(90))
            .expect("a step");
        assert!((89_000..=90_000).contains(&step.as_millis()), "{step:?}");
        assert!(clock.now() >= before + SignedDuration::from_secs(89));
        assert_eq!(clock.apart_from(clock.now()), None);
    }
}
