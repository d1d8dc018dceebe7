//! One vendor clock as seen through one field of one source: its window of samples, its epochs and its offset
//! interval.
//!
//! The samples that agree form the fit; see [`super::fit`]. Every new sample is tested against the older ones; see
//! [`super::shift_test`]. A step starts a new epoch with a new version and drops the samples from before it. This file
//! adds samples; `window.rs` keeps the fit up to date with them; `queries.rs` answers questions about the clock.

mod decision;
mod own_fit;
mod queries;
mod window;

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use self::own_fit::OwnFit;
use super::cautious::Cautious;
use super::fit::{Addition, Fit, Outlier};
use super::granularity::Granularity;
use super::latency::Latency;
use super::limits::{Limits, SampleOutcome};
use super::line::{Line, Point};
use super::marzullo::outside_largest_agreement;
use super::moment::Moment;
use super::packed_sample::{Bounds, NONE, PackedSample};
use super::point_estimate::likely_offset;
use super::polygon::Label;
use super::posterior::{PosteriorInput, posterior};
use super::sample::{Cause, Sample};
use super::shift_test::{ShiftTest, Verdict};

/// The centre line is fitted, and a mixture looked for, after this many samples, and while there are few.
const LINE_REFIT_EVERY: u32 = 48;
const FEW: usize = 12;
/// Error of the learned delays as a share of the typical delay. Without it the line through a long window would look
/// too certain.
const BIAS: f64 = 0.12;
/// Over how many samples the share of outliers is learned.
const SHARE_MEMORY: f64 = 1000.0;
/// The share of wrong stamps up to which the intervals are guaranteed.
const DECLARED_WRONG: f64 = 0.03;
/// The zero of the hours is moved when the newest sample is this far from it, in hours.
const ZERO_AGE: f64 = 0.4;

/// The samples of one clock and what they say about its offset.
#[derive(Debug, Clone)]
pub struct ClockSeries {
    limits: Limits,
    /// Greatest drift, in ms per hour: the declared one, or twice that after the samples showed that it is exceeded.
    max_drift: f64,
    samples: VecDeque<PackedSample>,
    next: Label,
    /// Where the hours of the bounds, of `fit`, `line` and `shift` start, as a moment of our clock.
    zero: Moment,
    fit: Fit,
    /// See [`super::cautious`]; completed when it is asked for after a new sample.
    cautious: OnceLock<Cautious>,
    /// What of it is still right after a new sample.
    still_cautious: Cautious,
    /// The shares of samples that were outliers by little and by much, over about the last thousand samples.
    near_share: f64,
    far_share: f64,
    shift: ShiftTest,
    line: Option<Line>,
    since_line_fit: u32,
    granularity: Granularity,
    command: Latency,
    notice: Latency,
    version: u32,
    since: Option<Moment>,
    /// Whether the samples seem to come from several clocks.
    mixed: bool,
    /// When the samples of a coupled clock were dropped because they contradict this one's.
    uncoupled: Option<Moment>,
    /// See [`ClockSeries::own_range`].
    own: OwnFit,
}

impl ClockSeries {
    /// A clock without samples.
    pub fn new(limits: Limits) -> Self {
        let max_drift = limits.drift();
        Self {
            max_drift,
            fit: Fit::empty(max_drift),
            cautious: OnceLock::new(),
            still_cautious: Cautious::default(),
            near_share: 0.0,
            far_share: 0.0,
            shift: ShiftTest::new(max_drift),
            granularity: Granularity::new(limits.quantum_ms),
            // One more than the limit, so that the buffer never grows.
            samples: VecDeque::with_capacity(limits.max_samples.min(4096) + 1),
            next: 0,
            zero: Moment::from_nanos(0),
            line: None,
            since_line_fit: 0,
            command: Latency::guess(300.0),
            notice: Latency::guess(500.0),
            version: 1,
            since: None,
            mixed: false,
            uncoupled: None,
            own: OwnFit::default(),
            limits,
        }
    }

    /// Adds a sample of this clock.
    pub fn add(&mut self, sample: Sample) -> SampleOutcome {
        self.add_coupled(sample, 0.0, 0.0)
    }

    /// Adds a sample of another clock of the same vendor. After `shift_ms` is added to its stamp, that clock differs
    /// from this one by at most `slack_ms`.
    #[allow(clippy::cast_possible_truncation, reason = "small numbers of milliseconds")]
    pub fn add_coupled(&mut self, sample: Sample, shift_ms: f64, slack_ms: f64) -> SampleOutcome {
        if !self.is_useful(&sample) {
            return SampleOutcome::Ignored;
        }
        let relearnt = sample.cause != Cause::Exchange && self.granularity.learn(sample.stamp);
        self.take_cautious();
        let depended = self.forget(sample.not_after) | self.supersede(&sample);
        self.follow_zero(sample.not_after, relearnt);
        let (likely_ms, variance) = self.likely(&sample);
        let mut packed = PackedSample {
            not_before: sample.not_before.unwrap_or(NONE),
            asked: sample.asked.unwrap_or(NONE),
            not_after: sample.not_after,
            stamp: sample.stamp,
            bounds: Bounds::default(),
            likely_ms: likely_ms as f32,
            variance: variance as f32,
            label: self.next,
            shift_ms: shift_ms as f32,
            slack_ms: slack_ms as f32,
            cause: sample.cause,
        };
        packed.bounds = self.bounds(&packed);
        self.next = self.next.wrapping_add(1);
        let place = self.samples.partition_point(|k| k.not_after <= packed.not_after);
        let in_order = place == self.samples.len();
        self.samples.insert(place, packed);
        let rebuild = depended || relearnt || !in_order || place == 0;
        if relearnt {
            self.own.clear();
            self.shift.bounds_changed();
        }
        if packed.cause != Cause::Exchange {
            self.own.add(&packed);
        }
        let outcome = self.judge(&packed, rebuild);
        self.since_line_fit += 1;
        if self.since_line_fit >= LINE_REFIT_EVERY || self.samples.len() <= FEW {
            self.fit_line();
        } else if self.since_line_fit == LINE_REFIT_EVERY / 2 {
            self.mixed = self.is_mixed();
        }
        outcome
    }

    /// Adds the sample to the fit and tests it.
    fn judge(&mut self, packed: &PackedSample, rebuild: bool) -> SampleOutcome {
        let contradicts = if rebuild {
            let (before, all_agree) = self.refit();
            if !all_agree {
                self.search();
            }
            // Test it against the fit before it, as far as that is still known.
            let is_outlier = self.fit.is_outlier(packed.label);
            is_outlier
                .then(|| {
                    let bounds = &packed.bounds;
                    bounds
                        .contradicts(before.polygon())
                        .or_else(|| bounds.contradicts(self.fit.polygon()))
                })
                .flatten()
        } else {
            match self.fit.add(packed) {
                Addition::Agrees => {
                    self.still_cautious.add(packed);
                    None
                }
                Addition::Cuts => {
                    self.give_up_cautious();
                    None
                }
                Addition::Contradicts(half) => {
                    // If the tightest samples may be wrong instead, look for a larger agreement.
                    if self.still_cautious.agrees_with(&packed.bounds) {
                        self.search();
                    }
                    Some(half)
                }
            }
        };
        self.count_outliers(packed.label);
        let verdict = Verdict {
            middle: self.fit.middle(),
            contradicts: contradicts.map(|half| half.above),
            outliers: self.fit.outliers().len(),
        };
        self.shift.add(&self.samples, packed, verdict);
        if let Some(corroborated) = self.decide() {
            return SampleOutcome::Stepped { corroborated };
        }
        self.widen_drift();
        if self.fit.is_outlier(packed.label) {
            return SampleOutcome::Contradicts;
        }
        self.learn(packed);
        SampleOutcome::Agrees
    }

    /// Starts epoch `version` at `since`. Drops all samples and keeps only the learned delays and the granularity.
    pub fn start_epoch(&mut self, version: u32, since: Moment) {
        self.samples.clear();
        self.max_drift = self.limits.drift();
        self.fit = Fit::empty(self.max_drift);
        self.give_up_cautious();
        self.own.clear();
        self.shift = ShiftTest::new(self.max_drift);
        self.line = None;
        self.uncoupled = None;
        self.mixed = false;
        (self.version, self.since) = (version, Some(since));
    }

    fn is_useful(&self, sample: &Sample) -> bool {
        let newest = self.newest();
        let horizon = newest.map(|t| t.max(sample.not_after).plus_nanos(-nanos(self.limits.sparse_window)));
        let too_old = horizon.is_some_and(|h| sample.not_after < h) || self.since.is_some_and(|s| sample.not_after < s);
        let known = |k: &PackedSample| k.is_of_the_event_of(sample) && k.says_as_much_as(sample);
        sample.is_causal() && !too_old && !self.samples.range(self.heard_at(sample.not_after)).any(known)
    }

    /// Learns how many of the samples are outliers.
    fn count_outliers(&mut self, newest: Label) {
        let outlier = self.fit.outliers().iter().find(|o| o.label == newest);
        let share = |old: f64, is: bool| old + (f64::from(u8::from(is)) - old) / SHARE_MEMORY;
        self.near_share = share(self.near_share, outlier.is_some_and(|o| self.is_near(o, 1.0)));
        self.far_share = share(self.far_share, outlier.is_some_and(|o| !self.is_near(o, 1.0)));
    }

    /// Whether an outlier misses the agreeing samples by little, `times` the usual delays: others that are as wrong are then hidden by the delays.
    fn is_near(&self, outlier: &Outlier, times: f64) -> bool {
        let delays = self.command.median_ms() + self.notice.median_ms();
        f64::from(outlier.excess_ms) <= times * delays
    }

    /// From and to how many ms after the stamp the clock read.
    fn read_within(&self, sample: &Sample) -> (f64, f64) {
        match sample.cause {
            // RFC 9110 gives an HTTP `Date` whole seconds.
            Cause::Exchange => (0.0, 1000.0),
            _ => self.granularity.read_within(sample.stamp),
        }
    }

    /// Where in its bracket the event likely was according to one sample and the learned delays, in ms before its end,
    /// and the variance of the offset that follows.
    fn likely(&self, sample: &Sample) -> (f64, f64) {
        let (below, above) = self.read_within(sample);
        let (before_end, variance) = likely_offset(sample, above - below, &self.command, &self.notice);
        // However tight its bracket, a sample is no more certain than the learned delays.
        let bias = if sample.cause == Cause::Exchange {
            0.0
        } else {
            self.bias()
        };
        (before_end, variance + bias * bias)
    }

    /// How far the learned delays may be wrong, in ms.
    fn bias(&self) -> f64 {
        BIAS * f64::midpoint(self.command.median_ms(), self.notice.median_ms())
    }

    /// Learns command and notice delays from an agreeing sample: its stamp shows where in the bracket the event was.
    fn learn(&mut self, packed: &PackedSample) {
        let sample = &packed.sample();
        if sample.cause == Cause::Exchange {
            return;
        }
        if !self.fit.likely_polygon().is_bounded() {
            return;
        }
        let (below, above) = self.read_within(sample);
        let (stamp, quantum) = (sample.stamp.ms_since(sample.not_after) + below, above - below);
        let sent = sample.likely_not_before().map(|t| t.ms_since(sample.not_after));
        // Use the polygon's middle and not the point estimate; otherwise the learned delays would confirm themselves.
        let at = packed.at(self.zero);
        let (o, d) = self.fit.middle();
        let (plain_low, plain_high) = self.fit.likely_polygon().range(at);
        let (middle, sigma) = (d.mul_add(at, o), (plain_high - plain_low) / 24.0_f64.sqrt());
        let spread = (middle - sigma, middle + sigma);
        let low = sent.map_or(stamp - spread.1, |t| t.max(stamp - spread.1));
        let high = (stamp + quantum - spread.0).min(0.0);
        if low >= high {
            return;
        }
        let posterior = posterior(&PosteriorInput {
            within: (low, high),
            command: sent
                .filter(|_| sample.cause == Cause::Command)
                .map(|t| (t, &self.command)),
            notice: Some((0.0, &self.notice)),
            stamp: Some((stamp, quantum, spread)),
        });
        if let Some((log, square)) = posterior.command_log {
            self.command.learn(log, square);
        }
        if let Some((log, square)) = posterior.notice_log {
            self.notice.learn(log, square);
        }
    }
}

/// The most wrong ones among `n` samples that the declared share explains: the mean and three standard deviations.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a window"
)]
fn most_wrong(n: usize) -> usize {
    let expected = DECLARED_WRONG * n as f64;
    (expected + 3.0 * expected.sqrt() + 1.0) as usize
}

/// A duration of [`Limits`] in nanoseconds; saturates.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
