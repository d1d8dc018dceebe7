//! A sample as stored in the window. It is packed, because a full window must stay small.

use jiff::Timestamp;

use super::polygon::Label;
use super::sample::{Cause, Sample};

/// A sample in the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedSample {
    /// Microseconds since the Unix epoch; `i64::MIN` for none.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) stamp: i64,
    /// The offset according to this sample and the learned delays: mean in ms, variance in ms².
    pub(super) likely: (f64, f64),
    pub(super) label: Label,
    pub(super) shift_ms: f32,
    pub(super) slack_ms: f32,
    pub(super) cause: Cause,
}

impl PackedSample {
    pub(super) fn sample(&self) -> Sample {
        let moment = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
        Sample {
            not_before: (self.not_before != i64::MIN).then(|| moment(self.not_before)),
            not_after: moment(self.not_after),
            stamp: moment(self.stamp),
            cause: self.cause,
        }
    }

    /// Whether both are about the same event and came with the same notice.
    pub(super) fn is_of_the_event_of(&self, sample: &Sample) -> bool {
        self.stamp == sample.stamp.as_microsecond() && self.not_after == sample.not_after.as_microsecond()
    }

    /// Whether this one bounds the event at least as tightly as another sample of the same event.
    pub(super) fn says_as_much_as(&self, sample: &Sample) -> bool {
        self.not_before >= sample.not_before.map_or(i64::MIN, |t| t.as_microsecond())
    }

    /// When the sample was received, in hours from `zero`.
    pub(super) fn at(&self, zero: i64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a window in microseconds")]
        let hours = (self.not_after - zero) as f64 / 3.6e9;
        hours
    }
}
