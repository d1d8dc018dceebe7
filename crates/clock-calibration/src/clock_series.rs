//! One vendor clock as seen through one field of one source: its window of samples, its epochs and its offset
//! interval.
//!
//! The samples that agree form the fit; see [`super::fit`]. A sample that contradicts them is an outlier or the first
//! one after a step of the clock; see [`super::step_hypothesis`]. A step starts a new epoch with a new version and
//! drops the samples from before it. This file adds samples; `queries.rs` answers questions about the clock.

mod queries;

use std::collections::VecDeque;
use std::time::Duration;

use super::fit::{Candidate, Fit, Forgotten, MAX_DEVIATION, Strip, share_deviating};
use super::granularity::Granularity;
use super::latency::Latency;
use super::limits::{Limits, SampleOutcome};
use super::line::{Line, Point};
use super::moment::Moment;
use super::packed_sample::{NONE, PackedSample};
use super::point_estimate::likely_offset;
use super::polygon::{Cut, Label};
use super::posterior::{PosteriorInput, posterior};
use super::sample::{Cause, Sample};
use super::step_hypothesis::StepHypothesis;

/// With fewer samples than this, none is treated as deviating.
const MIN_FOR_DEVIATION: usize = 12;
/// If more than this share of the samples deviates from the line, the line is wrong and not the samples.
const MANY_DEVIATING: f64 = 0.1;
/// If more than one sample in this many is an outlier, the guaranteed interval must allow for more than one undetected
/// outlier.
const MANY_OUTLIERS: usize = 150;
/// If even more than one in this many is an outlier, it must also allow for outliers in what remains without the
/// support.
const VERY_MANY_OUTLIERS: usize = 70;
/// The centre line is fitted again after this many samples.
const LINE_REFIT_EVERY: u32 = 64;
/// Error of the learned delays as a share of the typical delay. Without it the line through a long window would look
/// too certain.
const BIAS: f64 = 0.12;

/// The samples of one clock and what they say about its offset.
#[derive(Debug, Clone)]
pub struct ClockSeries {
    limits: Limits,
    samples: VecDeque<PackedSample>,
    next: Label,
    /// Where the hours of `fit`, `line` and `step_hypotheses` start, as a moment of our clock.
    zero: Moment,
    fit: Fit,
    step_hypotheses: Vec<StepHypothesis>,
    line: Option<Line>,
    /// Whether the line may mark samples as deviating: only if samples in the window contradict each other or the
    /// clock was stepped before. Otherwise the polygon depends on the samples alone and not on their order.
    screens_samples: bool,
    /// Whether the line fits well enough for that.
    line_is_trusted: bool,
    since_line_fit: u32,
    granularity: Granularity,
    command: Latency,
    notice: Latency,
    version: u32,
    since: Option<Moment>,
}

impl ClockSeries {
    /// A clock without samples.
    pub fn new(limits: Limits) -> Self {
        Self {
            fit: Fit::empty(limits.drift()),
            granularity: Granularity::new(limits.quantum_ms),
            // One more than the limit, so that the buffer never grows.
            samples: VecDeque::with_capacity(limits.max_samples.min(4096) + 1),
            next: 0,
            zero: Moment::from_nanos(0),
            step_hypotheses: Vec::new(),
            line: None,
            screens_samples: false,
            line_is_trusted: false,
            since_line_fit: 0,
            command: Latency::guess(300.0),
            notice: Latency::guess(500.0),
            version: 1,
            since: None,
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
        let packed = PackedSample {
            not_before: sample.not_before.unwrap_or(NONE),
            not_after: sample.not_after,
            stamp: sample.stamp,
            likely: self.likely(&sample, shift_ms),
            label: self.next,
            shift_ms: shift_ms as f32,
            slack_ms: slack_ms as f32,
            cause: sample.cause,
        };
        self.next = self.next.wrapping_add(1);
        let forgotten = self.forget(packed.not_after).max(self.supersede(&sample));
        let place = self
            .samples
            .iter()
            .rposition(|k| k.not_after <= packed.not_after)
            .map_or(0, |i| i + 1);
        let in_order = place == self.samples.len();
        self.samples.insert(place, packed);
        let whole = forgotten == Forgotten::Whole || relearnt || !in_order || place == 0;
        if forgotten == Forgotten::Part && !whole {
            self.rebuild_stale(packed.label);
        }
        self.since_line_fit += 1;
        if self.since_line_fit >= LINE_REFIT_EVERY || self.samples.len() <= MIN_FOR_DEVIATION {
            self.fit_line();
        }
        let candidate = self.candidate(
            &packed,
            self.line
                .as_ref()
                .filter(|_| self.screens_samples && self.line_is_trusted),
        );
        let agrees = if whole { self.refit() } else { self.fit.add(&candidate) };
        if agrees {
            self.step_hypotheses.retain_mut(|c| c.add(&candidate));
            self.learn(&packed);
            return SampleOutcome::Agrees;
        }
        if let Some(corroborated) = self.search() {
            return SampleOutcome::Stepped { corroborated };
        }
        if self.fit.is_outlier(packed.label) {
            return SampleOutcome::Contradicts;
        }
        self.learn(&packed);
        SampleOutcome::Agrees
    }

    /// Starts epoch `version` at `since`. Drops all samples and keeps only the learned delays and the granularity.
    pub fn start_epoch(&mut self, version: u32, since: Moment) {
        self.samples.clear();
        self.step_hypotheses.clear();
        self.fit = Fit::empty(self.limits.drift());
        self.line = None;
        (self.version, self.since) = (version, Some(since));
    }

    fn is_useful(&self, sample: &Sample) -> bool {
        let newest = self.newest();
        let horizon = newest.map(|t| t.max(sample.not_after).plus_nanos(-nanos(self.limits.sparse_window)));
        let too_old = horizon.is_some_and(|h| sample.not_after < h) || self.since.is_some_and(|s| sample.not_after < s);
        let known = |k: &PackedSample| k.is_of_the_event_of(sample) && k.says_as_much_as(sample);
        sample.is_causal() && !too_old && !self.samples.iter().any(known)
    }

    /// Removes an older sample of the same event, because the new one has a tighter bracket and two samples of one
    /// event would confirm each other. Returns how much of the fit depended on the removed sample.
    fn supersede(&mut self, sample: &Sample) -> Forgotten {
        let Some(place) = self.samples.iter().position(|k| k.is_of_the_event_of(sample)) else {
            return Forgotten::Nothing;
        };
        let old = self.samples.remove(place);
        old.map_or(Forgotten::Nothing, |old| self.fit.forget(old.label))
    }

    /// Drops samples that are too old or too many before a sample that was received at `incoming` is added. Returns
    /// how much of the fit depended on them.
    fn forget(&mut self, incoming: Moment) -> Forgotten {
        let Some(newest) = self.samples.back().map(|k| k.not_after.max(incoming)) else {
            return Forgotten::Nothing;
        };
        let (window, sparse) = (nanos(self.limits.window), nanos(self.limits.sparse_window));
        let mut forgotten = Forgotten::Nothing;
        while let Some(oldest) = self.samples.front() {
            let enough = self.samples.len() >= self.limits.enough_samples;
            let old = newest.nanos_since(oldest.not_after) > if enough { window } else { sparse };
            if !old && self.samples.len() < self.limits.max_samples {
                break;
            }
            forgotten = forgotten.max(self.fit.forget(oldest.label));
            self.samples.pop_front();
        }
        forgotten
    }

    /// Recomputes the leave-one-out polygons that depended on dropped samples. The newest sample is not part of the
    /// fit yet.
    fn rebuild_stale(&mut self, newest: Label) {
        let mut window = self.scored(0);
        window.retain(|c| c.label != newest);
        if !self.screens_samples {
            window.iter_mut().for_each(|c| c.cuts = true);
        }
        self.fit.rebuild_stale(&window, self.limits.drift());
    }

    /// Fits the window again with the same outliers. Returns whether all other samples agree.
    fn refit(&mut self) -> bool {
        let Some(newest) = self.samples.back() else {
            return true;
        };
        let moved = newest.not_after.hours_since(self.zero);
        self.zero = newest.not_after;
        self.line.iter_mut().for_each(|line| line.move_zero(moved));
        self.step_hypotheses.iter_mut().for_each(|c| c.polygon.move_zero(moved));
        let window = if self.screens_samples {
            self.scored(0)
        } else {
            self.samples.iter().map(|k| self.candidate(k, None)).collect()
        };
        let excluded: Vec<Label> = self.fit.outliers().iter().map(|o| o.label).collect();
        let (fit, all_agree) = Fit::without(&window, &excluded, self.limits.drift());
        self.fit = fit;
        all_agree
    }

    /// Fits the window again, searches for the explanation with the fewest outliers, and tests the step hypotheses. If
    /// one of them is accepted, starts a new epoch and returns the time of the last sample that supports the old one.
    fn search(&mut self) -> Option<Moment> {
        let newest = self.samples.back()?;
        self.zero = newest.not_after;
        self.fit_line();
        self.screens_samples = true;
        self.step_hypotheses.clear();
        let window = self.scored(0);
        self.fit = Fit::of(&window, self.limits.drift());
        self.screens_samples = self.version > 1 || !self.fit.outliers().is_empty();
        self.step_hypotheses = StepHypothesis::all(&window, &self.fit, self.limits.drift(), |from| self.scored(from));
        let decided = StepHypothesis::decided(&self.step_hypotheses)?.clone();
        let from = window.iter().position(|c| c.label == decided.first)?;
        let speaks_for_old =
            |c: &&Candidate| c.strip.cut_into(&mut decided.polygon.clone(), c.label) == Cut::Contradiction;
        let last = window[..from]
            .iter()
            .rev()
            .find(speaks_for_old)
            .unwrap_or(&window[0])
            .label;
        let corroborated = self.samples.iter().find(|k| k.label == last)?.sample().not_after;
        self.since = Some(self.samples[from].sample().not_after);
        self.samples.drain(..from);
        self.version += 1;
        self.search();
        Some(corroborated)
    }

    /// The samples from index `from` on, with each one's deviation from a line through these samples only.
    fn scored(&self, from: usize) -> Vec<Candidate> {
        let part = || self.samples.range(from..);
        let enough = self.samples.len() - from >= MIN_FOR_DEVIATION;
        let line = if from == 0 {
            self.line
        } else {
            enough.then(|| self.line_through(part())).flatten()
        };
        let line = line.filter(|_| enough);
        let mut part: Vec<Candidate> = part().map(|k| self.candidate(k, line.as_ref())).collect();
        // If many samples deviate, the line is wrong, so let all of them cut.
        if share_deviating(part.iter().map(|c| c.deviation)) > MANY_DEVIATING {
            part.iter_mut().for_each(|c| c.cuts = true);
        }
        part
    }

    fn candidate(&self, packed: &PackedSample, line: Option<&Line>) -> Candidate {
        let deviation = line.map_or(0.0, |l| l.deviation(&self.point(packed)));
        Candidate {
            label: packed.label,
            strip: self.strip(packed),
            deviation,
            cuts: deviation <= MAX_DEVIATION,
        }
    }

    fn strip(&self, packed: &PackedSample) -> Strip {
        let slack = |at: f64| self.limits.model_error_ms + f64::from(packed.slack_ms) + self.limits.stray(at);
        let sample = packed.sample();
        sample.strip(self.zero, self.quantum(&sample), f64::from(packed.shift_ms), slack)
    }

    fn hours(&self, t: Moment) -> f64 {
        t.hours_since(self.zero)
    }

    fn quantum(&self, sample: &Sample) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
        match sample.cause {
            // RFC 9110 gives an HTTP `Date` whole seconds.
            Cause::Exchange => 1000.0,
            _ => self.granularity.quantum_ms(sample.stamp) as f64,
        }
    }

    /// Mean and variance of the offset according to one sample and the learned delays.
    fn likely(&self, sample: &Sample, shift_ms: f64) -> (f64, f64) {
        let quantum = self.quantum(sample);
        let (mean, variance) = likely_offset(sample, quantum, &self.command, &self.notice);
        // However tight its bracket, a sample is no more certain than the learned delays.
        let bias = if sample.cause == Cause::Exchange {
            0.0
        } else {
            self.bias()
        };
        (mean + shift_ms, variance + bias * bias)
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
        if !self.fit.polygon().is_bounded() {
            return;
        }
        let stamp = sample.stamp.ms_since(sample.not_after);
        let quantum = self.quantum(sample);
        let sent = sample.not_before.map(|t| t.ms_since(sample.not_after));
        // Use the polygon's middle and not the point estimate; otherwise the learned delays would confirm themselves.
        let at = packed.at(self.zero);
        let (o, d) = self.fit.middle();
        let (plain_low, plain_high) = self.fit.polygon().range(at);
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

    fn point(&self, packed: &PackedSample) -> Point {
        let (mean, variance) = packed.likely;
        Point {
            t: packed.at(self.zero),
            mean,
            variance,
        }
    }

    fn line_through<'k>(&self, packed: impl Iterator<Item = &'k PackedSample> + Clone) -> Option<Line> {
        Line::through(packed.map(|k| self.point(k)), self.limits.drift() / 2.0)
    }

    fn fit_line(&mut self) {
        self.line = self.line_through(self.samples.iter());
        self.since_line_fit = 0;
        let line = self.line.as_ref();
        let deviation = self
            .samples
            .iter()
            .map(|k| line.map_or(0.0, |l| l.deviation(&self.point(k))));
        self.line_is_trusted = self.samples.len() >= MIN_FOR_DEVIATION && share_deviating(deviation) <= MANY_DEVIATING;
    }
}

/// A duration of [`Limits`] in nanoseconds; saturates.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
