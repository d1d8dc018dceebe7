//! Reads the audit, records tickets, and closes audit entries whose end is missing.
//!
//! An action on a vendor is audited before it is sent (phase `Begun`) and after it was answered. If the process dies in between,
//! the second entry is missing; the sweep then writes an entry in the phase `Abandoned`, so that every action has an end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase, SELF};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine};
use sidedoor_domain::ports::{MetricEvent, Transaction};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::reports::ReportService;

/// An action on a vendor takes seconds, and a restart resumes it. If it has no end after this long, its end is lost.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The cursor's name in the store. All actions that began before its value (ms since 1970) have their end.
const CURSOR: &str = "audit swept";
/// The most actions that are read at once.
const PAGE: u32 = 100;

/// How long no further line about tickets of the same caller and supervisor is written.
const TICKET_LINE_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// The most callers and supervisors whose tickets are counted. Of more, the first by name is forgotten and gets a new line.
const MAX_TICKET_LINES: usize = 10_000;

/// A caller, and the supervisor for whom it fetches tickets.
type TicketKey = (String, UserId);

/// When the last audit line about tickets was written, and how many tickets were issued since.
#[derive(Clone, Default)]
pub(super) struct TicketLines(Arc<Mutex<BTreeMap<TicketKey, (Timestamp, u32)>>>);

impl TicketLines {
    fn lines(&self) -> MutexGuard<'_, BTreeMap<TicketKey, (Timestamp, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a ticket. If a line is due, returns how many tickets no line has counted.
    fn count(&self, key: TicketKey, now: Timestamp) -> Option<u32> {
        let mut lines = self.lines();
        let others = match lines.get_mut(&key) {
            Some((at, others)) if now.duration_since(*at) < TICKET_LINE_EVERY => {
                *others += 1;
                return None;
            }
            Some((_, others)) => *others,
            None => 0,
        };
        if lines.len() >= MAX_TICKET_LINES && !lines.contains_key(&key) {
            lines.pop_first();
        }
        lines.insert(key, (now, 0));
        Some(others)
    }

    fn forget(&self, key: &TicketKey) {
        self.lines().remove(key);
    }
}

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

    /// Records that a ticket for a supervisor's directive stream is about to be issued. The audit has one line an hour of each caller
    /// and supervisor, with the number of tickets since the line before; a page fetches a ticket at every reconnect.
    ///
    /// # Errors
    /// [`UseCaseError`] if the store cannot be written.
    pub async fn note_ticket(&self, request: &RequestContext, user: &UserId) -> Result<(), UseCaseError> {
        self.ctx.count(&MetricEvent::TicketIssued);
        let key = (request.caller.name.clone(), user.clone());
        let Some(others) = self.tickets.count(key.clone(), self.ctx.now()) else {
            return Ok(());
        };
        let outcome = match others {
            0 => format!("for {user}"),
            n => format!("for {user}, {n} more since the line before"),
        };
        let line = self.ctx.audit_of(request, AuditAction::TicketIssued, outcome);
        let change = Transaction {
            audit: vec![line],
            ..Transaction::default()
        };
        let written = self.ctx.transact(change).await;
        // No ticket is issued without a line, so the next one is written for the next request.
        written.inspect_err(|_| self.tickets.forget(&key))?;
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
