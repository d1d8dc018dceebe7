//! What is counted, and nothing about how.

use crate::departure::Departure;
use crate::directive::{Directive, DirectiveStatus};
use crate::supervision::Origin;

/// Something worth counting.
#[derive(Debug)]
pub enum MetricEvent<'a> {
    /// A supervision began.
    Began(Origin),
    /// A join failed, with this code.
    JoinFailed(&'a str),
    /// A supervisor left, by evidence.
    Departed(&'a Departure),
    /// A leave went past its deadline without evidence.
    Overdue,
    /// **The alarm**: the customer's call ended right after a drop that was our disconnect's.
    CustomerCallEnded,
    /// The agent's state on the contact looked wrong after a departure.
    AgentLooksWrong,
    /// The guard refused a leave, since it could have ended the customer's call.
    LeaveRefused,
    /// A directive was given, answered or withdrawn.
    Directive(&'a Directive, DirectiveStatus),
    /// A row's delivery ended: `recorded`, `again` or `dead`.
    Delivery(&'static str),
    /// An announcement of directives by the CRM's events: `published` or `again`; of how many streams.
    Announced(&'static str, u64),
    /// The org's own record of a departure minus ours, s; and whether it is within our interval.
    Compared(f64, bool),
    /// From the first proof of a drop to its row in the CRM, s.
    Recorded(f64),
}

/// Counts. Must not block.
pub trait MetricsRecorder: Send + Sync {
    /// Counts one.
    fn count(&self, what: &MetricEvent<'_>);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoMetrics;

impl MetricsRecorder for NoMetrics {
    fn count(&self, _: &MetricEvent<'_>) {}
}
