//! The measurements of a world.

use super::comparison::BASELINES;
use super::world::Assumption;

/// Quantiles of a distribution; all are `NaN` if it is empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// 95 % are at most this.
    pub p95: f64,
    /// 99 % are at most this.
    pub p99: f64,
}

impl Quantiles {
    /// The quantiles of some values.
    pub fn of(values: &[f32]) -> Self {
        let mut values = values.to_vec();
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| match values.len() {
            0 => f64::NAN,
            n => f64::from(values[((n - 1) as f64 * share).round() as usize]),
        };
        Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

/// What followed a step of at least 100 ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// The size of the step, in ms.
    pub by: f64,
    /// Departures after it whose guaranteed interval misses the truth.
    pub uncovered: usize,
    /// The least number of departures until it can be noticed with one false alarm in 30 days; 0: not computed.
    pub least_delay: f64,
}

/// What was counted in a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Departures whose own evidence is true as declared.
    pub departures: usize,
    /// Of these, those whose guaranteed interval misses the truth.
    pub uncovered: usize,
    /// Of these, those outside the latent window of a disturbance.
    pub uncovered_later: usize,
    /// Of these, those whose claim announces nothing: the silent misses.
    pub silent: usize,
    /// Silent misses that a later estimate within a day did not announce or correct, of those that were estimated again.
    pub never_announced: usize,
    /// Departures whose own evidence is false: a stamp of another moment, a leg that had left before the command, or our
    /// clock worse than declared. No estimator can cover all of these.
    pub wrong: usize,
    /// Of these, those whose interval misses the truth although the claim announces nothing.
    pub misled: usize,
    /// Modelled intervals.
    pub modelled: usize,
    /// Of these, those that contain the truth.
    pub modelled_right: usize,
    /// Claims of the grade CALIBRATED or better.
    pub calibrated: usize,
    /// Of these, those that miss the truth outside a latent window.
    pub lied: usize,
    /// Claims of the grade UNCALIBRATED whose interval is narrower than the bracket.
    pub narrow_uncalibrated: usize,
    /// Claims that announce a doubt.
    pub announced: usize,
    /// New epochs without a disturbance.
    pub false_steps: usize,
    /// Later estimates of a departure.
    pub again: usize,
    /// Of these, those that are not inside the first claim although nothing is announced.
    pub not_nested: usize,
    /// Later estimates that the service would write again.
    pub reissued: usize,
    /// Of the rewritten ones, those that are not inside the first claim although nothing is announced.
    pub reissued_outside: usize,
    /// Of the rewritten ones, those that miss the truth although the first claim contained it.
    pub made_wrong: usize,
}

/// The measurements of each departure, in ms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub point: Vec<f32>,
    pub baselines: [Vec<f32>; BASELINES],
    pub oracle: Vec<f32>,
    pub half_width: Vec<f32>,
    /// Half-widths more than an hour after the last announced doubt.
    pub calm_half_width: Vec<f32>,
    pub oracle_half_width: Vec<f32>,
    pub least_half_width: Vec<f32>,
    pub calm_least_half_width: Vec<f32>,
    /// Cost of each sample, in µs.
    pub cost: Vec<f32>,
}

/// The results of one world.
#[derive(Debug, Clone)]
pub struct WorldResult {
    /// The seed of the world.
    pub seed: u64,
    /// Its troubles in a few words.
    pub description: String,
    /// The declared assumptions that it breaks.
    pub broken: Vec<Assumption>,
    /// Simulated days.
    pub days: f64,
    /// The counts.
    pub counts: Counts,
    /// The first silent misses, described for a person.
    pub first_misses: Vec<String>,
    /// Each step of at least 100 ms that departures followed.
    pub steps: Vec<StepResult>,
    /// Error of the point, in ms.
    pub point: Quantiles,
    /// Error of each simple estimator, in ms, in the order of the table.
    pub baselines: [Quantiles; BASELINES],
    /// Error of an oracle that knows the offset and takes the middle of what remains of the bracket, in ms.
    pub oracle: Quantiles,
    /// The half-width of the guaranteed interval, in ms.
    pub half_width: Quantiles,
    /// Median half-width more than an hour after an announced doubt, in ms.
    pub calm_half_width: f64,
    /// The half-width of an oracle that knows the offset, in ms.
    pub oracle_half_width: Quantiles,
    /// The half-width of an oracle that knows how the offset changes and which stamps are wrong, in ms: no guaranteed
    /// interval from the same samples can be narrower.
    pub least_half_width: Quantiles,
    /// Its median more than an hour after an announced doubt, in ms.
    pub calm_least_half_width: f64,
    /// Mean and 99th percentile of the cost of a sample, in µs; `NaN` if it was not measured.
    pub cost_us: (f64, f64),
    /// Greatest memory of a clock, in bytes.
    pub memory: usize,
}

impl WorldResult {
    pub(crate) fn new(
        (seed, days, description): (u64, f64, String),
        broken: Vec<Assumption>,
        counts: Counts,
        series: &Series,
    ) -> Self {
        let mean = series.cost.iter().map(|c| f64::from(*c)).sum::<f64>() / series.cost.len() as f64;
        Self {
            seed,
            description,
            broken,
            days,
            counts,
            first_misses: Vec::new(),
            steps: Vec::new(),
            point: Quantiles::of(&series.point),
            baselines: std::array::from_fn(|i| Quantiles::of(&series.baselines[i])),
            oracle: Quantiles::of(&series.oracle),
            half_width: Quantiles::of(&series.half_width),
            calm_half_width: Quantiles::of(&series.calm_half_width).p50,
            oracle_half_width: Quantiles::of(&series.oracle_half_width),
            least_half_width: Quantiles::of(&series.least_half_width),
            calm_least_half_width: Quantiles::of(&series.calm_least_half_width).p50,
            cost_us: (mean, Quantiles::of(&series.cost).p99),
            memory: 0,
        }
    }

    /// Whether the world keeps every declared assumption.
    pub fn keeps_assumptions(&self) -> bool {
        self.broken.is_empty()
    }

    /// The share of guaranteed intervals that contain the truth, of departures with true evidence outside latent windows.
    pub fn coverage(&self) -> f64 {
        1.0 - share(self.counts.uncovered_later, self.counts.departures)
    }

    /// The share of modelled intervals that contain the truth; `NaN` if none was published.
    pub fn modelled_coverage(&self) -> f64 {
        self.counts.modelled_right as f64 / self.counts.modelled as f64
    }

    /// The share of claims that are CALIBRATED or better.
    pub fn calibrated(&self) -> f64 {
        share(self.counts.calibrated, self.counts.departures)
    }

    /// The most uncovered departures after one step.
    pub fn most_uncovered(&self) -> Option<usize> {
        self.steps.iter().map(|s| s.uncovered).max()
    }

    /// The median half-width as a multiple of the least possible one: everywhere, and more than an hour after an
    /// announced doubt.
    pub fn width_ratios(&self) -> (f64, f64) {
        (
            self.half_width.p50 / self.least_half_width.p50,
            self.calm_half_width / self.calm_least_half_width,
        )
    }
}

/// `part` of `all`; 0 of nothing is 0.
pub(crate) fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
