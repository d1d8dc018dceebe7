//! Seals the audit, and writes the lines about refusals and reads.
//!
//! A line about a change is written with the change. Lines about refusals and reads change nothing else: they wait in memory for at most
//! a second, so that a read never waits for the disk. A process that is killed loses those of its last second.
//!
//! A second after a line was written, a seal covers it and all others of that second. Without new lines nothing is written. The newest
//! seal's head goes to the log, because a copy outside the store is what shows that its end was cut.

pub(crate) mod access;

use std::time::Duration;

use sidedoor_domain::audit::{AuditAction, AuditEntry, RequestOrigin, SELF, UNAUTHENTICATED};
use sidedoor_domain::audit_chain::{AuditHead, AuditSeal};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::AuditFilter;
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};

use crate::usecases::RequestContext;
use crate::usecases::context::UseCaseContext;
use crate::usecases::error::UseCaseError;

/// The most lines of one seal.
const LINES_OF_A_SEAL: u32 = 5000;
/// The most lines about refusals and reads that one transaction writes.
const LINES_OF_A_WRITE: usize = 200;
/// The least time between two heads in the log.
const HEAD_EVERY: Duration = Duration::from_secs(60);

/// Seals the audit, and writes what it collects.
#[derive(Clone)]
pub struct AuditingService {
    ctx: UseCaseContext,
}

/// A request that was refused because of its credential.
#[derive(Debug)]
pub struct RefusedRequest<'r> {
    /// The caller; `None` if no credential was valid.
    pub caller: Option<&'r str>,
    /// Our id of the request.
    pub request_id: Option<String>,
    /// Where it came from.
    pub origin: &'r RequestOrigin,
    /// The code of the answer.
    pub code: &'static str,
}

/// How far the audit is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedUpTo {
    /// The newest seal; `None` before the first.
    pub seal: Option<AuditSeal>,
    /// How many newer lines no seal covers yet.
    pub unsealed: u64,
}

/// The head that was logged last, and when.
#[derive(Default)]
struct Logged(Option<(AuditHead, Duration)>);

impl AuditingService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self { ctx }
    }

    /// Notes a refused request for the audit.
    pub fn note_refused(&self, refused: RefusedRequest<'_>) {
        let actor = refused.caller.unwrap_or(UNAUTHENTICATED);
        let entry = AuditEntry::done(self.ctx.now(), actor, AuditAction::AccessRefused, refused.code);
        self.ctx.note_access_line(AuditEntry {
            request_id: refused.request_id,
            ..from(refused.origin, entry)
        });
    }

    /// Notes an export of the report or the audit.
    pub fn note_export(&self, request: &RequestContext, action: AuditAction, what: &str) {
        self.ctx.note_access(request, action, None, what);
    }

    /// How far the audit is sealed.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] without the scope `audit`, and the store's.
    pub async fn sealed_up_to(&self, request: &RequestContext) -> Result<SealedUpTo, UseCaseError> {
        if !request.caller.has(Scope::Audit) {
            return Err(UseCaseError::Forbidden("this credential may not read the audit"));
        }
        let seal = self.ctx.store().last_audit_seal().await?;
        let newest = AuditFilter {
            limit: 1,
            ..AuditFilter::default()
        };
        let newest = self.ctx.store().audit_lines(&newest).await?;
        let sealed = seal.as_ref().map_or(0, |seal| seal.last);
        let unsealed = newest.first().map_or(0, |line| (line.seq - sealed).max(0));
        Ok(SealedUpTo {
            seal,
            unsealed: unsealed.unsigned_abs(),
        })
    }

    /// Writes and seals lines until the process stops.
    pub async fn audit_until_stopped(self) {
        let mut logged = Logged::default();
        // The process before this one may have left lines without a seal.
        let mut works = self.write_and_seal(false, &mut logged, true).await;
        loop {
            tokio::select! {
                biased;
                () = self.ctx.deps.stopping.cancelled() => break,
                () = self.ctx.signals.audited.notified() => {}
                () = self.next_count() => {}
            }
            tokio::select! {
                biased;
                () = self.ctx.deps.stopping.cancelled() => break,
                () = tokio::time::sleep(self.ctx.settings.intervals.seal) => {}
            }
            works = self.write_and_seal(false, &mut logged, works).await;
        }
        self.write_and_seal(true, &mut logged, works).await;
    }

    /// Returns when a count of refusals or reads is to be written.
    async fn next_count(&self) {
        match self.ctx.signals.access.next_count() {
            Some(due) => tokio::time::sleep(due.saturating_sub(self.ctx.elapsed())).await,
            None => std::future::pending().await,
        }
    }

    /// Returns whether it worked. Only the first of several failures is logged.
    async fn write_and_seal(&self, is_last: bool, logged: &mut Logged, worked: bool) -> bool {
        let done = async {
            self.write_collected(is_last).await?;
            self.seal_all().await
        };
        match done.await {
            Ok(head) => {
                if let Some(head) = head {
                    logged.log(head, self.ctx.elapsed(), is_last);
                }
                true
            }
            Err(e) => {
                if worked {
                    tracing::warn!(error = %e, "could not seal the audit; retrying every second: {e}");
                }
                self.ctx.signals.audited.notify_one();
                false
            }
        }
    }

    /// Writes the lines about refusals and reads.
    async fn write_collected(&self, is_last: bool) -> Result<(), StoreError> {
        let collected = &self.ctx.signals.access;
        let lost = collected.take_lost();
        if lost > 0 {
            tracing::warn!(
                lost,
                "{lost} refusals or reads are not in the audit, because too many waited to be written"
            );
        }
        collected.count_up(self.ctx.elapsed(), self.ctx.now(), is_last);
        loop {
            let lines = collected.take(LINES_OF_A_WRITE);
            if lines.is_empty() {
                return Ok(());
            }
            let change = Transaction {
                audit: lines.clone(),
                rides_along: true,
                ..Transaction::default()
            };
            if let Err(e) = self.ctx.store().transact(change).await {
                collected.put_back(lines);
                return Err(e);
            }
        }
    }

    /// Seals all lines. Returns the head of the newest seal.
    async fn seal_all(&self) -> Result<Option<AuditHead>, StoreError> {
        let store = self.ctx.store();
        loop {
            let Some(seal) = store.next_audit_seal(self.ctx.now(), LINES_OF_A_SEAL).await? else {
                return Ok(store.last_audit_seal().await?.map(|seal| seal.head()));
            };
            let change = Transaction {
                audit_seal: Some(seal),
                rides_along: true,
                ..Transaction::default()
            };
            if store.transact(change).await? == CommitOutcome::Stale {
                return Ok(None);
            }
        }
    }
}

impl Logged {
    fn log(&mut self, head: AuditHead, now: Duration, at_once: bool) {
        let is_due = |at: Duration| at_once || now >= at + HEAD_EVERY;
        if self.0.is_some_and(|(last, at)| last == head || !is_due(at)) {
            return;
        }
        tracing::info!(%head, "the audit is sealed up to {head}");
        self.0 = Some((head, now));
    }
}

/// An entry with where its request came from.
fn from(origin: &RequestOrigin, entry: AuditEntry) -> AuditEntry {
    let origin = origin.clone();
    AuditEntry {
        client_request_id: origin.client_request_id,
        credential: origin.credential,
        peer: origin.peer,
        route: origin.route,
        ..entry
    }
}

impl UseCaseContext {
    /// An entry about a request and a supervision.
    pub(crate) fn audit(
        &self,
        request: &RequestContext,
        action: AuditAction,
        id: SupervisionId,
        outcome: impl Into<String>,
    ) -> AuditEntry {
        self.audit_of(request, action, outcome).of(id)
    }

    /// An entry about a request.
    pub(crate) fn audit_of(
        &self,
        request: &RequestContext,
        action: AuditAction,
        outcome: impl Into<String>,
    ) -> AuditEntry {
        AuditEntry {
            request_id: request.request_id.clone(),
            client_request_id: request.origin.client_request_id.clone(),
            ..AuditEntry::done(self.now(), request.caller.name.clone(), action, outcome)
        }
    }

    /// An entry about what the service did by itself.
    pub(crate) fn audit_own(&self, action: AuditAction, id: SupervisionId, outcome: impl Into<String>) -> AuditEntry {
        AuditEntry::done(self.now(), SELF, action, outcome).of(id)
    }

    /// Collects a line about a refusal or a read, which is written within a second or so.
    pub(crate) fn note_access(
        &self,
        request: &RequestContext,
        action: AuditAction,
        supervision: Option<SupervisionId>,
        outcome: &str,
    ) {
        let entry = from(&request.origin, self.audit_of(request, action, outcome));
        self.note_access_line(AuditEntry { supervision, ..entry });
    }

    fn note_access_line(&self, entry: AuditEntry) {
        if self.signals.access.note(entry, self.elapsed()) {
            self.signals.audited.notify_one();
        }
    }
}
