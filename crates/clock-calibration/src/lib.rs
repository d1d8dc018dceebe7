//! Bounds the offset of a remote clock from causally bracketed timestamps, and narrows the time of an event with it.
//!
//! **The problem.** A remote system reports when an event happened, but its clock is wrong by an unknown and drifting
//! offset, and its timestamps may have whole seconds only. You need the time of the event on *your* clock, with an
//! uncertainty that really contains the truth. You cannot exchange NTP packets with that clock; all you have are the
//! commands that you send to the remote system and the notices that you receive from it.
//!
//! **The model, in six sentences.**
//! 1. An event lies in a *causal bracket* of two moments of your own clock: it had certainly not happened when you sent
//!    the command, and it had certainly happened when its notice arrived.
//! 2. The remote clock reads `V(t) = t + offset(t)`, and its stamp `s` with quantum `q` says that it had passed `s` at
//!    the end of the bracket and had not passed `s + q` at its beginning.
//! 3. So every stamped event is also a [`Sample`] of the offset: `offset ∈ [s − not_after, s + q − not_before)`.
//! 4. Within a window the offset is nearly a straight line of bounded drift, so each sample is a pair of half-planes over
//!    (offset, drift), and all samples together leave a convex polygon.
//! 5. The [`ClockSeries`] of a clock answers with the range of this polygon at a moment, widened so that one wrong sample
//!    or an undecided step of the clock cannot make the range miss the truth.
//! 6. [`estimate`] intersects an event's bracket with its stamps, read through those offsets, and returns an instant, its
//!    guaranteed ends and a [`Grade`].
//!
//! **Guarantees.** The interval contains the truth if causality holds, the drift is below its bound
//! ([`Limits::max_drift_ppm`]), the clock deviates from a straight line by less than [`Limits::model_error_ms`] within the
//! window, and few of the agreeing samples are wrong: any one in a small window, the tightest on each side in a large one,
//! more where outliers were found. Nothing is assumed about delays. If an assumption breaks, the clock is doubted as soon as
//! samples show it ([`ClockSeries::suspects_step`]), and the interval is widened. **No guarantee covers** the point inside
//! the interval, because it depends on learned delays; and the interval between a step of the remote clock and the first
//! samples that show it.
//!
//! ```
//! use clock_calibration::{
//!     Bracket, Calibrator, Cause, ClockId, Grade, Moment, Sample, Stamp, Thresholds, estimate,
//! };
//!
//! // The vendor's clock is 1,370 ms ahead and its stamps have milliseconds. Every minute a command ends something after
//! // 100 ms, and the notice arrives 150 ms later.
//! let start = 1_790_000_000_007;
//! let sample = |minute: i64| Sample {
//!     not_before: Some(Moment::from_millis(start + minute * 60_000)),
//!     asked: None,
//!     not_after: Moment::from_millis(start + minute * 60_000 + 250),
//!     stamp: Moment::from_millis(start + minute * 60_000 + 100 + 1_370),
//!     cause: Cause::Command,
//! };
//! let clock = ClockId::new("vendor", "main", "EVENT", "ended");
//! let mut calibrator = Calibrator::default();
//! for minute in 0..30 {
//!     calibrator.add(&clock, sample(minute));
//! }
//!
//! // One more event: when did it happen on our clock, which is wrong by at most 5 ms?
//! let event = sample(30);
//! let bracket = Bracket {
//!     not_before: event.not_before,
//!     asked: None,
//!     not_after: event.not_after,
//!     commanded: true,
//! };
//! let stamps = [Stamp {
//!     clock,
//!     at: event.stamp,
//!     learnt_at: event.not_after,
//! }];
//! let known = |id: &ClockId, at| calibrator.reading(id, at);
//! let result = estimate(bracket, &stamps, known, 5, &Thresholds::default());
//! let truth = Moment::from_millis(start + 30 * 60_000 + 100);
//! assert!(result.earliest.is_some_and(|t| t <= truth) && truth <= result.latest);
//! assert_eq!(result.grade, Grade::Calibrated);
//! ```
//!
//! The crate is pure: it does no I/O and reads no clock. `docs/timing.md` of the repository has the mathematics and
//! measured results.
//!
//! | module | contains |
//! |---|---|
//! | `estimate`, `posterior` | from a bracket and stamps to an instant, its ends and its grade |
//! | `calibrator` | all clocks, and how `Date` headers narrow other clocks |
//! | `coupling` | how `Date` samples are applied while it is unknown how stamps are rounded |
//! | `clock_series`, `packed_sample` | one clock: window of samples, epochs, offset interval |
//! | `fit`, `polygon` | the largest set of agreeing samples, and its polygon |
//! | `cautious` | the same without the tightest samples, because a few may be wrong |
//! | `marzullo` | the largest agreeing set of a window in which some samples contradict each other |
//! | `label_set` | a set of samples that is asked about every sample of a window |
//! | `shift_test` | whether the clock moved: ranks of the new samples among the older ones |
//! | `mixture` | whether several machines answer behind one name |
//! | `claim` | whether an estimate may replace an earlier one of the same event |
//! | `granularity`, `latency` | further properties learned: the quantum of the stamps and typical delays |
//! | `point_estimate`, `line` | where in the interval the offset most likely is |
//! | `probing` | when to send the next probe |
//! | `simulator` (feature) | simulated worlds in which the truth is known, with baselines and a report |

mod calibrator;
mod cautious;
mod claim;
mod clock_id;
mod clock_series;
mod coupling;
mod elementary;
mod estimate;
mod fit;
mod granularity;
#[cfg(test)]
mod kinds;
mod label_set;
mod latency;
mod limits;
mod line;
mod marzullo;
mod mixture;
mod moment;
mod packed_sample;
mod point_estimate;
#[cfg_attr(
    not(feature = "simulator"),
    allow(unreachable_pub, reason = "the benchmark uses it through `simulator`")
)]
mod polygon;
mod posterior;
mod probing;
#[cfg(test)]
mod properties;
mod sample;
mod shift_test;
#[cfg(feature = "simulator")]
pub mod simulator;

pub use calibrator::{Calibrator, ClockOutcome, Rounding, TrackedClock, VendorSettings};
pub use claim::{Claim, Revision};
pub use clock_id::ClockId;
pub use clock_series::ClockSeries;
pub use coupling::Coupling;
pub use estimate::{Bracket, ClockReading, Estimate, Stamp, estimate};
pub use fit::Outlier;
pub use granularity::Granularity;
pub use latency::Latency;
pub use limits::{Doubt, Limits, Offset, SampleOutcome};
pub use moment::Moment;
pub use probing::{Aim, ProbeTarget};
pub use sample::{Cause, Sample};

/// How far an instant, or a clock, may be trusted; a later grade is a better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
pub enum Grade {
    /// No stamp of a known clock was usable, so only the causal bracket counts.
    Uncalibrated,
    /// The clock's offset is known to an interval.
    Bounded,
    /// As `Bounded`, and the uncertainty is at most [`Thresholds::calibrated_ms`].
    Calibrated,
    /// As `Calibrated`, and the uncertainty is small enough to order events within a second.
    Exact,
}

impl Grade {
    /// The word in capitals, as used in APIs and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uncalibrated => "UNCALIBRATED",
            Self::Bounded => "BOUNDED",
            Self::Calibrated => "CALIBRATED",
            Self::Exact => "EXACT",
        }
    }
}

/// Greatest uncertainty of each grade, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Greatest uncertainty of [`Grade::Calibrated`], in ms.
    pub calibrated_ms: i64,
    /// Greatest uncertainty of [`Grade::Exact`], in ms.
    pub exact_ms: i64,
    /// Greatest error of our own clock for [`Grade::Exact`], in ms.
    pub exact_clock_error_ms: i64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            calibrated_ms: 250,
            exact_ms: 50,
            exact_clock_error_ms: 10,
        }
    }
}

impl Thresholds {
    /// The grade of an instant (or a clock's offset) known to ± `uncertainty_ms`, if our own clock is wrong by at most
    /// `clock_error_ms`.
    pub fn grade(&self, uncertainty_ms: i64, clock_error_ms: i64) -> Grade {
        if uncertainty_ms <= self.exact_ms && clock_error_ms <= self.exact_clock_error_ms {
            Grade::Exact
        } else if uncertainty_ms <= self.calibrated_ms {
            Grade::Calibrated
        } else {
            Grade::Bounded
        }
    }
}
