//! One sample of a vendor's clock: a stamp, and two moments of our own clock around the moment at which it was read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fit::Strip;
use super::polygon::HalfPlane;

/// Why the two moments lie around the stamp. It decides which delays a sample teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cause {
    /// `not_before` is when the command was sent that caused the event, so the command's delay lies between them.
    Command,
    /// `not_before`, if any, is only the last moment at which the event had not happened yet.
    Spontaneous,
    /// A request and its answer, which carried the stamp (an HTTP `Date`, a probe).
    Exchange,
}

impl Cause {
    /// The word used in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "COMMAND",
            Self::Spontaneous => "SPONTANEOUS",
            Self::Exchange => "EXCHANGE",
        }
    }

    /// The cause that a word names, or `None` if the word is unknown.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Command, Self::Spontaneous, Self::Exchange]
            .into_iter()
            .find(|c| c.as_str() == word)
    }
}

/// One sample. By causality alone `offset ∈ [stamp − not_after, stamp + quantum − not_before)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Our clock: the stamped moment had certainly not come yet. `None` if nothing shows that.
    pub not_before: Option<Timestamp>,
    /// Our clock: the stamped moment had certainly passed.
    pub not_after: Timestamp,
    /// The vendor's clock at that moment, reduced to its quantum.
    pub stamp: Timestamp,
    /// What the two moments are.
    pub cause: Cause,
}

impl Sample {
    /// Whether the sample is possible at all. One whose end is before its beginning says nothing.
    pub fn is_causal(&self) -> bool {
        self.not_before.is_none_or(|t| t <= self.not_after)
    }

    /// The bounds on the clock, with times in hours from `zero`. The lower bound holds at `not_after`, because by then
    /// the clock had passed the stamp. The upper bound holds at `not_before`, because until then it had not passed
    /// stamp + quantum. Both are exact for any clock that does not run backwards. `shift_ms` is added to the stamp,
    /// `slack` widens both sides.
    pub(super) fn strip(&self, zero: Timestamp, quantum_ms: f64, shift_ms: f64, slack: impl Fn(f64) -> f64) -> Strip {
        let lower_t = hours(zero, self.not_after);
        let lower = HalfPlane {
            t: lower_t,
            bound: ms_between(self.not_after, self.stamp) + shift_ms - slack(lower_t),
            above: false,
        };
        let upper = self.not_before.map(|t0| {
            let t = hours(zero, t0);
            HalfPlane {
                t,
                bound: ms_between(t0, self.stamp) + quantum_ms + shift_ms + slack(t),
                above: true,
            }
        });
        Strip {
            lower: Some(lower),
            upper,
        }
    }
}

/// `b − a`, in ms.
pub(super) fn ms_between(a: Timestamp, b: Timestamp) -> f64 {
    b.duration_since(a).as_secs_f64() * 1000.0
}

/// `t − zero`, in hours.
pub(super) fn hours(zero: Timestamp, t: Timestamp) -> f64 {
    t.duration_since(zero).as_secs_f64() / 3600.0
}
