//! Did the clock move? A test of every new sample against the ranks of the older ones.
//!
//! A step that is smaller than the delays contradicts nothing for a long time. Old and new samples then still have a
//! sliver of the polygon in common, on the wrong side, so that the interval becomes *narrower* and wrong. But the new
//! samples are conspicuous: after a step forward their lower bounds lie nearer to the old clock than those of nearly all
//! older samples, after a step back their upper bounds do.
//!
//! So each bound's distance from a reference line is ranked among those of the older samples. If the clock did not move,
//! the samples are exchangeable: the rank is uniform and `−ln(rank / n)` is exponential with mean 1, *whatever the delays
//! and however many samples are wrong*. A cumulative sum (CUSUM, Page 1954) of these surprises, less an allowance, is
//! kept for either direction. When it was last zero is the most likely time of the step, and the samples since then
//! leave a polygon of their own.
//!
//! - From [`SUSPECT`] on the interval is extended to that polygon in the direction of the step.
//! - From [`DECIDE`] on the older samples are no longer used: see `ClockSeries::decide`.
//!
//! With the allowance 1.5 the sum exceeds `h` by chance once in about `e^(0.58 h)` samples, because
//! `E[e^(0.58 (x − 1.5))] = 1` for an exponential `x`. Delays that change together (a burst, a faster network) are not
//! exchangeable. They cause a suspicion, which widens the interval, but not a new epoch, because that needs samples that
//! contradict the older ones.

use std::collections::VecDeque;

use super::packed_sample::PackedSample;
use super::polygon::{Cut, Label, Polygon};

/// Subtracted from each surprise.
const ALLOWANCE: f64 = 1.5;
/// From this sum on the clock is suspected of a step.
pub(crate) const SUSPECT: f64 = 5.0;
/// The same if a sample contradicts the older ones.
const SUSPECT_CONTRADICTION: f64 = 2.0;
/// From this sum on the older samples are no longer used.
pub(crate) const DECIDE: f64 = 16.0;
/// The sum stops here, so that it can also fall again.
const MOST: f64 = 24.0;
/// Ranks among fewer samples than this say too little; then only contradictions count.
pub(crate) const ENOUGH: usize = 16;
/// A time of the step is nearly as likely as the most likely one if it adds this much less.
const NEARLY: f64 = 3.0;
/// At most so many samples count as after the step.
const LONGEST: usize = 256;
/// The reference line is not kept longer than this many samples.
const LONGEST_FREEZE: u32 = 256;
/// Distances that differ by at most this, in ms, are equal: less than stamps and brackets can show.
pub(crate) const EQUAL: f64 = 0.05;
/// Before any outlier was seen, one sample in twice this many is assumed to be one.
const PRIOR: f64 = 50.0;

/// A sample that may be after the step.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Suspect {
    label: Label,
    /// The sum of what those before it add.
    before: f64,
    contradicts: bool,
}

/// A direction in which the clock may have moved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suspicion {
    /// The cumulative sum; 0 without a suspicion.
    sum: f64,
    /// The samples since it was last zero.
    samples: Vec<Suspect>,
    /// What all of them add, without the limit [`MOST`].
    total: f64,
    contradicting: u32,
    /// What the samples since the step allow: see [`Suspicion::first`].
    pub polygon: Polygon,
    /// The first sample in it.
    cut_from: Option<Label>,
}

impl Suspicion {
    fn none(max_drift: f64) -> Self {
        Self {
            sum: 0.0,
            samples: Vec::new(),
            total: 0.0,
            contradicting: 0,
            polygon: Polygon::unbounded(max_drift),
            cut_from: None,
        }
    }

    /// Whether the interval must allow for the step.
    pub(crate) fn is_active(&self) -> bool {
        self.sum >= SUSPECT || (self.contradicting > 0 && self.sum >= SUSPECT_CONTRADICTION)
    }

    /// Whether the evidence is strong enough to give up the older samples.
    pub(crate) fn is_strong(&self) -> bool {
        self.sum >= DECIDE
    }

    /// The first sample after the step. The most likely one is where the sum was least. Some before the step may be among
    /// those after it then, and would bound the stepped clock wrongly. So it is the latest sample that is nearly as likely.
    pub(crate) fn first(&self) -> Option<Label> {
        let least = self.samples.iter().map(|s| s.before).fold(f64::INFINITY, f64::min);
        let likely = self.samples.iter().rev().find(|s| s.before <= least + NEARLY);
        likely.map(|s| s.label)
    }

    /// Samples that contradict the older ones, newest first. A suspicion that began by chance hides when a step comes
    /// during it, but the first sample after the step often contradicts those before it.
    pub(crate) fn contradicting(&self) -> impl Iterator<Item = Label> {
        self.samples.iter().rev().filter(|s| s.contradicts).map(|s| s.label)
    }

    /// How many samples there are from the first one on.
    pub(crate) fn count(&self) -> usize {
        let first = self.first();
        let place = self.samples.iter().position(|s| Some(s.label) == first);
        place.map_or(0, |place| self.samples.len() - place)
    }

    /// The oldest sample that may be after the step.
    fn oldest(&self) -> Option<Label> {
        self.samples.first().map(|s| s.label)
    }

    fn add(&mut self, surprise: f64, label: Label, contradicts: bool) {
        let sum = (self.sum + surprise - ALLOWANCE).min(MOST);
        if sum <= 0.0 {
            (self.sum, self.total, self.contradicting) = (0.0, 0.0, 0);
            self.samples.clear();
            return;
        }
        if self.samples.len() >= LONGEST {
            self.samples.remove(0);
        }
        self.samples.push(Suspect {
            label,
            before: self.total,
            contradicts,
        });
        self.sum = sum;
        self.total += surprise - ALLOWANCE;
        self.contradicting += u32::from(contradicts);
    }

    /// Computes the polygon of the samples since the step, or adds the newest one to it. A contradiction is decided again
    /// in favour of the newest samples.
    fn cut(&mut self, window: &VecDeque<PackedSample>, newest: &PackedSample, max_drift: f64) {
        let first = self.first().filter(|_| self.is_active());
        let is_same = first.is_some() && first == self.cut_from;
        if is_same && newest.bounds.cut_into(&mut self.polygon, newest.label) != Cut::Contradiction {
            return;
        }
        if first.is_some() || self.cut_from.is_some() {
            self.polygon = Polygon::unbounded(max_drift);
        }
        self.cut_from = first;
        let Some(first) = first else { return };
        for k in window.iter().rev().take(LONGEST).filter(|k| !is_before(k.label, first)) {
            k.bounds.cut_into(&mut self.polygon, k.label);
        }
    }

    /// Lets the polygon be computed again, because the bounds of the samples changed.
    fn forget_polygon(&mut self, max_drift: f64) {
        (self.cut_from, self.polygon) = (None, Polygon::unbounded(max_drift));
    }
}

/// The test in both directions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShiftTest {
    /// The clock moved forward.
    pub forward: Suspicion,
    /// The clock moved back.
    pub back: Suspicion,
    /// Offset and drift of the line from which distances are measured. It is kept while there is a suspicion, because the
    /// polygon's middle follows the new samples.
    reference: (f64, f64),
    kept: u32,
    max_drift: f64,
}

/// What the fit says about a new sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    /// The middle of the fit's polygon: offset and drift.
    pub middle: (f64, f64),
    /// The side of the sample that contradicts the agreeing ones: whether it is the upper one.
    pub contradicts: Option<bool>,
    /// The number of outliers in the window.
    pub outliers: usize,
}

impl ShiftTest {
    pub(crate) fn new(max_drift: f64) -> Self {
        Self {
            forward: Suspicion::none(max_drift),
            back: Suspicion::none(max_drift),
            reference: (0.0, 0.0),
            kept: 0,
            max_drift,
        }
    }

    /// The directions in which a step is suspected.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Suspicion> {
        [&self.forward, &self.back].into_iter().filter(|s| s.is_active())
    }

    /// Tests a new sample, which `window` contains too.
    pub(crate) fn add(&mut self, window: &VecDeque<PackedSample>, newest: &PackedSample, verdict: Verdict) {
        self.kept += 1;
        if (self.forward.sum <= 0.0 && self.back.sum <= 0.0) || self.kept > LONGEST_FREEZE {
            self.reference = verdict.middle;
            self.kept = 0;
        }
        let first = |side: &Suspicion| side.oldest().unwrap_or(newest.label);
        let first = [first(&self.forward), first(&self.back)];
        let [forward, back] = ranks(window, self.reference, newest, first);
        for (side, rank, is_upper) in [(&mut self.forward, forward, false), (&mut self.back, back, true)] {
            let contradicts = verdict.contradicts == Some(is_upper);
            let (fewer, all) = rank;
            let surprise = surprise(fewer, all, contradicts, verdict.outliers);
            side.add(surprise, newest.label, contradicts);
            side.cut(window, newest, self.max_drift);
        }
    }

    /// To be called when the bounds of the samples changed.
    pub(crate) fn bounds_changed(&mut self) {
        self.forward.forget_polygon(self.max_drift);
        self.back.forget_polygon(self.max_drift);
    }

    /// Moves the zero of the hours by `by` hours.
    pub(crate) fn move_zero(&mut self, by: f64) {
        self.reference.0 += self.reference.1 * by;
        self.forward.polygon.move_zero(by);
        self.back.polygon.move_zero(by);
    }
}

/// Whether a sample was added before another; labels may have wrapped around.
pub(crate) fn is_before(label: Label, other: Label) -> bool {
    #[allow(clippy::cast_possible_wrap, reason = "the sign shows the order")]
    let apart = label.wrapping_sub(other) as i32;
    apart < 0
}

/// How many of the distances from the reference line are smaller than those of the newest sample, and how many there are,
/// for its lower and for its upper bound. An equal one counts half, because a clock without noise has equal distances, which
/// say nothing. Commands, polls and exchanges have other delays, so only samples of the same cause count, if there are enough
/// of them.
///
/// Only samples before `first` count. The loop has no branches, because it goes through the whole window for each sample.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most a window"
)]
fn ranks(
    window: &VecDeque<PackedSample>,
    reference: (f64, f64),
    newest: &PackedSample,
    first: [Label; 2],
) -> [(f64, usize); 2] {
    /// One sum counts both the distances, times this, and twice the smaller ones.
    const ONE: f64 = 1_048_576.0;
    let line = above(reference, newest);
    let (mut of_all, mut of_cause) = ([0.0; 2], [0.0; 2]);
    let (older, newer) = window.as_slices();
    for part in [older, newer] {
        for k in part {
            let here = above(reference, k);
            let same_cause = if k.cause == newest.cause { 1.0 } else { 0.0 };
            // A lower bound is nearer to the line the higher it is, an upper bound the lower it is.
            let nearer = [here[0] - line[0], line[1] - here[1]];
            for side in 0..2 {
                let smaller = if nearer[side] > EQUAL { 1.0 } else { 0.0 };
                let not_larger = if nearer[side] >= -EQUAL { 1.0 } else { 0.0 };
                let one = if is_before(k.label, first[side]) { 1.0 } else { 0.0 };
                let counted = (ONE + smaller + not_larger) * one;
                of_all[side] += counted;
                of_cause[side] += counted * same_cause;
            }
        }
    }
    let parts = |sum: f64| (sum % ONE / 2.0, (sum / ONE) as usize);
    [0, 1].map(|side| {
        let of_cause = parts(of_cause[side]);
        if of_cause.1 >= ENOUGH {
            of_cause
        } else {
            parts(of_all[side])
        }
    })
}

/// How far the lower and the upper bound of a sample lie above a line, in ms.
#[inline]
fn above((o, d): (f64, f64), k: &PackedSample) -> [f64; 2] {
    let b = &k.bounds;
    [b.lower - (o + d * b.lower_t), b.upper - (o + d * b.upper_t)]
}

#[allow(clippy::cast_precision_loss, reason = "at most a window")]
fn surprise(fewer: f64, all: usize, contradicts: bool, outliers: usize) -> f64 {
    let by_rank = if all >= ENOUGH {
        ((all as f64 + 1.0) / (fewer + 0.5)).ln()
    } else {
        0.0
    };
    if !contradicts {
        return by_rank;
    }
    // The new sample itself is among the outliers.
    let known = outliers.saturating_sub(1) as f64;
    by_rank.max(((all as f64 + PRIOR) / (known + 0.5)).ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed_sample::{Bounds, NONE};
    use crate::sample::Cause;

    #[test]
    fn surprise_has_mean_one_without_a_step() {
        let all = 500_u16;
        let sum: f64 = (0..=all)
            .map(|fewer| surprise(f64::from(fewer), usize::from(all), false, 0))
            .sum();
        let mean = sum / f64::from(all + 1);
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn equal_distances_are_no_surprise() {
        let sample = |error: f64, label| PackedSample {
            bounds: Bounds {
                lower: -50.0 - error,
                upper: 50.0 + error,
                ..Bounds::default()
            },
            ..packed(label)
        };
        let window = (0..100).map(|i| sample(f64::from(i) * 1e-6, i)).collect();
        for (fewer, all) in ranks(&window, (0.0, 0.0), &sample(0.0, 100), [100; 2]) {
            assert!((fewer, all) == (50.0, 100) && surprise(fewer, all, false, 0) < ALLOWANCE);
        }
    }

    /// A command without bounds.
    fn packed(label: Label) -> PackedSample {
        PackedSample {
            not_before: NONE,
            asked: NONE,
            not_after: NONE,
            stamp: NONE,
            bounds: Bounds::default(),
            likely_ms: 0.0,
            variance: 0.0,
            label,
            shift_ms: 0.0,
            slack_ms: 0.0,
            cause: Cause::Command,
        }
    }

    #[test]
    fn labels_may_wrap_around() {
        assert!(is_before(1, 2) && !is_before(2, 2) && is_before(u32::MAX, 3));
    }
}
