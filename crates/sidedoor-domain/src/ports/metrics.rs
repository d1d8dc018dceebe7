//! The port to the metrics. It names the counted events and not the way of counting.

use crate::departure::Departure;
use crate::directive::{Directive, DirectiveStatus};
use crate::join_failure::JoinFailure;
use crate::supervision::Origin;
use crate::unusable_event::UnusableEvent;

/// An event that is counted or measured.
#[derive(Debug)]
pub enum MetricEvent<'a> {
    /// A ticket for a directive stream was issued.
    TicketIssued,
    /// A supervision started.
    Began(Origin),
    /// A join failed, for this reason.
    JoinFailed(JoinFailure),
    /// Evidence confirmed that a supervisor left.
    Departed(&'a Departure),
    /// A claim of this credential that a leg has ended was refuted.
    ClaimRefuted(&'a str),
    /// Three claims of this credential were refuted within an hour.
    CredentialDoubted(&'a str),
    /// A poll still listed a leg so long after its confirmed end, s.
    PollStaleness(f64),
    /// A polling round of the idle supervisions of an instance took so long, s.
    PollRound(f64),
    /// A check for missed legs found that so many legs ended, and that neither an event nor a poll had named so many of them.
    LegsChecked {
        /// Legs that ended.
        ended: u64,
        /// How many of them were missed.
        missed: u64,
    },
    /// A disconnect passed its deadline without evidence of departure.
    Overdue,
    /// **The alarm**: the customer's call ended right after a departure that our disconnect caused.
    CustomerCallEnded,
    /// A silent listener left on request, the after-check found whether the customer's call ended right after, and chance gives so
    /// many such ends in the last 24 hours.
    SilentLeave {
        /// Whether the call ended right after.
        call_ended: bool,
        /// How many such ends chance gives.
        expected: f64,
    },
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
