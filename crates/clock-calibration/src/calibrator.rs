//! All clocks that are known, by name; and how a vendor's `Date` headers help its other streams.
//!
//! A `Date` header is stamped by the API's front end, an event by the engine behind it: two clocks. They are coupled only
//! where a setting declares how far apart they may be. Then every `Date` sample also bounds the vendor's other streams,
//! widened by that much. How a stream's stamps are cut matters only here: a stamp rounded to the nearest second reads like
//! one truncated from a clock half a second ahead (`round(v) = floor(v + q/2)`), so the stream's own offset absorbs it,
//! but a `Date`, which is truncated, must be shifted by it first. Which it is shows as soon as the stream's own samples
//! and the `Date`s agree under one reading only.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::estimate::Reading;
use super::key::ClockId;
use super::limits::{Limits, Taken};
use super::sample::Sample;
use super::stream::ClockSeries;

/// How the streams of one vendor are treated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VendorSettings {
    /// The streams' bounds.
    pub limits: Limits,
    /// How far the vendor's API front end's clock may be from its event stamps, ms. `None`: not coupled.
    pub date_bound_ms: Option<f64>,
    /// How stamps are cut, if it is not to be learnt.
    pub cutting: Option<Cutting>,
}

/// How a vendor cuts its stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// Down.
    Truncated,
    /// To the nearest.
    Rounded,
}

impl Cutting {
    /// The word in the configuration and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "TRUNCATED",
            Self::Rounded => "ROUNDED",
        }
    }
}

/// One stream and what is known about how its stamps are cut.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// The clock.
    pub clock: ClockSeries,
    /// How its stamps are cut, once known.
    pub cutting: Option<Cutting>,
}

/// What became of one stream when a sample was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which stream.
    pub stream: ClockId,
    /// What became of the sample there.
    pub taken: Taken,
}

/// At most so many streams are kept: names come from outside.
const MAX_STREAMS: usize = 256;

/// All clocks.
#[derive(Debug, Clone, Default)]
pub struct Calibrator {
    vendors: BTreeMap<String, VendorSettings>,
    streams: BTreeMap<ClockId, Tracked>,
}

impl Calibrator {
    /// Knows no clock yet. Vendors without settings of their own have the defaults.
    pub fn new(vendors: BTreeMap<String, VendorSettings>) -> Self {
        Self {
            vendors,
            streams: BTreeMap::new(),
        }
    }

    /// Takes a sample of a stream. Returns what became of it there and, for a `Date`, in the streams coupled to it.
    pub fn take(&mut self, key: &ClockId, sample: Sample) -> Vec<Outcome> {
        let Some(tracked) = self.stream_mut(key) else {
            return Vec::new();
        };
        let mut outcomes = vec![Outcome {
            stream: key.clone(),
            taken: tracked.clock.take(sample),
        }];
        if key.is_http_date() {
            let coupled: Vec<ClockId> = self.streams.keys().filter(|s| s.belongs_to(key)).cloned().collect();
            for stream in coupled {
                outcomes.extend(self.couple(&stream, key, Some(sample)));
            }
        } else if let Some(date) = self.streams.keys().find(|d| key.belongs_to(d)).cloned() {
            outcomes.extend(self.couple(key, &date, None));
        }
        outcomes
    }

    /// Begins a stream at an epoch of an earlier life; its samples follow by [`Calibrator::take`].
    pub fn resume(&mut self, key: &ClockId, version: u32, since: Timestamp) {
        if let Some(tracked) = self.stream_mut(key) {
            tracked.clock.resume(version, since);
        }
    }

    /// Our own clock was stepped: what was learnt says nothing about the new one. Every stream begins a new epoch.
    pub fn own_clock_stepped(&mut self, at: Timestamp) {
        for tracked in self.streams.values_mut() {
            let version = tracked.clock.version() + 1;
            tracked.clock.resume(version, at);
        }
    }

    /// What a stream's clock read like around `at`, if enough is known to bound it.
    pub fn reading(&self, key: &ClockId, at: Timestamp) -> Option<Reading<'_>> {
        let clock = &self.streams.get(key)?.clock;
        let (command, notice) = clock.latencies();
        Some(Reading {
            offset: clock.offset(at)?,
            version: clock.version(),
            granularity: clock.granularity(),
            command,
            notice,
        })
    }

    /// One stream.
    pub fn stream(&self, key: &ClockId) -> Option<&Tracked> {
        self.streams.get(key)
    }

    /// All streams, by name.
    pub fn streams(&self) -> impl Iterator<Item = (&ClockId, &Tracked)> {
        self.streams.iter()
    }

    fn settings(&self, vendor: &str) -> VendorSettings {
        self.vendors.get(vendor).cloned().unwrap_or_default()
    }

    fn stream_mut(&mut self, key: &ClockId) -> Option<&mut Tracked> {
        if !self.streams.contains_key(key) {
            if self.streams.len() >= MAX_STREAMS {
                return None;
            }
            let VendorSettings { limits, cutting, .. } = self.settings(&key.vendor);
            self.streams.insert(
                key.clone(),
                Tracked {
                    clock: ClockSeries::new(limits),
                    cutting,
                },
            );
        }
        self.streams.get_mut(key)
    }

    /// Lets `date`'s samples bound `key`: the newest, or all of them once it shows how `key`'s stamps are cut.
    fn couple(&mut self, key: &ClockId, date: &ClockId, newest: Option<Sample>) -> Option<Outcome> {
        let bound = self.settings(&key.vendor).date_bound_ms?;
        let known = self.streams.get(key)?;
        let dates = &self.streams.get(date)?.clock;
        #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
        let quantum = known.clock.granularity().typical_ms()? as f64;
        let (cutting, samples): (Cutting, Vec<Sample>) = match (known.cutting, newest) {
            (Some(cutting), Some(sample)) if known.clock.is_coupled() => (cutting, vec![sample]),
            (Some(_), None) if known.clock.is_coupled() => return None,
            (Some(cutting), _) => (cutting, dates.samples().map(|(s, _)| s).collect()),
            (None, _) => {
                // A wrong guess would be hard to undo: it waits until lies cannot have led to it.
                let at = known.clock.newest().filter(|_| !known.clock.is_suspect())?;
                let own = known.clock.offset(at)?.guaranteed;
                let front = dates.offset(at)?.guaranteed;
                let fits = |shift: f64| own.0 <= front.1 + shift + bound && front.0 + shift - bound <= own.1;
                let cutting = match (fits(0.0), fits(quantum / 2.0)) {
                    (true, false) => Cutting::Truncated,
                    (false, true) => Cutting::Rounded,
                    _ => return None,
                };
                (cutting, dates.samples().map(|(s, _)| s).collect())
            }
        };
        let shift = if cutting == Cutting::Rounded {
            quantum / 2.0
        } else {
            0.0
        };
        let tracked = self.streams.get_mut(key)?;
        tracked.cutting = Some(cutting);
        let mut last = None;
        for sample in samples {
            let taken = tracked.clock.take_coupled(sample, shift, bound);
            // Of many, a step is what matters.
            if !matches!(last, Some(Taken::Stepped { .. })) {
                last = Some(taken);
            }
        }
        last.map(|taken| Outcome {
            stream: key.clone(),
            taken,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::sample::Cause;

    const SECONDS: i64 = 1_790_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(SECONDS * 1000 + ms).expect("in range")
    }

    /// A clock 300 ms ahead, its event stamps cut to seconds as said, its dates truncated. Departures with wide brackets, and
    /// exchanges of 20 ms, half a minute apart.
    fn played(cutting: Cutting, date_bound_ms: Option<f64>) -> Calibrator {
        let settings = VendorSettings {
            date_bound_ms,
            ..VendorSettings::default()
        };
        let mut calibrator = Calibrator::new([("v".to_owned(), settings)].into());
        let mut random = fastrand::Rng::with_seed(5);
        let seconds = |ms: i64, shift: i64| at((ms + shift).div_euclid(1000) * 1000);
        for i in 0..120 {
            let t = i * 30_000 + random.i64(0..1000);
            let shift = if cutting == Cutting::Rounded { 500 } else { 0 };
            let around = |ms| SignedDuration::from_millis(ms);
            let departure = Sample {
                not_before: Some(at(t) - around(random.i64(20..200))),
                not_after: at(t) + around(random.i64(20..200)),
                stamp: seconds(t + 300, shift),
                cause: Cause::Command,
            };
            calibrator.take(&events(), departure);
            let t = t + 10_000 + random.i64(0..1000);
            let exchange = Sample {
                not_before: Some(at(t) - around(10)),
                not_after: at(t) + around(10),
                stamp: seconds(t + 300, 0),
                cause: Cause::Exchange,
            };
            calibrator.take(&ClockId::http_date("v", "i"), exchange);
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
    fn how_stamps_are_cut_is_learnt_and_dates_then_narrow_the_events() {
        for (cutting, effective) in [(Cutting::Truncated, 300.0), (Cutting::Rounded, 800.0)] {
            let coupled = played(cutting, Some(0.0));
            assert_eq!(coupled.stream(&events()).expect("there").cutting, Some(cutting));
            let offset = coupled.reading(&events(), at(120 * 30_000)).expect("known").offset;
            assert!(
                offset.guaranteed.0 <= effective && effective <= offset.guaranteed.1,
                "{cutting:?} {offset:?}"
            );
            assert!(width(&coupled) < width(&played(cutting, None)) * 0.8, "{cutting:?}");
        }
    }

    #[test]
    fn dates_say_nothing_about_events_unless_a_setting_couples_them() {
        let apart = played(Cutting::Truncated, None);
        let clock = &apart.stream(&events()).expect("there").clock;
        assert!(!clock.is_coupled() && clock.samples().len() == 120);
    }

    #[test]
    fn a_declared_bound_widens_what_dates_say() {
        let (tight, loose) = (
            played(Cutting::Truncated, Some(0.0)),
            played(Cutting::Truncated, Some(40.0)),
        );
        assert!(width(&tight) < width(&loose));
    }
}
