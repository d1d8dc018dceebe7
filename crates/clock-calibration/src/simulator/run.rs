//! One scenario played through the real calibrator and the real estimate, and everything measured against the truth.

use super::baselines::{self, Seen};
use super::scenario::Scenario;
use super::world::{Arrival, Departure, World, since_start};
use crate::latency::Latency;
use crate::posterior::{Known, weigh};
use crate::probing::Aim;
use crate::{
    Bracket, Calibrator, Cause, ClockId, ClockSeries, Limits, Sample, Stamp, Taken, Thresholds, VendorSettings,
    estimate,
};

const HOUR: f64 = 3_600_000.0;
const VENDOR: &str = "vendor";

/// What was measured, all in ms.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The calibrator's offset error.
    pub offset: Vec<f64>,
    /// Each baseline's, in the order of [`baselines::ALL`].
    pub baselines: Vec<Vec<f64>>,
    /// Half the guaranteed interval.
    pub guaranteed: Vec<f64>,
    /// Half the interval if every agreeing sample is honest.
    pub plain: Vec<f64>,
    /// Half the interval of an oracle that knows drift, wander, steps and liars, from the same window.
    pub oracle: Vec<f64>,
    /// The event error: the vendor's stamp as it is; the time of receipt; the stamp less the mean offset.
    pub as_is: Vec<f64>,
    /// See `as_is`.
    pub receipt: Vec<f64>,
    /// See `as_is`.
    pub mean_corrected: Vec<f64>,
    /// Ours.
    pub event: Vec<f64>,
    /// Of an oracle that knows the offset: the middle of what is left.
    pub oracle_middle: Vec<f64>,
    /// … and that knows the delays too: the median of the posterior.
    pub oracle_posterior: Vec<f64>,
    /// Offsets asked for outside latent windows, and those whose interval held the truth.
    pub asked: usize,
    /// See `asked`.
    pub covered: usize,
    /// Honest departures, and those whose interval held the truth.
    pub honest: usize,
    /// See `honest`.
    pub honest_covered: usize,
    /// Epochs begun without a step.
    pub false_steps: usize,
    /// Seeds whose step was found.
    pub found_steps: usize,
    /// Per seed: commanded departures after the step, before it was found, whose interval did not hold the truth.
    pub latent: Vec<usize>,
    /// The most memory a stream held, bytes.
    pub memory: usize,
    /// Hours played.
    pub hours: f64,
    /// Samples taken.
    pub samples: usize,
}

/// Plays `seeds` worlds of a scenario.
pub fn run(scenario: &Scenario, seeds: std::ops::Range<u64>) -> Measured {
    let mut all = Measured {
        baselines: vec![Vec::new(); baselines::ALL.len()],
        ..Measured::default()
    };
    for seed in seeds {
        Play::new(scenario, seed).run(&mut all);
    }
    all
}

struct Play<'s> {
    scenario: &'s Scenario,
    world: World<'s>,
    calibrator: Calibrator,
    events: ClockId,
    dates: ClockId,
    aim: Aim,
    version: u32,
    found: bool,
    latent: usize,
}

impl<'s> Play<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let settings = VendorSettings {
            limits: Limits::default(),
            date_bound_ms: Some(0.0),
            cutting: None,
        };
        Self {
            scenario,
            world: World::new(scenario, seed),
            calibrator: Calibrator::new([(VENDOR.to_owned(), settings)].into()),
            events: ClockId::new(VENDOR, "main", "CONTACT_EVENT", "disconnected"),
            dates: ClockId::http_date(VENDOR, "main"),
            aim: Aim::default(),
            version: 1,
            found: false,
            latent: 0,
        }
    }

    fn run(mut self, all: &mut Measured) {
        for (at, arrival) in self.world.arrivals() {
            match arrival {
                Arrival::Probe => self.probe(at, all),
                Arrival::Departure(departure) => self.departure(at, &departure, all),
            }
        }
        if self.scenario.step.is_some() {
            all.latent.push(self.latent);
            all.found_steps += usize::from(self.found);
        }
        let memory = self.calibrator.stream(&self.events).map_or(0, |t| t.clock.memory());
        all.memory = all.memory.max(memory);
        all.hours += self.scenario.hours;
    }

    fn has_stepped(&self, at: f64) -> bool {
        self.scenario
            .step
            .is_some_and(|(share, _)| at >= share * self.scenario.hours * HOUR)
    }

    fn probe(&mut self, at: f64, all: &mut Measured) {
        let now = self.world.own(at);
        // Aimed at what the events' stream most needs to know, on the front end's own scale.
        let stream = self.calibrator.stream(&self.events).filter(|t| t.clock.is_coupled());
        let wanted = stream
            .or_else(|| self.calibrator.stream(&self.dates))
            .and_then(|t| t.clock.doubts(now));
        let shift = if stream.is_some() {
            self.scenario.cutting.shift()
        } else {
            0.0
        };
        let usual = 2.0 * (self.scenario.way.floor + self.scenario.way.median);
        let wait = wanted.map_or(0.0, |((low, high), doubt)| {
            let wait = self.aim.wait(now, (low - shift, high - shift), doubt, usual);
            wait.as_secs_f64() * 1000.0
        });
        if let Some(sample) = self.world.exchange(at + wait) {
            all.samples += 1;
            let dates = self.dates.clone();
            self.calibrator.take(&dates, sample);
            self.note_epoch(at, all);
        }
    }

    fn note_epoch(&mut self, at: f64, all: &mut Measured) {
        let version = self.calibrator.stream(&self.events).map_or(1, |t| t.clock.version());
        if version != self.version {
            self.version = version;
            if self.has_stepped(at) && !self.found {
                self.found = true;
            } else {
                all.false_steps += 1;
            }
        }
    }

    fn departure(&mut self, at: f64, d: &Departure, all: &mut Measured) {
        all.samples += 1;
        let events = self.events.clone();
        let outcomes = self.calibrator.take(&events, d.sample);
        debug_assert!(outcomes.iter().all(|o| o.taken != Taken::Useless || d.again));
        self.note_epoch(at, all);
        if d.again || at < self.scenario.warm_up_hours * HOUR {
            return;
        }
        self.measure_offset(at, d, all);
        self.measure_event(d, all);
    }

    fn measure_offset(&mut self, at: f64, d: &Departure, all: &mut Measured) {
        let s = self.scenario;
        let truth = s.offset_at(at) + s.cutting.shift();
        let Some(tracked) = self.calibrator.stream(&self.events) else {
            return;
        };
        let Some(offset) = tracked.clock.offset(d.sample.not_after) else {
            return;
        };
        let covered = offset.guaranteed.0 <= truth && truth <= offset.guaranteed.1;
        if self.has_stepped(at) && !self.found {
            self.latent += usize::from(!covered && d.sample.cause == Cause::Command);
        } else {
            all.asked += 1;
            all.covered += usize::from(covered);
        }
        all.offset.push((offset.best - truth).abs());
        all.guaranteed.push((offset.guaranteed.1 - offset.guaranteed.0) / 2.0);
        all.plain.push((offset.plain.1 - offset.plain.0) / 2.0);
        let seen: Vec<Seen> = tracked
            .clock
            .samples()
            .map(|(sample, shift)| Seen {
                from: since_start(sample.not_before.unwrap_or(sample.not_after)),
                to: since_start(sample.not_after),
                stamp: since_start(sample.stamp) + shift,
                quantum: if sample.cause == Cause::Exchange {
                    1000.0
                } else {
                    s.cutting.quantum()
                },
            })
            .collect();
        let now = since_start(d.sample.not_after);
        for ((_, baseline), errors) in baselines::ALL.iter().zip(&mut all.baselines) {
            errors.push((baseline(&seen, now) - truth).abs());
        }
        all.oracle.push(self.oracle_half_width(&seen, truth, at));
        let mean = baselines::mean(&seen);
        let middle = since_start(d.sample.stamp) + s.cutting.quantum() / 2.0;
        all.mean_corrected.push((middle - mean - d.truth).abs());
    }

    /// Knows how the clock moved between each sample and now, and which samples lie.
    fn oracle_half_width(&self, seen: &[Seen], truth: f64, at: f64) -> f64 {
        let s = self.scenario;
        // Our own clock's error is not the oracle's to know.
        let blur = 2.0 * s.own_clock + 1.0;
        let moved = |t: f64| s.offset_at(at) - s.offset_at(t);
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for sample in seen {
            let from = sample.stamp - sample.to + moved(sample.to);
            let to = sample.stamp + sample.quantum - sample.from + moved(sample.from);
            if from <= truth + blur && truth - blur <= to {
                (low, high) = (low.max(from), high.min(to));
            }
        }
        (high - low).max(0.0) / 2.0
    }

    fn measure_event(&self, d: &Departure, all: &mut Measured) {
        let s = self.scenario;
        let bracket = Bracket {
            not_before: d.sample.not_before,
            not_after: d.sample.not_after,
            commanded: d.sample.cause == Cause::Command,
        };
        let stamps = [Stamp {
            stream: self.events.clone(),
            at: d.sample.stamp,
            learnt_at: d.sample.not_after,
        }];
        #[allow(clippy::cast_possible_truncation, reason = "a few ms")]
        let own = s.own_clock.ceil() as i64;
        let known = |key: &ClockId, at| self.calibrator.reading(key, at);
        let got = estimate(bracket, &stamps, known, own, &Thresholds::default());
        all.event.push((since_start(got.point) - d.truth).abs());
        all.as_is.push((since_start(d.sample.stamp) - d.truth).abs());
        all.receipt.push((since_start(d.sample.not_after) - d.truth).abs());
        if d.lies {
            return;
        }
        let inside = got.earliest.is_none_or(|t| since_start(t) <= d.truth) && d.truth <= since_start(got.latest);
        all.honest += 1;
        all.honest_covered += usize::from(inside);
        let offset = s.offset_at(d.truth) + s.cutting.shift();
        let stamp = since_start(d.sample.stamp);
        let (from, to) = (
            d.sample.not_before.map_or(f64::NEG_INFINITY, since_start),
            since_start(d.sample.not_after),
        );
        let (low, high) = (from.max(stamp - offset), to.min(stamp + s.cutting.quantum() - offset));
        if low >= high {
            return;
        }
        all.oracle_middle.push((f64::midpoint(low, high) - d.truth).abs());
        let command = Latency::exact(s.command.median, s.command.sigma);
        let notice = Latency::exact(s.notice.median, s.notice.sigma);
        let weighed = weigh(&Known {
            within: (low, high),
            command: (d.sample.cause == Cause::Command).then_some((from + s.command.floor, &command)),
            notice: Some((to - s.notice.floor, &notice)),
            stamp: None,
        });
        all.oracle_posterior.push((weighed.median - d.truth).abs());
    }
}

/// The samples of one world's events, in the order of their arrival; for measuring what taking them costs.
pub fn samples_of(scenario: &Scenario, seed: u64) -> Vec<Sample> {
    let arrivals = World::new(scenario, seed).arrivals();
    let of = |(_, arrival)| match arrival {
        Arrival::Departure(departure) => Some(departure.sample),
        Arrival::Probe => None,
    };
    arrivals.into_iter().filter_map(of).collect()
}

/// Takes them all. Returns how many there were.
pub fn take_all(samples: &[Sample]) -> u32 {
    let mut clock = ClockSeries::new(Limits::default());
    let mut count = 0;
    for sample in samples {
        clock.take(*sample);
        count += 1;
    }
    count
}

/// A quantile; sorts in place. `NaN` of nothing.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    values[at]
}
