//! A clock of the service whose machine's wall clock can be set to another time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Clock;

pub struct JumpingClock {
    from: Timestamp,
    since: Instant,
    /// How far the machine's wall clock was set, ms.
    wall_ms: AtomicI64,
    /// How much of this the service's clock has followed, ms.
    followed_ms: AtomicI64,
}

impl JumpingClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            from: Timestamp::now(),
            since: Instant::now(),
            wall_ms: AtomicI64::new(0),
            followed_ms: AtomicI64::new(0),
        })
    }

    /// Sets the machine's wall clock forward, or back.
    pub fn jump(&self, by: SignedDuration) {
        let ms = i64::try_from(by.as_millis()).expect("in range");
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let gone = i64::try_from(self.since.elapsed().as_millis()).expect("a while");
        self.from + SignedDuration::from_millis(gone + self.followed_ms.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    fn follow_step(&self, _: SignedDuration) -> Option<SignedDuration> {
        let wall = self.wall_ms.load(Ordering::SeqCst);
        let step = wall - self.followed_ms.swap(wall, Ordering::SeqCst);
        (step != 0).then(|| SignedDuration::from_millis(step))
    }
}
