//! One transaction: what is written together, and what became of it.

use jiff::Timestamp;

use super::{ClockId, Comparison, KeyRecord, Sample, UnexplainedLeg};
use crate::audit::AuditEntry;
use crate::evidence::Evidence;
use crate::ids::{InstanceName, SupervisionId};
use crate::ports::Recorded;
use crate::supervision::Supervision;

/// How a supervision is written.
#[derive(Debug, Clone)]
pub enum SupervisionWrite {
    /// A new one. If it holds the supervisor's voice place and another does already, nothing is written
    /// ([`CommitOutcome::Busy`]).
    Insert(Box<Supervision>),
    /// One read at this revision.
    Update(Box<Supervision>, i64),
}

/// A caller's idempotency key, bound to what it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Whose key.
    pub caller: String,
    /// The key.
    pub key: String,
    /// SHA-256 of method, path, caller and body.
    pub fingerprint: String,
    /// The one request that gives it: another with the same key has a claim of its own, and can neither answer for this one nor
    /// free what it holds.
    pub claim: String,
}

/// What happens to a key.
#[derive(Debug, Clone)]
pub enum KeyWrite {
    /// It starts something, of this supervision if of one: refused as [`CommitOutcome::KeyUsed`] if it did before. What an earlier
    /// process began of no supervision, and never answered, may be begun again.
    Take(KeyUse, Option<SupervisionId>, Timestamp),
    /// The answer of the request that took it was given; of any other, nothing is kept.
    Answer(KeyUse, u16, String),
    /// The answer of the request that took it was a fault of ours (5xx), which is never replayed: the key is free again. What
    /// has its answer, or is another's, stays.
    Forget(KeyUse),
}

/// A leg's evidence, whether a supervision explains the leg or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvidence {
    /// Which instance.
    pub instance: InstanceName,
    /// The leg, as the vendor spells it.
    pub leg: String,
    /// What was observed.
    pub evidence: Evidence,
}

/// How a delivery attempt ended. Guarded by the version it sent.
#[derive(Debug, Clone)]
pub struct DeliveryResult {
    /// Whose row.
    pub supervision: SupervisionId,
    /// The version that was sent.
    pub version: u32,
    /// When the attempt ended.
    pub at: Timestamp,
    /// How.
    pub result: Delivered,
}

/// What an attempt in vain says of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureScope {
    /// Nothing: the CRM took nothing at all, or the call was not about this row alone.
    Crm,
    /// The row was refused, and whether others would have been is not known.
    Open,
    /// The row was refused while others were taken.
    Row,
}

/// The ends of a delivery attempt.
#[derive(Debug, Clone)]
pub enum Delivered {
    /// The CRM has that version. `note` marks a row written with something left out.
    Recorded {
        /// Where.
        recorded: Recorded,
        /// What was left out, if anything.
        note: Option<String>,
        /// When to look again for what was left out.
        look_again_at: Option<Timestamp>,
    },
    /// Again at `due_at`.
    Again {
        /// When.
        due_at: Timestamp,
        /// Why.
        error: String,
        /// What the attempt says of the row itself.
        blame: FailureScope,
    },
    /// Nothing was sent; what was left out is to be looked for again then, or no more.
    LookAgain {
        /// When.
        at: Option<Timestamp>,
    },
    /// A dead letter, with the CRM's answer.
    Dead {
        /// Why.
        error: String,
        /// As it came.
        answer: Option<String>,
    },
}

/// An epoch of a vendor's clock: what was learnt before it says nothing about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockEpoch {
    /// Which clock.
    pub stream: ClockId,
    /// Grows by one with every epoch; the first, which has no record, is 1.
    pub version: u32,
    /// Its first sample came then.
    pub since: Timestamp,
    /// The last sample that spoke for the epoch before: what was concluded in between may be wrong.
    pub corroborated: Timestamp,
    /// Why it began.
    pub cause: EpochCause,
}

/// Why an epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochCause {
    /// The vendor's clock was stepped.
    VendorStep,
    /// Our own was.
    OwnStep,
}

impl EpochCause {
    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VendorStep => "VENDOR_STEP",
            Self::OwnStep => "OWN_STEP",
        }
    }

    /// The cause a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::VendorStep, Self::OwnStep]
            .into_iter()
            .find(|c| c.as_str() == word)
    }
}

/// One transaction.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// The supervision.
    pub supervision: Option<SupervisionWrite>,
    /// New evidence.
    pub evidence: Vec<LegEvidence>,
    /// The row has a new version, due then. Needs `supervision`.
    pub deliver_at: Option<Timestamp>,
    /// The row is due earlier than planned, if it is still pending.
    pub hasten: Option<(SupervisionId, Timestamp)>,
    /// Delivery attempts that ended.
    pub delivered: Vec<DeliveryResult>,
    /// How far something that follows changes has come, by its name; never back.
    pub cursor: Option<(&'static str, i64)>,
    /// What the org itself has of departures.
    pub comparisons: Vec<Comparison>,
    /// Rows to be delivered again, due at once, attempts forgotten.
    pub replayed: Vec<(SupervisionId, Timestamp)>,
    /// Legs to look into, or to look into later.
    pub unexplained: Vec<UnexplainedLeg>,
    /// Legs that are explained now.
    pub explained: Vec<(InstanceName, String)>,
    /// The EventBridge envelope's id: refused as [`CommitOutcome::Duplicate`] if it was seen before.
    pub event: Option<(String, Timestamp)>,
    /// An idempotency key.
    pub key: Option<KeyWrite>,
    /// New samples of vendors' clocks.
    pub samples: Vec<(ClockId, Sample)>,
    /// New epochs of vendors' clocks.
    pub epochs: Vec<ClockEpoch>,
    /// The audit.
    pub audit: Vec<AuditEntry>,
}

/// What became of a change. Everything but `Done` wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is on disk.
    Done,
    /// The supervision changed since it was read: read again.
    Stale,
    /// The supervisor's voice place is taken by this one.
    Busy(SupervisionId),
    /// The leg belongs to this other supervision.
    LegTaken(SupervisionId),
    /// The key was used before.
    KeyUsed(KeyRecord),
    /// The event was seen before.
    Duplicate,
}
