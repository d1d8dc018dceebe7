//! Writes that got no answer. Salesforce runs a REST call for up to ten minutes, so such a write may be committed long after a newer
//! version of the record was written, and then overwrites it. The validation rule that Sidedoor ships refuses that, but an org may not
//! have it.
//!
//! Guarantee: a record of which a write got no answer is sent once more, later than Salesforce's limit. This is kept in the
//! supervision's document, so that a restart does not forget it.

use futures::StreamExt as _;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::crm::RECORDS_PER_WRITE;
use sidedoor_domain::ports::store::{DeliveryOutcome, DeliveryResult, RecordState, StoredSupervision};
use sidedoor_domain::ports::{CrmError, Transaction};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::error::UseCaseError;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::send::{OutgoingRecord, RecordOutcome};

/// How long after a write without an answer the record is sent once more: Salesforce's limit of 10 minutes for a REST call, and
/// [`NOTED_APART`].
const SEND_AFTER: SignedDuration = SignedDuration::from_mins(12);
/// A further unanswered write within this time is not noted, so that an org that hangs costs few writes of our own.
const NOTED_APART: SignedDuration = SignedDuration::from_mins(1);
/// How many supervisions are changed at the same time: all of a call, because they are stored together.
const AT_ONCE: usize = RECORDS_PER_WRITE;

/// When to send the record once more; `None` if every write was answered.
pub(super) fn send_again_at(s: &Supervision) -> Option<Timestamp> {
    s.record_unanswered_at.map(|at| at + SEND_AFTER)
}

/// The earlier of the search for a record's VoiceCall and its repeated write.
pub(super) fn look_again_at(contact_record: Option<Timestamp>, s: &Supervision) -> Option<Timestamp> {
    [contact_record, send_again_at(s)].into_iter().flatten().min()
}

/// The records of a call whose write may still be committed.
pub(super) fn unanswered<'b>(
    batch: &'b [OutgoingRecord],
    outcome: &Result<Vec<RecordOutcome>, CrmError>,
) -> Vec<&'b OutgoingRecord> {
    match outcome {
        Err(e) if e.may_commit_late => batch.iter().collect(),
        Err(_) => Vec::new(),
        Ok(outcomes) => {
            let late = batch.iter().zip(outcomes);
            let late = late.filter(|(_, outcome)| outcome.as_ref().is_err_and(|e| e.may_commit_late));
            late.map(|(outgoing, _)| outgoing).collect()
        }
    }
}

impl SalesforceSyncService {
    /// Notes that writes of these records got no answer, and tries until the store has it.
    pub(super) async fn note_unanswered(&self, records: Vec<&OutgoingRecord>) {
        let now = self.ctx.now();
        let is_news = |s: &Supervision| {
            s.record_unanswered_at
                .is_none_or(|at| now >= at + NOTED_APART || now < at)
        };
        let news = records.iter().map(|outgoing| &outgoing.stored.supervision);
        let mut open: Vec<SupervisionId> = news.filter(|s| is_news(s)).map(|s| s.id).collect();
        while !open.is_empty() {
            let noted = stream::iter(open).map(|id| async move { (id, self.note_one(id, now).await) });
            let noted: Vec<(SupervisionId, Result<(), UseCaseError>)> = noted.buffer_unordered(AT_ONCE).collect().await;
            open = noted
                .iter()
                .filter(|(_, done)| done.is_err())
                .map(|(id, _)| *id)
                .collect();
            let Some(e) = noted.into_iter().find_map(|(_, done)| done.err()) else {
                return;
            };
            tracing::error!(error = %e, records = open.len(), "could not store that writes to Salesforce got no answer; retrying in 1 s: {e}");
            if self.ctx.is_stopping() {
                return;
            }
            self.wait_for_store().await;
        }
    }

    async fn note_one(&self, id: SupervisionId, now: Timestamp) -> Result<(), UseCaseError> {
        let noted = self.ctx.update(id, |s| {
            s.record_unanswered_at = Some(now);
            Some(Transaction {
                rides_along: true,
                ..Transaction::default()
            })
        });
        noted.await.map(|_| ())
    }

    /// Gives a new version to those of the records that are due to be sent once more. Returns the others.
    pub(super) async fn send_due_again(
        &self,
        due: Vec<StoredSupervision>,
    ) -> Result<Vec<StoredSupervision>, UseCaseError> {
        let now = self.ctx.now();
        let is_due = |s: &Supervision| send_again_at(s).is_some_and(|at| at <= now);
        let (again, others): (Vec<_>, Vec<_>) = due.into_iter().partition(|stored| is_due(&stored.supervision));
        for stored in again {
            let id = stored.supervision.id;
            // A dead letter waits for a person, and is looked at again after it was replayed and written.
            let state = stored.record_sync.as_ref().map(|r| r.state);
            let is_dead = matches!(state, Some(RecordState::Failed | RecordState::Discarded));
            let version = stored.record_sync.as_ref().map_or(0, |r| r.version);
            let looked = DeliveryResult {
                supervision: id,
                version,
                at: now,
                result: DeliveryOutcome::LookAgain { at: None },
            };
            let sent = self.ctx.update(id, |s| {
                if !is_due(s) {
                    return None;
                }
                if !is_dead {
                    s.record_unanswered_at = None;
                }
                Some(Transaction {
                    deliver_at: (!is_dead).then_some(now),
                    delivery_results: vec![looked.clone()],
                    ..Transaction::default()
                })
            });
            sent.await?;
            tracing::info!(supervision_id = %id, "sending the record once more, because a write of it got no answer 12 minutes ago");
        }
        Ok(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_sent_again_later_than_salesforces_own_limit() {
        let limit = SignedDuration::from_mins(10);
        assert!(SEND_AFTER >= limit + NOTED_APART);
    }
}
