//! What the flows need of the world, and nothing about how it is had: [`Telephony`] (Amazon Connect), [`Crm`]
//! (Salesforce), [`Store`] (the durable record), [`Clock`] and [`MetricsRecorder`] (what is counted).
//!
//! Retries belong to the flows alone. An adapter makes one attempt and says in its error what may be done about it.

pub mod crm;
pub mod metrics;
pub mod store;
pub mod telephony;

use jiff::Timestamp;

pub use crm::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, Usage, WrittenRecord};
pub use metrics::{MetricEvent, MetricsRecorder};
pub use store::{CommitOutcome, Store, StoreError, Transaction};
pub use telephony::{
    Admission, DateSeen, DateSink, MonitorCall, Operation, Priority, Telephony, VendorError, VendorErrorCode, Verdict,
};

/// The time. Injected, so that tests own it; `clippy.toml` forbids every other clock.
pub trait Clock: Send + Sync {
    /// Now, in whole milliseconds: anchored to wall time, advancing with a monotonic clock, so that a step of the wall
    /// clock cannot tear a bracket.
    fn now(&self) -> Timestamp;

    /// Compares this clock with the machine's wall clock. If that was stepped meanwhile, by more than a slewed clock moves,
    /// adopts it and says by how much: from then on [`Clock::now`] reads that much later than it would have.
    fn follow_step(&self) -> Option<jiff::SignedDuration>;
}
