//! The clock of a fake vendor: it has an offset, it drifts, and its timestamps are cut to a granularity. The fakes keep the
//! real time too, so that a test can measure the error of a recorded time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The real time, before the vendor clock's error is applied.
#[allow(clippy::disallowed_methods, reason = "a fake vendor has its own clock")]
pub(crate) fn real_now() -> Timestamp {
    Timestamp::now()
}

/// The error of a vendor's clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct VendorClock {
    /// Offset at the fake's start: vendor time minus real time, ms.
    pub skew_ms: i64,
    /// Growth of the offset since the fake's start, in parts per million.
    pub drift_ppm: f64,
    /// Timestamps are multiples of this, ms. The default is 1000, because AWS's samples show whole seconds.
    pub granularity_ms: i64,
    /// Timestamps are rounded to the nearest multiple instead of cut.
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
    /// The vendor time at the real time `at`, before it is cut or rounded. The drift started at `since`.
    pub fn read(&self, at: Timestamp, since: Timestamp) -> Timestamp {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a test is short, so the milliseconds fit"
        )]
        let drifted = (at.duration_since(since).as_millis() as f64 * self.drift_ppm / 1e6) as i64;
        at.saturating_add(SignedDuration::from_millis(self.skew_ms + drifted))
            .unwrap_or(at)
    }

    /// The vendor's timestamp of the real time `at`.
    pub fn stamp(&self, at: Timestamp, since: Timestamp) -> Timestamp {
        let (reads, q) = (self.read(at, since).as_millisecond(), self.granularity_ms.max(1));
        let shifted = if self.rounding { reads + q / 2 } else { reads };
        Timestamp::from_millisecond(shifted - shifted.rem_euclid(q)).unwrap_or(at)
    }
}

/// RFC 3339 with milliseconds, as in Connect's events.
pub(crate) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
