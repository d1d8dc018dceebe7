//! The process's only clock: the wall time at the start, advanced by a monotonic clock, so that a step of the wall clock
//! cannot fall between two readings that bound one exchange.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Clock;

/// Smaller differences from the wall clock, ms, are errors of reading two clocks one after the other, whatever error is declared.
const LEAST_STEP_MS: i64 = 10;

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

    fn apart_from(&self, wall: Timestamp, max_error: SignedDuration) -> Option<SignedDuration> {
        let step = wall.as_millisecond() - self.now().as_millisecond();
        if i128::from(step.abs()) <= max_error.as_millis().max(i128::from(LEAST_STEP_MS)) {
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

    fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "the only place that reads the time")]
    fn follow_step(&self, max_error: SignedDuration) -> Option<SignedDuration> {
        self.apart_from(Timestamp::now(), max_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ERROR: SignedDuration = SignedDuration::from_millis(50);

    #[test]
    fn clock_follows_step_once() {
        let clock = SystemClock::start();
        let before = clock.now();
        let step = clock
            .apart_from(before + SignedDuration::from_secs(90), MAX_ERROR)
            .expect("a step");
        assert!((89_000..=90_000).contains(&step.as_millis()), "{step:?}");
        assert!(clock.now() >= before + SignedDuration::from_secs(89));
        assert_eq!(clock.apart_from(clock.now(), MAX_ERROR), None);
    }

    #[test]
    fn clock_follows_corrections_above_its_declared_error() {
        let clock = SystemClock::start();
        let later = |ms| clock.now() + SignedDuration::from_millis(ms);
        assert_eq!(clock.apart_from(later(40), MAX_ERROR), None);
        assert!(clock.apart_from(later(100), MAX_ERROR).is_some());
    }
}
