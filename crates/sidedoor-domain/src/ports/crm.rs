//! Salesforce, as the flows see it.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::ids::ContactId;
use crate::participant::ParticipantRecord;

/// The most rows one write takes: a collections upsert holds at most 200 records.
pub const ROWS_A_WRITE: usize = 200;
/// The most contacts one search for VoiceCalls takes: as many as a write has rows, and its URL (53 bytes a contact) stays within
/// what Salesforce reads (16 KiB).
pub const CONTACTS_A_SEARCH: usize = 200;

/// A row that stands in the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The object it is kept in.
    pub object_name: String,
    /// The record's id; some answers (a bare 204) carry none.
    pub record_id: Option<String>,
    /// Whether it was made by this very write.
    pub created: bool,
}

/// What may be done about a CRM's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmVerdict {
    /// The same write may succeed later.
    Retry,
    /// A create race: again at once, and it becomes an update.
    RetryNow,
    /// The whole org takes nothing for now (limits): park everything this long.
    Park(Duration),
    /// The whole org changed (field, right or object gone): every row would fail. Park everything this long and look
    /// at the org anew; never dead-letter thousands for one permission.
    OrgFault(Duration),
    /// It sounds like the org's fault, but the org's own description shows none: most likely this row's.
    OwnFault,
    /// A lookup was refused: once more without those.
    WithoutLookups(Lookups),
    /// This row needs a person.
    DeadLetter,
}

/// Some of a row's lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookups {
    /// The VoiceCall.
    pub voice_call: bool,
    /// The supervisor's User.
    pub supervisor: bool,
}

impl Lookups {
    /// Both.
    pub const ALL: Self = Self {
        voice_call: true,
        supervisor: true,
    };
}

/// A write that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CrmError {
    /// A stable word: the CRM's own error code in its spelling, or ours in lower case (`salesforce_network_unavailable`).
    pub code: String,
    /// What to tell people.
    pub message: String,
    /// The CRM's answer as it came, cut to 4 KiB, for the dead letter.
    pub answer: Option<String>,
    /// What may be done.
    pub verdict: CrmVerdict,
}

/// How much of a day's calls the org has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Calls.
    pub used: u64,
    /// Of so many.
    pub limit: u64,
}

impl Usage {
    /// The used share, 0 to 1.
    pub fn share(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than a double holds")]
        if self.limit == 0 {
            0.0
        } else {
            self.used as f64 / self.limit as f64
        }
    }
}

/// The most events one announcement takes: a composite request holds at most 25 subrequests.
pub const EVENTS_A_CALL: usize = 25;
/// The most calls one question for their supervisors takes.
pub const CALLS_A_QUESTION: usize = 100;

/// A supervisor's presence on a call as the CRM itself has it (ConversationParticipant with the role Supervisor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantSeen {
    /// The record.
    pub id: String,
    /// The User it stands for, if it names one.
    pub user_id: Option<String>,
    /// When they left: `LeftTime` with `LeftTimeMilliSecs`, "the milliseconds portion of Left Time".
    pub left_at: Option<jiff::Timestamp>,
}

/// The CRM. Makes **one** attempt (an expired token is renewed once on the way).
#[async_trait]
pub trait Crm: Send + Sync {
    /// Writes up to [`ROWS_A_WRITE`] rows in one call, each made or changed by its external id: one outcome a row, in order.
    ///
    /// # Errors
    /// When the call as a whole failed: nothing is known to be written, all of it may be sent again.
    async fn upsert(&self, rows: &[ParticipantRecord]) -> Result<Vec<Result<Recorded, CrmError>>, CrmError>;

    /// The ids of the VoiceCalls of these contacts (at most [`CONTACTS_A_SEARCH`]), by `VendorCallKey`; of one contact there
    /// may be several, or none.
    ///
    /// # Errors
    /// The CRM's.
    async fn voice_calls(&self, contacts: &[ContactId]) -> Result<HashMap<String, Vec<String>>, CrmError>;

    /// The Connect user name of one of the CRM's users, if there is such a user and it has one.
    ///
    /// # Errors
    /// The CRM's.
    async fn connect_username(&self, user: &str) -> Result<Option<String>, CrmError>;

    /// Checks the object and every configured field against the org's own description. Returns the object's name.
    ///
    /// # Errors
    /// The CRM's; `salesforce_mapping_invalid` names every field that does not fit, and the remedy.
    async fn survey(&self) -> Result<String, CrmError>;

    /// Publishes an event for each of these stream keys (at most [`EVENTS_A_CALL`]): at least once, in no order.
    ///
    /// # Errors
    /// The CRM's: any of them may not have been published.
    async fn announce(&self, stream_keys: &[String]) -> Result<(), CrmError>;

    /// The supervisors on these VoiceCalls (at most [`CALLS_A_QUESTION`]) as the CRM itself has them, by VoiceCall.
    ///
    /// # Errors
    /// The CRM's; an org without such records refuses.
    async fn supervisors_of(&self, voice_calls: &[String]) -> Result<HashMap<String, Vec<ParticipantSeen>>, CrmError>;

    /// The org's use of calls, as it last told; `None` once that is an hour old, since the count is a rolling day's and only a
    /// call could tell it anew.
    fn usage(&self) -> Option<Usage>;
}
