//! Who called what, and which contacts ended, by whom.

use std::collections::VecDeque;

use serde::Serialize;

/// As many calls and ends as are kept.
const MOST: usize = 100_000;

/// One API call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallEntry {
    /// The operation.
    pub operation: String,
    /// The contact or user it was about.
    pub about: String,
    /// Its client token, for MonitorContact.
    pub client_token: Option<String>,
    /// The status answered; 0 when the connection was dropped instead.
    pub status: u16,
    /// When, real time.
    pub at: String,
}

/// One contact's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndEntry {
    /// Which.
    pub contact_id: String,
    /// `CUSTOMER` for a customer's contact, `LEG` for a supervisor's.
    pub kind: String,
    /// `StopContact`, `CCP`, `AGENT`, `CUSTOMER`, or `CONTACT_ENDED` for a leg that ended with its contact.
    pub by: String,
    /// When, real time.
    pub at: String,
}

/// Everything kept.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ledger {
    /// The calls, oldest first.
    pub calls: VecDeque<CallEntry>,
    /// The ends, oldest first.
    pub ended: VecDeque<EndEntry>,
}

impl Ledger {
    pub(super) fn call(&mut self, entry: CallEntry) {
        if self.calls.len() == MOST {
            self.calls.pop_front();
        }
        self.calls.push_back(entry);
    }

    pub(super) fn end(&mut self, entry: EndEntry) {
        if self.ended.len() == MOST {
            self.ended.pop_front();
        }
        self.ended.push_back(entry);
    }
}
