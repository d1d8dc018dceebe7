//! What the process knows of the vendors' clocks, and of the steps of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clock_calibration::{Aim, Calibrator, VendorSettings};
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::InstanceName;

/// The calibration state, shared by the services of one process.
#[derive(Debug, Default)]
pub(super) struct ClockState {
    calibrator: Mutex<Calibrator>,
    pub(super) aims: Mutex<BTreeMap<InstanceName, Aim>>,
    pub(super) last_dates: Mutex<BTreeMap<InstanceName, Timestamp>>,
    /// Steps of our own clock in this process: when, on the new scale, and by how much.
    pub(super) own_steps: Mutex<Vec<(Timestamp, SignedDuration)>>,
    /// Wakes the recalibration, because a new sample may improve an earlier departure or show that it is wrong.
    pub(crate) learnt: tokio::sync::Notify,
    /// How much earlier than our clock's reading a bound may be: the age of a vendor's answer.
    answer_age: SignedDuration,
    /// The earliest departure that a clock step may have made wrong.
    doubted_since: Mutex<Option<Timestamp>>,
}

pub(super) fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClockState {
    pub(crate) fn new(vendors: &BTreeMap<String, VendorSettings>, answer_age: SignedDuration) -> Self {
        Self {
            answer_age,
            calibrator: Mutex::new(Calibrator::new(vendors.clone())),
            ..Self::default()
        }
    }

    pub(crate) fn calibrator(&self) -> MutexGuard<'_, Calibrator> {
        lock(&self.calibrator)
    }

    /// Departures since `since` may rest on a clock that was stepped, so they must be recalibrated.
    pub(super) fn doubt_since(&self, since: Timestamp) {
        let mut doubted = lock(&self.doubted_since);
        *doubted = Some(doubted.map_or(since, |t| t.min(since)));
    }

    /// Takes the start of the doubtful time, for recalibrating since then.
    pub(super) fn take_doubt(&self) -> Option<Timestamp> {
        lock(&self.doubted_since).take()
    }

    /// A lower bound read from our clock, perhaps before it was stepped, on the present scale.
    pub(super) fn not_before(&self, t: Timestamp) -> Timestamp {
        self.on_todays_scale(t, Timestamp::min)
    }

    /// The same for an upper bound.
    pub(super) fn not_after(&self, t: Timestamp) -> Timestamp {
        self.on_todays_scale(t, Timestamp::max)
    }

    /// After a step back our clock shows some moments twice. The moment alone does not show which one is meant, so `safe`
    /// chooses the moment that does not tighten the bracket.
    fn on_todays_scale(&self, t: Timestamp, safe: impl Fn(Timestamp, Timestamp) -> Timestamp) -> Timestamp {
        let steps = lock(&self.own_steps);
        steps.iter().fold(t, |t, (at, step)| {
            // A bound shortly before the step may have been computed from a reading after it.
            let (may_be_before, is_before) = (t < *at - *step, t < *at - *step - self.answer_age);
            match (may_be_before, is_before, t >= *at) {
                (_, true, false) => t + *step,
                (true, ..) => safe(t, t + *step),
                _ => t,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + s).expect("in range")
    }

    fn stepped(now: i64, by: i64) -> ClockState {
        let clocks = ClockState::default();
        lock(&clocks.own_steps).push((at(now), SignedDuration::from_secs(by)));
        clocks
    }

    #[test]
    fn a_step_forward_moves_what_was_shown_before_it() {
        // At 100 the clock was set to 150.
        let clocks = stepped(150, 50);
        assert_eq!(
            (clocks.not_before(at(90)), clocks.not_after(at(90))),
            (at(140), at(140))
        );
        assert_eq!(
            (clocks.not_before(at(160)), clocks.not_after(at(160))),
            (at(160), at(160))
        );
    }

    #[test]
    fn after_a_step_back_a_moment_shown_twice_never_tightens_a_bracket() {
        // At 150 the clock was set to 100: everything from 100 to 150 is shown twice.
        let clocks = stepped(100, -50);
        assert_eq!((clocks.not_before(at(90)), clocks.not_after(at(90))), (at(40), at(40)));
        assert_eq!(
            (clocks.not_before(at(120)), clocks.not_after(at(120))),
            (at(70), at(120))
        );
        assert_eq!(
            (clocks.not_before(at(160)), clocks.not_after(at(160))),
            (at(160), at(160))
        );
    }

    #[test]
    fn bound_computed_from_a_reading_after_the_step_never_tightens_a_bracket() {
        // At 100 the clock was set to 150. A request sent at 151 of the new scale shows 149 to 151, less the age of the answer.
        let mut clocks = stepped(150, 50);
        clocks.answer_age = SignedDuration::from_secs(2);
        assert_eq!((clocks.not_before(at(99)), clocks.not_after(at(99))), (at(99), at(149)));
        assert_eq!(
            (clocks.not_before(at(97)), clocks.not_after(at(97))),
            (at(147), at(147))
        );
        assert_eq!(
            (clocks.not_before(at(149)), clocks.not_after(at(149))),
            (at(149), at(149))
        );
    }
}
