//! When did the leg really drop? Pure: no I/O and no clock of its own.
//!
//! What is certain is a *causal bracket*: the leg was alive when we sent a request whose answer showed it alive, and it
//! was gone when the first proof of the drop reached us. Both moments are on our own clock, so whatever a vendor's
//! clock says, the drop lies between them, give or take our own clock's error. See [`bracket`].
//!
//! The vendor's stamp can narrow the bracket, but only once the offset of the vendor's clock is known to lie in an
//! interval: that is [`Calibration`]'s to say. Today's only one is [`Uncalibrated`], which never says anything, so
//! every departure is graded [`Grade::Uncalibrated`] and rests on the bracket alone.

pub mod bracket;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use bracket::{Bracket, Estimate, estimate};

/// How far an instant may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Grade {
    /// No vendor stamp was usable: the causal bracket alone.
    Uncalibrated,
    /// The vendor's clock is known to an interval.
    Bounded,
    /// … and the uncertainty is at most 250 ms.
    Calibrated,
    /// … and at most 50 ms.
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

    /// The grade of an instant that a calibrated stamp narrowed to ± `uncertainty_ms`.
    fn of_calibrated(uncertainty_ms: i64) -> Self {
        match uncertainty_ms {
            ..=50 => Self::Exact,
            51..=250 => Self::Calibrated,
            _ => Self::Bounded,
        }
    }
}

/// Which clock and which field a stamp was read from. Two fields of one vendor may lag differently, so each is its own
/// stream and they are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The vendor, such as `amazon-connect`.
    pub vendor: &'static str,
    /// Our name of the vendor's instance.
    pub instance: String,
    /// Where the stamp came from.
    pub source: &'static str,
    /// The field that carried it.
    pub field: &'static str,
}

/// A vendor's stamp of an event: the vendor's clock read at the event, cut to `quantum_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Which clock.
    pub stream: Stream,
    /// What it read.
    pub at: Timestamp,
    /// Its granularity in ms: the clock read at least `at` and less than `at + quantum_ms`.
    pub quantum_ms: i64,
}

impl Stamp {
    /// A stamp whose granularity is read off it: whole seconds if its fraction is `.000`, else milliseconds.
    pub fn read(stream: Stream, at: Timestamp) -> Self {
        let quantum_ms = if at.as_millisecond() % 1000 == 0 { 1000 } else { 1 };
        Self { stream, at, quantum_ms }
    }
}

/// An interval that contains a vendor clock's offset (vendor − ours) at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetInterval {
    /// The least possible offset, ms.
    pub low_ms: i64,
    /// The greatest possible offset, ms.
    pub high_ms: i64,
    /// The best single value inside, ms.
    pub best_ms: i64,
    /// The calibration this came from; grows with every new epoch of a stream.
    pub version: u32,
}

/// What is known of the vendors' clocks.
pub trait Calibration: Send + Sync {
    /// The offset of `stream`'s clock around `at`, if enough is known to bound it.
    fn offset(&self, stream: &Stream, at: Timestamp) -> Option<OffsetInterval>;
}

/// Knows nothing: every estimate rests on its bracket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uncalibrated;

impl Calibration for Uncalibrated {
    fn offset(&self, _stream: &Stream, _at: Timestamp) -> Option<OffsetInterval> {
        None
    }
}
