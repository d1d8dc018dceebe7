//! All known clocks by their id, and how a vendor's `Date` headers narrow its other clocks.
//!
//! A `Date` header is stamped by the API's front end and an event by the engine behind it, so they come from two
//! clocks. They are coupled only if a setting declares how far apart the two may be (`date_bound_ms`). Then every
//! `Date` sample also bounds the vendor's event clocks, widened by that distance.
//!
//! Whether stamps are truncated or rounded matters only for this coupling: see [`super::coupling`].

use std::collections::BTreeMap;

use super::clock_id::ClockId;
use super::clock_series::ClockSeries;
use super::coupling::{Application, Coupling, choose};
use super::estimate::ClockReading;
use super::limits::{Limits, SampleOutcome};
use super::moment::Moment;
use super::sample::Sample;

/// How the clocks of one vendor are treated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VendorSettings {
    /// Bounds and assumptions for each clock of the vendor.
    pub limits: Limits,
    /// Greatest distance between the clock of the vendor's API front end and the clock of its event stamps, in ms.
    /// `None`: `Date` headers do not bound event stamps.
    pub date_bound_ms: Option<f64>,
    /// Whether stamps are truncated or rounded; `None`: learn it from the samples.
    pub rounding: Option<Rounding>,
}

/// How a vendor reduces its clock's reading to the stamp's quantum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Rounded down: the stamp is never later than the reading.
    Truncated,
    /// Rounded to the nearest multiple of the quantum.
    Rounded,
}

impl Rounding {
    /// The word used in the API: `TRUNCATED` or `ROUNDED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "TRUNCATED",
            Self::Rounded => "ROUNDED",
        }
    }
}

/// One clock with its samples, and whether its stamps are truncated or rounded.
#[derive(Debug, Clone)]
pub struct TrackedClock {
    /// The samples and what they say about the clock.
    pub series: ClockSeries,
    /// Whether its stamps are truncated or rounded; `None` until it is known.
    pub rounding: Option<Rounding>,
    /// How the vendor's `Date` samples are applied to it.
    pub coupling: Coupling,
    /// The quantum of its stamps, in ms, with which they are applied; `None` before.
    pub coupled_quantum_ms: Option<i64>,
}

/// What a sample did to one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockOutcome {
    /// The clock that the sample was added to.
    pub clock: ClockId,
    /// Whether that clock's other samples agree with it.
    pub outcome: SampleOutcome,
}

/// Limit on the number of clocks, because their ids contain names from outside.
const MAX_CLOCKS: usize = 256;

/// All clocks, by id.
#[derive(Debug, Clone, Default)]
pub struct Calibrator {
    vendors: BTreeMap<String, VendorSettings>,
    clocks: BTreeMap<ClockId, TrackedClock>,
}

impl Calibrator {
    /// A calibrator without samples. Vendors missing from `vendors` get the default settings.
    pub fn new(vendors: BTreeMap<String, VendorSettings>) -> Self {
        Self {
            vendors,
            clocks: BTreeMap::new(),
        }
    }

    /// Adds a sample of a clock. Returns the outcome for that clock first and, for a `Date`, the outcomes for the
    /// clocks that are coupled to it. The result is empty if the limit on the number of clocks is reached.
    pub fn add(&mut self, id: &ClockId, sample: Sample) -> Vec<ClockOutcome> {
        let Some(tracked) = self.clock_mut(id) else {
            return Vec::new();
        };
        let before = Some(&tracked.series)
            .filter(|_| id.is_http_date())
            .and_then(|s| s.middle(sample.not_after));
        let outcome = tracked.series.add(sample);
        let stepped = matches!(outcome, SampleOutcome::Stepped { .. });
        let after = tracked.series.middle(sample.not_after).filter(|_| stepped);
        let step_ms = before.zip(after).map(|(before, after)| (after - before).abs());
        if tracked.series.has_uncoupled() {
            tracked.coupling = Coupling::Broken;
        }
        let mut outcomes = vec![ClockOutcome {
            clock: id.clone(),
            outcome,
        }];
        if id.is_http_date() {
            let coupled: Vec<ClockId> = self.clocks.keys().filter(|s| s.belongs_to(id)).cloned().collect();
            for clock in coupled {
                if let Some(step_ms) = step_ms {
                    self.doubt_coupling(&clock, step_ms);
                }
                outcomes.extend(self.couple(&clock, id, Some(sample)));
            }
        } else if let Some(date) = self.clocks.keys().find(|d| id.belongs_to(d)).cloned() {
            outcomes.extend(self.couple(id, &date, None));
        }
        outcomes
    }

    /// Restores a clock's epoch after a restart. Add the epoch's samples afterwards with [`Calibrator::add`].
    pub fn start_epoch(&mut self, id: &ClockId, version: u32, since: Moment) {
        if let Some(tracked) = self.clock_mut(id) {
            tracked.series.start_epoch(version, since);
            tracked.coupling = Coupling::None;
        }
    }

    /// Call this after this machine's own clock was stepped. Earlier samples say nothing about the new time scale, so
    /// every clock starts a new epoch at `at`.
    pub fn own_clock_stepped(&mut self, at: Moment) {
        for tracked in self.clocks.values_mut() {
            let version = tracked.series.version() + 1;
            tracked.series.start_epoch(version, at);
            tracked.coupling = Coupling::None;
        }
    }

    /// The state of a clock at the moment `at`, or `None` if the samples do not bound its offset.
    pub fn reading(&self, id: &ClockId, at: Moment) -> Option<ClockReading<'_>> {
        let clock = &self.clocks.get(id)?.series;
        let (command, notice) = clock.latencies();
        Some(ClockReading {
            offset: clock.offset(at)?,
            version: clock.version(),
            granularity: clock.granularity(),
            command,
            notice,
        })
    }

    /// One clock, or `None` if it has no samples yet.
    pub fn clock(&self, id: &ClockId) -> Option<&TrackedClock> {
        self.clocks.get(id)
    }

    /// All clocks, ordered by id.
    pub fn clocks(&self) -> impl Iterator<Item = (&ClockId, &TrackedClock)> {
        self.clocks.iter()
    }

    fn clock_mut(&mut self, id: &ClockId) -> Option<&mut TrackedClock> {
        if !self.clocks.contains_key(id) {
            if self.clocks.len() >= MAX_CLOCKS {
                return None;
            }
            let VendorSettings { limits, rounding, .. } = self.vendors.get(&id.vendor).cloned().unwrap_or_default();
            self.clocks.insert(
                id.clone(),
                TrackedClock {
                    series: ClockSeries::new(limits),
                    rounding,
                    coupling: Coupling::None,
                    coupled_quantum_ms: None,
                },
            );
        }
        self.clocks.get_mut(id)
    }

    /// Gives up the coupling of a clock after the `Date` clock was stepped by more than the declared bound, unless the other
    /// clock must have been stepped too. If it was not, the distance before and after leaves only a part of the bound, and
    /// nothing if the bound is too small. A coupling within a bound that is narrower than what the clock's own samples say is
    /// kept, because its loss costs more.
    fn doubt_coupling(&mut self, id: &ClockId, step_ms: f64) {
        let bound = self.vendors.get(&id.vendor).and_then(|v| v.date_bound_ms);
        let Some((bound, tracked)) = bound.zip(self.clocks.get_mut(id)) else {
            return;
        };
        let may_be_alone = bound < step_ms && step_ms <= 2.0 * bound && tracked.series.is_coupled();
        let at = tracked.series.newest().filter(|_| may_be_alone);
        let own = at.and_then(|at| tracked.series.own_range(at));
        if own.is_some_and(|(low, high)| high - low < 2.0 * bound) {
            tracked.series.uncouple(true);
            tracked.coupling = Coupling::Broken;
        }
    }

    /// Forgets how `Date` samples are applied to a clock if its stamps turned out to have another quantum, because what was
    /// learned about the rounding was wrong then.
    fn start_anew_with_other_quantum(&mut self, id: &ClockId) {
        let configured = self.vendors.get(&id.vendor).and_then(|v| v.rounding);
        let Some(tracked) = self.clocks.get_mut(id) else { return };
        let quantum = tracked.series.granularity().typical_ms();
        if tracked.coupling != Coupling::None && tracked.coupled_quantum_ms != quantum {
            (tracked.coupling, tracked.rounding) = (Coupling::None, configured);
            tracked.series.uncouple(false);
        }
    }

    /// Chooses how to apply `Date` samples to the clock `id` so that a few wrong samples do not decide.
    fn choose_carefully(
        &mut self,
        id: &ClockId,
        date: &ClockId,
        at: Moment,
        (quantum, bound, rounding): (f64, f64, Option<Rounding>),
    ) -> Option<Application> {
        let front = self.clocks.get(date)?.series.offset(at).map(|o| o.guaranteed);
        let series = &mut self.clocks.get_mut(id)?.series;
        let own = front.and_then(|_| series.own_range(at));
        let how = choose(own, front, quantum, bound, rounding);
        if rounding.is_some() || how.rounding.is_none() {
            return Some(how);
        }
        // The rounding is learned once, so the wrong stamps that every vendor sends must not decide.
        let own = series.own_range_without_tightest(at);
        Some(choose(own, front, quantum, bound, None))
    }

    /// Applies the `Date` samples to the clock `id`: only the newest, or all of them if the way to apply them changed.
    fn couple(&mut self, id: &ClockId, date: &ClockId, newest: Option<Sample>) -> Option<ClockOutcome> {
        self.start_anew_with_other_quantum(id);
        let known = self.clocks.get(id)?;
        let (coupling, rounding) = (known.coupling, known.rounding);
        // The way changes only when a `Date` comes, except that the first sample of a clock couples it.
        let waits = coupling == Coupling::None;
        // What broke once is not coupled again in this epoch, because the declared bound has proved wrong.
        if coupling == Coupling::Broken || (newest.is_none() && !waits) {
            return None;
        }
        let bound = self.vendors.get(&id.vendor)?.date_bound_ms?;
        let dates = &self.clocks.get(date)?.series;
        #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
        let quantum = known.series.granularity().typical_ms()? as f64;
        let at = known.series.newest()?;
        // While a step is suspected, its outliers could make a wrong guess, which is hard to undo.
        let clear = !known.series.suspects_step() && !dates.suspects_step();
        let front = dates.least_range(at).filter(|_| clear);
        let tracked = self.clocks.get_mut(id)?;
        let own = front.map(|_| tracked.series.least_own_range(at));
        let mut how = choose(own, front, quantum, bound, rounding);
        // The intervals that count contain these, so what fits these fits them too.
        let is_certain = how.coupling == Coupling::Either || (how.coupling == Coupling::Known && rounding.is_some());
        if !is_certain {
            how = self.choose_carefully(id, date, at, (quantum, bound, rounding))?;
        }
        let changed = how.coupling != coupling;
        let samples: Vec<Sample> = match newest {
            Some(sample) if !changed => vec![sample],
            _ => self.clocks.get(date)?.series.samples().map(|(s, _)| s).collect(),
        };
        let tracked = self.clocks.get_mut(id)?;
        tracked.coupled_quantum_ms = tracked.series.granularity().typical_ms();
        (tracked.coupling, tracked.rounding) = (how.coupling, how.rounding);
        if changed && !waits {
            tracked.series.uncouple(how.coupling == Coupling::Broken);
        }
        if how.coupling == Coupling::Broken {
            return Some(ClockOutcome {
                clock: id.clone(),
                outcome: SampleOutcome::Contradicts,
            });
        }
        let mut last = None;
        for sample in samples {
            let outcome = tracked.series.add_coupled(sample, how.shift_ms, how.slack_ms);
            // Of several outcomes report the step, because callers must act on it.
            if !matches!(last, Some(SampleOutcome::Stepped { .. })) {
                last = Some(outcome);
            }
        }
        // A step of one of the two clocks only: the series dropped the other's samples itself.
        if tracked.series.has_uncoupled() {
            tracked.coupling = Coupling::Broken;
        }
        last.map(|outcome| ClockOutcome {
            clock: id.clone(),
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Cause;

    const SECONDS: i64 = 1_790_000_000;

    fn at(ms: i64) -> Moment {
        Moment::from_millis(SECONDS * 1000 + ms)
    }

    /// A clock 300 ms ahead whose event stamps have whole seconds, rounded as `rounding` says. Its `Date` stamps are
    /// truncated. Departures have wide brackets; exchanges take 20 ms; half a minute lies between two of either kind.
    fn played(rounding: Rounding, date_bound_ms: Option<f64>) -> Calibrator {
        let settings = VendorSettings {
            date_bound_ms,
            ..VendorSettings::default()
        };
        let mut calibrator = Calibrator::new([("v".to_owned(), settings)].into());
        let mut random = fastrand::Rng::with_seed(5);
        let seconds = |ms: i64, shift: i64| at((ms + shift).div_euclid(1000) * 1000);
        for i in 0..120 {
            let t = i * 30_000 + random.i64(0..1000);
            let shift = if rounding == Rounding::Rounded { 500 } else { 0 };
            let departure = Sample {
                not_before: Some(at(t - random.i64(20..200))),
                asked: None,
                not_after: at(t + random.i64(20..200)),
                stamp: seconds(t + 300, shift),
                cause: Cause::Command,
            };
            calibrator.add(&events(), departure);
            let t = t + 10_000 + random.i64(0..1000);
            let exchange = Sample {
                not_before: Some(at(t - 10)),
                asked: None,
                not_after: at(t + 10),
                stamp: seconds(t + 300, 0),
                cause: Cause::Exchange,
            };
            calibrator.add(&ClockId::http_date("v", "i"), exchange);
        }
        calibrator
    }

    fn events() -> ClockId {
        ClockId::new("v", "i", "CONTACT_EVENT", "disconnected")
    }

    fn width(calibrator: &Calibrator) -> f64 {
        let reading = calibrator.reading(&events(), at(120 * 30_000)).expect("known");
        reading.offset.plain.1 - reading.offset.plain.0
    }

    #[test]
    fn coupling_learns_rounding_and_narrows_event_clocks() {
        for (rounding, effective) in [(Rounding::Truncated, 300.0), (Rounding::Rounded, 800.0)] {
            let coupled = played(rounding, Some(0.0));
            assert_eq!(coupled.clock(&events()).expect("there").rounding, Some(rounding));
            let offset = coupled.reading(&events(), at(120 * 30_000)).expect("known").offset;
            assert!(
                offset.guaranteed.0 <= effective && effective <= offset.guaranteed.1,
                "{rounding:?} {offset:?}"
            );
            assert!(width(&coupled) < width(&played(rounding, None)) * 0.8, "{rounding:?}");
        }
    }

    /// Departures every minute on a clock 300 ms ahead, and a `Date` every two minutes. The `Date` clock moves by `by` ms
    /// halfway. Every `wrong`th stamp is 450 ms too late.
    fn coupled_to_stepping(by: i64, date_bound_ms: f64, wrong: i64) -> Calibrator {
        let settings = VendorSettings {
            date_bound_ms: Some(date_bound_ms),
            ..VendorSettings::default()
        };
        let mut calibrator = Calibrator::new([("v".to_owned(), settings)].into());
        let mut random = fastrand::Rng::with_seed(6);
        for i in 0..240 {
            let t = i * 60_000 + random.i64(0..1000);
            let late = if i % wrong == wrong - 1 { 450 } else { 0 };
            let departure = Sample {
                not_before: Some(at(t - random.i64(520..1100))),
                asked: None,
                not_after: at(t + random.i64(20..50)),
                stamp: at((t + 300 + late).div_euclid(1000) * 1000),
                cause: Cause::Command,
            };
            calibrator.add(&events(), departure);
            if i % 2 == 0 {
                let t = t + 10_000 + random.i64(0..1000);
                let ahead = if i < 120 { 300 } else { 300 + by };
                let exchange = Sample {
                    not_before: Some(at(t - 10)),
                    asked: None,
                    not_after: at(t + 10),
                    stamp: at((t + ahead).div_euclid(1000) * 1000),
                    cause: Cause::Exchange,
                };
                calibrator.add(&ClockId::http_date("v", "i"), exchange);
            }
        }
        calibrator
    }

    #[test]
    fn date_clock_that_may_be_stepped_alone_is_uncoupled() {
        let coupling = |by, bound| {
            coupled_to_stepping(by, bound, 1000)
                .clock(&events())
                .expect("there")
                .coupling
        };
        assert_ne!(coupling(0, 1000.0), Coupling::Broken);
        assert_eq!(coupling(-1500, 1000.0), Coupling::Broken);
        // The declared bound allows for this step.
        assert_ne!(coupling(-500, 1000.0), Coupling::Broken);
    }

    #[test]
    fn late_stamps_do_not_decide_the_rounding() {
        let calibrator = coupled_to_stepping(0, 10.0, 10);
        assert_ne!(
            calibrator.clock(&events()).expect("there").rounding,
            Some(Rounding::Rounded)
        );
    }

    #[test]
    fn dates_without_coupling_do_not_bound_events() {
        let apart = played(Rounding::Truncated, None);
        let clock = &apart.clock(&events()).expect("there").series;
        assert!(!clock.is_coupled() && clock.samples().len() == 120);
    }

    #[test]
    fn coupling_bound_widens_date_samples() {
        let (tight, loose) = (
            played(Rounding::Truncated, Some(0.0)),
            played(Rounding::Truncated, Some(40.0)),
        );
        assert!(width(&tight) < width(&loose));
    }
}
