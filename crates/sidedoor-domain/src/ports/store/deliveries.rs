//! Deliveries of records to Salesforce, in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{StoreError, StoredSupervision};
use crate::ids::{DeliveryId, SupervisionId};
use crate::participant::ContactRecordKind;
use crate::ports::WrittenRecord;

/// The delivery of one supervision's record to Salesforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSync {
    /// The delivery's id.
    pub id: DeliveryId,
    /// The supervision whose record it is.
    pub supervision: SupervisionId,
    /// Whether the newest version was written.
    pub state: RecordState,
    /// The record's newest version.
    pub version: u32,
    /// The version that Salesforce has; 0 for none.
    pub written_version: u32,
    /// Whether Salesforce has a version with the departure.
    pub departure_written: bool,
    /// The Salesforce object that holds the record, once known.
    pub object_name: Option<String>,
    /// The record's Salesforce id, once known.
    pub record_id: Option<String>,
    /// When Salesforce last accepted a version.
    pub written_at: Option<Timestamp>,
    /// Attempts since the last success.
    pub attempts: u32,
    /// The last error, for people.
    pub last_error: Option<String>,
    /// When the next attempt is due, while pending.
    pub due_at: Timestamp,
    /// How often Salesforce rejected this record while it accepted others, since the last success.
    pub refusals: u32,
    /// When Salesforce last rejected this record, since the last success.
    pub refused_at: Option<Timestamp>,
    /// When to look at the written record again: to search for its VoiceCall, because it was written without one, or to send it once
    /// more, because an earlier write got no answer ([`crate::supervision::Supervision::record_unanswered_at`]).
    pub look_again_at: Option<Timestamp>,
}

/// Whether Salesforce has a supervision's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// A version is still to be sent.
    Pending,
    /// Salesforce has the newest version.
    Written,
    /// A dead letter: a person must act, and Salesforce's answer is kept for them.
    Failed,
    /// An operator discarded the dead letter. It is not sent, also not with a newer version, until an operator replays it.
    Discarded,
}

impl RecordState {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Written => "WRITTEN",
            Self::Failed => "FAILED",
            Self::Discarded => "DISCARDED",
        }
    }

    /// The state that a word of the API names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Written, Self::Failed, Self::Discarded]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// Which deliveries to list, newest supervision first. A field that is `None` excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// In this state. Discarded deliveries cannot be listed; the audit has them.
    pub state: Option<RecordState>,
    /// Of supervisions created at or after this moment.
    pub since: Option<Timestamp>,
    /// Of supervisions created before this moment.
    pub until: Option<Timestamp>,
    /// Of supervisions older than this one (the page's cursor).
    pub before: Option<SupervisionId>,
    /// The page's size.
    pub limit: u32,
}

/// A delivery, with Salesforce's last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The supervision, and the state of its record.
    pub stored: StoredSupervision,
    /// Salesforce's last answer to a dead letter, unchanged.
    pub last_answer: Option<String>,
}

/// How a delivery attempt ended. A version newer than the one sent stays pending.
#[derive(Debug, Clone)]
pub struct DeliveryResult {
    /// The supervision whose record was sent.
    pub supervision: SupervisionId,
    /// The version that was sent.
    pub version: u32,
    /// When the attempt ended.
    pub at: Timestamp,
    /// The outcome.
    pub result: DeliveryOutcome,
}

/// Which records a failed attempt says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureScope {
    /// None: Salesforce accepted nothing at all, or the request was not about this record alone.
    Crm,
    /// Salesforce rejected this record; whether it would have accepted others is not known.
    Open,
    /// This record: Salesforce rejected it and accepted others.
    Row,
}

/// The outcome of a delivery attempt.
#[derive(Debug, Clone)]
pub enum DeliveryOutcome {
    /// Salesforce has that version.
    Written {
        /// The record in Salesforce.
        recorded: WrittenRecord,
        /// Whether that version has the departure.
        has_departure: bool,
        /// The reference that the record was written without, if any.
        note: Option<String>,
        /// When to look at the record again; see [`RecordSync::look_again_at`].
        look_again_at: Option<Timestamp>,
    },
    /// The attempt failed and is repeated.
    Again {
        /// When the next attempt is due.
        due_at: Timestamp,
        /// Why it failed.
        error: String,
        /// Whether the failure is this record's.
        blame: FailureScope,
    },
    /// Nothing was sent.
    LookAgain {
        /// When to look at the record again; `None` for never.
        at: Option<Timestamp>,
    },
    /// The record becomes a dead letter.
    Dead {
        /// Why it failed.
        error: String,
        /// Salesforce's answer, unchanged.
        answer: Option<String>,
    },
}

/// The CRM's record of the contact of a supervision that had none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContactRecord {
    /// The supervision. Its revision grows.
    pub supervision: SupervisionId,
    /// The kind of record.
    pub kind: ContactRecordKind,
    /// The Salesforce id of the record.
    pub record_id: String,
    /// Gives the participant record a new version, due to be sent then. `None` if it is being sent with the lookup.
    pub deliver_at: Option<Timestamp>,
}

/// A departure beside the org's own record of it (ConversationParticipant).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The supervision whose departure was compared.
    pub supervision: SupervisionId,
    /// When the org was last asked.
    pub looked_at: Timestamp,
    /// The id of the org's ConversationParticipant.
    pub participant_id: Option<String>,
    /// When the org says that they left; `None` while the org has no such record, or one without an end.
    pub left_at: Option<Timestamp>,
    /// The departure's time in this service when it was compared.
    pub ours_at: Timestamp,
    /// Whether the org's time is between our earliest and latest.
    pub inside: Option<bool>,
}

/// Reads of deliveries. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Supervisions whose delivery is pending and due by `now`, longest due first, at most `limit`.
    async fn due_deliveries(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError>;

    /// How many deliveries are pending and due by `now`, counted up to `limit`.
    async fn due_delivery_count(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Supervisions whose record was written without the CRM's record of the contact and whose next search is due by `now`, longest due
    /// first, at most `limit`.
    async fn due_contact_records(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError>;

    /// A page of deliveries, newest supervision first.
    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>, StoreError>;

    /// The delivery with this id.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Written departures on contacts whose VoiceCall is known, ended after `since` and by `until`, at most `limit`: first those that
    /// were never compared with the org's own record, earliest end first, then those for which the org, last asked by `again`, had
    /// none, longest ago first. With each, how many supervisions with a leg its contact has had.
    async fn due_comparisons(
        &self,
        since: Timestamp,
        until: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<(StoredSupervision, u32)>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_state_words_parse_back() {
        for (state, word) in [
            (RecordState::Pending, "PENDING"),
            (RecordState::Written, "WRITTEN"),
            (RecordState::Failed, "FAILED"),
            (RecordState::Discarded, "DISCARDED"),
        ] {
            assert_eq!((state.as_str(), RecordState::parse(word)), (word, Some(state)));
        }
        assert_eq!(RecordState::parse("RECORDED"), None);
    }
}
