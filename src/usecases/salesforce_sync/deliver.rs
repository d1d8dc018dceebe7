//! Delivers records to Salesforce.
//!
//! A delivery means "the latest version of this record". The record is built from the supervision when it is sent, so
//! whatever was lost, repeated or reordered, the next attempt writes the present state. An attempt without an answer is
//! repeated, which is harmless because of the external id.
//!
//! Guarantee: one call at a time, so no record is in flight twice; while a call is in flight, the next one fills, so that a
//! burst costs few calls. [`crate::usecases::salesforce_sync::rate`] decides when to call and
//! [`crate::usecases::salesforce_sync::voice_calls`] finds the lookups. Each record of a call has its own result; all
//! results are stored in one transaction.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::participant::ParticipantRecord;
use sidedoor_domain::ports::crm::{Lookups, RECORDS_PER_WRITE};
use sidedoor_domain::ports::store::{DeliveryOutcome, DeliveryResult, FailureScope, StoredSupervision};
use sidedoor_domain::ports::{
    Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, MetricEvent, Transaction, WrittenRecord,
};
use tracing::{Instrument, Span};

use crate::telemetry::spans;
use crate::usecases::error::UseCaseError;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::failure_scope::{self, FailureJudge};
use crate::usecases::salesforce_sync::rate::{DeliveryRate, LOOKS_APART};
use crate::usecases::salesforce_sync::voice_calls::VoiceCallLookup;

/// The longest sleep of the loop.
/// The pause of the loop while everything that is due is in flight.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// How often due records are counted while a call waits for more of them.
const COUNT_EVERY: Duration = Duration::from_millis(25);
/// The most calls for one batch that is rejected because of some record: twice as many as isolating one record among two
/// hundred takes.
const MAX_SPLIT_CALLS: u32 = 32;

/// A record that is about to be written.
struct OutgoingRecord {
    record: ParticipantRecord,
    stored: StoredSupervision,
    lookup: VoiceCallLookup,
    note: Option<String>,
}

impl OutgoingRecord {
    /// Removes rejected lookups from the record and notes that on it.
    fn leave_out(&mut self, refused: Lookups, why: &CrmError) {
        let what = match (refused.voice_call, refused.supervisor) {
            (true, false) => "VoiceCall",
            (false, _) => "supervisor's User",
            (true, true) => "lookups",
        };
        self.record.leave_out(refused.voice_call, refused.supervisor);
        self.note = Some(format!("written without its {what}: {why}"));
    }
}

/// The result of writing one record.
type RecordOutcome = Result<WrittenRecord, CrmError>;

impl SalesforceSyncService {
    /// Delivers due records until the process stops. Returns immediately when delivery is switched off.
    pub async fn deliver_until_stopped(self) {
        let Some(crm) = self.ctx.deps.crm.clone() else { return };
        let settings = self.ctx.settings.delivery;
        let mut rate = DeliveryRate::new(
            settings.max_batch_delay,
            settings.slow_above,
            self.ctx.deps.random.clone(),
        );
        if let Err(e) = crm.describe_object().await {
            tracing::error!(code = %e.code, "the org is not set up as configured; accepting supervisions, retrying their records: {e}");
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
                tracing::error!(error = %e, "could not read or settle deliveries in the store; retrying in 1 s: {e}");
                Duration::from_secs(1)
            });
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.signals.deliver.notified(), if pause > COUNT_EVERY => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
    }

    /// Writes due records if a call is allowed now. Returns how long to sleep.
    async fn run_delivery_round(&self, crm: &Arc<dyn Crm>, rate: &mut DeliveryRate) -> Result<Duration, UseCaseError> {
        let now = self.ctx.now();
        if let Some(pause) = rate.current_pause(now) {
            let left = Duration::try_from(pause.until.duration_since(now)).unwrap_or_default();
            return Ok(left.min(LONGEST_SLEEP).max(COUNT_EVERY));
        }
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let mut next = self.ctx.store().next_due().await?;
        // Look for VoiceCalls even if records are always due, because one may be unreadable or more keep arriving.
        if is_due(next.voice_call) && rate.time_to_look(now) {
            self.look_for_voice_calls(crm.as_ref()).await?;
            next = self.ctx.store().next_due().await?;
        }
        if !is_due(next.delivery) {
            // Not sooner than the next look is allowed, so that an unresolved VoiceCall does not make the loop spin.
            let looking = next.voice_call.map(|at| at.max(now + LOOKS_APART));
            return Ok(pause_until(
                [next.delivery, looking].into_iter().flatten().min(),
                self.ctx.now(),
            ));
        }
        let most = u32::try_from(rate.records(RECORDS_PER_WRITE)).unwrap_or(1);
        let waiting = self.ctx.store().due_delivery_count(now, most).await?;
        let wait = rate.wait(now, waiting >= most, crm.usage());
        if !wait.is_zero() {
            return Ok(if waiting >= most {
                wait.min(LONGEST_SLEEP)
            } else {
                wait.min(COUNT_EVERY)
            });
        }
        // Read a whole page, because an unreadable record stays first and must not be the only record that is read.
        let page = u32::try_from(RECORDS_PER_WRITE).unwrap_or(u32::MAX);
        let due = self.ctx.store().due_deliveries(now, page).await?;
        let sendable = due.into_iter().filter_map(outgoing_record);
        let mut batch: Vec<OutgoingRecord> = sendable.take(rate.records(RECORDS_PER_WRITE)).collect();
        if batch.is_empty() {
            // None of the due records can be read.
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
        let wanting: Vec<&StoredSupervision> = batch.iter().map(|s| &s.stored).collect();
        let found = self.voice_calls_of_records(crm, &wanting).await;
        for (outgoing, lookup) in batch.iter_mut().zip(found) {
            if let VoiceCallLookup::Found(id) = &lookup {
                self.remember_voice_call(outgoing.stored.supervision.id, id).await?;
                outgoing.record.voice_call_id = Some(id.clone());
            }
            outgoing.note = lookup.note();
            outgoing.lookup = lookup;
        }
        Ok(())
    }

    /// Writes the batch: one call, and up to two more for the records that ask for an immediate retry.
    async fn send_rows(&self, crm: &dyn Crm, batch: &mut [OutgoingRecord]) -> Result<Vec<RecordOutcome>, CrmError> {
        let records: Vec<ParticipantRecord> = batch.iter().map(|s| s.record.clone()).collect();
        let mut calls = MAX_SPLIT_CALLS;
        let mut outcomes = self.send_split(crm, &records, &mut calls).await?;
        // An answer may name only one of two bad lookups, so a record that is rejected again is sent without both.
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
            let records: Vec<ParticipantRecord> = again.iter().map(|i| batch[*i].record.clone()).collect();
            match self.send_split(crm, &records, &mut calls).await {
                Ok(second) => {
                    for (i, outcome) in again.into_iter().zip(second) {
                        outcomes[i] = outcome;
                    }
                }
                // Salesforce did not decide about these, so they stay due; a fault of the org will fail the next call too.
                Err(e) => {
                    for i in again {
                        outcomes[i] = Err(undecided(e.clone()));
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// One call. If it is rejected as a whole because of a record, the batch is split until the bad records are isolated or
    /// `calls` is used up; records without a decision are retried later.
    async fn send_split(
        &self,
        crm: &dyn Crm,
        records: &[ParticipantRecord],
        calls: &mut u32,
    ) -> Result<Vec<RecordOutcome>, CrmError> {
        *calls = calls.saturating_sub(1);
        match crm.upsert(records).await {
            Err(e) if is_records_fault(&e) && records.len() > 1 && *calls == 0 => Err(undecided(e)),
            Err(e) if is_records_fault(&e) && records.len() > 1 => {
                let (left, right) = records.split_at(records.len() / 2);
                let first = Box::pin(self.send_split(crm, left, calls)).await;
                let second = if *calls == 0 {
                    Err(undecided(e))
                } else {
                    Box::pin(self.send_split(crm, right, calls)).await
                };
                match (first, second) {
                    (Err(e), Err(_)) => Err(e),
                    // The results of one half are final even if the other half failed.
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

    /// Stores the results of a call that was answered.
    async fn settle(
        &self,
        batch: &[OutgoingRecord],
        outcomes: Vec<RecordOutcome>,
        rate: &mut DeliveryRate,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let mut judge = FailureJudge::of_call(rate, outcomes.iter().any(Result::is_ok), now);
        let mut delivery_results = Vec::with_capacity(batch.len());
        for (outgoing, outcome) in batch.iter().zip(outcomes) {
            let result = match outcome {
                Ok(recorded) => {
                    self.count_recorded(outgoing);
                    DeliveryOutcome::Written {
                        recorded,
                        has_departure: outgoing.stored.supervision.departure.is_some(),
                        note: outgoing.note.clone(),
                        look_again_at: outgoing.lookup.look_again_at(&outgoing.stored.supervision, now),
                    }
                }
                Err(error) => {
                    log_refused(outgoing, &error);
                    judge.judge(&outgoing.record.leg_key, outgoing.stored.record_sync.as_ref(), &error)
                }
            };
            delivery_results.push(self.result(outgoing, result));
        }
        self.commit_results(delivery_results).await
    }

    /// Stores the results of a call that failed as a whole: all its records wait until the pause is over.
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
        tracing::warn!(code = %error.code, records = batch.len(), until = %due_at, "Salesforce accepted no record of the call; pausing until {due_at}: {error}");
        let result = |s: &OutgoingRecord| {
            if batch.len() == 1 {
                return failure_scope::judge_single(s.stored.record_sync.as_ref(), error, due_at, rate);
            }
            DeliveryOutcome::Again {
                due_at,
                error: error.to_string(),
                blame: FailureScope::Crm,
            }
        };
        self.commit_results(batch.iter().map(|s| self.result(s, result(s))).collect())
            .await
    }

    fn result(&self, outgoing: &OutgoingRecord, result: DeliveryOutcome) -> DeliveryResult {
        match &result {
            DeliveryOutcome::Written { .. } => self.ctx.count(&MetricEvent::Delivery("recorded")),
            DeliveryOutcome::Again { .. } => self.ctx.count(&MetricEvent::Delivery("again")),
            DeliveryOutcome::Dead { .. } => self.ctx.count(&MetricEvent::Delivery("dead")),
            DeliveryOutcome::LookAgain { .. } => {}
        }
        DeliveryResult {
            supervision: outgoing.stored.supervision.id,
            version: outgoing.record.version,
            at: self.ctx.now(),
            result,
        }
    }

    async fn commit_results(&self, delivery_results: Vec<DeliveryResult>) -> Result<(), UseCaseError> {
        self.ctx
            .transact(Transaction {
                delivery_results,
                ..Transaction::default()
            })
            .await?;
        Ok(())
    }

    /// Counts how long the first record with the departure took.
    fn count_recorded(&self, outgoing: &OutgoingRecord) {
        let is_known = outgoing
            .stored
            .record_sync
            .as_ref()
            .is_some_and(|r| r.departure_written);
        let departure = outgoing.stored.supervision.departure.as_ref();
        if let Some(proof) = departure.filter(|_| !is_known).and_then(|d| d.basis.gone_by) {
            let since = self.ctx.now().duration_since(proof);
            self.ctx.count(&MetricEvent::Recorded(since.as_secs_f64().max(0.0)));
        }
    }
}

/// The span of one call: it continues the trace of its first supervision and links the traces of the others.
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

/// The outcomes of a call's records; for a call that failed, its error for each record.
fn outcome_for_each(done: Result<Vec<RecordOutcome>, CrmError>, records: usize) -> Vec<RecordOutcome> {
    done.unwrap_or_else(|e| vec![Err(e); records])
}

fn outgoing_record(stored: StoredSupervision) -> Option<OutgoingRecord> {
    let version = stored.record_sync.as_ref()?.version;
    Some(OutgoingRecord {
        record: ParticipantRecord::of(&stored.supervision, version)?,
        lookup: VoiceCallLookup::Given,
        note: None,
        stored,
    })
}

/// Whether the error of a call is caused by its records rather than by the org.
fn is_records_fault(e: &CrmError) -> bool {
    matches!(
        e.verdict,
        CrmVerdict::DeadLetter | CrmVerdict::OwnFault | CrmVerdict::WithoutLookups(_) | CrmVerdict::RetryNow
    )
}

/// Whether only the records' object is invalid, so that the org accepts other calls.
fn is_object_fault(e: &CrmError) -> bool {
    matches!(
        e.code,
        CrmErrorCode::Own(CrmFault::MappingInvalid | CrmFault::ObjectNotFound)
    )
}

/// The error of another record as a retryable one, for a record without a decision.
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
        "Salesforce rejected the record of delivery {id}: {error}");
}

/// How long the loop sleeps when the next record is due at `due`. Work that is already due is in flight and wakes the loop when it
/// finishes; the minimum pause only keeps the loop from spinning until then.
fn pause_until(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.map_or(LONGEST_SLEEP, |t| {
        Duration::try_from(t.duration_since(now)).unwrap_or_default()
    });
    if left.is_zero() {
        IN_FLIGHT_PAUSE
    } else {
        left.min(LONGEST_SLEEP)
    }
}
