//! One call that writes records: it finds the org's records of their contacts, sends them, and sends those again that Salesforce rejected because of
//! a lookup or because of another record of the call. Each record has its own result.

use sidedoor_domain::participant::{ContactRecordKind, ParticipantRecord};
use sidedoor_domain::ports::crm::Lookups;
use sidedoor_domain::ports::store::{FoundContactRecord, StoredSupervision};
use sidedoor_domain::ports::{Crm, CrmError, CrmVerdict, Transaction, WrittenRecord};
use sidedoor_domain::supervision::Supervision;
use tracing::Span;

use crate::telemetry::spans;
use crate::usecases::error::UseCaseError;
use crate::usecases::identity::names::NameService;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::contact_records::ContactRecordLookup;

/// The most calls for one batch that is rejected because of some record: twice as many as isolating one record among two
/// hundred takes.
const MAX_SPLIT_CALLS: u32 = 32;

/// A record that is about to be written.
pub(super) struct OutgoingRecord {
    pub(super) record: ParticipantRecord,
    pub(super) stored: StoredSupervision,
    pub(super) lookup: ContactRecordLookup,
    pub(super) note: Option<String>,
}

impl OutgoingRecord {
    /// Removes rejected lookups from the record and notes that on it.
    fn leave_out(&mut self, refused: Lookups, why: &CrmError) {
        let words = [
            (refused.voice_call, "VoiceCall"),
            (refused.messaging_session, "MessagingSession"),
            (refused.supervisor, "supervisor's User"),
            (refused.agent, "agent's User"),
        ];
        let mut left_out = words.into_iter().filter(|(is_refused, _)| *is_refused);
        let what = match (left_out.next(), left_out.next()) {
            (Some((_, word)), None) => word,
            _ => "lookups",
        };
        self.record.leave_out(refused);
        self.note = Some(format!("written without its {what}: {why}"));
    }
}

/// The result of writing one record.
pub(super) type RecordOutcome = Result<WrittenRecord, CrmError>;

impl SalesforceSyncService {
    /// Finds the org's records of the contacts and stores them, all in one transaction; and the Salesforce Users of the people.
    pub(super) async fn find_lookups(&self, crm: &dyn Crm, batch: &mut [OutgoingRecord]) -> Result<(), UseCaseError> {
        let wanting: Vec<&StoredSupervision> = batch.iter().map(|s| &s.stored).collect();
        let supervisions: Vec<&Supervision> = batch.iter().map(|s| &s.stored.supervision).collect();
        let names = NameService::new(self.ctx.clone());
        let (lookups, asked) = tokio::join!(
            self.contact_records_of(crm, &wanting),
            names.ask_for_records(&supervisions)
        );
        // Only these are stored, too. The others would differ from what the store has.
        let is_asked = |o: &&mut OutgoingRecord| asked.iter().any(|(id, _)| *id == o.stored.supervision.id);
        for outgoing in batch.iter_mut().filter(is_asked) {
            self.ctx.fill_in_names(&mut outgoing.stored.supervision);
            outgoing.record.name_people(&outgoing.stored.supervision);
        }
        if !asked.is_empty() {
            names.note_asked(asked);
        }
        let mut found = Vec::new();
        for (outgoing, lookup) in batch.iter_mut().zip(lookups) {
            let supervision = &mut outgoing.stored.supervision;
            if let (ContactRecordLookup::Found(id), Some(kind)) = (&lookup, ContactRecordKind::of(supervision.channel))
            {
                found.push(FoundContactRecord {
                    supervision: supervision.id,
                    kind,
                    record_id: id.clone(),
                    deliver_at: None,
                });
                outgoing.record.refer_to(kind, id);
            }
            outgoing.note = lookup.note(supervision);
            outgoing.lookup = lookup;
        }
        if !found.is_empty() {
            let change = Transaction {
                contact_records: found,
                ..Transaction::default()
            };
            self.ctx.store().transact(change).await?;
        }
        Ok(())
    }

    /// Writes the batch: one call, and up to two more for the records that ask for an immediate retry.
    pub(super) async fn send_rows(
        &self,
        crm: &dyn Crm,
        batch: &mut [OutgoingRecord],
    ) -> Result<Vec<RecordOutcome>, CrmError> {
        let records: Vec<ParticipantRecord> = batch.iter().map(|s| s.record.clone()).collect();
        let mut calls = MAX_SPLIT_CALLS;
        let mut outcomes = self.send_split(crm, &records, &mut calls).await?;
        // An answer may name only one of two bad lookups, so a record that is rejected again is sent without both.
        for refused_before in [false, true] {
            let mut again = Vec::new();
            for (i, outcome) in outcomes.iter().enumerate() {
                let Err(e) = outcome else { continue };
                match e.verdict {
                    CrmVerdict::RetryNow | CrmVerdict::RetryThenWithout(_) if !refused_before => {}
                    CrmVerdict::RetryThenWithout(refused) => batch[i].leave_out(refused, e),
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
                    (Err(e), Err(other)) => Err(CrmError {
                        may_commit_late: e.may_commit_late || other.may_commit_late,
                        ..e
                    }),
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
}

/// The span of one call: it continues the trace of its first supervision and links the traces of the others.
pub(super) fn batch_span(batch: &[OutgoingRecord]) -> Span {
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

pub(super) fn outgoing_record(stored: StoredSupervision) -> Option<OutgoingRecord> {
    let version = stored.record_sync.as_ref()?.version;
    Some(OutgoingRecord {
        record: ParticipantRecord::of(&stored.supervision, version)?,
        lookup: ContactRecordLookup::Given,
        note: None,
        stored,
    })
}

/// Whether the error of a call is caused by its records rather than by the org.
fn is_records_fault(e: &CrmError) -> bool {
    matches!(
        e.verdict,
        CrmVerdict::DeadLetter
            | CrmVerdict::Unproven
            | CrmVerdict::WithoutLookups(_)
            | CrmVerdict::RetryThenWithout(_)
            | CrmVerdict::RetryNow
    )
}

/// The error of another record as a retryable one, for a record without a decision.
fn undecided(e: CrmError) -> CrmError {
    CrmError {
        verdict: CrmVerdict::Retry,
        ..e
    }
}
