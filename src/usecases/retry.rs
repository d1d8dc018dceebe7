//! The one layer of retries: full-jitter exponential backoff ("sleep between zero and the cap", which spreads a herd
//! best). SDK retries are off, so that a rate budget counts every call there is.

use std::time::Duration;

use sidedoor_domain::ports::Verdict;

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// For vendor calls somebody waits for.
    pub(crate) const CALL: Self = Self {
        base: Duration::from_millis(200),
        cap: Duration::from_secs(5),
    };
    /// For rows nobody waits for.
    pub(crate) const DELIVERY: Self = Self {
        base: Duration::from_millis(500),
        cap: Duration::from_secs(60),
    };
    /// For a row that is refused and may be at fault itself, or not.
    pub(crate) const OPEN: Self = Self {
        base: Duration::from_millis(500),
        cap: Duration::from_secs(900),
    };
    /// For looking again at what could not be seen.
    pub(crate) const LOOK: Self = Self {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(30),
    };

    /// The wait after attempt `attempt` (the first is 0): anywhere up to `base · 2^attempt`, at most the cap.
    pub(crate) fn wait(self, attempt: u32) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(2_u32.saturating_pow(attempt.min(16)))
            .min(self.cap);
        ceiling.mul_f64(fastrand::f64())
    }

    /// The wait a verdict asks for, if another attempt is of use.
    pub(crate) fn after(self, verdict: Verdict, attempt: u32) -> Option<Duration> {
        match verdict {
            Verdict::Never => None,
            Verdict::Retry => Some(self.wait(attempt)),
            Verdict::RetryAfter(least) => Some(least.min(self.cap) + self.wait(attempt)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_spread_from_nothing_to_the_cap() {
        let waits: Vec<_> = (0..200).map(|_| Backoff::CALL.wait(30)).collect();
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(5)));
        assert!(waits.iter().any(|w| *w < Duration::from_secs(1)) && waits.iter().any(|w| *w > Duration::from_secs(4)));
        assert!((0..200).all(|_| Backoff::CALL.wait(0) <= Duration::from_millis(200)));
    }

    #[test]
    fn a_vendors_wish_is_a_floor_and_never_means_never() {
        let least = Duration::from_secs(2);
        assert!(Backoff::CALL.after(Verdict::RetryAfter(least), 0).expect("again") >= least);
        assert_eq!(Backoff::CALL.after(Verdict::Never, 0), None);
    }
}
