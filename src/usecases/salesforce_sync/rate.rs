//! When the CRM is called. An idle service calls at once; a busy one waits a moment, so that a call carries many rows, since
//! calls are what customers pay for; an org that has used much of its day's calls is called less often; one that is down or full
//! is left alone for a while, and met again with a single row.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use sidedoor_domain::ports::Usage;
use sidedoor_domain::ports::crm::ROWS_A_WRITE;

/// A call with so many rows shows that more are coming.
const BUSY: usize = 20;
/// The least wait that makes sense.
const LEAST: Duration = Duration::from_millis(50);
/// The first and the longest pause after calls that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// The longest pause for the sake of the day's calls.
const STRETCHED: Duration = Duration::from_secs(60);

/// The least time between two looks for VoiceCalls.
pub(crate) const LOOKS_APART: SignedDuration = SignedDuration::from_secs(2);

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Until when.
    pub until: Timestamp,
    /// Why, for people.
    pub why: String,
    /// It is for the rows' sake alone (their object is not as it should be): other calls are welcome.
    pub rows_alone: bool,
}

/// The pace of one org.
#[derive(Debug)]
pub(crate) struct DeliveryPace {
    max_batch_delay: Duration,
    slow_above: f64,
    linger: Duration,
    last_call: Option<Timestamp>,
    failures: u32,
    last_taken: Option<Timestamp>,
    /// Rows that were refused since one was taken, as far as they matter: two of them are more than bad luck.
    refused: BTreeSet<String>,
    last_look: Option<Timestamp>,
    /// The most rows of a call: halved when one fails as a whole, which may be for its size or for one of its rows, and doubled
    /// when one is answered.
    rows: usize,
    held: Option<Held>,
}

impl DeliveryPace {
    pub(crate) fn new(max_batch_delay: Duration, slow_above: f64) -> Self {
        Self {
            max_batch_delay,
            slow_above,
            linger: Duration::ZERO,
            last_call: None,
            failures: 0,
            last_taken: None,
            refused: BTreeSet::new(),
            last_look: None,
            rows: ROWS_A_WRITE,
            held: None,
        }
    }

    /// Why nothing may be sent now, if so.
    pub(crate) fn held(&self, now: Timestamp) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.until)
    }

    /// How long the next call waits for more rows, or for the sake of the day's calls. A full call waits only for these.
    pub(crate) fn wait(&self, now: Timestamp, full: bool, usage: Option<Usage>) -> Duration {
        let Some(last) = self.last_call else {
            return Duration::ZERO;
        };
        let stretched = self.stretched(usage);
        let wanted = if full { stretched } else { stretched.max(self.linger) };
        let since = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        wanted.saturating_sub(since)
    }

    /// The pause between calls that the org's own count of calls asks for: doubled with every fiftieth of the day's calls
    /// above the share.
    fn stretched(&self, usage: Option<Usage>) -> Duration {
        let over = usage.map_or(0.0, Usage::share) - self.slow_above;
        if over < 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs(1)
            .mul_f64((over * 50.0).min(10.0).exp2())
            .min(STRETCHED)
    }

    /// The most rows of the next call.
    pub(crate) fn rows(&self, most: usize) -> usize {
        self.rows.min(most)
    }

    /// A call was answered, and some of its rows were taken, or none: each may have failed for itself.
    pub(crate) fn answered(&mut self, rows: usize, some_taken: bool, now: Timestamp) {
        self.rows = (self.rows * 2).min(ROWS_A_WRITE);
        self.held = None;
        self.last_call = Some(now);
        if some_taken {
            self.failures = 0;
            self.last_taken = Some(now);
            self.refused.clear();
        }
        self.linger = if rows >= BUSY {
            (self.linger * 2)
                .clamp(LEAST, self.max_batch_delay.max(LEAST))
                .min(self.max_batch_delay)
        } else if self.linger / 2 < LEAST {
            Duration::ZERO
        } else {
            self.linger / 2
        };
    }

    /// Whether the org took rows after that moment: what a row is refused for before and after is then the row's own.
    pub(crate) fn took_rows_since(&self, at: Timestamp) -> bool {
        self.last_taken.is_some_and(|taken| taken > at)
    }

    /// A row was refused, and none was taken in the same call. Whether it is not the only one since the last that was.
    pub(crate) fn refused_like_others(&mut self, key: &str) -> bool {
        if self.refused.len() < 2 {
            self.refused.insert(key.to_owned());
        }
        self.refused.len() > 1
    }

    /// Whether it is time to look for VoiceCalls, though rows wait.
    pub(crate) fn time_to_look(&mut self, now: Timestamp) -> bool {
        let due = self.last_look.is_none_or(|at| now >= at + LOOKS_APART);
        if due {
            self.last_look = Some(now);
        }
        due
    }

    /// A call as a whole failed and may succeed later. Returns when.
    pub(crate) fn failed(&mut self, why: &str, now: Timestamp) -> Timestamp {
        let ceiling = PAUSE
            .0
            .saturating_mul(2_u32.saturating_pow(self.failures.min(16)))
            .min(PAUSE.1);
        self.failures = self.failures.saturating_add(1);
        self.rows = (self.rows / 2).max(1);
        // Half of it surely, so that an org that is down is not met at once; half by chance, so that services spread.
        self.hold(ceiling / 2 + (ceiling / 2).mul_f64(fastrand::f64()), why, false, now)
    }

    /// Nothing is sent for this long: the org takes nothing, or no rows.
    pub(crate) fn hold(&mut self, wait: Duration, why: &str, rows_alone: bool, now: Timestamp) -> Timestamp {
        let until = now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(60));
        self.last_call = Some(now);
        self.held = Some(Held {
            until,
            why: why.to_owned(),
            rows_alone,
        });
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn pace() -> DeliveryPace {
        DeliveryPace::new(Duration::from_secs(1), 0.8)
    }

    #[test]
    fn an_idle_service_calls_at_once_and_a_busy_one_waits_a_little_more_each_time() {
        let mut pace = pace();
        assert_eq!(pace.wait(NOW, false, None), Duration::ZERO);
        pace.answered(1, true, NOW);
        assert_eq!(
            pace.wait(NOW, false, None),
            Duration::ZERO,
            "one row at a time: no wait"
        );
        let mut waits = Vec::new();
        for _ in 0..8 {
            pace.answered(50, true, NOW);
            waits.push(pace.wait(NOW, false, None));
        }
        assert!(
            waits.is_sorted() && waits[0] == LEAST && waits[7] == Duration::from_secs(1),
            "{waits:?}"
        );
        assert_eq!(
            pace.wait(NOW, true, None),
            Duration::ZERO,
            "a full call waits for nothing"
        );
        for _ in 0..8 {
            pace.answered(1, true, NOW);
        }
        assert_eq!(pace.wait(NOW, false, None), Duration::ZERO, "idle again");
    }

    #[test]
    fn much_of_the_days_calls_stretches_the_interval() {
        let mut pace = pace();
        pace.answered(1, true, NOW);
        let at = |used| pace.wait(NOW, true, Some(Usage { used, limit: 1000 }));
        assert_eq!(at(799), Duration::ZERO);
        assert_eq!(at(800), Duration::from_secs(1));
        assert!(at(850) > Duration::from_secs(4) && at(850) < Duration::from_secs(7));
        assert_eq!(at(999), STRETCHED);
    }

    #[test]
    fn an_org_that_is_down_is_left_alone_ever_longer_and_met_with_one_row() {
        let mut pace = pace();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let until = pace.failed("down", now);
            assert_eq!(pace.held(now).map(|h| h.until), Some(until));
            pauses.push(until.duration_since(now));
            now = until;
            assert!(pace.held(now).is_none());
        }
        assert!(pauses[0] <= SignedDuration::from_millis(500) && pauses[0] >= SignedDuration::from_millis(250));
        assert!(pauses[19] >= SignedDuration::from_secs(150) && pauses[19] <= SignedDuration::from_secs(300));
        assert_eq!(pace.rows(200), 1);
        for _ in 0..8 {
            pace.answered(1, true, now);
        }
        assert_eq!(pace.rows(200), 200, "as many as ever");
    }

    /// Ten thousand rows and an hour in which the org takes nothing, on a clock of our own.
    #[test]
    fn an_hours_outage_costs_few_calls_and_ends_without_a_stampede() {
        let (mut pace, mut now, mut rows) = (pace(), NOW, 10_000_usize);
        let back = NOW + SignedDuration::from_hours(1);
        let (mut while_down, mut largest) = (0, 0);
        while now < back {
            let tried = pace.rows(200);
            largest = if while_down < 8 { largest } else { largest.max(tried) };
            while_down += 1;
            now = pace.failed("down", now);
        }
        assert!(while_down <= 40, "{while_down} calls in an hour");
        assert_eq!(largest, 1, "each of them with one row, after the first few");
        assert!(
            now < back + SignedDuration::from_secs(300),
            "and the end is noticed within five minutes"
        );
        let mut calls = 0;
        while rows > 0 {
            let full = rows >= 200;
            let wait = pace.wait(now, full, None);
            now += SignedDuration::try_from(wait).expect("short");
            let sent = pace.rows(200).min(rows);
            rows -= sent;
            calls += 1;
            now += SignedDuration::from_millis(400);
            pace.answered(sent, true, now);
        }
        assert!(calls <= 60, "{calls} calls for 10,000 rows, one at a time");
    }
}
