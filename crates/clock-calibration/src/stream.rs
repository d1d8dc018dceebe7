//! One vendor clock as seen through one field of one source: its window of samples, its epochs, its interval.
//!
//! The agreeing samples are the champion; see [`super::fit`]. Those that contradict it may be the first after a step of
//! the clock; see [`super::challenger`]. A step begins a new epoch, with a new version: the window begins anew. Here a
//! stream takes samples; what it answers is in its own file.

mod answers;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::challenger::Challenger;
use super::fit::{Candidate, Fit, Forgotten, ODD, Strip, share_of_odd};
use super::granularity::Granularity;
use super::kept::Kept;
use super::latency::Latency;
use super::likeliest::likely_offset;
use super::limits::{Limits, Taken};
use super::line::{Line, Point};
use super::polygon::{Cut, Label};
use super::posterior::{Known, weigh};
use super::sample::{Cause, Sample, ms_between};

/// With fewer samples none is called odd.
const ENOUGH_FOR_ODD: usize = 12;
/// With a greater share of odd samples the line is wrong, not the samples.
const MANY_ODD: f64 = 0.1;
/// Where more than one sample in so many lies, one lie among the agreeing ones is not enough to reckon with.
const MANY_LIES: usize = 150;
/// … and here not even as many as hold the polygon.
const VERY_MANY_LIES: usize = 70;
/// The centre line is drawn anew after so many samples.
const REDRAW: u32 = 64;
/// The learnt delays' own error, as a share of the typical delay: what keeps a long window's line from looking too sure.
const BIAS: f64 = 0.12;

/// One stream.
#[derive(Debug, Clone)]
pub struct ClockSeries {
    limits: Limits,
    samples: VecDeque<Kept>,
    next: Label,
    /// The zero of the hours of `fit`, `line` and `challengers`: microseconds since the epoch.
    zero: i64,
    fit: Fit,
    challengers: Vec<Challenger>,
    line: Option<Line>,
    /// Whether some of the window contradict each other, or the clock was stepped: only then may the line call a sample
    /// odd. So without lies the polygon depends on the samples alone, in whatever order they came.
    lies: bool,
    /// Whether the line is good enough for that.
    trusted: bool,
    since_drawn: u32,
    granularity: Granularity,
    command: Latency,
    notice: Latency,
    version: u32,
    since: Option<Timestamp>,
}

impl ClockSeries {
    /// A stream that knows nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            fit: Fit::empty(limits.drift()),
            granularity: Granularity::new(limits.quantum_ms),
            // One more than the most, so that it never grows.
            samples: VecDeque::with_capacity(limits.max_samples.min(4096) + 1),
            next: 0,
            zero: 0,
            challengers: Vec::new(),
            line: None,
            lies: false,
            trusted: false,
            since_drawn: 0,
            command: Latency::guess(300.0),
            notice: Latency::guess(500.0),
            version: 1,
            since: None,
            limits,
        }
    }

    /// Takes a sample.
    pub fn take(&mut self, sample: Sample) -> Taken {
        self.take_coupled(sample, 0.0, 0.0)
    }

    /// Takes a sample of another clock of the same vendor that, `shift_ms` added, is at most `slack_ms` off this one.
    #[allow(clippy::cast_possible_truncation, reason = "small numbers of milliseconds")]
    pub fn take_coupled(&mut self, sample: Sample, shift_ms: f64, slack_ms: f64) -> Taken {
        if !self.is_useful(&sample) {
            return Taken::Useless;
        }
        let relearnt = sample.cause != Cause::Exchange && self.granularity.learn(sample.stamp);
        let kept = Kept {
            not_before: sample.not_before.map_or(i64::MIN, |t| t.as_microsecond()),
            not_after: sample.not_after.as_microsecond(),
            stamp: sample.stamp.as_microsecond(),
            likely: self.likely(&sample, shift_ms),
            label: self.next,
            shift_ms: shift_ms as f32,
            slack_ms: slack_ms as f32,
            cause: sample.cause,
        };
        self.next = self.next.wrapping_add(1);
        let forgotten = self.forget(kept.not_after).max(self.supersede(&sample));
        let place = self
            .samples
            .iter()
            .rposition(|k| k.not_after <= kept.not_after)
            .map_or(0, |i| i + 1);
        let in_order = place == self.samples.len();
        self.samples.insert(place, kept);
        let whole = forgotten == Forgotten::Whole || relearnt || !in_order || place == 0;
        if forgotten == Forgotten::Part && !whole {
            self.mend(kept.label);
        }
        self.since_drawn += 1;
        if self.since_drawn >= REDRAW || self.samples.len() <= ENOUGH_FOR_ODD {
            self.draw();
        }
        let candidate = self.candidate(&kept, self.line.as_ref().filter(|_| self.lies && self.trusted));
        let agrees = if whole { self.refit() } else { self.fit.add(&candidate) };
        if agrees {
            self.challengers.retain_mut(|c| c.take(&candidate));
            self.learn(&kept);
            return Taken::Agrees;
        }
        if let Some(corroborated) = self.search() {
            return Taken::Stepped { corroborated };
        }
        if self.fit.is_outlier(kept.label) {
            return Taken::Contradicts;
        }
        self.learn(&kept);
        Taken::Agrees
    }

    /// Begins epoch `version` at `since`, knowing nothing of the clock any more but how its delays are.
    pub fn resume(&mut self, version: u32, since: Timestamp) {
        self.samples.clear();
        self.challengers.clear();
        self.fit = Fit::empty(self.limits.drift());
        self.line = None;
        (self.version, self.since) = (version, Some(since));
    }

    fn is_useful(&self, sample: &Sample) -> bool {
        let newest = self.newest();
        let horizon = newest.map(|t| t.max(sample.not_after) - self.limits.sparse_window);
        let too_old = horizon.is_some_and(|h| sample.not_after < h) || self.since.is_some_and(|s| sample.not_after < s);
        let known = |k: &Kept| k.is_of_the_event_of(sample) && k.says_as_much_as(sample);
        sample.is_causal() && !too_old && !self.samples.iter().any(known)
    }

    /// A sample of an event that is known already, with a tighter bracket, takes the place of the looser one: as two they
    /// would bear witness for each other. What the fit rested on of it.
    fn supersede(&mut self, sample: &Sample) -> Forgotten {
        let Some(place) = self.samples.iter().position(|k| k.is_of_the_event_of(sample)) else {
            return Forgotten::Nothing;
        };
        let old = self.samples.remove(place);
        old.map_or(Forgotten::Nothing, |old| self.fit.forget(old.label))
    }

    /// Makes room for a sample learnt at `incoming`: drops what is too old or too much. What the fit rested on of it.
    fn forget(&mut self, incoming: i64) -> Forgotten {
        let Some(newest) = self.samples.back().map(|k| k.not_after.max(incoming)) else {
            return Forgotten::Nothing;
        };
        let age = |d: SignedDuration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        let (window, sparse) = (age(self.limits.window), age(self.limits.sparse_window));
        let mut forgotten = Forgotten::Nothing;
        while let Some(oldest) = self.samples.front() {
            let enough = self.samples.len() >= self.limits.enough_samples;
            let old = newest - oldest.not_after > if enough { window } else { sparse };
            if !old && self.samples.len() < self.limits.max_samples {
                break;
            }
            forgotten = forgotten.max(self.fit.forget(oldest.label));
            self.samples.pop_front();
        }
        forgotten
    }

    /// Makes good what the forgotten samples had held. The newest sample is not part of it yet.
    fn mend(&mut self, newest: Label) {
        let mut window = self.scored(0);
        window.retain(|c| c.label != newest);
        if !self.lies {
            window.iter_mut().for_each(|c| c.cuts = true);
        }
        self.fit.mend(&window, self.limits.drift());
    }

    /// Fits the window anew, its outliers as they are. Whether everything else agrees.
    fn refit(&mut self) -> bool {
        let Some(newest) = self.samples.back() else {
            return true;
        };
        #[allow(clippy::cast_precision_loss, reason = "a window in microseconds")]
        let moved = (newest.not_after - self.zero) as f64 / 3.6e9;
        self.zero = newest.not_after;
        self.line.iter_mut().for_each(|line| line.move_zero(moved));
        self.challengers.iter_mut().for_each(|c| c.polygon.move_zero(moved));
        let window = if self.lies {
            self.scored(0)
        } else {
            self.samples.iter().map(|k| self.candidate(k, None)).collect()
        };
        let excluded: Vec<Label> = self.fit.outliers().iter().map(|o| o.label).collect();
        let (fit, all_agree) = Fit::without(&window, &excluded, self.limits.drift());
        self.fit = fit;
        all_agree
    }

    /// Fits the window anew, looks for the best explanation of what contradicts, and weighs the hypotheses of a step.
    /// `Some` if one was decided.
    fn search(&mut self) -> Option<Timestamp> {
        let newest = self.samples.back()?;
        self.zero = newest.not_after;
        self.draw();
        self.lies = true;
        self.challengers.clear();
        let window = self.scored(0);
        self.fit = Fit::of(&window, self.limits.drift());
        self.lies = self.version > 1 || !self.fit.outliers().is_empty();
        self.challengers = Challenger::all(&window, &self.fit, self.limits.drift(), |from| self.scored(from));
        let decided = Challenger::decided(&self.challengers)?.clone();
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

    /// The end of the window from a place on, each sample's oddness by that part alone.
    fn scored(&self, from: usize) -> Vec<Candidate> {
        let part = || self.samples.range(from..);
        let enough = self.samples.len() - from >= ENOUGH_FOR_ODD;
        let drawn = if from == 0 {
            self.line
        } else {
            enough.then(|| self.line_through(part())).flatten()
        };
        let line = drawn.filter(|_| enough);
        let mut part: Vec<Candidate> = part().map(|k| self.candidate(k, line.as_ref())).collect();
        // Where many are odd, it is the line that is wrong.
        if share_of_odd(part.iter().map(|c| c.oddness)) > MANY_ODD {
            part.iter_mut().for_each(|c| c.cuts = true);
        }
        part
    }

    fn candidate(&self, kept: &Kept, line: Option<&Line>) -> Candidate {
        let oddness = line.map_or(0.0, |l| l.oddness(&self.point(kept)));
        Candidate {
            label: kept.label,
            strip: self.strip(kept),
            oddness,
            cuts: oddness <= ODD,
        }
    }

    fn strip(&self, kept: &Kept) -> Strip {
        let slack = |at: f64| self.limits.model_error_ms + f64::from(kept.slack_ms) + self.limits.stray(at);
        let sample = kept.sample();
        let zero = Timestamp::from_microsecond(self.zero).unwrap_or(Timestamp::UNIX_EPOCH);
        sample.strip(zero, self.quantum(&sample), f64::from(kept.shift_ms), slack)
    }

    fn hours(&self, t: Timestamp) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a window in microseconds")]
        let hours = (t.as_microsecond() - self.zero) as f64 / 3.6e9;
        hours
    }

    fn quantum(&self, sample: &Sample) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
        match sample.cause {
            // An HTTP date has whole seconds by its grammar.
            Cause::Exchange => 1000.0,
            _ => self.granularity.quantum_ms(sample.stamp) as f64,
        }
    }

    /// The mean and variance of the offset by one sample and the learnt delays.
    fn likely(&self, sample: &Sample, shift_ms: f64) -> (f64, f64) {
        let quantum = self.quantum(sample);
        let (mean, variance) = likely_offset(sample, quantum, &self.command, &self.notice);
        // However tight its bracket, a sample is no surer than the learnt delays are.
        let bias = if sample.cause == Cause::Exchange {
            0.0
        } else {
            self.bias()
        };
        (mean + shift_ms, variance + bias * bias)
    }

    /// How far the learnt delays may be off, ms.
    fn bias(&self) -> f64 {
        BIAS * f64::midpoint(self.command.median_ms(), self.notice.median_ms())
    }

    /// Learns the delays of an agreeing sample, where its stamp says it was in its bracket.
    fn learn(&mut self, kept: &Kept) {
        let sample = &kept.sample();
        if sample.cause == Cause::Exchange {
            return;
        }
        if !self.fit.polygon().is_bounded() {
            return;
        }
        let stamp = ms_between(sample.not_after, sample.stamp);
        let quantum = self.quantum(sample);
        let sent = sample.not_before.map(|t| -ms_between(t, sample.not_after));
        // The polygon's middle and not the best guess: else what is learnt would feed on itself.
        let at = kept.at(self.zero);
        let (o, d) = self.fit.middle();
        let (plain_low, plain_high) = self.fit.polygon().range(at);
        let (middle, sigma) = (d.mul_add(at, o), (plain_high - plain_low) / 24.0_f64.sqrt());
        let spread = (middle - sigma, middle + sigma);
        let low = sent.map_or(stamp - spread.1, |t| t.max(stamp - spread.1));
        let high = (stamp + quantum - spread.0).min(0.0);
        if low >= high {
            return;
        }
        let weighed = weigh(&Known {
            within: (low, high),
            command: sent
                .filter(|_| sample.cause == Cause::Command)
                .map(|t| (t, &self.command)),
            notice: Some((0.0, &self.notice)),
            stamp: Some((stamp, quantum, spread)),
        });
        if let Some((log, square)) = weighed.command_log {
            self.command.learn(log, square);
        }
        if let Some((log, square)) = weighed.notice_log {
            self.notice.learn(log, square);
        }
    }

    fn point(&self, kept: &Kept) -> Point {
        let (mean, variance) = kept.likely;
        Point {
            t: kept.at(self.zero),
            mean,
            variance,
        }
    }

    fn line_through<'k>(&self, kept: impl Iterator<Item = &'k Kept> + Clone) -> Option<Line> {
        Line::through(kept.map(|k| self.point(k)), self.limits.drift() / 2.0)
    }

    fn draw(&mut self) {
        self.line = self.line_through(self.samples.iter());
        self.since_drawn = 0;
        let line = self.line.as_ref();
        let oddness = self
            .samples
            .iter()
            .map(|k| line.map_or(0.0, |l| l.oddness(&self.point(k))));
        self.trusted = self.samples.len() >= ENOUGH_FOR_ODD && share_of_odd(oddness) <= MANY_ODD;
    }
}
