//! The port to the metrics: what is counted, but not how.

use crate::departure::Departure;
use crate::directive::{Directive, DirectiveStatus};
use crate::join_failure::JoinFailure;
use crate::supervision::Origin;
use crate::unusable_event::UnusableEvent;

/// An event that is counted or measured.
#[derive(Debug)]
pub enum MetricEvent<'a> {
    /// A supervision started.
    Began(Origin),
    /// A join failed, for this reason.
    JoinFailed(JoinFailure),
    /// Evidence confirmed that a supervisor left.
    Departed(&'a Departure),
    /// A disconnect passed its deadline without evidence of departure.
    Overdue,
    /// **The alarm**: the customer's call ended right after a departure that our disconnect caused.
    CustomerCallEnded,
    /// After a departure, the agent was on hold, in error or no longer on the contact.
    AgentLooksWrong,
    /// The barge safety check refused a disconnect, because it could have ended the customer's call.
    LeaveRefused,
    /// A directive changed to this status.
    Directive(&'a Directive, DirectiveStatus),
    /// An attempt to write a record ended: `recorded`, `again` or `dead`.
    Delivery(&'static str),
    /// Platform Events for this many channels were `published`, or failed and will be sent `again`.
    Announced(&'static str, u64),
    /// The org's own time of a departure minus ours, s; and whether it lies within our interval.
    Compared(f64, bool),
    /// An event of a vendor could not be used.
    EventUnusable(UnusableEvent),
    /// The time from the first proof of a departure until its record was written in the CRM, s.
    Recorded(f64),
}

/// Counts events. Must not block.
pub trait MetricsRecorder: Send + Sync {
    /// Counts one event.
    fn count(&self, what: &MetricEvent<'_>);
}
