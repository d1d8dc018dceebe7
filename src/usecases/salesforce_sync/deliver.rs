//! Delivers records to Salesforce.
//!
//! A delivery means "the latest version of this record". The record is built from the supervision when it is sent, so
//! whatever was lost, repeated or reordered, the next attempt writes the present state. An attempt without an answer is
//! repeated, which is harmless because of the external id.
//!
//! Guarantee: two calls at a time, and no record in both, so that one call that hangs delays no other record and no older version
//! lands after a newer one ([`crate::usecases::salesforce_sync::calls`]). While a call is answered in time, the next one fills, so
//! that a burst costs few calls. [`crate::usecases::salesforce_sync::rate`] decides when to call,
//! [`crate::usecases::salesforce_sync::send`] makes the call, and [`crate::usecases::salesforce_sync::contact_records`] finds the
//! lookups. Each record of a call has its own result; all results are stored in one transaction.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::ports::crm::RECORDS_PER_WRITE;
use sidedoor_domain::ports::store::{DeliveryOutcome, DeliveryResult, FailureScope};
use sidedoor_domain::ports::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict, MetricEvent, Transaction};
use tracing::Instrument;

use crate::usecases::error::UseCaseError;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::calls::{CallKind, CallResult, CallsInFlight};
use crate::usecases::salesforce_sync::contact_records::PAGE;
use crate::usecases::salesforce_sync::failure_scope::{self, FailureJudge};
use crate::usecases::salesforce_sync::late_commits;
use crate::usecases::salesforce_sync::rate::{ClockReading, DeliveryRate, LOOKS_APART};
use crate::usecases::salesforce_sync::send::{OutgoingRecord, RecordOutcome, batch_span, outgoing_record};

/// The longest sleep of the loop.
/// The pause of the loop while everything that is due is in flight.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// How often due records are counted while a call waits for more of them.
const COUNT_EVERY: Duration = Duration::from_millis(25);
/// How often the loop looks for other due records while every record that it found is in a call.
const OTHERS_EVERY: Duration = Duration::from_millis(250);
/// How long a write of results waits after the store failed.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// The note on a record whose older version Salesforce refused.
const NEWER_KEPT: &str = "not overwritten: Salesforce has a newer version of this record";

/// How long the loop sleeps unless a call ends, and whether a new record ends the sleep.
struct Sleep {
    time: Duration,
    until_news: bool,
}

impl Sleep {
    /// A new record ends a long sleep. While a call waits for more records, it does not.
    fn new(time: Duration) -> Self {
        Self {
            time,
            until_news: time > COUNT_EVERY,
        }
    }

    fn undisturbed(time: Duration) -> Self {
        Self {
            time,
            until_news: false,
        }
    }
}

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
        let mut calls = CallsInFlight::default();
        while !self.ctx.is_stopping() {
            let round = self.begin_call(&crm, &mut rate, &mut calls).await;
            *self
                .ctx
                .signals
                .delivery_pause
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = rate.current_pause(self.reading()).cloned();
            let sleep = round.unwrap_or_else(|e| {
                tracing::error!(error = %e, "could not read deliveries in the store; retrying in 1 s: {e}");
                Sleep::new(STORE_RETRY)
            });
            tokio::select! {
                biased;
                Some((number, result)) = calls.finished() => {
                    self.settle(result, &mut rate).await;
                    calls.remove(number);
                }
                () = tokio::time::sleep(sleep.time) => {}
                () = self.ctx.signals.deliver.notified(), if sleep.until_news => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
        while let Some((_, result)) = calls.finished().await {
            self.settle(result, &mut rate).await;
        }
    }

    /// Begins a call if one is due and allowed now. Returns how long to sleep.
    async fn begin_call(
        &self,
        crm: &Arc<dyn Crm>,
        rate: &mut DeliveryRate,
        calls: &mut CallsInFlight,
    ) -> Result<Sleep, UseCaseError> {
        let reading = self.reading();
        let now = reading.at;
        let left = rate.pause_left(reading);
        if !left.is_zero() {
            return Ok(Sleep::new(left.min(LONGEST_SLEEP).max(COUNT_EVERY)));
        }
        if calls.are_full() {
            return Ok(Sleep::undisturbed(LONGEST_SLEEP));
        }
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let next = self.ctx.store().next_due().await?;
        // Look for VoiceCalls even if records are always due, because one may be unreadable or more keep arriving.
        if is_due(next.contact_record) && !calls.is_searching() && rate.time_to_look(reading) {
            self.begin_search(crm, calls, now).await?;
            if calls.are_full() {
                return Ok(Sleep::undisturbed(LONGEST_SLEEP));
            }
        }
        if !is_due(next.delivery) {
            // Not sooner than the next look is allowed, so that an unresolved VoiceCall does not make the loop spin.
            let looking = next.contact_record.map(|at| at.max(now + LOOKS_APART));
            return Ok(Sleep::new(pause_until(
                [next.delivery, looking].into_iter().flatten().min(),
                self.ctx.now(),
            )));
        }
        let in_flight = calls.records();
        let busy = u32::try_from(in_flight.len()).unwrap_or(u32::MAX);
        let most = u32::try_from(rate.records(RECORDS_PER_WRITE)).unwrap_or(1);
        let counted = self
            .ctx
            .store()
            .due_delivery_count(now, most.saturating_add(busy))
            .await?;
        let is_full = counted.saturating_sub(busy) >= most;
        let wait = calls.wait_for_answer();
        let needs_no_answer = is_full && rate.is_accepted();
        if !wait.is_zero() && !needs_no_answer {
            return Ok(Sleep::undisturbed(wait));
        }
        let wait = rate.wait(reading, is_full, crm.usage());
        if !wait.is_zero() {
            return Ok(Sleep::new(if is_full {
                wait.min(LONGEST_SLEEP)
            } else {
                wait.min(COUNT_EVERY)
            }));
        }
        // Read a whole page, because an unreadable record stays first and must not be the only record that is read.
        let page = u32::try_from(RECORDS_PER_WRITE)
            .unwrap_or(u32::MAX)
            .saturating_add(busy);
        let due = self.ctx.store().due_deliveries(now, page).await?;
        let free = due.into_iter().filter(|s| !in_flight.contains(&s.supervision.id));
        let sendable = free.filter_map(outgoing_record);
        let batch: Vec<OutgoingRecord> = sendable.take(rate.records(RECORDS_PER_WRITE)).collect();
        if batch.is_empty() {
            // None of the due records can be read, or all are in a call.
            return Ok(Sleep::new(if calls.is_empty() { LONGEST_SLEEP } else { OTHERS_EVERY }));
        }
        self.begin_upsert(crm, calls, batch);
        Ok(Sleep::new(Duration::ZERO))
    }

    fn reading(&self) -> ClockReading {
        ClockReading::of(self.ctx.deps.clock.as_ref())
    }

    fn begin_upsert(&self, crm: &Arc<dyn Crm>, calls: &mut CallsInFlight, mut batch: Vec<OutgoingRecord>) {
        let records = batch.iter().map(|outgoing| outgoing.stored.supervision.id).collect();
        let (this, crm, span) = (self.clone(), crm.clone(), batch_span(&batch));
        calls.begin(CallKind::Upsert, records, async move {
            if let Err(e) = this.find_lookups(crm.as_ref(), &mut batch).await {
                return CallResult::NotSent(e);
            }
            let begun = this.reading();
            let outcome = this.send_rows(crm.as_ref(), &mut batch).instrument(span).await;
            CallResult::Sent { batch, begun, outcome }
        });
    }

    async fn begin_search(
        &self,
        crm: &Arc<dyn Crm>,
        calls: &mut CallsInFlight,
        now: Timestamp,
    ) -> Result<(), UseCaseError> {
        let in_flight = calls.records();
        let busy = u32::try_from(in_flight.len()).unwrap_or(u32::MAX);
        let mut due = self
            .ctx
            .store()
            .due_contact_records(now, PAGE.saturating_add(busy))
            .await?;
        due.retain(|s| !in_flight.contains(&s.supervision.id));
        due.truncate(PAGE as usize);
        if !due.is_empty() {
            let records = due.iter().map(|s| s.supervision.id).collect();
            let (this, crm) = (self.clone(), crm.clone());
            calls.begin(CallKind::Search, records, async move {
                CallResult::Searched(this.look_at_written(crm.as_ref(), due).await)
            });
        }
        Ok(())
    }

    /// Stores how a call ended.
    async fn settle(&self, result: CallResult, rate: &mut DeliveryRate) {
        match result {
            CallResult::Sent { batch, begun, outcome } => {
                self.note_unanswered(late_commits::unanswered(&batch, &outcome)).await;
                let results = match outcome {
                    Ok(outcomes) => {
                        self.notify_agents(&batch, &outcomes);
                        let some_taken = outcomes.iter().any(Result::is_ok);
                        rate.answered(batch.len(), some_taken, begun, self.reading());
                        self.results_of_answer(&batch, outcomes, rate)
                    }
                    Err(error) => self.results_of_failure(&batch, &error, begun, rate),
                };
                self.store_results(results).await;
            }
            CallResult::NotSent(e) | CallResult::Searched(Err(e)) => {
                tracing::error!(error = %e, "could not store the VoiceCalls that were found; searching again in 1 s: {e}");
                self.wait_for_store().await;
            }
            CallResult::Searched(Ok(())) => {}
        }
    }

    /// The results of a call that was answered.
    fn results_of_answer(
        &self,
        batch: &[OutgoingRecord],
        outcomes: Vec<RecordOutcome>,
        rate: &mut DeliveryRate,
    ) -> Vec<DeliveryResult> {
        let reading = self.reading();
        let now = reading.at;
        let mut judge = FailureJudge::of_call(rate, outcomes.iter().any(Result::is_ok), reading);
        let mut delivery_results = Vec::with_capacity(batch.len());
        for (outgoing, outcome) in batch.iter().zip(outcomes) {
            let result = match outcome {
                Ok(recorded) => {
                    self.count_recorded(outgoing);
                    let note = recorded.newer_kept.then(|| NEWER_KEPT.to_owned());
                    DeliveryOutcome::Written {
                        recorded,
                        has_departure: outgoing.stored.supervision.departure.is_some(),
                        note: note.or_else(|| outgoing.note.clone()),
                        look_again_at: late_commits::look_again_at(
                            outgoing.lookup.look_again_at(&outgoing.stored.supervision, now),
                            &outgoing.stored.supervision,
                        ),
                    }
                }
                Err(error) => {
                    log_refused(outgoing, &error);
                    judge.judge(&outgoing.record.leg_key, outgoing.stored.record_sync.as_ref(), &error)
                }
            };
            delivery_results.push(self.result(outgoing, result));
        }
        delivery_results
    }

    /// The results of a call that failed as a whole: all its records wait until the pause is over.
    fn results_of_failure(
        &self,
        batch: &[OutgoingRecord],
        error: &CrmError,
        begun: ClockReading,
        rate: &mut DeliveryRate,
    ) -> Vec<DeliveryResult> {
        let now = self.reading();
        let due_at = match error.verdict {
            CrmVerdict::Park(wait) => rate.pause_for(wait, &error.to_string(), false, now),
            CrmVerdict::OrgFault(wait) => rate.pause_for(wait, &error.to_string(), is_object_fault(error), now),
            // Two calls that fail at the same time are one failure of the org.
            _ => rate
                .paused_since(begun, now)
                .unwrap_or_else(|| rate.failed(&error.to_string(), now)),
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
        batch.iter().map(|s| self.result(s, result(s))).collect()
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

    /// Stores the results of a call, and tries until it succeeds: what Salesforce answered must not be lost, and records whose
    /// results are not stored would be sent again.
    async fn store_results(&self, delivery_results: Vec<DeliveryResult>) {
        loop {
            let change = Transaction {
                delivery_results: delivery_results.clone(),
                rides_along: true,
                ..Transaction::default()
            };
            let Err(e) = self.ctx.transact(change).await else {
                return;
            };
            tracing::error!(error = %e, records = delivery_results.len(), "could not store the results of a call to Salesforce; retrying in 1 s: {e}");
            if self.ctx.is_stopping() {
                // The records stay due, and the next process sends them again.
                return;
            }
            self.wait_for_store().await;
        }
    }

    pub(super) async fn wait_for_store(&self) {
        tokio::select! {
            biased;
            () = tokio::time::sleep(STORE_RETRY) => {}
            () = self.ctx.deps.stopping.cancelled() => {}
        }
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

/// Whether only the records' object is invalid, so that the org accepts other calls.
fn is_object_fault(e: &CrmError) -> bool {
    matches!(
        e.code,
        CrmErrorCode::Own(CrmFault::MappingInvalid | CrmFault::ObjectNotFound)
    )
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
