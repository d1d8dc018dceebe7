//! A sample as stored in the window. It is packed, because a full window must stay small.

use super::fit::Strip;
use super::moment::Moment;
use super::polygon::{HalfPlane, Label};
use super::sample::{Cause, Sample};

/// The value of a moment that is not known.
pub(super) const NONE: Moment = Moment::from_nanos(i64::MIN);

/// The bounds that a sample sets, in hours and ms, relative to the series' zero. Kept, because most questions are about
/// all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) lower_t: f64,
    pub(super) lower: f64,
    pub(super) upper_t: f64,
    /// Infinite if nothing bounds the event from below.
    pub(super) upper: f64,
}

impl Bounds {
    pub(super) fn of(strip: &Strip) -> Self {
        let (lower_t, lower) = strip.lower.map_or((0.0, f64::NEG_INFINITY), |h| (h.t, h.bound));
        let (upper_t, upper) = strip.upper.map_or((0.0, f64::INFINITY), |h| (h.t, h.bound));
        Self {
            lower_t,
            lower,
            upper_t,
            upper,
        }
    }

    pub(super) fn strip(&self) -> Strip {
        let half = |t, bound: f64, above| bound.is_finite().then_some(HalfPlane { t, bound, above });
        Strip {
            lower: half(self.lower_t, self.lower, false),
            upper: half(self.upper_t, self.upper, true),
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

    /// The upper bound by the request instead of the certain lower end; `None` if there is no difference.
    pub(super) fn asked_bound(&self) -> Option<HalfPlane> {
        if self.asked == NONE || self.not_before == NONE {
            return None;
        }
        let later = self.asked.min(self.not_after).ms_since(self.not_before);
        (later > 0.0).then(|| self.bounds.asked(later)).flatten()
    }
}
