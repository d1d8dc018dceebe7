//! Whether customers' calls end right after a silent listener has left more often than chance explains.
//!
//! A caller may hang up by chance in the same second. If a call has on average the remaining duration `m`, a share of `window / m` of
//! all leaves is followed by such an end. `m` is not known when a supervisor leaves, but the mean age of the calls at the leaves
//! estimates it: at a random moment of a call, its age and its remaining duration have the same distribution.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// How far back leaves count, and how many are kept.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
const MAX_LEAVES: usize = 50_000;
/// Stamps in whole seconds that differ by at most one second may be this far apart, s.
const COINCIDENCE_S: f64 = 2.0;
/// The assumed mean age of a call while none was measured, s.
const ASSUMED_AGE_S: f64 = 300.0;
/// Fewer ends than this never raise the alarm.
const LEAST_ENDS: usize = 5;
/// The alarm is raised if chance gives so many ends with a smaller probability.
const SIGNIFICANCE: f64 = 0.001;

struct SilentLeave {
    at: Timestamp,
    age_s: Option<f64>,
    call_ended: bool,
}

/// The leaves of silent listeners in the last 24 hours of this process.
#[derive(Default)]
pub(crate) struct SilentLeaves(VecDeque<SilentLeave>);

impl SilentLeaves {
    pub(super) fn add(&mut self, at: Timestamp, contact_age: Option<SignedDuration>, call_ended: bool) {
        while self.0.front().is_some_and(|old| old.at + WINDOW < at) || self.0.len() >= MAX_LEAVES {
            self.0.pop_front();
        }
        let age_s = contact_age.filter(|age| age.is_positive()).map(|age| age.as_secs_f64());
        self.0.push_back(SilentLeave { at, age_s, call_ended });
    }

    /// How many calls ended right after.
    pub(super) fn ends(&self) -> usize {
        self.0.iter().filter(|leave| leave.call_ended).count()
    }

    /// How many ends chance gives.
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn expected_ends(&self) -> f64 {
        let ages: Vec<f64> = self.0.iter().filter_map(|leave| leave.age_s).collect();
        let mean = match ages.len() {
            0 => ASSUMED_AGE_S,
            n => ages.iter().sum::<f64>() / n as f64,
        };
        self.0.len() as f64 * COINCIDENCE_S / mean.max(COINCIDENCE_S)
    }

    /// Whether chance gives so many ends with a probability below [`SIGNIFICANCE`] (Poisson).
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn is_more_than_chance(&self) -> bool {
        let (ends, expected) = (self.ends(), self.expected_ends());
        if ends < LEAST_ENDS {
            return false;
        }
        let mut term = (-expected).exp();
        let mut fewer = 0.0;
        for n in 0..ends {
            fewer += term;
            term *= expected / (n as f64 + 1.0);
        }
        1.0 - fewer < SIGNIFICANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand leaves from calls that are 300 s old, of which `ends` are followed by the end of the call.
    fn leaves(ends: usize) -> SilentLeaves {
        let mut all = SilentLeaves::default();
        for i in 0..1000 {
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(i).expect("small"));
            all.add(at, Some(SignedDuration::from_secs(300)), i % 50 == 0 && i / 50 < ends);
        }
        all
    }

    #[test]
    fn silent_leaves_alarm_on_20_ends_in_1000_and_not_on_3() {
        assert_eq!((leaves(20).ends(), leaves(3).ends()), (20, 3));
        assert!(leaves(20).is_more_than_chance());
        assert!(!leaves(3).is_more_than_chance() && !leaves(10).is_more_than_chance());
        assert!((leaves(3).expected_ends() - 6.67).abs() < 0.01);
    }

    #[test]
    fn silent_leaves_forget_after_a_day() {
        let mut all = leaves(20);
        all.add(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(30), None, false);
        assert_eq!(all.ends(), 0);
    }
}
