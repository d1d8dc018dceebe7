//! The ledger: which operations were called, and which contacts ended, each with its cause.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Entries kept in each list. The oldest entry is dropped first.
const MAX_ENTRIES: usize = 100_000;

/// One API call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallEntry {
    /// API name of the operation.
    pub operation: String,
    /// Ids of the contact and user in the request, or its path if the body has none.
    pub about: String,
    /// The Region of the call, as its signature names it.
    pub region: String,
    /// `ClientToken` of MonitorContact.
    pub client_token: Option<String>,
    /// W3C `traceparent` of the call, if it had one.
    #[serde(rename = "traceparent")]
    pub trace_parent: Option<String>,
    /// HTTP status of the answer; 0 if the call got no answer because of a fault.
    pub status: u16,
    /// Real time of the call, RFC 3339.
    pub at: String,
}

/// The end of one contact or leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndEntry {
    /// Id of the contact or leg.
    pub contact_id: String,
    /// `CUSTOMER` for a customer's contact, `LEG` for a supervisor's leg.
    pub kind: String,
    /// Cause: `StopContact`, `CCP`, `AGENT`, `CUSTOMER`, `CONTACT_ENDED` for a leg that ended with its contact,
    /// `LAST_PARTY_LEFT` for a contact whose last other party has left, `SILENT_LEAVE` for a contact that the vendor wrongly
    /// ended when a silent supervisor left (setting `silent_leave_ends_call`), or `TRANSFER` for a contact whose call continued
    /// with another agent.
    pub by: String,
    /// Real time of the end, RFC 3339.
    pub at: String,
}

/// All calls and ends.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ledger {
    /// The calls, oldest first.
    pub calls: VecDeque<CallEntry>,
    /// The ends, oldest first.
    pub ended: VecDeque<EndEntry>,
    /// Number of calls since the start by operation, those without an answer included.
    pub totals: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn call(&mut self, entry: CallEntry) {
        *self.totals.entry(entry.operation.clone()).or_default() += 1;
        if self.calls.len() == MAX_ENTRIES {
            self.calls.pop_front();
        }
        self.calls.push_back(entry);
    }

    pub(super) fn end(&mut self, entry: EndEntry) {
        if self.ended.len() == MAX_ENTRIES {
            self.ended.pop_front();
        }
        self.ended.push_back(entry);
    }
}
