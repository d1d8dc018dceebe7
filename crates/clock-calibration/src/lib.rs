//! When did the leg really drop? Pure: no I/O and no clock of its own.
//!
//! What is certain is a *causal bracket*: the leg was alive when we sent a request whose answer showed it alive, and it
//! was gone when the first proof of the drop reached us. Both moments are on our own clock, so whatever a vendor's
//! clock says, the drop lies between them, give or take our own clock's error. The vendor's stamp narrows the bracket once
//! the offset of the vendor's clock is known to lie in an interval. And every bracketed stamp is itself a sample of that
//! offset: `offset ∈ [s − t₁, s + q − t₀)`.
//!
//! | file | story |
//! |---|---|
//! | [`estimate`] | from bracket and stamps to an instant, its ends and its grade |
//! | [`sample`] | one sample, as a strip in the (offset, drift) plane |
//! | [`polygon`] | the strips' intersection, and its range at a moment |
//! | [`fit`] | the largest agreeing set, its witnesses, the leave-one-out hull |
//! | [`challenger`] | lies or a step? |
//! | [`stream`] | one clock: window, epochs, interval, best point |
//! | [`calibrator`] | all clocks, and what `Date` headers add |
//! | [`granularity`], [`latency`], [`line`], [`likeliest`], [`posterior`] | what is learnt besides, and where in the interval truth most likely is |
//! | [`probing`] | when to send the next probe |
//! | `simulator` | invented worlds in which the truth is known |
//!
//! **What is guaranteed and what is not.** The interval contains the truth if causality holds, the drift is below its
//! bound, the clock strays from a straight line by less than the model error within the window, and at most one of the
//! agreeing samples lies; nothing is assumed about delays. The point inside, and the modelled 95 % interval, rest on
//! learnt delays. `docs/timing.md` has the mathematics and what it means for a report.

pub mod calibrator;
pub mod challenger;
pub mod estimate;
pub mod fit;
pub mod granularity;
mod kept;
pub mod key;
pub mod latency;
pub mod likeliest;
pub mod limits;
pub mod line;
pub mod polygon;
pub mod posterior;
pub mod probing;
pub mod sample;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod stream;

use serde::{Deserialize, Serialize};

pub use calibrator::{Calibrator, Cutting, Outcome, VendorSettings};
pub use estimate::{Bracket, Estimate, Stamp, estimate};
pub use key::ClockId;
pub use limits::{Limits, Offset, Taken};
pub use sample::{Cause, Sample};
pub use stream::ClockSeries;

/// How far an instant, or a clock, may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Grade {
    /// No vendor stamp was usable: the causal bracket alone.
    Uncalibrated,
    /// The vendor's clock is known to an interval.
    Bounded,
    /// … and the uncertainty is small enough for minutes and reports.
    Calibrated,
    /// … and small enough to order events within a second.
    Exact,
}

impl Grade {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uncalibrated => "UNCALIBRATED",
            Self::Bounded => "BOUNDED",
            Self::Calibrated => "CALIBRATED",
            Self::Exact => "EXACT",
        }
    }
}

/// From which uncertainty on a grade is given, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// At most this: CALIBRATED.
    pub calibrated_ms: i64,
    /// At most this: EXACT, if our own clock's configured error is at most `exact_clock_error_ms`.
    pub exact_ms: i64,
    /// See `exact_ms`.
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
    /// The grade of an instant that a calibrated stamp narrowed to ± `uncertainty_ms`, or of a clock known to that.
    pub fn of_uncertainty(&self, uncertainty_ms: i64, clock_error_ms: i64) -> Grade {
        if uncertainty_ms <= self.exact_ms && clock_error_ms <= self.exact_clock_error_ms {
            Grade::Exact
        } else if uncertainty_ms <= self.calibrated_ms {
            Grade::Calibrated
        } else {
            Grade::Bounded
        }
    }
}

#[cfg(test)]
mod properties;
