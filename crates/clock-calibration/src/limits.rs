//! What is assumed of a clock, and what a clock answers.

use jiff::{SignedDuration, Timestamp};

/// A drift of 1 ppm is so many ms per hour.
pub(super) const MS_PER_HOUR_PER_PPM: f64 = 3.6;

/// The bounds and assumptions of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The greatest drift of the vendor's clock against ours, parts per million.
    pub max_drift_ppm: f64,
    /// How far the clock may stray from a straight line within the window, ms either way.
    pub model_error_ms: f64,
    /// How fast its drift may change, ppm per hour.
    pub wander_ppm_per_hour: f64,
    /// Samples older than this are forgotten, …
    pub window: SignedDuration,
    /// … but while fewer than `enough_samples` are younger, samples up to this old are kept.
    pub sparse_window: SignedDuration,
    /// How many samples are enough not to need older ones.
    pub enough_samples: usize,
    /// At most so many samples.
    pub max_samples: usize,
    /// The stamps' quantum, if it is not to be learnt, ms.
    pub quantum_ms: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_drift_ppm: 200.0,
            model_error_ms: 4.0,
            wander_ppm_per_hour: 0.0,
            window: SignedDuration::from_hours(6),
            sparse_window: SignedDuration::from_hours(24),
            enough_samples: 256,
            max_samples: 512,
            quantum_ms: None,
        }
    }
}

impl Limits {
    /// The greatest drift, ms per hour.
    pub(super) fn drift(&self) -> f64 {
        self.max_drift_ppm * MS_PER_HOUR_PER_PPM
    }

    /// How far a clock of changing drift strays from its tangent within `at` hours, ms (Taylor's remainder).
    pub(super) fn stray(&self, at: f64) -> f64 {
        0.5 * self.wander_ppm_per_hour * MS_PER_HOUR_PER_PPM * at * at
    }
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It agrees with the rest.
    Agrees,
    /// It contradicts the rest; whether it lies is not decided yet, or it does.
    Contradicts,
    /// The clock was stepped: a new epoch. The last sample that spoke for the old one came at `corroborated`.
    Stepped {
        /// Departures concluded since then are to be concluded anew.
        corroborated: Timestamp,
    },
    /// It ends before it begins, is older than the window or the epoch, or says the same as one before.
    Useless,
}

/// A clock's offset at one moment, ms: vendor − ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// The guaranteed interval: leave-one-out, and the challengers' too while suspect.
    pub guaranteed: (f64, f64),
    /// The interval if every agreeing sample is honest.
    pub plain: (f64, f64),
    /// The likeliest value.
    pub best: f64,
    /// Its standard error, if the learnt delays are right.
    pub sigma: f64,
}
