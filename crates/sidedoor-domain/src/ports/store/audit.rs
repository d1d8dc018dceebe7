//! The audit trail, in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::audit::{AuditEntry, Phase};
use crate::audit_chain::AuditSeal;
use crate::ids::SupervisionId;

/// Which lines of the audit to list. A field that is `None` excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// About this supervision.
    pub supervision: Option<SupervisionId>,
    /// Of this HTTP request.
    pub request_id: Option<String>,
    /// In this phase.
    pub phase: Option<Phase>,
    /// At or after this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Older than this line (a cursor).
    pub before: Option<i64>,
    /// Newer than this line (a cursor).
    pub after: Option<i64>,
    /// Oldest line first; otherwise newest first.
    pub oldest_first: bool,
    /// The page's size.
    pub limit: u32,
}

/// A line of the audit and its place in the order of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Grows by one with every line.
    pub seq: i64,
    /// Who did what.
    pub entry: AuditEntry,
}

/// Reads of the audit. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// The audit of one supervision without refusals and reads, oldest line first, at most `limit`.
    async fn audit_of(&self, id: SupervisionId, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// A page of the audit.
    async fn audit_lines(&self, filter: &AuditFilter) -> Result<Vec<AuditLine>, StoreError>;

    /// Vendor requests that started between `since` and `until` and have no line that says how they ended, oldest first, at most
    /// `limit`. The lines of one operation are about the same supervision, or about none.
    async fn unfinished_acts(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// The newest seal; `None` if nothing was sealed yet.
    async fn last_audit_seal(&self) -> Result<Option<AuditSeal>, StoreError>;

    /// The seal that is to be written for the oldest lines that have none, at most `limit` of them. `None` if there is nothing to seal.
    async fn next_audit_seal(&self, at: Timestamp, limit: u32) -> Result<Option<AuditSeal>, StoreError>;
}
