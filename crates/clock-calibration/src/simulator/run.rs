//! Plays a scenario through the real calibrator and [`estimate`], and measures everything against the truth.

use super::baselines::{self, BaselineSample};
use super::scenario::Scenario;
use super::world::{Arrival, Departure, World, since_start};
use crate::latency::Latency;
use crate::posterior::{PosteriorInput, posterior};
use crate::{
    Aim, Bracket, Calibrator, Cause, ClockId, ClockSeries, Limits, Sample, SampleOutcome, Stamp, Thresholds,
    VendorSettings, estimate,
};

const HOUR: f64 = 3_600_000.0;
const VENDOR: &str = "vendor";

/// The measurements, in ms unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Error of the calibrator's offset.
    pub offset: Vec<f64>,
    /// Error of each baseline, in the order of `baselines::ALL`.
    pub baselines: Vec<Vec<f64>>,
    /// Half the guaranteed interval.
    pub guaranteed: Vec<f64>,
    /// Half the interval if every agreeing sample is right.
    pub plain: Vec<f64>,
    /// Half the interval of an oracle that knows drift, wander, steps and outliers, from the same window.
    pub oracle: Vec<f64>,
    /// Error of a departure's instant if the vendor's stamp is used unchanged.
    pub as_is: Vec<f64>,
    /// Error if the time of receipt is used.
    pub receipt: Vec<f64>,
    /// Error if the mean offset is subtracted from the stamp.
    pub mean_corrected: Vec<f64>,
    /// Error of [`estimate`].
    pub event: Vec<f64>,
    /// Error of an oracle that knows the offset and takes the middle of the remaining interval.
    pub oracle_middle: Vec<f64>,
    /// Error of an oracle that also knows the delays and takes the median of the posterior.
    pub oracle_posterior: Vec<f64>,
    /// Number of offset intervals, except between a step and its detection.
    pub asked: usize,
    /// Of these, the intervals that contain the truth.
    pub covered: usize,
    /// Number of departures with an honest stamp.
    pub honest: usize,
    /// Of these, the departures whose interval contains the truth.
    pub honest_covered: usize,
    /// Number of epochs that began without a step.
    pub false_steps: usize,
    /// Number of seeds whose step was detected.
    pub found_steps: usize,
    /// For each seed: commanded departures between the step and its detection whose interval misses the truth.
    pub latent: Vec<usize>,
    /// Greatest memory of a clock, in bytes.
    pub memory: usize,
    /// Simulated hours.
    pub hours: f64,
    /// Number of samples added.
    pub samples: usize,
}

/// Plays the worlds that `seeds` generate from a scenario.
pub fn run(scenario: &Scenario, seeds: std::ops::Range<u64>) -> Measured {
    let mut all = Measured {
        baselines: vec![Vec::new(); baselines::ALL.len()],
        ..Measured::default()
    };
    for seed in seeds {
        Playback::new(scenario, seed).run(&mut all);
    }
    all
}

struct Playback<'s> {
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

impl<'s> Playback<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let settings = VendorSettings {
            limits: Limits::default(),
            date_bound_ms: Some(0.0),
            rounding: None,
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
        let memory = self.calibrator.clock(&self.events).map_or(0, |t| t.series.memory());
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
        // Aim at what the event clock most needs to know, converted to the scale of the front end's clock.
        let clock = self.calibrator.clock(&self.events).filter(|t| t.series.is_coupled());
        let wanted = clock
            .or_else(|| self.calibrator.clock(&self.dates))
            .and_then(|t| t.series.probe_target(now));
        let shift = if clock.is_some() {
            self.scenario.rounding.shift()
        } else {
            0.0
        };
        let usual = 2.0 * (self.scenario.way.floor + self.scenario.way.median);
        let wait = wanted.map_or(0.0, |mut target| {
            // The event stamps have this shift because they are rounded; a `Date` is truncated.
            target.guaranteed.0 -= shift;
            target.guaranteed.1 -= shift;
            let wait = self.aim.wait(now, &target, usual);
            wait.as_secs_f64() * 1000.0
        });
        if let Some(sample) = self.world.exchange(at + wait) {
            all.samples += 1;
            let dates = self.dates.clone();
            self.calibrator.add(&dates, sample);
            self.note_epoch(at, all);
        }
    }

    fn note_epoch(&mut self, at: f64, all: &mut Measured) {
        let version = self.calibrator.clock(&self.events).map_or(1, |t| t.series.version());
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
        let outcomes = self.calibrator.add(&events, d.sample);
        debug_assert!(outcomes.iter().all(|o| o.outcome != SampleOutcome::Ignored || d.again));
        self.note_epoch(at, all);
        if d.again || at < self.scenario.warm_up_hours * HOUR {
            return;
        }
        self.measure_offset(at, d, all);
        self.measure_event(d, all);
    }

    fn measure_offset(&mut self, at: f64, d: &Departure, all: &mut Measured) {
        let s = self.scenario;
        let truth = s.offset_at(at) + s.rounding.shift();
        let Some(tracked) = self.calibrator.clock(&self.events) else {
            return;
        };
        let Some(offset) = tracked.series.offset(d.sample.not_after) else {
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
        let seen: Vec<BaselineSample> = tracked
            .series
            .samples()
            .map(|(sample, shift)| BaselineSample {
                from: since_start(sample.not_before.unwrap_or(sample.not_after)),
                to: since_start(sample.not_after),
                stamp: since_start(sample.stamp) + shift,
                quantum: if sample.cause == Cause::Exchange {
                    1000.0
                } else {
                    s.rounding.quantum()
                },
            })
            .collect();
        let now = since_start(d.sample.not_after);
        for ((_, baseline), errors) in baselines::ALL.iter().zip(&mut all.baselines) {
            errors.push((baseline(&seen, now) - truth).abs());
        }
        all.oracle.push(self.oracle_half_width(&seen, truth, at));
        let mean = baselines::mean(&seen);
        let middle = since_start(d.sample.stamp) + s.rounding.quantum() / 2.0;
        all.mean_corrected.push((middle - mean - d.truth).abs());
    }

    /// The oracle knows how the clock moved between each sample and now, and which samples are outliers.
    fn oracle_half_width(&self, seen: &[BaselineSample], truth: f64, at: f64) -> f64 {
        let s = self.scenario;
        // The oracle does not know the error of our own clock.
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
            asked: None,
            not_after: d.sample.not_after,
            commanded: d.sample.cause == Cause::Command,
        };
        let stamps = [Stamp {
            clock: self.events.clone(),
            at: d.sample.stamp,
            learnt_at: d.sample.not_after,
        }];
        #[allow(clippy::cast_possible_truncation, reason = "a few ms")]
        let own = s.own_clock.ceil() as i64;
        let known = |id: &ClockId, at| self.calibrator.reading(id, at);
        let got = estimate(bracket, &stamps, known, own, &Thresholds::default());
        all.event.push((since_start(got.point) - d.truth).abs());
        all.as_is.push((since_start(d.sample.stamp) - d.truth).abs());
        all.receipt.push((since_start(d.sample.not_after) - d.truth).abs());
        if d.is_outlier {
            return;
        }
        let inside = got.earliest.is_none_or(|t| since_start(t) <= d.truth) && d.truth <= since_start(got.latest);
        all.honest += 1;
        all.honest_covered += usize::from(inside);
        let offset = s.offset_at(d.truth) + s.rounding.shift();
        let stamp = since_start(d.sample.stamp);
        let (from, to) = (
            d.sample.not_before.map_or(f64::NEG_INFINITY, since_start),
            since_start(d.sample.not_after),
        );
        let (low, high) = (from.max(stamp - offset), to.min(stamp + s.rounding.quantum() - offset));
        if low >= high {
            return;
        }
        all.oracle_middle.push((f64::midpoint(low, high) - d.truth).abs());
        let command = Latency::exact(s.command.median, s.command.sigma);
        let notice = Latency::exact(s.notice.median, s.notice.sigma);
        let posterior = posterior(&PosteriorInput {
            within: (low, high),
            command: (d.sample.cause == Cause::Command).then_some((from + s.command.floor, &command)),
            notice: Some((to - s.notice.floor, &notice)),
            stamp: None,
        });
        all.oracle_posterior.push((posterior.median - d.truth).abs());
    }
}

/// The samples of one world's events in the order of their arrival, to measure what adding them costs.
pub fn samples_of(scenario: &Scenario, seed: u64) -> Vec<Sample> {
    let arrivals = World::new(scenario, seed).arrivals();
    let of = |(_, arrival)| match arrival {
        Arrival::Departure(departure) => Some(departure.sample),
        Arrival::Probe => None,
    };
    arrivals.into_iter().filter_map(of).collect()
}

/// Adds all samples to a new clock. Returns their number.
pub fn take_all(samples: &[Sample]) -> u32 {
    let mut clock = ClockSeries::new(Limits::default());
    let mut count = 0;
    for sample in samples {
        clock.add(*sample);
        count += 1;
    }
    count
}

/// A quantile; sorts `values` in place. `NaN` if there are none.
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
