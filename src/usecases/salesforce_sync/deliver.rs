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
use crate::usecases::salesforce_sync::failure_scope::{self, FailureJudge};
use crate::usecases::salesforce_sync::rate::{DeliveryRate, LOOKS_APART};
use crate::usecases::salesforce_sync::voice_calls::VoiceCallLookup;
use sidedoor_domain::participant::ParticipantRecord;
use sidedoor_domain::ports::crm::{Lookups, ROWS_A_WRITE};
use sidedoor_domain::ports::store::{Delivered, DeliveryResult, FailureScope, Stored};
use sidedoor_domain::ports::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, MetricEvent, Recorded, Transaction};

/// The loop wakes at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// While more rows are waited for, how often they are counted.
const COUNT_EVERY: Duration = Duration::from_millis(25);
/// The most calls of one sending that is refused for some row's sake: twice as many as find one row among two hundred.
const MAX_SPLIT_CALLS: u32 = 32;

/// A row to be sent.
struct OutgoingRecord {
    row: ParticipantRecord,
    stored: Stored,
    lookup: VoiceCallLookup,
    note: Option<String>,
}

impl OutgoingRecord {
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
type RecordOutcome = Result<Recorded, CrmError>;

impl SalesforceSyncService {
    /// Delivers what is due, until the process stops. Returns at once when delivery is switched off.
    pub async fn deliver_until_stopped(self) {
        let Some(crm) = self.ctx.deps.crm.clone() else { return };
        let settings = self.ctx.settings.delivery;
        let mut rate = DeliveryRate::new(settings.max_batch_delay, settings.slow_above);
        if let Err(e) = crm.describe_object().await {
            tracing::error!(code = %e.code, "the org is not as it should be; supervisions are accepted, their rows wait: {e}");
        }
        while !self.ctx.is_stopping() {
            let round = self.run_delivery_round(&crm, &mut rate).await;
            *self
                .ctx
                .signals
                .delivery_pause
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = rate.current_pause(self.ctx.now()).cloned();
            let pause = round.unwrap_or_else(|e| {
                tracing::error!(error = %e, "delivery waits: {e}");
                Duration::from_secs(1)
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.signals.deliver.notified(), if pause > COUNT_EVERY => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
    }

    /// Sends what is due, if it is time to. Returns how long to sleep.
    async fn run_delivery_round(&self, crm: &Arc<dyn Crm>, rate: &mut DeliveryRate) -> Result<Duration, UseCaseError> {
        let now = self.ctx.now();
        if let Some(pause) = rate.current_pause(now) {
            let left = Duration::try_from(pause.until.duration_since(now)).unwrap_or_default();
            return Ok(left.min(LONGEST_SLEEP).max(COUNT_EVERY));
        }
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let mut next = self.ctx.store().next_due().await?;
        // Rows that never end waiting (one cannot be read, or more keep coming) hold no look up.
        if is_due(next.voice_call) && rate.time_to_look(now) {
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
        let most = u32::try_from(rate.rows(ROWS_A_WRITE)).unwrap_or(1);
        let waiting = self.ctx.store().due_delivery_count(now, most).await?;
        let wait = rate.wait(now, waiting >= most, crm.usage());
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
        let sendable = due.into_iter().filter_map(outgoing_record);
        let mut batch: Vec<OutgoingRecord> = sendable.take(rate.rows(ROWS_A_WRITE)).collect();
        if batch.is_empty() {
            // What is due cannot be read.
            return Ok(LONGEST_SLEEP);
        }
        self.find_lookups(crm.as_ref(), &mut batch).await?;
        let span = batch_span(&batch);
        match self.send_rows(crm.as_ref(), &mut batch).instrument(span).await {
            Ok(outcomes) => {
                rate.answered(batch.len(), outcomes.iter().any(Result::is_ok), self.ctx.now());
                self.settle(&batch, outcomes, rate).await?;
            }
            Err(error) => self.settle_failed_call(&batch, &error, rate).await?,
        }
        Ok(Duration::ZERO)
    }

    async fn find_lookups(&self, crm: &dyn Crm, batch: &mut [OutgoingRecord]) -> Result<(), UseCaseError> {
        let wanting: Vec<&Stored> = batch.iter().map(|s| &s.stored).collect();
        let found = self.voice_calls_of_rows(crm, &wanting).await;
        for (outgoing, lookup) in batch.iter_mut().zip(found) {
            if let VoiceCallLookup::Found(id) = &lookup {
                self.remember_voice_call(outgoing.stored.supervision.id, id).await?;
                outgoing.row.voice_call_id = Some(id.clone());
            }
            outgoing.note = lookup.note();
            outgoing.lookup = lookup;
        }
        Ok(())
    }

    /// One call, and one or two more for the rows of it that want one at once.
    async fn send_rows(&self, crm: &dyn Crm, batch: &mut [OutgoingRecord]) -> Result<Vec<RecordOutcome>, CrmError> {
        let rows: Vec<ParticipantRecord> = batch.iter().map(|s| s.row.clone()).collect();
        let mut calls = MAX_SPLIT_CALLS;
        let mut outcomes = self.send_split(crm, &rows, &mut calls).await?;
        // An answer may name one lookup of two: what is refused again goes without either.
        for refused_before in [false, true] {
            let mut again = Vec::new();
            for (i, outcome) in outcomes.iter().enumerate() {
                let Err(e) = outcome else { continue };
                match e.verdict {
                    CrmVerdict::RetryNow if !refused_before => {}
                    CrmVerdict::WithoutLookups(refused) => {
                        batch[i].leave_out(if refused_before { Lookups::ALL } else { refused }, e);
                    }
                    _ => continue,
                }
                again.push(i);
            }
            if again.is_empty() {
                break;
            }
            let rows: Vec<ParticipantRecord> = again.iter().map(|i| batch[*i].row.clone()).collect();
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
    ) -> Result<Vec<RecordOutcome>, CrmError> {
        *calls = calls.saturating_sub(1);
        match crm.upsert(rows).await {
            Err(e) if is_records_fault(&e) && rows.len() > 1 && *calls == 0 => Err(undecided(e)),
            Err(e) if is_records_fault(&e) && rows.len() > 1 => {
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
                    (first, second) => Ok([
                        outcome_for_each(first, left.len()),
                        outcome_for_each(second, right.len()),
                    ]
                    .concat()),
                }
            }
            Err(e) if is_records_fault(&e) => Ok(vec![Err(e)]),
            other => other,
        }
    }

    /// Settles each row of a call that was answered.
    async fn settle(
        &self,
        batch: &[OutgoingRecord],
        outcomes: Vec<RecordOutcome>,
        rate: &mut DeliveryRate,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let mut judge = FailureJudge::of_call(rate, outcomes.iter().any(Result::is_ok), now);
        let mut delivered = Vec::with_capacity(batch.len());
        for (outgoing, outcome) in batch.iter().zip(outcomes) {
            let result = match outcome {
                Ok(recorded) => {
                    self.count_recorded(outgoing);
                    Delivered::Recorded {
                        recorded,
                        note: outgoing.note.clone(),
                        look_again_at: outgoing.lookup.look_again_at(&outgoing.stored.supervision, now),
                    }
                }
                Err(error) => {
                    log_refused(outgoing, &error);
                    judge.judge(&outgoing.row.leg_key, outgoing.stored.record_sync.as_ref(), &error)
                }
            };
            delivered.push(self.result(outgoing, result));
        }
        self.commit_results(delivered).await
    }

    /// Settles the rows of a call that failed as a whole: all wait as long as the org is left alone.
    async fn settle_failed_call(
        &self,
        batch: &[OutgoingRecord],
        error: &CrmError,
        rate: &mut DeliveryRate,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let due_at = match error.verdict {
            CrmVerdict::Park(wait) => rate.pause_for(wait, &error.to_string(), false, now),
            CrmVerdict::OrgFault(wait) => rate.pause_for(wait, &error.to_string(), is_object_fault(error), now),
            _ => rate.failed(&error.to_string(), now),
        };
        tracing::warn!(code = %error.code, rows = batch.len(), until = %due_at, "Salesforce took nothing: {error}");
        let result = |s: &OutgoingRecord| {
            if batch.len() == 1 {
                return failure_scope::judge_single(s.stored.record_sync.as_ref(), error, due_at, rate);
            }
            Delivered::Again {
                due_at,
                error: error.to_string(),
                blame: FailureScope::Crm,
            }
        };
        self.commit_results(batch.iter().map(|s| self.result(s, result(s))).collect())
            .await
    }

    fn result(&self, outgoing: &OutgoingRecord, result: Delivered) -> DeliveryResult {
        match &result {
            Delivered::Recorded { .. } => self.ctx.count(&MetricEvent::Delivery("recorded")),
            Delivered::Again { .. } => self.ctx.count(&MetricEvent::Delivery("again")),
            Delivered::Dead { .. } => self.ctx.count(&MetricEvent::Delivery("dead")),
            Delivered::LookAgain { .. } => {}
        }
        DeliveryResult {
            supervision: outgoing.stored.supervision.id,
            version: outgoing.row.version,
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

    fn count_recorded(&self, outgoing: &OutgoingRecord) {
        let record_sync = outgoing.stored.record_sync.as_ref();
        let proof = outgoing
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
fn batch_span(batch: &[OutgoingRecord]) -> Span {
    let mut all = batch.iter().map(|s| &s.stored.supervision);
    let only = batch.first().filter(|_| batch.len() == 1);
    let span = tracing::info_span!(
        "salesforce_records",
        records = batch.len(),
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

fn outcome_for_each(done: Result<Vec<RecordOutcome>, CrmError>, rows: usize) -> Vec<RecordOutcome> {
    done.unwrap_or_else(|e| vec![Err(e); rows])
}

fn outgoing_record(stored: Stored) -> Option<OutgoingRecord> {
    let version = stored.record_sync.as_ref()?.version;
    Some(OutgoingRecord {
        row: ParticipantRecord::of(&stored.supervision, version)?,
        lookup: VoiceCallLookup::Given,
        note: None,
        stored,
    })
}

/// Whether an error of a call is its rows', not the org's.
fn is_records_fault(e: &CrmError) -> bool {
    matches!(
        e.verdict,
        CrmVerdict::DeadLetter | CrmVerdict::OwnFault | CrmVerdict::WithoutLookups(_) | CrmVerdict::RetryNow
    )
}

/// Whether it is the rows' object that is not as it should be: the org takes other calls.
fn is_object_fault(e: &CrmError) -> bool {
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

fn log_refused(outgoing: &OutgoingRecord, error: &CrmError) {
    let id = outgoing
        .stored
        .record_sync
        .as_ref()
        .map_or_else(String::new, |r| r.id.to_string());
    tracing::warn!(supervision_id = %outgoing.stored.supervision.id, delivery_id = %id, code = %error.code,
        "delivery {id} was not taken: {error}");
}
