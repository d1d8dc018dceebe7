//! The unit of work: the writes that succeed or fail together, and the outcome.

use jiff::Timestamp;

use super::{
    ClockEpoch, ClockId, Comparison, Completeness, CountedContact, DeliveryResult, FoundContactRecord, HandledContact,
    KeyRecord, KeyWrite, LegEvidence, PollStaleness, Sample, StoredSupervision, UnknownLeg,
};
use crate::audit::AuditEntry;
use crate::audit_chain::AuditSeal;
use crate::ids::{InstanceName, SupervisionId};
use crate::supervision::Supervision;

/// How a supervision is written. Refused as [`CommitOutcome::LegTaken`] if another supervision has its leg. Its origin and instance
/// never change.
#[derive(Debug, Clone)]
pub enum SupervisionWrite {
    /// A new supervision. Refused as [`CommitOutcome::Busy`] if it needs a voice slot and others have all that a supervisor may
    /// request. A leg that was observed is a fact, and takes the lowest free slot even above that number. It is a
    /// [`StoreError::Store`](super::StoreError::Store) if its id is stored already.
    Insert(Box<Supervision>),
    /// A changed supervision, and the revision it was read at. Refused as [`CommitOutcome::Stale`] if that is not the newest.
    /// Refused as [`CommitOutcome::Busy`] if it is REQUESTED, waits no longer, and others have all voice slots. In another state it
    /// runs, and takes the lowest free slot.
    Update(Box<Supervision>, i64),
}

impl SupervisionWrite {
    /// The id of the supervision.
    pub fn id(&self) -> SupervisionId {
        let (Self::Insert(s) | Self::Update(s, _)) = self;
        s.id
    }

    /// The instance of the supervision.
    pub fn instance(&self) -> &InstanceName {
        let (Self::Insert(s) | Self::Update(s, _)) = self;
        &s.instance
    }

    /// The revision that the supervision has once it is written.
    pub fn next_revision(&self) -> i64 {
        match self {
            Self::Insert(_) => 1,
            Self::Update(_, read) => read + 1,
        }
    }

    /// The supervision as it is written.
    pub fn into_supervision(self) -> Box<Supervision> {
        let (Self::Insert(s) | Self::Update(s, _)) = self;
        s
    }
}

/// Everything that is written together, in one database transaction. Deliveries and comparisons of a supervision that is not stored are
/// ignored, because the sweep may have removed it.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// A new or changed supervision. Its directives are written with it.
    pub supervision: Option<SupervisionWrite>,
    /// New evidence.
    pub evidence: Vec<LegEvidence>,
    /// Gives the supervision's record a new version, due to be sent then. A delivery that waits after a failed attempt keeps its time.
    /// Needs `supervision`.
    pub deliver_at: Option<Timestamp>,
    /// Makes a pending delivery that has not failed yet due by this moment.
    pub expedite: Option<(SupervisionId, Timestamp)>,
    /// The CRM's records of contacts that were found, of any number of supervisions. A supervision that has such a record, or that is not
    /// stored, is not changed.
    pub contact_records: Vec<FoundContactRecord>,
    /// Delivery attempts that ended.
    pub delivery_results: Vec<DeliveryResult>,
    /// The last change that a follower has handled, by the follower's name. It never goes back.
    pub cursor: Option<(&'static str, i64)>,
    /// A measured age of an answer of GetCurrentUserData. A greater stored age that is not too old is kept instead.
    pub poll_staleness: Option<PollStaleness>,
    /// What the checks of an instance for missed legs have covered now.
    pub completeness: Option<Completeness>,
    /// A contact that an agent had. One that is stored already is not changed.
    pub handled_contact: Option<HandledContact>,
    /// Contacts that become a part of their days' counters. One that is no longer stored by its id was counted before.
    pub counted_contacts: Vec<CountedContact>,
    /// Departures that were compared with the org's own records.
    pub comparisons: Vec<Comparison>,
    /// Deliveries to send again at that moment, with no attempts counted.
    pub replayed: Vec<(SupervisionId, Timestamp)>,
    /// Dead letters that are not to be sent any more. A delivery in another state stays as it is.
    pub discarded: Vec<SupervisionId>,
    /// All jobs that belong to no supervision are due by this moment: our own clock was set back, and their times are too late.
    pub due_by: Option<Timestamp>,
    /// Unknown legs to look up, or to look up again later. A leg that is stored with at least as many looks keeps the earlier time.
    pub unknown_legs: Vec<UnknownLeg>,
    /// Legs that are unknown no longer.
    pub adopted_legs: Vec<(InstanceName, String)>,
    /// The id of the EventBridge event that caused this. Refused as [`CommitOutcome::Duplicate`] if it was seen before.
    pub event: Option<(String, Timestamp)>,
    /// An idempotency key that is taken, answered or freed.
    pub key: Option<KeyWrite>,
    /// New samples of vendors' clocks.
    pub samples: Vec<(ClockId, Sample)>,
    /// New epochs of vendors' clocks. An epoch that is stored already is not changed.
    pub epochs: Vec<ClockEpoch>,
    /// New lines of the audit.
    pub audit: Vec<AuditEntry>,
    /// A seal of earlier lines of the audit. Refused as [`CommitOutcome::Stale`] if it does not follow the newest one.
    pub audit_seal: Option<AuditSeal>,
    /// No caller waits for it, because it is found again after a crash. It may be written a moment later, together with a transaction that
    /// a caller waits for, so that it costs no fsync of its own.
    pub rides_along: bool,
}

/// Whether a transaction was written. Every outcome but `Done` wrote nothing. If there are several reasons to refuse, the first of
/// `Duplicate`, `KeyUsed`, `Stale`, `Busy` and `LegTaken` is the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is on disk. Holds the supervision as it was written, if the transaction has one.
    Done(Option<Box<StoredSupervision>>),
    /// The supervision changed since it was read. The caller reads it again.
    Stale,
    /// The oldest of the supervisions that have the supervisor's voice slots.
    Busy(SupervisionId),
    /// This other supervision has the leg.
    LegTaken(SupervisionId),
    /// The idempotency key was used before.
    KeyUsed(KeyRecord),
    /// The event was seen before.
    Duplicate,
}

impl CommitOutcome {
    /// Whether the transaction was written.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}
