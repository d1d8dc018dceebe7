//! The vendor's clock: off by a skew, drifting, and read off with a granularity. The real time behind it is kept too, so
//! that a test can tell how far a recorded instant is from the truth.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The real time.
#[allow(clippy::disallowed_methods, reason = "a stand-in vendor has a clock of its own")]
pub fn real_now() -> Timestamp {
    Timestamp::now()
}

/// How a vendor's clock reads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct VendorClock {
    /// Vendor minus real, ms.
    pub skew_ms: i64,
    /// How fast the skew grows from the fake's start, millionths.
    pub drift_ppm: f64,
    /// Stamps are cut to this, ms. AWS's samples show whole seconds.
    pub granularity_ms: i64,
    /// Stamps are rounded to the nearest instead of cut.
    pub rounding: bool,
}

impl Default for VendorClock {
    fn default() -> Self {
        Self {
            skew_ms: 0,
            drift_ppm: 0.0,
            granularity_ms: 1000,
            rounding: false,
        }
    }
}

impl VendorClock {
    /// What the clock reads at the real moment `at`, when drifting since `since`.
    pub fn read(&self, at: Timestamp, since: Timestamp) -> Timestamp {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "ms of a test's length"
        )]
        let drifted = (at.duration_since(since).as_millis() as f64 * self.drift_ppm / 1e6) as i64;
        at.saturating_add(SignedDuration::from_millis(self.skew_ms + drifted))
            .unwrap_or(at)
    }

    /// The stamp of the real moment `at`.
    pub fn stamp(&self, at: Timestamp, since: Timestamp) -> Timestamp {
        let (reads, q) = (self.read(at, since).as_millisecond(), self.granularity_ms.max(1));
        let shifted = if self.rounding { reads + q / 2 } else { reads };
        Timestamp::from_millisecond(shifted - shifted.rem_euclid(q)).unwrap_or(at)
    }
}

/// ISO with milliseconds, as in events.
pub fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
