//! Reads the audit, records tickets, and closes audit entries whose end is missing.
//!
//! An action on a vendor is audited before it is sent (phase `Begun`) and after it was answered. If the process dies in between,
//! the second entry is missing; the sweep then writes an entry in the phase `Abandoned`, so that every action has an end.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase, SELF};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::reports::ReportService;

/// An action on a vendor takes seconds, and a restart resumes it. If it has no end after this long, its end is lost.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The cursor's name in the store. All actions that began before its value (ms since 1970) have their end.
const CURSOR: &str = "audit swept";
/// The most actions that are read at once.
const PAGE: u32 = 100;

impl ReportService {
    /// Audit entries that match the filter.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] without the scope `audit`.
    pub async fn audit_lines(
        &self,
        filter: &AuditFilter,
        request: &RequestContext,
    ) -> Result<Vec<AuditLine>, UseCaseError> {
        if !request.caller.has(Scope::Audit) {
            return Err(UseCaseError::Forbidden("this credential may not read the audit"));
        }
        Ok(self.ctx.store().audit_lines(filter).await?)
    }

    /// Records that a ticket for a supervisor's directive stream is about to be issued.
    ///
    /// # Errors
    /// [`UseCaseError`] if the store cannot be written.
    pub async fn note_ticket(&self, request: &RequestContext, user: &UserId) -> Result<(), UseCaseError> {
        let line = self
            .ctx
            .audit_of(request, AuditAction::TicketIssued, format!("for {user}"));
        let change = Transaction {
            audit: vec![line],
            ..Transaction::default()
        };
        self.ctx.transact(change).await?;
        Ok(())
    }

    /// Writes an `ABANDONED` entry for every action on a vendor that began long ago and has no end.
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
                    "the outcome is unknown because the process stopped; the supervision is {}",
                    state.as_str()
                ),
                None => "the outcome is unknown because the process stopped".to_owned(),
            };
            tracing::warn!(operation, "marking {operation} as abandoned: {outcome}");
            let abandoned = AuditEntry {
                supervision: begun.supervision,
                ..AuditEntry::done(now, SELF, begun.action, outcome).in_phase(Phase::Abandoned, operation)
            };
            let change = Transaction {
                audit: vec![abandoned],
                ..Transaction::default()
            };
            self.ctx.transact(change).await?;
        }
        if all {
            let moved = Transaction {
                cursor: Some((CURSOR, until.as_millisecond())),
                ..Transaction::default()
            };
            self.ctx.transact(moved).await?;
        }
        Ok(())
    }
}
