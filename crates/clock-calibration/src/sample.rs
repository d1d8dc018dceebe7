//! One sample of a vendor's clock: a stamp, and two moments of our own clock around the moment at which it was read.

use super::moment::Moment;
use super::packed_sample::Bounds;

/// Why the two moments lie around the stamp. It decides which delays a sample teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Our clock: the stamped moment had certainly not come yet. `None` if nothing shows that.
    pub not_before: Option<Moment>,
    /// Our clock: when the request was sent whose answer showed that the moment had not come yet, if that answer may have
    /// been older than the request. `not_before` is then this moment less the greatest age. Only the point estimate and
    /// the learned delays use it, because the age may be real. `None`: `not_before` has no such allowance.
    pub asked: Option<Moment>,
    /// Our clock: the stamped moment had certainly passed.
    pub not_after: Moment,
    /// The vendor's clock at that moment, reduced to its quantum.
    pub stamp: Moment,
    /// What the two moments are.
    pub cause: Cause,
}

impl Sample {
    /// Whether the sample is possible at all. One whose end is before its beginning says nothing.
    pub fn is_causal(&self) -> bool {
        self.not_before.is_none_or(|t| t <= self.not_after)
    }

    /// The lower end without the allowance for old answers: the best guess, but not certain.
    pub(super) fn likely_not_before(&self) -> Option<Moment> {
        let asked = self.asked.map(|t| t.min(self.not_after));
        self.not_before.max(asked)
    }

    /// The bounds on the clock, with times in hours from `zero`. The lower bound holds at `not_after`, because by then
    /// the clock had passed the stamp. The upper bound holds at `not_before`, because until then it had not passed
    /// stamp + quantum. Both are exact for any clock that does not run backwards. The clock read from `below` to `above` ms
    /// after the stamp; `slack` widens both sides.
    pub(super) fn bounds(&self, zero: Moment, (below, above): (f64, f64), slack: impl Fn(f64) -> f64) -> Bounds {
        let lower_t = self.not_after.hours_since(zero);
        let lower = Bounds {
            lower_t,
            lower: self.stamp.ms_since(self.not_after) + below - slack(lower_t),
            ..Bounds::default()
        };
        self.not_before.map_or(lower, |t0| {
            let upper_t = t0.hours_since(zero);
            Bounds {
                upper_t,
                upper: self.stamp.ms_since(t0) + above + slack(upper_t),
                ..lower
            }
        })
    }
}
