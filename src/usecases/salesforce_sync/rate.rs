//! Decides when to call Salesforce. An idle service calls immediately. A busy one waits briefly, so that a call carries many
//! records, because customers pay for calls. If the org has used most of its daily API calls, the interval grows. If it is
//! down or full, delivery pauses and then starts again with a single record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::crm::RECORDS_PER_WRITE;
use sidedoor_domain::ports::{Clock, Random, Usage};

/// A call with this many records shows that more are coming.
const BUSY_BATCH: usize = 20;
/// The shortest batch delay that is useful.
const SHORTEST_DELAY: Duration = Duration::from_millis(50);
/// The first and the longest pause after failed calls.
const FAILURE_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// The longest interval because of the daily API calls.
const LONGEST_STRETCH: Duration = Duration::from_secs(60);

/// The least time between two searches for VoiceCalls.
pub(super) const LOOKS_APART: Duration = Duration::from_secs(2);

/// Why and until when nothing is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPause {
    /// The end of the pause.
    pub until: Timestamp,
    /// The reason, for people.
    pub why: String,
    /// Whether only records are affected because their object is invalid; other calls are accepted.
    pub records_only: bool,
}

/// A reading of our clock. Waits are measured by `elapsed`, because a wall clock that is set back would prolong them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The time, for people and for the store.
    pub(crate) at: Timestamp,
    /// How long the clock runs.
    pub(crate) elapsed: Duration,
}

impl ClockReading {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self {
            at: clock.now(),
            elapsed: clock.elapsed(),
        }
    }
}

/// The rate of calls to one org. Its moments without a name of their own are those of [`ClockReading::elapsed`].
pub(super) struct DeliveryRate {
    random: Arc<dyn Random>,
    max_batch_delay: Duration,
    slow_above: f64,
    batch_delay: Duration,
    last_call: Option<Duration>,
    failures: u32,
    last_taken: Option<Timestamp>,
    /// The rejected records since one was accepted; at most two are kept, because two already point to the org.
    refused: BTreeSet<String>,
    last_look: Option<Duration>,
    /// The most records of a call: halved when a call fails as a whole, because its size or one of its records may be the
    /// cause, and doubled when one is answered.
    records: usize,
    /// The latest pause, and its end.
    pause: Option<(DeliveryPause, Duration)>,
    /// When the latest pause began.
    paused_at: Option<Duration>,
}

impl DeliveryRate {
    pub(crate) fn new(max_batch_delay: Duration, slow_above: f64, random: Arc<dyn Random>) -> Self {
        Self {
            random,
            max_batch_delay,
            slow_above,
            batch_delay: Duration::ZERO,
            last_call: None,
            failures: 0,
            last_taken: None,
            refused: BTreeSet::new(),
            last_look: None,
            records: RECORDS_PER_WRITE,
            pause: None,
            paused_at: None,
        }
    }

    pub(super) fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    /// Why nothing may be sent now; `None` if sending is allowed.
    pub(super) fn current_pause(&self, now: ClockReading) -> Option<&DeliveryPause> {
        let current = self.pause.as_ref().filter(|(_, end)| now.elapsed < *end);
        current.map(|(pause, _)| pause)
    }

    /// How much of the current pause is left; zero if there is none.
    pub(super) fn pause_left(&self, now: ClockReading) -> Duration {
        self.pause
            .as_ref()
            .map_or(Duration::ZERO, |(_, end)| end.saturating_sub(now.elapsed))
    }

    /// How long the next call waits for more records or because of the daily API calls. A full call waits only for the latter.
    pub(crate) fn wait(&self, now: ClockReading, full: bool, usage: Option<Usage>) -> Duration {
        let Some(last) = self.last_call else {
            return Duration::ZERO;
        };
        let stretched = self.stretched(usage);
        let wanted = if full {
            stretched
        } else {
            stretched.max(self.batch_delay)
        };
        wanted.saturating_sub(now.elapsed.saturating_sub(last))
    }

    /// The interval that the org's own count of API calls asks for: it doubles with every 2 % of the daily limit above
    /// `slow_above`.
    fn stretched(&self, usage: Option<Usage>) -> Duration {
        let over = usage.map_or(0.0, Usage::share) - self.slow_above;
        if over < 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs(1)
            .mul_f64((over * 50.0).min(10.0).exp2())
            .min(LONGEST_STRETCH)
    }

    /// The most records of the next call.
    pub(crate) fn records(&self, most: usize) -> usize {
        self.records.min(most)
    }

    /// Whether the last call that ended was accepted, so that further full calls need not wait for its answer.
    pub(super) fn is_accepted(&self) -> bool {
        self.failures == 0
    }

    /// The end of the pause that began while a call was in flight; `None` if there is none.
    pub(super) fn paused_since(&self, begun: ClockReading, now: ClockReading) -> Option<Timestamp> {
        let since = self.paused_at.is_some_and(|at| begun.elapsed < at);
        self.current_pause(now).filter(|_| since).map(|pause| pause.until)
    }

    /// A call that began at `begun` was answered. `some_taken` says whether any of its records was accepted.
    pub(crate) fn answered(&mut self, records: usize, some_taken: bool, begun: ClockReading, now: ClockReading) {
        self.records = (self.records * 2).min(RECORDS_PER_WRITE);
        // A call that began before the pause says nothing about it.
        if self.paused_at.is_none_or(|at| begun.elapsed >= at) {
            self.pause = None;
        }
        self.last_call = Some(now.elapsed);
        if some_taken {
            self.failures = 0;
            self.last_taken = Some(now.at);
            self.refused.clear();
        }
        self.batch_delay = if records >= BUSY_BATCH {
            (self.batch_delay * 2)
                .clamp(SHORTEST_DELAY, self.max_batch_delay.max(SHORTEST_DELAY))
                .min(self.max_batch_delay)
        } else if self.batch_delay / 2 < SHORTEST_DELAY {
            Duration::ZERO
        } else {
            self.batch_delay / 2
        };
    }

    /// Whether the org accepted a record after `at`. If so, a record that is rejected before and after has a fault of its own.
    pub(super) fn took_rows_since(&self, at: Timestamp) -> bool {
        self.last_taken.is_some_and(|taken| taken > at)
    }

    /// Notes a rejected record of a call in which none was accepted. Returns whether another record was rejected since the last
    /// accepted one.
    pub(super) fn refused_like_others(&mut self, key: &str) -> bool {
        if self.refused.len() < 2 {
            self.refused.insert(key.to_owned());
        }
        self.refused.len() > 1
    }

    /// Whether a search for VoiceCalls is due even though records are waiting.
    pub(super) fn time_to_look(&mut self, now: ClockReading) -> bool {
        let due = self.last_look.is_none_or(|at| now.elapsed >= at + LOOKS_APART);
        if due {
            self.last_look = Some(now.elapsed);
        }
        due
    }

    /// A call failed as a whole and may succeed later. Returns the end of the pause.
    pub(crate) fn failed(&mut self, why: &str, now: ClockReading) -> Timestamp {
        let ceiling = FAILURE_PAUSE
            .0
            .saturating_mul(2_u32.saturating_pow(self.failures.min(16)))
            .min(FAILURE_PAUSE.1);
        self.failures = self.failures.saturating_add(1);
        self.records = (self.records / 2).max(1);
        // Half is fixed, so that an org that is down is not called at once; half is random, so that services spread out.
        self.pause_for(
            ceiling / 2 + (ceiling / 2).mul_f64(self.random.fraction()),
            why,
            false,
            now,
        )
    }

    /// Pauses delivery: the org accepts nothing, or no records. Returns the end of the pause.
    pub(super) fn pause_for(&mut self, wait: Duration, why: &str, records_only: bool, now: ClockReading) -> Timestamp {
        let until = now.at + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(60));
        self.last_call = Some(now.elapsed);
        self.paused_at = Some(now.elapsed);
        let pause = DeliveryPause {
            until,
            why: why.to_owned(),
            records_only,
        };
        self.pause = Some((pause, now.elapsed + wait));
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ClockReading = ClockReading {
        at: Timestamp::UNIX_EPOCH,
        elapsed: Duration::ZERO,
    };

    fn after(now: ClockReading, wait: SignedDuration) -> ClockReading {
        ClockReading {
            at: now.at + wait,
            elapsed: now.elapsed + Duration::try_from(wait).expect("not back"),
        }
    }

    fn until(now: ClockReading, at: Timestamp) -> ClockReading {
        after(now, at.duration_since(now.at))
    }

    #[test]
    fn delivery_pause_ends_in_time_though_clock_is_set_back() {
        let mut rate = rate();
        rate.pause_for(Duration::from_secs(60), "limit", false, NOW);
        let back = |elapsed| ClockReading {
            at: NOW.at - SignedDuration::from_hours(1),
            elapsed: Duration::from_secs(elapsed),
        };
        assert!(rate.current_pause(back(59)).is_some());
        assert_eq!(rate.pause_left(back(59)), Duration::from_secs(1));
        assert!(rate.current_pause(back(60)).is_none());
        assert_eq!(rate.pause_left(back(61)), Duration::ZERO);
        assert!(rate.time_to_look(back(60)) && !rate.time_to_look(back(61)) && rate.time_to_look(back(62)));
    }

    fn rate() -> DeliveryRate {
        DeliveryRate::new(
            Duration::from_secs(1),
            0.8,
            Arc::new(crate::usecases::retry::tests::Dice::default()),
        )
    }

    #[test]
    fn an_idle_service_calls_at_once_and_a_busy_one_waits_a_little_more_each_time() {
        let mut rate = rate();
        assert_eq!(rate.wait(NOW, false, None), Duration::ZERO);
        rate.answered(1, true, NOW, NOW);
        assert_eq!(
            rate.wait(NOW, false, None),
            Duration::ZERO,
            "one record at a time: no wait"
        );
        let mut waits = Vec::new();
        for _ in 0..8 {
            rate.answered(50, true, NOW, NOW);
            waits.push(rate.wait(NOW, false, None));
        }
        assert!(
            waits.is_sorted() && waits[0] == SHORTEST_DELAY && waits[7] == Duration::from_secs(1),
            "{waits:?}"
        );
        assert_eq!(rate.wait(NOW, true, None), Duration::ZERO, "a full call does not wait");
        for _ in 0..8 {
            rate.answered(1, true, NOW, NOW);
        }
        assert_eq!(rate.wait(NOW, false, None), Duration::ZERO, "idle again");
    }

    #[test]
    fn much_of_the_days_calls_stretches_the_interval() {
        let mut rate = rate();
        rate.answered(1, true, NOW, NOW);
        let at = |used| rate.wait(NOW, true, Some(Usage { used, limit: 1000 }));
        assert_eq!(at(799), Duration::ZERO);
        assert_eq!(at(800), Duration::from_secs(1));
        assert!(at(850) > Duration::from_secs(4) && at(850) < Duration::from_secs(7));
        assert_eq!(at(999), LONGEST_STRETCH);
    }

    #[test]
    fn an_org_that_is_down_is_left_alone_ever_longer_and_met_with_one_row() {
        let mut rate = rate();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let end = rate.failed("down", now);
            assert_eq!(rate.current_pause(now).map(|h| h.until), Some(end));
            pauses.push(end.duration_since(now.at));
            now = until(now, end);
            assert!(rate.current_pause(now).is_none());
        }
        assert!(pauses[0] <= SignedDuration::from_millis(500) && pauses[0] >= SignedDuration::from_millis(250));
        assert!(pauses[19] >= SignedDuration::from_secs(150) && pauses[19] <= SignedDuration::from_secs(300));
        assert_eq!(rate.records(200), 1);
        for _ in 0..8 {
            rate.answered(1, true, now, now);
        }
        assert_eq!(rate.records(200), 200, "as many as ever");
    }

    /// Ten thousand records and an outage of an hour, on a simulated clock.
    #[test]
    fn an_hours_outage_costs_few_calls_and_ends_without_a_stampede() {
        let (mut rate, mut now, mut records) = (rate(), NOW, 10_000_usize);
        let back = NOW.at + SignedDuration::from_hours(1);
        let (mut while_down, mut largest) = (0, 0);
        while now.at < back {
            let tried = rate.records(200);
            largest = if while_down < 8 { largest } else { largest.max(tried) };
            while_down += 1;
            let end = rate.failed("down", now);
            now = until(now, end);
        }
        assert!(while_down <= 40, "{while_down} calls in an hour");
        assert_eq!(largest, 1, "one record in each call, after the first few");
        assert!(
            now.at < back + SignedDuration::from_secs(300),
            "the end is noticed within five minutes"
        );
        let mut calls = 0;
        while records > 0 {
            let full = records >= 200;
            let wait = rate.wait(now, full, None);
            now = after(now, SignedDuration::try_from(wait).expect("short"));
            let sent = rate.records(200).min(records);
            records -= sent;
            calls += 1;
            now = after(now, SignedDuration::from_millis(400));
            rate.answered(sent, true, now, now);
        }
        assert!(calls <= 60, "{calls} calls for 10,000 records, one at a time");
    }
}
