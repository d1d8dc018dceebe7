//! A clock of the service that runs faster than this machine's, for waits of hours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Clock;

pub struct FastClock {
    from: Timestamp,
    since: Instant,
    times: u32,
}

impl FastClock {
    /// A clock that begins now and runs `times` as fast.
    pub fn new(times: u32) -> Arc<Self> {
        Arc::new(Self {
            from: Timestamp::now(),
            since: Instant::now(),
            times,
        })
    }

    /// How long the service's clock takes for `served`, by this machine's clock.
    pub fn here(&self, served: SignedDuration) -> Duration {
        Duration::try_from(served).expect("positive") / self.times
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let gone = i64::try_from(self.since.elapsed().as_micros()).expect("a while") * i64::from(self.times) / 1000;
        self.from + SignedDuration::from_millis(gone)
    }

    fn elapsed(&self) -> Duration {
        self.since.elapsed() * self.times
    }

    fn follow_step(&self, _: SignedDuration) -> Option<SignedDuration> {
        None
    }
}
