//! Rows on their way to the CRM.
//!
//! A delivery is "the latest version of this row", made from the supervision at the moment of sending: whatever was
//! lost, repeated or overtaken, the next attempt sends what is true now. The external id makes repeats harmless, so an
//! attempt whose answer was lost is simply made again.
//!
//! One call at a time: while it is under way the next one fills, so that a burst costs few calls and no row is ever under way
//! twice. [`crate::usecases::salesforce_sync::rate`] says when; [`crate::usecases::salesforce_sync::voice_calls`] finds the lookups. Each row is settled for itself, all of a
//! call in one transaction.

use crate::telemetry::spans;
use crate::usecases::error::UseCaseError;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{Instrument, Span};

use crate::usecases::polling::reconcile::pause_until;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::failure_scope::{self, Refusals};
use crate::usecases::salesforce_sync::rate::{DeliveryPace, LOOKS_APART};
use crate::usecases::salesforce_sync::voice_calls::Lookup;
use sidedoor_domain::participant::ParticipantRecord;
use sidedoor_domain::ports::crm::{Lookups, ROWS_A_WRITE};
use sidedoor_domain::ports::store::{Delivered, DeliveryResult, FailureScope, Stored};
use sidedoor_domain::ports::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, MetricEvent, Recorded, Transaction};

/// The loop wakes at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// While more rows are waited for, how often they are counted.
const COUNT_EVERY: Duration = Duration::from_millis(25);
/// The most calls of one sending that is refused for some row's sake: twice as many as find one row among two hundred.
const SPLITS: u32 = 32;

/// A row to be sent.
struct Sending {
    row: ParticipantRecord,
    stored: Stored,
    lookup: Lookup,
    note: Option<String>,
}

impl Sending {
    /// Takes refused lookups out of the row and says so.
    fn leave_out(&mut self, refused: Lookups, why: &CrmError) {
        let what = match (refused.voice_call, refused.supervisor) {
            (true, false) => "VoiceCall",
            (false, _) => "supervisor's User",
            (true, true) => "lookups",
        };
        self.row.leave_out(refused.voice_call, refused.supervisor);
        self.note = Some(format!("written without its {what}: {why}"));
    }
}

/// What came of one row's attempt.
type Outcome = Result<Recorded, CrmError>;

impl SalesforceSyncService {
    /// Delivers what is due, until the process stops. Returns at once when delivery is switched off.
    pub async fn deliver_until_stopped(self) {
        let Some(crm) = self.ctx.parts.crm.clone() else { return };
        let settings = self.ctx.settings.delivery;
        let mut pace = DeliveryPace::new(settings.max_batch_delay, settings.slow_above);
        if let Err(e) = crm.describe_object().await {
            tracing::error!(code = %e.code, "the org is not as it should be; supervisions are accepted, their rows wait: {e}");
        }
        while !self.ctx.is_stopping() {
            let round = self.delivery_round(&crm, &mut pace).await;
            *self
                .ctx
                .signals
                .held
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = pace.held(self.ctx.now()).cloned();
            let pause = round.unwrap_or_else(|e| {
                tracing::error!(error = %e, "delivery waits: {e}");
                Duration::from_secs(1)
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.signals.deliver.notified(), if pause > COUNT_EVERY => {}
                () = self.ctx.parts.stopping.cancelled() => {}
            }
        }
    }

    /// Sends what is due, if it is time to. Returns how long to sleep.
    async fn delivery_round(&self, crm: &Arc<dyn Crm>, pace: &mut DeliveryPace) -> Result<Duration, UseCaseError> {
        let now = self.ctx.now();
        if let Some(held) = pace.held(now) {
            let left = Duration::try_from(held.until.duration_since(now)).unwrap_or_default();
            return Ok(left.min(LONGEST_SLEEP).max(COUNT_EVERY));
        }
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let mut next = self.ctx.store().next_due().await?;
        // Rows that never end waiting (one cannot be read, or more keep coming) hold no look up.
        if is_due(next.voice_call) && pace.time_to_look(now) {
            self.look_for_voice_calls(crm.as_ref()).await?;
            next = self.ctx.store().next_due().await?;
        }
        if !is_due(next.delivery) {
            // A look for VoiceCalls is no reason to spin, should one of them never be settled.
            let looking = next.voice_call.map(|at| at.max(now + LOOKS_APART));
            return Ok(pause_until(
                [next.delivery, looking].into_iter().flatten().min(),
                self.ctx.now(),
            ));
        }
        let most = u32::try_from(pace.rows(ROWS_A_WRITE)).unwrap_or(1);
        let waiting = self.ctx.store().due_delivery_count(now, most).await?;
        let wait = pace.wait(now, waiting >= most, crm.usage());
        if !wait.is_zero() {
            return Ok(if waiting >= most {
                wait.min(LONGEST_SLEEP)
            } else {
                wait.min(COUNT_EVERY)
            });
        }
        // Always a page: one that cannot be read or sent stays first, and must not be all that is looked at.
        let page = u32::try_from(ROWS_A_WRITE).unwrap_or(u32::MAX);
        let due = self.ctx.store().due_deliveries(now, page).await?;
        let sendable = due.into_iter().filter_map(sending);
        let mut sendings: Vec<Sending> = sendable.take(pace.rows(ROWS_A_WRITE)).collect();
        if sendings.is_empty() {
            // What is due cannot be read.
            return Ok(LONGEST_SLEEP);
        }
        self.find_lookups(crm.as_ref(), &mut sendings).await?;
        let span = batch_span(&sendings);
        match self.send_rows(crm.as_ref(), &mut sendings).instrument(span).await {
            Ok(outcomes) => {
                pace.answered(sendings.len(), outcomes.iter().any(Result::is_ok), self.ctx.now());
                self.settle(&sendings, outcomes, pace).await?;
            }
            Err(error) => self.settle_failed_call(&sendings, &error, pace).await?,
        }
        Ok(Duration::ZERO)
    }

    async fn find_lookups(&self, crm: &dyn Crm, sendings: &mut [Sending]) -> Result<(), UseCaseError> {
        let wanting: Vec<&Stored> = sendings.iter().map(|s| &s.stored).collect();
        let found = self.voice_calls_of_rows(crm, &wanting).await;
        for (sending, lookup) in sendings.iter_mut().zip(found) {
            if let Lookup::Found(id) = &lookup {
                self.remember_voice_call(sending.stored.supervision.id, id).await?;
                sending.row.voice_call_id = Some(id.clone());
            }
            sending.note = lookup.note();
            sending.lookup = lookup;
        }
        Ok(())
    }

    /// One call, and one or two more for the rows of it that want one at once.
    async fn send_rows(&self, crm: &dyn Crm, sendings: &mut [Sending]) -> Result<Vec<Outcome>, CrmError> {
        let rows: Vec<ParticipantRecord> = sendings.iter().map(|s| s.row.clone()).collect();
        let mut calls = SPLITS;
        let mut outcomes = self.send_split(crm, &rows, &mut calls).await?;
        // An answer may name one lookup of two: what is refused again goes without either.
        for refused_before in [false, true] {
            let mut again = Vec::new();
            for (i, outcome) in outcomes.iter().enumerate() {
                let Err(e) = outcome else { continue };
                match e.verdict {
                    CrmVerdict::RetryNow if !refused_before => {}
                    CrmVerdict::WithoutLookups(refused) => {
                        sendings[i].leave_out(if refused_before { Lookups::ALL } else { refused }, e);
                    }
                    _ => continue,
                }
                again.push(i);
            }
            if again.is_empty() {
                break;
            }
            let rows: Vec<ParticipantRecord> = again.iter().map(|i| sendings[*i].row.clone()).collect();
            match self.send_split(crm, &rows, &mut calls).await {
                Ok(second) => {
                    for (i, outcome) in again.into_iter().zip(second) {
                        outcomes[i] = outcome;
                    }
                }
                // These were not decided about: they come again, and what ails the org is met by the next call.
                Err(e) => {
                    for i in again {
                        outcomes[i] = Err(undecided(e.clone()));
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// One call; refused as a whole for what is no fault of the org, it is split until the rows at fault stand alone, or until
    /// so many calls were made: what was not decided about then comes again.
    async fn send_split(
        &self,
        crm: &dyn Crm,
        rows: &[ParticipantRecord],
        calls: &mut u32,
    ) -> Result<Vec<Outcome>, CrmError> {
        *calls = calls.saturating_sub(1);
        match crm.upsert(rows).await {
            Err(e) if is_of_rows(&e) && rows.len() > 1 && *calls == 0 => Err(undecided(e)),
            Err(e) if is_of_rows(&e) && rows.len() > 1 => {
                let (left, right) = rows.split_at(rows.len() / 2);
                let first = Box::pin(self.send_split(crm, left, calls)).await;
                let second = if *calls == 0 {
                    Err(undecided(e))
                } else {
                    Box::pin(self.send_split(crm, right, calls)).await
                };
                match (first, second) {
                    (Err(e), Err(_)) => Err(e),
                    // What one half was told stands, whatever became of the other.
                    (first, second) => Ok([each(first, left.len()), each(second, right.len())].concat()),
                }
            }
            Err(e) if is_of_rows(&e) => Ok(vec![Err(e)]),
            other => other,
        }
    }

    /// Settles each row of a call that was answered.
    async fn settle(
        &self,
        sendings: &[Sending],
        outcomes: Vec<Outcome>,
        pace: &mut DeliveryPace,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let mut refusals = Refusals::of_call(pace, outcomes.iter().any(Result::is_ok), now);
        let mut delivered = Vec::with_capacity(sendings.len());
        for (sending, outcome) in sendings.iter().zip(outcomes) {
            let result = match outcome {
                Ok(recorded) => {
                    self.count_recorded(sending);
                    Delivered::Recorded {
                        recorded,
                        note: sending.note.clone(),
                        look_again_at: sending.lookup.look_again_at(&sending.stored.supervision, now),
                    }
                }
                Err(error) => {
                    log_refused(sending, &error);
                    refusals.judge(&sending.row.leg_key, sending.stored.record_sync.as_ref(), &error)
                }
            };
            delivered.push(self.result(sending, result));
        }
        self.commit_results(delivered).await
    }

    /// Settles the rows of a call that failed as a whole: all wait as long as the org is left alone.
    async fn settle_failed_call(
        &self,
        sendings: &[Sending],
        error: &CrmError,
        pace: &mut DeliveryPace,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let due_at = match error.verdict {
            CrmVerdict::Park(wait) => pace.hold(wait, &error.to_string(), false, now),
            CrmVerdict::OrgFault(wait) => pace.hold(wait, &error.to_string(), is_of_the_object(error), now),
            _ => pace.failed(&error.to_string(), now),
        };
        tracing::warn!(code = %error.code, rows = sendings.len(), until = %due_at, "Salesforce took nothing: {error}");
        let result = |s: &Sending| {
            if sendings.len() == 1 {
                return failure_scope::alone(s.stored.record_sync.as_ref(), error, due_at, pace);
            }
            Delivered::Again {
                due_at,
                error: error.to_string(),
                blame: FailureScope::Crm,
            }
        };
        self.commit_results(sendings.iter().map(|s| self.result(s, result(s))).collect())
            .await
    }

    fn result(&self, sending: &Sending, result: Delivered) -> DeliveryResult {
        match &result {
            Delivered::Recorded { .. } => self.ctx.count(&MetricEvent::Delivery("recorded")),
            Delivered::Again { .. } => self.ctx.count(&MetricEvent::Delivery("again")),
            Delivered::Dead { .. } => self.ctx.count(&MetricEvent::Delivery("dead")),
            Delivered::LookAgain { .. } => {}
        }
        DeliveryResult {
            supervision: sending.stored.supervision.id,
            version: sending.row.version,
            at: self.ctx.now(),
            result,
        }
    }

    async fn commit_results(&self, delivered: Vec<DeliveryResult>) -> Result<(), UseCaseError> {
        self.ctx
            .store()
            .transact(Transaction {
                delivered,
                ..Transaction::default()
            })
            .await?;
        Ok(())
    }

    fn count_recorded(&self, sending: &Sending) {
        let record_sync = sending.stored.record_sync.as_ref();
        let proof = sending
            .stored
            .supervision
            .departure
            .as_ref()
            .and_then(|d| d.basis.gone_by);
        if let Some(proof) = proof
            && record_sync.is_none_or(|r| r.written_at.is_none_or(|t| t < proof))
        {
            let since = self.ctx.now().duration_since(proof);
            self.ctx.count(&MetricEvent::Recorded(since.as_secs_f64().max(0.0)));
        }
    }
}

/// The outcomes of a call's rows; of a call that failed, its error for each.
/// The span of one call: it continues the trace of its first supervision, and is linked to those of the others.
fn batch_span(sendings: &[Sending]) -> Span {
    let mut all = sendings.iter().map(|s| &s.stored.supervision);
    let only = sendings.first().filter(|_| sendings.len() == 1);
    let span = tracing::info_span!(
        "salesforce_records",
        records = sendings.len(),
        supervision_id = only.map(|s| tracing::field::display(s.stored.supervision.id)),
        contact_id = only
            .and_then(|s| s.stored.supervision.contact.as_ref())
            .map(tracing::field::display),
    );
    if let Some(first) = all.next() {
        spans::continue_trace(&span, first);
    }
    all.filter_map(|s| s.trace_parent.as_ref())
        .for_each(|trace| spans::link(&span, trace));
    span
}

fn each(done: Result<Vec<Outcome>, CrmError>, rows: usize) -> Vec<Outcome> {
    done.unwrap_or_else(|e| vec![Err(e); rows])
}

fn sending(stored: Stored) -> Option<Sending> {
    let version = stored.record_sync.as_ref()?.version;
    Some(Sending {
        row: ParticipantRecord::of(&stored.supervision, version)?,
        lookup: Lookup::Given,
        note: None,
        stored,
    })
}

/// Whether an error of a call is its rows', not the org's.
fn is_of_rows(e: &CrmError) -> bool {
    matches!(
        e.verdict,
        CrmVerdict::DeadLetter | CrmVerdict::OwnFault | CrmVerdict::WithoutLookups(_) | CrmVerdict::RetryNow
    )
}

/// Whether it is the rows' object that is not as it should be: the org takes other calls.
fn is_of_the_object(e: &CrmError) -> bool {
    matches!(
        e.code,
        CrmErrorCode::Own(CrmFault::MappingInvalid | CrmFault::ObjectNotFound)
    )
}

/// An error of others, for a row that was not decided about.
fn undecided(e: CrmError) -> CrmError {
    CrmError {
        verdict: CrmVerdict::Retry,
        ..e
    }
}

fn log_refused(sending: &Sending, error: &CrmError) {
    let id = sending
        .stored
        .record_sync
        .as_ref()
        .map_or_else(String::new, |r| r.id.to_string());
    tracing::warn!(supervision_id = %sending.stored.supervision.id, delivery_id = %id, code = %error.code,
        "delivery {id} was not taken: {error}");
}
