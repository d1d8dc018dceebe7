//! The ports: traits through which the use cases reach [`Telephony`] (Amazon Connect), [`Crm`] (Salesforce), [`Store`], [`Clock`] and
//! [`MetricsRecorder`].
//!
//! Only the use cases retry. An adapter makes one attempt, and its error says whether another attempt can help.

pub mod associated_contacts;
pub mod crm;
pub mod metrics;
pub mod store;
pub mod telephony;
pub mod user_data;
mod vendor_error;

pub use crm::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, Usage, WrittenRecord};
use jiff::Timestamp;
pub use metrics::{MetricEvent, MetricsRecorder};
pub use store::{CommitOutcome, Store, StoreError, Transaction};
pub use telephony::{Admission, DateSeen, DateSink, Endpoint, MonitorCall, Operation, Priority, Telephony};
pub use vendor_error::{VendorError, VendorErrorCode, Verdict};

/// The time. It is injected so that tests control it; `clippy.toml` forbids every other clock.
pub trait Clock: Send + Sync {
    /// The current time in whole milliseconds. It starts from wall time and advances with a monotonic clock, so that a step of the
    /// wall clock cannot fall between the two ends of an interval.
    fn now(&self) -> Timestamp;

    /// How long this clock runs. It is monotonic: no step of the wall clock changes it, so that jobs are due by it.
    fn elapsed(&self) -> std::time::Duration;

    /// Compares this clock with the machine's wall clock. If the two are apart by more than `max_error`, the declared greatest error
    /// of this clock, the wall clock was corrected: this clock takes over the correction and returns its size, by which
    /// [`Clock::now`] is later from then on. Smaller corrections are within the error by which every bound is widened.
    fn follow_step(&self, max_error: jiff::SignedDuration) -> Option<jiff::SignedDuration>;
}

/// Random numbers. They are injected so that a simulation can repeat a run exactly.
pub trait Random: Send + Sync {
    /// 64 random bits.
    fn bits(&self) -> u64;

    /// A number from 0 (inclusive) to 1 (exclusive).
    fn fraction(&self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.bits() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always the same bits.
    struct Bits(u64);

    impl Random for Bits {
        fn bits(&self) -> u64 {
            self.0
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "these fractions are exact")]
    fn random_fraction_is_from_0_to_below_1() {
        for (bits, fraction) in [(0, 0.0), (1 << 63, 0.5), (3 << 62, 0.75)] {
            assert_eq!(Bits(bits).fraction(), fraction);
        }
        assert!(Bits(u64::MAX).fraction() < 1.0);
    }
}
