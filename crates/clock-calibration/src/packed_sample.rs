//! A sample as stored in the window. It is packed, because a full window must stay small.

use super::moment::Moment;
use super::polygon::{Cut, HalfPlane, Label, Polygon};
use super::sample::{Cause, Sample};

/// The value of a moment that is not known.
pub(super) const NONE: Moment = Moment::from_nanos(i64::MIN);

/// The bounds that a sample sets, in hours and ms, relative to the series' zero. Kept, because most questions are about
/// all of them. The lower bound is never above the upper one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    /// `offset(lower_t) ≥ lower`.
    pub(super) lower_t: f64,
    /// `offset(upper_t) ≤ upper`; infinite if nothing bounds the event from below.
    pub(super) upper_t: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            lower_t: 0.0,
            lower: f64::NEG_INFINITY,
            upper_t: 0.0,
            upper: f64::INFINITY,
        }
    }
}

impl Bounds {
    pub(super) fn lower(&self) -> HalfPlane {
        HalfPlane {
            t: self.lower_t,
            bound: self.lower,
            above: false,
        }
    }

    pub(super) fn upper(&self) -> HalfPlane {
        HalfPlane {
            t: self.upper_t,
            bound: self.upper,
            above: true,
        }
    }

    /// A cheap test that is sufficient for both bounds to have no effect on `polygon`.
    pub(super) fn are_known(&self, polygon: &Polygon) -> bool {
        polygon.is_surely_inside(&self.lower()) && polygon.is_surely_inside(&self.upper())
    }

    /// The side that would leave nothing of `polygon`, if one does. The sides need not be tested together: a polygon
    /// that reaches above the lower line and below the upper line is connected, so it also has a point between them.
    pub(super) fn contradicts(&self, polygon: &Polygon) -> Option<HalfPlane> {
        let (lower, upper) = (self.lower(), self.upper());
        if polygon.against(&lower) == Cut::Contradiction {
            return Some(lower);
        }
        (polygon.against(&upper) == Cut::Contradiction).then_some(upper)
    }

    /// Cuts `polygon` with both sides, or with neither if one of them contradicts it.
    pub(super) fn cut_into(&self, polygon: &mut Polygon, label: Label) -> Cut {
        let (lower, upper) = (self.lower(), self.upper());
        let cuts = (polygon.against(&lower), polygon.against(&upper));
        if cuts.0 == Cut::Contradiction || cuts.1 == Cut::Contradiction {
            return Cut::Contradiction;
        }
        if cuts.0 == Cut::Smaller {
            polygon.cut(&lower, label);
        }
        if cuts.1 == Cut::Smaller {
            polygon.cut(&upper, label);
        }
        if cuts == (Cut::Nothing, Cut::Nothing) {
            Cut::Nothing
        } else {
            Cut::Smaller
        }
    }

    /// The upper bound if the event was not before `asked` either, which is `later` ms after the certain lower end.
    pub(super) fn asked(&self, later: f64) -> Option<HalfPlane> {
        self.upper.is_finite().then_some(HalfPlane {
            t: self.upper_t + later / 3.6e6,
            bound: self.upper - later,
            above: true,
        })
    }
}

/// A sample in the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedSample {
    /// [`NONE`] if nothing bounds the event from below, because an `Option` would need more memory.
    pub(super) not_before: Moment,
    /// As in [`Sample::asked`]; [`NONE`] for none.
    pub(super) asked: Moment,
    pub(super) not_after: Moment,
    pub(super) stamp: Moment,
    pub(super) bounds: Bounds,
    /// Where the event likely was according to this sample and the learned delays, in ms before `not_after`.
    pub(super) likely_ms: f32,
    /// The variance of the offset according to this sample, in ms².
    pub(super) variance: f32,
    pub(super) label: Label,
    pub(super) shift_ms: f32,
    pub(super) slack_ms: f32,
    pub(super) cause: Cause,
}

impl PackedSample {
    pub(super) fn sample(&self) -> Sample {
        Sample {
            not_before: Some(self.not_before).filter(|t| *t != NONE),
            asked: Some(self.asked).filter(|t| *t != NONE),
            not_after: self.not_after,
            stamp: self.stamp,
            cause: self.cause,
        }
    }

    /// Whether both are about the same event and came with the same notice.
    pub(super) fn is_of_the_event_of(&self, sample: &Sample) -> bool {
        self.stamp == sample.stamp && self.not_after == sample.not_after
    }

    /// Whether this one bounds the event at least as tightly as another sample of the same event.
    pub(super) fn says_as_much_as(&self, sample: &Sample) -> bool {
        self.not_before >= sample.not_before.unwrap_or(NONE)
    }

    /// When the sample was received, in hours from `zero`.
    pub(super) fn at(&self, zero: Moment) -> f64 {
        self.not_after.hours_since(zero)
    }

    /// Counts the hours of the bounds from another zero.
    pub(super) fn follow(&mut self, zero: Moment) {
        self.bounds.lower_t = self.not_after.hours_since(zero);
        if self.not_before != NONE {
            self.bounds.upper_t = self.not_before.hours_since(zero);
        }
    }

    /// The upper bound by the request instead of the certain lower end; `None` if there is no difference.
    pub(super) fn asked_bound(&self) -> Option<HalfPlane> {
        if self.asked == NONE || self.not_before == NONE {
            return None;
        }
        let later = self.asked.min(self.not_after).ms_since(self.not_before);
        (later > 0.0).then(|| self.bounds.asked(later)).flatten()
    }
}
