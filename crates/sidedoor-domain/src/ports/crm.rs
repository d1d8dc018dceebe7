//! The port to Salesforce.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::codes::stable_codes;
use crate::ids::ContactId;
use crate::participant::{ContactRecordKind, ParticipantRecord};
use crate::supervision::Mode;

/// The most records in one write, because a collections upsert takes at most 200.
pub const RECORDS_PER_WRITE: usize = 200;
/// The most contacts in one search for VoiceCalls: as many as a write has records. The URL (53 bytes a contact) stays
/// within Salesforce's limit of 16 KiB.
pub const CONTACTS_A_SEARCH: usize = 200;

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRecord {
    /// The object of the record.
    pub object_name: String,
    /// The record's id. `None` if the answer had none, such as a bare 204.
    pub record_id: Option<String>,
    /// Whether this write created the record.
    pub created: bool,
    /// Whether the CRM has a newer version of the record and kept that instead.
    pub newer_kept: bool,
}

/// What to do after an error of the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmVerdict {
    /// Retry later.
    Retry,
    /// Two writes raced to create the record. Retry at once, because it is an update now.
    RetryNow,
    /// The whole org accepts nothing (a limit was reached): send nothing for this long.
    Park(Duration),
    /// The whole org changed (a field, permission or object is missing), so every record would fail. Send nothing for
    /// this long and describe the org again; do not dead-letter thousands of records for one missing permission.
    OrgFault(Duration),
    /// The error does not show whose fault it is: its code is not known, or it sounds like the org's while the org's own description
    /// shows no fault. Other records, and time, decide whether it is this record's.
    Unproven,
    /// A lookup was refused: retry once without these lookups.
    WithoutLookups(Lookups),
    /// The record, or a record that it refers to, was deleted a moment ago: retry at once, and if that fails too, without these
    /// lookups.
    RetryThenWithout(Lookups),
    /// The record will not be accepted: a person must decide.
    DeadLetter,
}

/// A set of a record's lookup fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookups {
    /// The lookup to VoiceCall.
    pub voice_call: bool,
    /// The lookup to MessagingSession.
    pub messaging_session: bool,
    /// The lookup to the supervisor's User.
    pub supervisor: bool,
    /// The lookup to the agent's User.
    pub agent: bool,
}

impl Lookups {
    /// All lookups.
    pub const ALL: Self = Self {
        voice_call: true,
        messaging_session: true,
        supervisor: true,
        agent: true,
    };
}

stable_codes! {
    /// The errors that Sidedoor itself finds when it calls Salesforce. `docs/errors.md` lists them.
    pub enum CrmFault {
        /// Salesforce did not answer in time.
        Timeout = "salesforce_timeout",
        /// Salesforce could not be reached.
        NetworkUnavailable = "salesforce_network_unavailable",
        /// Salesforce's answer could not be read.
        ResponseInvalid = "salesforce_response_invalid",
        /// Salesforce refused the login.
        LoginRejected = "salesforce_login_rejected",
        /// Salesforce refused a token that it had just issued.
        TokenRejected = "salesforce_token_rejected",
        /// The private key for the JWT bearer grant cannot be used.
        KeyInvalid = "salesforce_key_invalid",
        /// The org's host redirects to another host, and a new login returned the same host.
        OrgMoved = "salesforce_org_moved",
        /// The org does not have the configured version of the API.
        ApiVersionInvalid = "salesforce_api_version_invalid",
        /// The login's `instance_url` is not a Salesforce host.
        HostInvalid = "salesforce_host_invalid",
        /// The object exists, but fields are missing or do not fit.
        MappingInvalid = "salesforce_mapping_invalid",
        /// No usable object was found.
        ObjectNotFound = "salesforce_object_not_found",
        /// No Platform Event is configured.
        EventNotFound = "salesforce_event_not_found",
    }
}

/// The code of a CRM's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrmErrorCode {
    /// An error that Sidedoor found.
    Own(CrmFault),
    /// The CRM's own error code in its spelling, such as `UNABLE_TO_LOCK_ROW`.
    Vendor(String),
}

impl CrmErrorCode {
    /// The code's text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own(fault) => fault.as_str(),
            Self::Vendor(code) => code,
        }
    }
}

impl fmt::Display for CrmErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed call to the CRM. Its text has the code, the CRM's own sentence, and the remedy.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}{}", .remedy.as_deref().map(|remedy| format!("; {remedy}")).unwrap_or_default())]
pub struct CrmError {
    /// Why it failed.
    pub code: CrmErrorCode,
    /// What the CRM said, in its own words where it said anything.
    pub message: String,
    /// What a person can do about it, in the imperative; names the setting or the place in Setup. `None` if nothing is known.
    pub remedy: Option<Cow<'static, str>>,
    /// The CRM's answer, cut to 4 KiB, which is kept with a dead letter.
    pub answer: Option<String>,
    /// What to do next.
    pub verdict: CrmVerdict,
    /// Whether the CRM may still be working on a write that was not answered, and may commit it later.
    pub may_commit_late: bool,
}

/// How many of its daily API calls the org has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The calls that were used.
    pub used: u64,
    /// The calls that the org has a day.
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

/// The most events in one announcement, because a composite request takes at most 25 subrequests.
pub const EVENTS_A_CALL: usize = 25;
/// The most VoiceCalls in one query for their supervisors.
pub const CALLS_A_QUESTION: usize = 100;

/// The most user names in one query for users.
pub const NAMES_A_QUESTION: usize = 100;
/// The most bytes of these names together. Each byte may become three in the URL, which stays within Salesforce's limit of 16 KiB.
pub const NAME_BYTES_A_QUESTION: usize = 4000;

/// A supervisor's presence on a call in the CRM's own records (ConversationParticipant with the role Supervisor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantSeen {
    /// The record's id.
    pub id: String,
    /// The User of the participant, if the record names one.
    pub user_id: Option<String>,
    /// When they left: `LeftTime` with `LeftTimeMilliSecs`, "the milliseconds portion of Left Time".
    pub left_at: Option<jiff::Timestamp>,
}

/// What an agent's page shows about a supervision of the agent's contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentNotice {
    /// The supervision's id.
    pub supervision: String,
    /// The id of the agent's user in the CRM.
    pub agent: String,
    /// The supervised contact.
    pub contact: String,
    /// Whether the supervisor has left.
    pub is_over: bool,
    /// The mode.
    pub mode: Mode,
    /// The supervisor's name, if the agent may know it.
    pub supervisor: Option<String>,
}

/// The CRM. Every method makes **one** attempt, except that an expired token is renewed once on the way.
#[async_trait]
pub trait Crm: Send + Sync {
    /// Writes up to [`RECORDS_PER_WRITE`] records in one call. Each is created or updated by its external id. Returns one
    /// outcome a record, in order.
    ///
    /// # Errors
    /// If the call as a whole failed: it is unknown whether any record was written, and all may be sent again.
    async fn upsert(&self, rows: &[ParticipantRecord]) -> Result<Vec<Result<WrittenRecord, CrmError>>, CrmError>;

    /// The ids of the records of at most [`CONTACTS_A_SEARCH`] contacts, by contact. A contact may have none or several.
    ///
    /// # Errors
    /// The CRM's.
    async fn contact_records(
        &self,
        kind: ContactRecordKind,
        contacts: &[ContactId],
    ) -> Result<BTreeMap<String, Vec<String>>, CrmError>;

    /// The Connect user name of an active user of the CRM, or `None` if there is no such user or name.
    ///
    /// # Errors
    /// The CRM's.
    async fn connect_username(&self, user: &str) -> Result<Option<String>, CrmError>;

    /// The active users of the CRM that have these Connect user names, by name in lower case. A name may have none or several. At most
    /// [`NAMES_A_QUESTION`] names of [`NAME_BYTES_A_QUESTION`] together.
    ///
    /// # Errors
    /// The CRM's.
    async fn users_named(&self, usernames: &[String]) -> Result<BTreeMap<String, Vec<String>>, CrmError>;

    /// Checks the object and all configured fields against the org's description. Returns the object's name.
    ///
    /// # Errors
    /// The CRM's; the message of [`CrmFault::MappingInvalid`] names every field that does not fit, with a fix.
    async fn describe_object(&self) -> Result<String, CrmError>;

    /// Publishes one event for each of at most [`EVENTS_A_CALL`] channel keys, at least once and in no order.
    ///
    /// # Errors
    /// The CRM's: any of the events may not have been published.
    async fn announce(&self, channel_keys: &[String]) -> Result<(), CrmError>;

    /// Publishes at most [`EVENTS_A_CALL`] notices to agents, at least once and in no order.
    ///
    /// # Errors
    /// The CRM's: any of the notices may not have been published.
    async fn notify_agents(&self, notices: &[AgentNotice]) -> Result<(), CrmError>;

    /// The supervisors on at most [`CALLS_A_QUESTION`] VoiceCalls in the CRM's own records, by VoiceCall.
    ///
    /// # Errors
    /// The CRM's; an org without such records refuses the query.
    async fn supervisors_of(&self, voice_calls: &[String]) -> Result<BTreeMap<String, Vec<ParticipantSeen>>, CrmError>;

    /// The org's use of API calls in its latest answer. `None` if that is more than an hour old, because the count is
    /// that of a rolling day and only another call can update it.
    fn usage(&self) -> Option<Usage>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crm_error_shows_our_code_or_the_vendors() {
        for (code, text) in [
            (CrmErrorCode::Own(CrmFault::Timeout), "salesforce_timeout"),
            (CrmErrorCode::Vendor("UNABLE_TO_LOCK_ROW".into()), "UNABLE_TO_LOCK_ROW"),
        ] {
            assert_eq!((code.as_str(), code.to_string().as_str()), (text, text));
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "these shares are exact")]
    fn crm_usage_is_a_share_of_the_limit() {
        for (used, limit, share) in [(1, 4, 0.25), (4, 4, 1.0), (6, 4, 1.5), (5, 0, 0.0)] {
            assert_eq!(Usage { used, limit }.share(), share, "{used} of {limit}");
        }
    }
}
