//! The durable record, as the flows see it.
//!
//! One [`Change`] is one transaction: a supervision's new state, the evidence that caused it, its delivery, its
//! idempotency key and its audit entries stand together or not at all, and once [`Store::commit`] answers they are on
//! disk (fsync). Writes are guarded by the revision they were made from: a change made from an old one is
//! [`CommitOutcome::Stale`] and writes nothing.

mod transaction;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::audit::{AuditEntry, Phase};
use crate::evidence::Evidence;
use crate::ids::{ContactId, DeliveryId, DirectiveId, InstanceName, SupervisionId, UserId};
use crate::supervision::{Origin, State, Supervision};
pub use clock_calibration::{ClockId, Sample};
pub use transaction::{
    ClockEpoch, CommitOutcome, Delivered, DeliveryResult, EpochCause, FailureScope, KeyUse, KeyWrite, LegEvidence,
    SupervisionWrite, Transaction,
};

/// A supervision and the revision it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The supervision.
    pub supervision: Supervision,
    /// Grows with every write.
    pub revision: i64,
    /// Its row on the way to the CRM, once there is one.
    pub record_sync: Option<RecordSync>,
}

/// How the row of a supervision stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSync {
    /// The delivery's id.
    pub id: DeliveryId,
    /// Whose row.
    pub supervision: SupervisionId,
    /// Where it stands.
    pub state: RecordState,
    /// The row's newest version.
    pub version: u32,
    /// The version the CRM has; 0 for none.
    pub written_version: u32,
    /// The object it is kept in, once known.
    pub object_name: Option<String>,
    /// The record's id, once known.
    pub record_id: Option<String>,
    /// When the CRM last took it.
    pub written_at: Option<Timestamp>,
    /// Attempts since the last success.
    pub attempts: u32,
    /// The last error, for people.
    pub last_error: Option<String>,
    /// When it is due next, while pending.
    pub due_at: Timestamp,
    /// How often this row itself was refused while others were taken, since the last success.
    pub refusals: u32,
    /// When this row itself was refused last, since the last success.
    pub refused_at: Option<Timestamp>,
    /// When its VoiceCall is looked for again: it was written without.
    pub look_again_at: Option<Timestamp>,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// On its way.
    Pending,
    /// The CRM has the newest version.
    Written,
    /// It needs a person; the answer is kept.
    Failed,
}

impl RecordState {
    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Written => "WRITTEN",
            Self::Failed => "FAILED",
        }
    }

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Written, Self::Failed]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// A key used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Of what it was used with.
    pub fingerprint: String,
    /// Of which supervision, if of one.
    pub supervision: Option<SupervisionId>,
    /// The process that took it: one from before a crash will never answer.
    pub taken_by: String,
    /// The answer, once given: HTTP status and body.
    pub answer: Option<(u16, String)>,
}

impl KeyRecord {
    /// Whether the same request, of no supervision, was begun by another process, which will never answer it: it may be begun
    /// again.
    pub fn is_lost(&self, fingerprint: &str, incarnation: &str) -> bool {
        self.supervision.is_none()
            && self.answer.is_none()
            && self.taken_by != incarnation
            && self.fingerprint == fingerprint
    }
}

/// A MONITOR leg that no supervision explains (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnexplainedLeg {
    /// Which instance.
    pub instance: InstanceName,
    /// The leg, as the vendor spells it.
    pub leg: String,
    /// When to look into it.
    pub due_at: Timestamp,
    /// How often we did.
    pub looks: u32,
}

/// The store cannot do its work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too many writes wait: nothing was written.
    #[error("the store is overloaded")]
    Overloaded,
    /// It is closed: nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The store failed; the change may or may not stand.
    #[error("the store's store failed: {0}")]
    Store(String),
    /// What was read cannot be understood.
    #[error("the store holds something unreadable: {0}")]
    Unreadable(String),
}

/// Which supervisions to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states; empty for any.
    pub states: Vec<State>,
    /// On this contact.
    pub contact: Option<ContactId>,
    /// Of this supervisor.
    pub supervisor: Option<UserId>,
    /// Of this agent's contacts.
    pub agent: Option<UserId>,
    /// In this instance.
    pub instance: Option<InstanceName>,
    /// Begun so.
    pub origin: Option<Origin>,
    /// Only those whose leave is overdue, or only the others.
    pub overdue: Option<bool>,
    /// Begun at or after this.
    pub since: Option<Timestamp>,
    /// Begun before this.
    pub until: Option<Timestamp>,
    /// Older than this one (the cursor).
    pub before: Option<SupervisionId>,
    /// At most so many.
    pub limit: u32,
}

/// How many there are of what, now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Unfinished supervisions by state.
    pub active: Vec<(State, u64)>,
    /// Of these, those whose leave is overdue.
    pub overdue: u64,
    /// Rows on their way, and dead letters.
    pub rows: Vec<(RecordState, u64)>,
}

/// Which rows to list, newest supervision first.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<RecordState>,
    /// Of supervisions begun at or after this.
    pub since: Option<Timestamp>,
    /// Of supervisions begun before this.
    pub until: Option<Timestamp>,
    /// Of supervisions older than this one (the cursor).
    pub before: Option<SupervisionId>,
    /// At most so many.
    pub limit: u32,
}

/// A row, with the CRM's last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its supervision and how it stands.
    pub stored: Stored,
    /// What the CRM answered last, as it came, for one that needs a person.
    pub last_answer: Option<String>,
}

/// A change of a directive, in the order of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Grows with every change of any directive, and is never used twice.
    pub seq: i64,
    /// Which directive.
    pub directive: DirectiveId,
    /// Its supervision, as it is now.
    pub stored: Stored,
}

/// A directive was given or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectiveChange {
    /// Grows with every change of any directive.
    pub seq: i64,
    /// The supervisor whose browser is to hear of it.
    pub user: UserId,
}

/// What the org itself has of a departure (ConversationParticipant), beside ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Whose departure.
    pub supervision: SupervisionId,
    /// When we looked.
    pub looked_at: Timestamp,
    /// Their record.
    pub participant_id: Option<String>,
    /// When it says that they left; `None` while there is no such record, or it has no end.
    pub left_at: Option<Timestamp>,
    /// Ours then.
    pub ours_at: Timestamp,
    /// Whether theirs is within our earliest and latest.
    pub inside: Option<bool>,
}

/// Which lines of the audit.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this actor.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// Of this supervision.
    pub supervision: Option<SupervisionId>,
    /// Of this HTTP request.
    pub request_id: Option<String>,
    /// In this phase.
    pub phase: Option<Phase>,
    /// At or after this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// Older than this line.
    pub before: Option<i64>,
    /// Newer than this line.
    pub after: Option<i64>,
    /// Oldest first, else newest first.
    pub oldest_first: bool,
    /// At most so many.
    pub limit: u32,
}

/// A line of the audit in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Grows with every line.
    pub seq: i64,
    /// The line.
    pub entry: AuditEntry,
}

/// Whose directives changed.
pub type DirectiveNews = (InstanceName, UserId);

/// Supervisions, read by what identifies or groups them. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait SupervisionStore: Send + Sync {
    /// One supervision.
    async fn supervision(&self, id: SupervisionId) -> Result<Option<Stored>, StoreError>;

    /// The supervision whose leg this is.
    async fn by_leg(&self, instance: &InstanceName, leg: &str) -> Result<Option<Stored>, StoreError>;

    /// Supervisions, newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<Stored>, StoreError>;

    /// The unfinished supervisions of one supervisor.
    async fn active_of(&self, instance: &InstanceName, user: &UserId) -> Result<Vec<Stored>, StoreError>;

    /// The unfinished supervisions on one contact.
    async fn active_on(&self, instance: &InstanceName, contact: &ContactId) -> Result<Vec<Stored>, StoreError>;

    /// The unfinished supervisions in these states, oldest first, at most `limit`; for resuming. A final state finds none.
    async fn in_states(&self, states: &[State], limit: u32) -> Result<Vec<Stored>, StoreError>;

    /// Supervisions that ended since `since`, latest first, at most `limit`.
    async fn left_since(&self, since: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError>;

    /// The supervisions of one supervisor on one contact that had a leg and are over, newest first, at most `limit`.
    async fn over_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<SupervisionId>, StoreError>;

    /// Supervisors of an instance whose supervisions began since `since`, in the order of their ids, after `after`; at most
    /// `limit`.
    async fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError>;

    /// How many there are of what.
    async fn counts(&self) -> Result<Counts, StoreError>;
}

/// What was observed of legs, and the legs that no supervision explains yet. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait EvidenceStore: Send + Sync {
    /// A leg's evidence, oldest first.
    async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError>;

    /// Unexplained legs to look into by `now`.
    async fn due_unexplained(&self, now: Timestamp, limit: u32) -> Result<Vec<UnexplainedLeg>, StoreError>;
}

/// What is due, and how far background work has come. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// When the next check, unexplained leg or delivery is due.
    async fn next_due(&self) -> Result<NextDue, StoreError>;

    /// Those to look at by `now`, longest due first, at most `limit`.
    async fn due_checks(&self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError>;

    /// How far what follows changes under that name has come; `None` if it never began.
    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError>;

    /// Removes what is past its retention; at most a bounded number of rows a call. Returns how many.
    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError>;
}

/// Salesforce records on their way. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Supervisions whose rows are pending and due by `now`, longest due first, at most `limit`.
    async fn due_deliveries(&self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError>;

    /// How many of these there are, counted to `limit` at most.
    async fn due_delivery_count(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Supervisions whose recorded rows lack a VoiceCall that is to be looked for by `now`, at most `limit`.
    async fn due_voice_calls(&self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError>;

    /// Rows, newest first.
    async fn rows(&self, filter: &DeliveryFilter) -> Result<Vec<Row>, StoreError>;

    /// One row.
    async fn row(&self, id: DeliveryId) -> Result<Option<Row>, StoreError>;

    /// Recorded departures on contacts whose VoiceCall is known, ended after `since` and by `until`, that were never compared
    /// with the org's own record, or looked at by `again` and found without; never looked at first, at most `limit`. With each, how
    /// many supervisions its contact has had.
    async fn due_comparisons(
        &self,
        since: Timestamp,
        until: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Stored, u32)>, StoreError>;
}

/// Directives to supervisors' browsers, in the order of their changes. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait DirectiveStore: Send + Sync {
    /// The directives of one supervisor: those changed after `after`, in the order of their last change; without it, those
    /// that are open. At most `limit`.
    async fn directives_of(
        &self,
        instance: &InstanceName,
        user: &UserId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Ordered>, StoreError>;

    /// The newest change of any directive; 0 for none.
    async fn last_directive_change(&self) -> Result<i64, StoreError>;

    /// Directives given or withdrawn after `after`, in the order of their last change, at most `limit`.
    async fn directive_changes(&self, after: i64, limit: u32) -> Result<Vec<DirectiveChange>, StoreError>;

    /// Right before the first directive that is open, or where changes have come to.
    async fn before_open_directives(&self) -> Result<i64, StoreError>;

    /// Tells whose directives change, after they are on disk. Whoever falls behind must look by themselves.
    fn directive_news(&self) -> broadcast::Receiver<DirectiveNews>;

    /// A secret of this store, made once: the salt of the keys by which streams are named to outsiders.
    fn stream_salt(&self) -> &str;
}

/// What was learnt about the vendors' clocks. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait ClockStore: Send + Sync {
    /// Every epoch of every vendor clock, oldest first.
    async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError>;

    /// The samples of every vendor clock learnt since `since`, oldest first, of each clock at most the latest `limit`.
    async fn clock_samples(&self, since: Timestamp, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError>;
}

/// Who did what. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// The audit of one supervision, oldest first, at most `limit`.
    async fn audit_of(&self, id: SupervisionId, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Lines of the audit.
    async fn audit_lines(&self, filter: &AuditFilter) -> Result<Vec<AuditLine>, StoreError>;

    /// Acts on a vendor begun between `since` and `until` of which nothing says what came, oldest first, at most `limit`.
    async fn unfinished_acts(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;
}

/// Idempotency keys. All methods fail with [`StoreError`] when the store cannot be read.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// What a caller's key started.
    async fn key(&self, caller: &str, key: &str) -> Result<Option<KeyRecord>, StoreError>;

    /// The name of this process in the store: new at every start.
    fn incarnation(&self) -> &str;
}

/// The durable record: every aggregate's questions, and the one way to change anything.
#[async_trait]
pub trait Store:
    SupervisionStore
    + EvidenceStore
    + JobStore
    + DeliveryStore
    + DirectiveStore
    + ClockStore
    + AuditStore
    + IdempotencyStore
{
    /// Writes one transaction and waits until it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]; see [`CommitOutcome`] for refusals.
    async fn transact(&self, change: Transaction) -> Result<CommitOutcome, StoreError>;

    /// Writes one transaction in its turn, without waiting for it. For what may be lost in a crash without harm.
    fn transact_later(&self, change: Transaction);

    /// Waits until everything handed in before is on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn flush(&self) -> Result<(), StoreError>;
}

/// When something is due next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextDue {
    /// A supervision is to be looked at.
    pub check: Option<Timestamp>,
    /// A leg is to be explained.
    pub unexplained: Option<Timestamp>,
    /// A row is to be delivered.
    pub delivery: Option<Timestamp>,
    /// A VoiceCall is to be looked for.
    pub voice_call: Option<Timestamp>,
}

/// What is past its time: everything older than these moments.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Idempotency keys.
    pub keys_before: Timestamp,
    /// Evidence and seen events.
    pub evidence_before: Timestamp,
    /// Finished supervisions whose row is recorded.
    pub supervisions_before: Timestamp,
    /// … and those whose row is not: where there is no CRM.
    pub unsent_too: bool,
}
