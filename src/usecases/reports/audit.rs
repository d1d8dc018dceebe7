//! The audit, read: a page, or all of it in order; and what was begun and never completed, swept.

use crate::usecases::error::UseCaseError;
use jiff::{SignedDuration, Timestamp};

use crate::usecases::RequestContext;
use crate::usecases::reports::ReportService;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::audit::{AuditEntry, Phase, SELF};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::Transaction;
pub use sidedoor_domain::ports::store::{AuditFilter, AuditLine};

/// An act on a vendor takes seconds; a restart takes up what was under way. What has no end after this has lost it.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The cursor's name in the store: everything begun before that moment (epoch ms) has its end.
const CURSOR: &str = "audit swept";
/// Acts swept at once.
const PAGE: u32 = 100;

impl ReportService {
    /// Lines of the audit.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] without `read` or `operate`.
    pub async fn audit_lines(
        &self,
        filter: &AuditFilter,
        request: &RequestContext,
    ) -> Result<Vec<AuditLine>, UseCaseError> {
        if !(request.caller.has(Scope::Read) || request.caller.has(Scope::Operate)) {
            return Err(UseCaseError::Forbidden("this credential may not read the audit"));
        }
        Ok(self.ctx.store().audit_lines(filter).await?)
    }

    /// A ticket to a supervisor's stream of directives is about to be given out.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_ticket(&self, request: &RequestContext, user: &UserId) -> Result<(), UseCaseError> {
        let line = AuditEntry {
            request_id: request.request_id.clone(),
            ..AuditEntry::done(
                self.ctx.now(),
                request.caller.name.clone(),
                AuditAction::TicketIssued,
                format!("for {user}"),
            )
        };
        let change = Transaction {
            audit: vec![line],
            ..Transaction::default()
        };
        self.ctx.store().transact(change).await?;
        Ok(())
    }

    /// Says of every act on a vendor that was begun long ago, and of which nothing says what came, that it was abandoned.
    pub(crate) async fn sweep_audit(&self) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let until = now - ABANDONED_AFTER;
        let swept = self.ctx.store().cursor(CURSOR).await?.unwrap_or(0);
        let since = Timestamp::from_millisecond(swept).unwrap_or(Timestamp::UNIX_EPOCH);
        let unfinished = self.ctx.store().unfinished_acts(since, until, PAGE).await?;
        let all = unfinished.len() < PAGE as usize;
        for begun in unfinished {
            let Some(operation) = begun.operation.clone() else {
                continue;
            };
            let state = match begun.supervision {
                Some(id) => self.ctx.store().supervision(id).await?.map(|s| s.supervision.state),
                None => None,
            };
            let outcome = match state {
                Some(state) => format!(
                    "what came of it was never learnt; the supervision is {}",
                    state.as_str()
                ),
                None => "what came of it was never learnt".to_owned(),
            };
            tracing::warn!(operation, "{operation} was begun and never completed: {outcome}");
            let abandoned = AuditEntry {
                supervision: begun.supervision,
                ..AuditEntry::done(now, SELF, begun.action, outcome).in_phase(Phase::Abandoned, operation)
            };
            let change = Transaction {
                audit: vec![abandoned],
                ..Transaction::default()
            };
            self.ctx.store().transact(change).await?;
        }
        if all {
            let moved = Transaction {
                cursor: Some((CURSOR, until.as_millisecond())),
                ..Transaction::default()
            };
            self.ctx.store().transact(moved).await?;
        }
        Ok(())
    }
}
