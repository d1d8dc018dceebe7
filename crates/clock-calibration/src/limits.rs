//! Assumptions about a clock, and answers about it.

use std::time::Duration;

use super::moment::Moment;

/// A drift of 1 ppm in ms per hour.
pub(super) const MS_PER_HOUR_PER_PPM: f64 = 3.6;

/// Bounds and assumptions for one clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Greatest drift of the vendor's clock against ours, in parts per million.
    pub max_drift_ppm: f64,
    /// How far the clock may deviate from a straight line within the window, in ms in either direction.
    pub model_error_ms: f64,
    /// How fast the drift may change, in ppm per hour.
    pub wander_ppm_per_hour: f64,
    /// Samples older than this are dropped if there are at least `enough_samples`.
    pub window: Duration,
    /// Samples older than this are always dropped.
    pub sparse_window: Duration,
    /// With fewer samples than this, samples up to `sparse_window` old are kept.
    pub enough_samples: usize,
    /// Greatest number of samples; the oldest are dropped.
    pub max_samples: usize,
    /// The quantum of the stamps, in ms; `None`: learn it.
    pub quantum_ms: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_drift_ppm: 200.0,
            model_error_ms: 4.0,
            wander_ppm_per_hour: 0.0,
            window: Duration::from_secs(6 * 3600),
            sparse_window: Duration::from_secs(24 * 3600),
            enough_samples: 256,
            max_samples: 512,
            quantum_ms: None,
        }
    }
}

impl Limits {
    /// The greatest drift, in ms per hour.
    pub(super) fn drift(&self) -> f64 {
        self.max_drift_ppm * MS_PER_HOUR_PER_PPM
    }

    /// How far a clock of changing drift deviates from its tangent within `at` hours, in ms (Taylor's remainder).
    pub(super) fn stray(&self, at: f64) -> f64 {
        0.5 * self.wander_ppm_per_hour * MS_PER_HOUR_PER_PPM * at * at
    }
}

/// What a sample says compared with the other samples of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleOutcome {
    /// It agrees with them.
    Agrees,
    /// It contradicts them: it is an outlier, or the clock was stepped and this is not decided yet.
    Contradicts,
    /// The clock was stepped, so that a new epoch began.
    Stepped {
        /// When the last sample that supports the old epoch was received. Estimates made since then may be wrong, so
        /// compute them again.
        corroborated: Moment,
    },
    /// Nothing new: its end is before its beginning, it is older than the window or the epoch, or an earlier sample
    /// says the same.
    Ignored,
}

/// Which assumption about a clock its samples put in doubt. Meanwhile its intervals are wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The clock may have been stepped, which is not decided yet: its newest samples are conspicuous.
    Step,
    /// More samples contradict the others than a share of 3 % wrong ones explains.
    ManyOutliers,
    /// The clock drifts faster than declared.
    Drift,
    /// The samples seem to come from several clocks.
    SeveralClocks,
    /// A coupled clock (`Date` headers) contradicted the clock's own samples less than an hour ago.
    Coupling,
}

/// The offset of a vendor's clock at one moment, in ms: vendor − ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// The guaranteed interval. It allows for one undetected outlier and, while a step is suspected, for that step.
    pub guaranteed: (f64, f64),
    /// The interval if every agreeing sample is right.
    pub plain: (f64, f64),
    /// The most likely value.
    pub best: f64,
    /// The standard error of `best`, if the learned delays are right.
    pub sigma: f64,
}
