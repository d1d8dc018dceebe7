//! A sample as a window keeps it, packed: a full window is to stay small.

use jiff::Timestamp;

use super::polygon::Label;
use super::sample::{Cause, Sample};

/// A sample of the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// Microseconds since the epoch; `i64::MIN` for none.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) stamp: i64,
    /// What the sample says of the offset by the learnt delays: mean, ms, and variance, ms².
    pub(super) likely: (f64, f64),
    pub(super) label: Label,
    pub(super) shift_ms: f32,
    pub(super) slack_ms: f32,
    pub(super) cause: Cause,
}

impl Kept {
    pub(super) fn sample(&self) -> Sample {
        let moment = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
        Sample {
            not_before: (self.not_before != i64::MIN).then(|| moment(self.not_before)),
            not_after: moment(self.not_after),
            stamp: moment(self.stamp),
            cause: self.cause,
        }
    }

    /// Whether it is of the same event, by the same notice.
    pub(super) fn is_of_the_event_of(&self, sample: &Sample) -> bool {
        self.stamp == sample.stamp.as_microsecond() && self.not_after == sample.not_after.as_microsecond()
    }

    /// Whether it says at least as much as another sample of the same event.
    pub(super) fn says_as_much_as(&self, sample: &Sample) -> bool {
        self.not_before >= sample.not_before.map_or(i64::MIN, |t| t.as_microsecond())
    }

    /// When we learnt it, in hours from `zero`.
    pub(super) fn at(&self, zero: i64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a window in microseconds")]
        let hours = (self.not_after - zero) as f64 / 3.6e9;
        hours
    }
}
