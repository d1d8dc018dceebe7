//! The clocks and random numbers of a simulated world. Time is tokio's paused time: it passes only when every task waits.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::{Clock, Random};
use tokio::time::Instant;

/// When a simulated world begins, s since 1970.
const EPOCH_S: i64 = 1_800_000_000;

/// The true time of a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrueTime {
    since: Instant,
}

impl TrueTime {
    pub(super) fn start() -> Self {
        Self { since: Instant::now() }
    }

    /// Milliseconds since the world began.
    pub(super) fn ms(self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn at(ms: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(EPOCH_S) + SignedDuration::from_millis(ms)
    }
}

/// A clock that is wrong by an offset and a drift.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrongClock {
    pub(super) truth: TrueTime,
    pub(super) offset_ms: i64,
    pub(super) drift_ppm: i64,
}

impl WrongClock {
    /// What the clock reads at a true time.
    pub(super) fn reads(self, true_ms: i64) -> Timestamp {
        TrueTime::at(true_ms + self.offset_ms + true_ms * self.drift_ppm / 1_000_000)
    }
}

/// The clock of one process, as [`crate::clock::SystemClock`]: it follows a correction of the machine's clock only in `follow_step`.
pub(super) struct ServiceClock {
    machine: WrongClock,
    /// All corrections of the machine's clock, ms.
    steps: Arc<Mutex<Vec<i64>>>,
    /// Those that this process has followed, ms.
    followed: AtomicI64,
}

impl ServiceClock {
    pub(super) fn start(machine: WrongClock, steps: Arc<Mutex<Vec<i64>>>) -> Self {
        let clock = Self {
            machine,
            steps,
            followed: AtomicI64::new(0),
        };
        clock.followed.store(clock.corrected_by(), Ordering::Relaxed);
        clock
    }

    fn corrected_by(&self) -> i64 {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.iter().sum()
    }
}

impl Clock for ServiceClock {
    fn now(&self) -> Timestamp {
        let followed = SignedDuration::from_millis(self.followed.load(Ordering::Relaxed));
        self.machine.reads(self.machine.truth.ms()) + followed
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.machine.truth.ms()).unwrap_or(0))
    }

    fn follow_step(&self, max_error: SignedDuration) -> Option<SignedDuration> {
        let all = self.corrected_by();
        let step = SignedDuration::from_millis(all - self.followed.load(Ordering::Relaxed));
        if step.abs() <= max_error {
            return None;
        }
        self.followed.store(all, Ordering::Relaxed);
        Some(step)
    }
}

/// Random numbers that follow from a seed.
pub(super) struct SeededRandom(Mutex<fastrand::Rng>);

impl SeededRandom {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    pub(super) fn with<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Random for SeededRandom {
    fn bits(&self) -> u64 {
        self.with(|rng| rng.u64(..))
    }
}
