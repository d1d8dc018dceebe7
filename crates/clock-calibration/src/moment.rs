//! A moment on a clock, in integers.

/// A moment on one clock: nanoseconds since the Unix epoch, as that clock reads. It covers the years 1678 to 2262.
///
/// ```
/// use clock_calibration::Moment;
///
/// let sent = Moment::from_millis(1_790_000_000_000);
/// let received = sent.plus_nanos(20_000_000);
/// assert_eq!(received.nanos_since(sent), 20_000_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// The moment `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment `millis` milliseconds after the Unix epoch; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This moment moved by `nanos`, which may be negative; saturates.
    pub const fn plus_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this moment, negative if `earlier` is later; saturates.
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds from `earlier` to this moment.
    pub(crate) fn ms_since(self, earlier: Self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "exact below a hundred days")]
        let nanos = self.nanos_since(earlier) as f64;
        nanos / 1e6
    }

    /// Hours from `earlier` to this moment.
    pub(crate) fn hours_since(self, earlier: Self) -> f64 {
        self.ms_since(earlier) / 3.6e6
    }
}
