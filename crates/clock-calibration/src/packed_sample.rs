//! A sample as stored in the window. It is packed, because a full window must stay small.

use super::moment::Moment;
use super::polygon::Label;
use super::sample::{Cause, Sample};

/// The value of `not_before` if nothing bounds the event from below.
pub(super) const NONE: Moment = Moment::from_nanos(i64::MIN);

/// A sample in the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedSample {
    /// [`NONE`] if nothing bounds the event from below, because an `Option` would need more memory.
    pub(super) not_before: Moment,
    pub(super) not_after: Moment,
    pub(super) stamp: Moment,
    /// The offset according to this sample and the learned delays: mean in ms, variance in ms².
    pub(super) likely: (f64, f64),
    pub(super) label: Label,
    pub(super) shift_ms: f32,
    pub(super) slack_ms: f32,
    pub(super) cause: Cause,
}

impl PackedSample {
    pub(super) fn sample(&self) -> Sample {
        Sample {
            not_before: Some(self.not_before).filter(|t| *t != NONE),
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
}
