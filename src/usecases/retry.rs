//! The only layer of retries: exponential backoff with full jitter (each wait is random between zero and the ceiling,
//! because that spreads many clients best). Retries inside the vendors' SDKs are off, because otherwise the rate budget
//! would not count every call.

use std::time::Duration;

use sidedoor_domain::ports::{Random, Verdict};

/// How long to wait between attempts: the ceiling starts at `base`, doubles with every attempt and stops at `cap`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// For vendor calls that a request waits for.
    pub(crate) const CALL: Self = Self {
        base: Duration::from_millis(200),
        cap: Duration::from_secs(5),
    };
    /// For Salesforce records, which no request waits for.
    pub(crate) const DELIVERY: Self = Self {
        base: Duration::from_millis(500),
        cap: Duration::from_secs(60),
    };
    /// For a rejected record when it is not known whether the record or the org is the cause.
    pub(crate) const OPEN: Self = Self {
        base: Duration::from_millis(500),
        cap: Duration::from_secs(900),
    };
    /// For polling a vendor again after a poll failed.
    pub(crate) const LOOK: Self = Self {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(30),
    };

    /// The wait after attempt `attempt` (the first is 0): random up to `base · 2^attempt`, at most the cap.
    pub(crate) fn wait(self, attempt: u32, random: &dyn Random) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(2_u32.saturating_pow(attempt.min(16)))
            .min(self.cap);
        ceiling.mul_f64(random.fraction())
    }

    /// The wait that a vendor's verdict asks for; `None` if another attempt cannot succeed.
    pub(crate) fn after(self, verdict: Verdict, attempt: u32, random: &dyn Random) -> Option<Duration> {
        match verdict {
            Verdict::Never => None,
            Verdict::Retry => Some(self.wait(attempt, random)),
            Verdict::RetryAfter(least) => Some(least.min(self.cap) + self.wait(attempt, random)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Random numbers that are the same in every run.
    pub(in crate::usecases) struct Dice(Mutex<fastrand::Rng>);

    impl Default for Dice {
        fn default() -> Self {
            Self(Mutex::new(fastrand::Rng::with_seed(1)))
        }
    }

    impl Random for Dice {
        fn bits(&self) -> u64 {
            self.0.lock().expect("not poisoned").u64(..)
        }
    }

    #[test]
    fn waits_spread_from_nothing_to_the_cap() {
        let dice = Dice::default();
        let waits: Vec<_> = (0..200).map(|_| Backoff::CALL.wait(30, &dice)).collect();
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(5)));
        assert!(waits.iter().any(|w| *w < Duration::from_secs(1)) && waits.iter().any(|w| *w > Duration::from_secs(4)));
        assert!((0..200).all(|_| Backoff::CALL.wait(0, &dice) <= Duration::from_millis(200)));
    }

    #[test]
    fn a_vendors_wish_is_a_floor_and_never_means_never() {
        let least = Duration::from_secs(2);
        assert!(
            Backoff::CALL
                .after(Verdict::RetryAfter(least), 0, &Dice::default())
                .expect("again")
                >= least
        );
        assert_eq!(Backoff::CALL.after(Verdict::Never, 0, &Dice::default()), None);
    }
}
