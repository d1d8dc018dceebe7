//! The ports: traits through which the use cases reach [`Telephony`] (Amazon Connect), [`Crm`] (Salesforce), [`Store`], [`Clock`] and
//! [`MetricsRecorder`].
//!
//! Only the use cases retry. An adapter makes one attempt, and its error says whether another attempt can help.

pub mod crm;
pub mod metrics;
pub mod store;
pub mod telephony;

pub use crm::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, Usage, WrittenRecord};
use jiff::Timestamp;
pub use metrics::{MetricEvent, MetricsRecorder};
pub use store::{CommitOutcome, Store, StoreError, Transaction};
pub use telephony::{
    Admission, DateSeen, DateSink, MonitorCall, Operation, Priority, Telephony, VendorError, VendorErrorCode, Verdict,
};

/// The time. It is injected so that tests control it; `clippy.toml` forbids every other clock.
pub trait Clock: Send + Sync {
    /// The current time in whole milliseconds. It starts from wall time and advances with a monotonic clock, so that a step of the
    /// wall clock cannot fall between the two ends of an interval.
    fn now(&self) -> Timestamp;

    /// Compares this clock with the machine's wall clock. If the wall clock was stepped, that is, moved by more than slewing can,
    /// this clock takes over the step and returns its size, by which [`Clock::now`] is later from then on.
    fn follow_step(&self) -> Option<jiff::SignedDuration>;
}
