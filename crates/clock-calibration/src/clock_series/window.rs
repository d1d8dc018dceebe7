//! Keeps the fit of a clock series up to date with its window of samples.

use super::{
    ClockSeries, Fit, Line, PackedSample, Point, ShiftTest, ZERO_AGE, most_wrong, nanos, outside_largest_agreement,
};
use crate::fit::Window;
use crate::mixture;
use crate::moment::Moment;
use crate::packed_sample::Bounds;
use crate::polygon::{Label, Polygon};
use crate::sample::{Cause, Sample};
use crate::shift_test::is_before;

/// If the drift of all agreeing samples lies beyond this share of its bound, the bound is exceeded.
const AT_THE_BOUND: f64 = 0.9;

impl ClockSeries {
    /// The places of the samples that were received at `t`. The window is in the order of receipt.
    pub(super) fn heard_at(&self, t: Moment) -> std::ops::Range<usize> {
        let first = self.samples.partition_point(|k| k.not_after < t);
        let with = self.samples.range(first..).take_while(|k| k.not_after == t);
        first..first + with.count()
    }

    /// Removes an older sample of the same event, because the new one has a tighter bracket and two samples of one
    /// event would confirm each other. Returns whether the fit depended on the removed sample.
    pub(super) fn supersede(&mut self, sample: &Sample) -> bool {
        let heard_then = self.heard_at(sample.not_after);
        let mut places = heard_then.filter(|place| self.samples[*place].is_of_the_event_of(sample));
        let Some(place) = places.next() else {
            return false;
        };
        let old = self.samples.remove(place);
        old.is_some_and(|old| self.forget_sample(old.label))
    }

    /// Drops samples that are too old or too many before a sample that was received at `incoming` is added. Returns
    /// whether the fit depended on them.
    pub(super) fn forget(&mut self, incoming: Moment) -> bool {
        let Some(newest) = self.samples.back().map(|k| k.not_after.max(incoming)) else {
            return false;
        };
        let (window, sparse) = (nanos(self.limits.window), nanos(self.limits.sparse_window));
        let mut depended = false;
        while let Some(oldest) = self.samples.front() {
            let enough = self.samples.len() >= self.limits.enough_samples;
            let old = newest.nanos_since(oldest.not_after) > if enough { window } else { sparse };
            if !old && self.samples.len() < self.limits.max_samples {
                break;
            }
            depended |= self.forget_sample(oldest.label);
            self.samples.pop_front();
        }
        depended
    }

    /// Drops a sample. Returns whether the fit depended on it.
    fn forget_sample(&mut self, label: Label) -> bool {
        self.own.forget(label);
        self.still_cautious.forget(label);
        self.fit.forget(label)
    }

    /// Makes the cautious polygons ready for a change.
    pub(super) fn take_cautious(&mut self) {
        if let Some(cautious) = self.cautious.take() {
            self.still_cautious = cautious;
        }
    }

    /// Lets the cautious polygons be computed again, because the fit changed.
    pub(super) fn give_up_cautious(&mut self) {
        self.take_cautious();
        self.still_cautious.clear();
    }

    /// Fits the window again with the same outliers. Returns the fit before, and whether all other samples agree.
    pub(super) fn refit(&mut self) -> (Fit, bool) {
        let excluded: Vec<Label> = self.fit.outliers().iter().map(|o| o.label).collect();
        let likely = self.fit.polygon().support();
        let (fit, all_agree) = Fit::without(&self.samples.iter(), excluded, &likely, self.max_drift);
        let before = std::mem::replace(&mut self.fit, fit);
        self.give_up_cautious();
        (before, all_agree)
    }

    /// Fits the window again and looks for the largest agreement.
    pub(super) fn search(&mut self) {
        let drift = self.fit.middle().1;
        self.fit = Fit::of(&self.samples.iter(), drift, self.max_drift);
        self.give_up_cautious();
    }

    /// Moves the zero of the hours towards the newest sample. `anew`: the bounds must be computed again anyway.
    pub(super) fn follow_zero(&mut self, newest: Moment, anew: bool) {
        let moved = newest.hours_since(self.zero);
        let far = moved > ZERO_AGE || (self.samples.is_empty() && moved.abs() > ZERO_AGE);
        if far {
            self.zero = newest;
            self.fit.move_zero(moved);
            self.still_cautious.move_zero(moved);
            self.own.move_zero(moved);
            self.shift.move_zero(moved);
            self.line.iter_mut().for_each(|line| line.move_zero(moved));
        }
        // If the drift is constant, the bounds stay the same, and only their moments are counted from the new zero.
        if anew || (far && self.limits.wander_ppm_per_hour != 0.0) {
            for place in 0..self.samples.len() {
                self.samples[place].bounds = self.bounds(&self.samples[place]);
            }
        } else if far {
            let zero = self.zero;
            self.samples.iter_mut().for_each(|k| k.follow(zero));
        }
    }

    pub(super) fn bounds(&self, packed: &PackedSample) -> Bounds {
        let slack = |at: f64| self.limits.model_error_ms + f64::from(packed.slack_ms) + self.limits.stray(at);
        let sample = packed.sample();
        let shift = f64::from(packed.shift_ms);
        let (below, above) = self.read_within(&sample);
        sample.bounds(self.zero, (below + shift, above + shift), slack)
    }

    /// Drops the samples of another clock. `in_doubt`: because they contradict this one's, so that it is doubted for an
    /// hour.
    pub(crate) fn uncouple(&mut self, in_doubt: bool) {
        self.samples.retain(|k| k.cause != Cause::Exchange);
        self.own.clear();
        self.shift = ShiftTest::new(self.max_drift);
        self.fit = Fit::empty(self.max_drift);
        self.search();
        self.uncoupled = self.newest().filter(|_| in_doubt);
    }

    /// Whether the samples of another clock were dropped because they contradict this one's.
    pub(crate) fn has_uncoupled(&self) -> bool {
        self.uncoupled.is_some()
    }

    /// The interval by this clock's own samples, without those of a coupled one; see [`super::own_fit`].
    pub(crate) fn own_range(&mut self, t: Moment) -> Option<(f64, f64)> {
        let (drift, at) = (self.fit.middle().1, self.hours(t));
        let own = self.samples.iter().filter(|k| k.cause != Cause::Exchange);
        self.own.range(&own, drift, self.max_drift, at)
    }

    /// An interval that [`ClockSeries::own_range`] contains, and that costs less.
    pub(crate) fn least_own_range(&mut self, t: Moment) -> (f64, f64) {
        let (drift, at) = (self.fit.middle().1, self.hours(t));
        let own = self.samples.iter().filter(|k| k.cause != Cause::Exchange);
        self.own.least_range(&own, drift, self.max_drift, at)
    }

    /// The same as [`ClockSeries::own_range`] without as many of the tightest bounds on each side as the declared share of wrong stamps explains.
    pub(crate) fn own_range_without_tightest(&self, t: Moment) -> Option<(f64, f64)> {
        let own = self.samples.iter().filter(|k| k.cause != Cause::Exchange);
        self.own
            .range_without_tightest(&own, most_wrong(own.clone().count()), self.max_drift, self.hours(t))
    }

    /// Whether the newer samples of a coupled clock contradict this clock's own newer ones: then only one of the two was
    /// stepped.
    pub(super) fn steps_alone<'w>(
        &self,
        newer: &(impl Window<'w> + DoubleEndedIterator<Item = &'w PackedSample>),
    ) -> bool {
        let dates = newer.clone().filter(|k| k.cause == Cause::Exchange);
        let own = newer.clone().filter(|k| k.cause != Cause::Exchange);
        // One wrong own sample must not decide.
        if own.clone().count() < 3 || dates.clone().next().is_none() {
            return false;
        }
        let excluded = outside_largest_agreement(&own, &[self.fit.middle().1, 0.0], self.max_drift);
        let fit = Fit::bounded_by(&own, excluded.clone(), &[], self.max_drift).0;
        // If both clocks were stepped, a coupled sample from before the step contradicts own ones after it. So only coupled
        // samples count that came after such an own one.
        let mut coupled = Polygon::unbounded(self.max_drift);
        for k in dates.clone().rev() {
            k.bounds.cut_into(&mut coupled, k.label);
        }
        let contradicts = |k: &&PackedSample| !fit.is_outlier(k.label) && k.bounds.contradicts(&coupled).is_some();
        let first = own.clone().find(contradicts).map(|k| k.label);
        let dates = dates.filter(|k| first.is_none_or(|first| is_before(first, k.label)));
        let contradict = |polygon: &Polygon| {
            let against = dates.clone().filter(|k| k.bounds.contradicts(polygon).is_some());
            against.count() * 2 > dates.clone().count()
        };
        contradict(fit.polygon())
            && fit.polygon().support().into_iter().all(|label| {
                let excluded = [excluded.as_slice(), &[label]].concat();
                contradict(Fit::bounded_by(&own, excluded, &[], self.max_drift).0.polygon())
            })
    }

    /// If the samples force the drift against its bound, the bound is exceeded: then no clock within it explains them,
    /// and the interval would exclude the truth. So the bound is doubled, once, and the clock is doubted.
    pub(super) fn widen_drift(&mut self) {
        let declared = self.limits.drift();
        if self.max_drift > declared || !self.fit.polygon().is_bounded() {
            return;
        }
        let (low, high) = self.fit.polygon().drift();
        let (least, most) = if high.abs() > low.abs() {
            (low, high)
        } else {
            (-high, -low)
        };
        if least > AT_THE_BOUND * declared && most >= declared * (1.0 - 1e-9) {
            self.max_drift = 2.0 * declared;
            self.own.clear();
            self.search();
        }
    }

    /// Whether the samples seem to come from several clocks: see [`crate::mixture`].
    pub(super) fn is_mixed(&self) -> bool {
        let Some(quantum) = self.granularity.typical_ms() else {
            return false;
        };
        let (o, d) = self.fit.middle();
        let far: Vec<Label> = self
            .fit
            .outliers()
            .iter()
            .filter(|o| !self.is_near(o, 3.0))
            .map(|o| o.label)
            .collect();
        // The slack of a command varies least, so it shows most.
        let commanded = self.samples.iter().filter(|k| k.cause == Cause::Command).count();
        let is_own =
            |cause: Cause| cause == Cause::Command || (commanded < mixture::ENOUGH && cause != Cause::Exchange);
        let own = |k: &&PackedSample| is_own(k.cause) && k.bounds.upper.is_finite() && !far.contains(&k.label);
        let slacks = |k: &PackedSample| {
            let b = &k.bounds;
            (o + d * b.lower_t - b.lower, b.upper - (o + d * b.upper_t))
        };
        let slacks: Vec<(f64, f64)> = self.samples.iter().filter(own).map(slacks).collect();
        #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
        mixture::is_mixed(&slacks, quantum as f64, self.mixed)
    }

    /// Whether the samples showed that the clock drifts faster than declared.
    pub(super) fn exceeds_drift(&self) -> bool {
        self.max_drift > self.limits.drift()
    }

    pub(super) fn fit_line(&mut self) {
        let point = |k: &PackedSample| Point {
            t: k.at(self.zero),
            mean: self.likely_offset_of(k),
            variance: f64::from(k.variance),
        };
        let points: Vec<Point> = self.samples.iter().map(point).collect();
        self.line = Line::through(&points, self.max_drift / 2.0);
        self.since_line_fit = 0;
    }

    /// The likely offset according to one sample, in ms.
    fn likely_offset_of(&self, packed: &PackedSample) -> f64 {
        let (below, above) = self.read_within(&packed.sample());
        let to_end = packed.stamp.ms_since(packed.not_after);
        to_end + f64::midpoint(below, above) + f64::from(packed.likely_ms) + f64::from(packed.shift_ms)
    }

    pub(super) fn hours(&self, t: Moment) -> f64 {
        t.hours_since(self.zero)
    }
}
