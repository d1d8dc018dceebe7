//! Rows on their way to the CRM.
//!
//! A delivery is "the latest version of this row", made from the supervision at the moment of sending: whatever was
//! lost, repeated or overtaken, the next attempt sends what is true now. The external id makes repeats harmless, so an
//! attempt whose answer was lost is simply made again. One attempt a row at a time; a bounded number of rows at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::in_hand::InHand;
use super::reconcile::pause_until;
use super::retry::Backoff;
use super::{FlowError, Flows};
use crate::domain::ids::SupervisionId;
use crate::domain::participant::ParticipantRow;
use crate::ports::journal::{Delivered, DeliveryResult, Recording, Stored};
use crate::ports::{Change, Crm, CrmError, CrmVerdict, Happened, Recorded};

/// How many due rows are read at once.
const PAGE: u32 = 64;
/// The loop wakes at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The whole org takes nothing until then (epoch ms; 0 for "go on").
#[derive(Default)]
struct Parked(AtomicI64);

impl Parked {
    fn until(&self, t: Timestamp) {
        self.0.fetch_max(t.as_millisecond(), Ordering::Relaxed);
    }

    fn left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.0.load(Ordering::Relaxed) - now.as_millisecond();
        u64::try_from(left).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
    }
}

impl Flows {
    /// Delivers what is due, until the process stops. Returns at once when delivery is switched off.
    pub async fn deliver_until_stopped(self) {
        let Some(crm) = self.parts.crm.clone() else { return };
        let in_hand = InHand::default();
        let parked = Arc::new(Parked::default());
        let room = Arc::new(Semaphore::new(self.settings.deliveries_in_flight));
        while !self.is_stopping() {
            let pause = match parked.left(self.now()) {
                Some(left) => left.min(LONGEST_SLEEP),
                None => match self.delivery_round(&crm, &in_hand, &parked, &room).await {
                    Ok(pause) => pause,
                    Err(e) => {
                        tracing::error!(error = %e, "delivery waits: {e}");
                        Duration::from_secs(1)
                    }
                },
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.signals.deliver.notified() => {}
                () = self.parts.stopping.cancelled() => {}
            }
        }
    }

    async fn delivery_round(
        &self,
        crm: &Arc<dyn Crm>,
        in_hand: &InHand<SupervisionId>,
        parked: &Arc<Parked>,
        room: &Arc<Semaphore>,
    ) -> Result<Duration, FlowError> {
        for due in self.journal().due_deliveries(self.now(), PAGE).await? {
            let Some(held) = in_hand.take(due.supervision) else {
                continue;
            };
            let Ok(permit) = room.clone().acquire_owned().await else {
                break;
            };
            if parked.left(self.now()).is_some() {
                break;
            }
            let (flows, crm, parked) = (self.clone(), crm.clone(), parked.clone());
            self.parts.tasks.spawn(async move {
                let id = due.supervision;
                if let Err(e) = flows.deliver(&due, crm.as_ref(), &parked).await {
                    tracing::error!(supervision_id = %id, error = %e, "delivery of {id} could not be settled");
                    // It is still due: do not try again at once what just failed.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                drop((held, permit));
                flows.signals.deliver.notify_one();
            });
        }
        let next = self.journal().next_due().await?.delivery;
        Ok(pause_until(next, self.now()))
    }

    async fn deliver(&self, due: &Recording, crm: &dyn Crm, parked: &Parked) -> Result<(), FlowError> {
        let Some(Stored {
            supervision,
            recording: Some(recording),
            ..
        }) = self.journal().supervision(due.supervision).await?
        else {
            return Ok(());
        };
        let Some(row) = ParticipantRow::of(&supervision, recording.version) else {
            return Ok(());
        };
        let result = self.write_row(&row, &recording, crm, parked).await;
        self.count(&Happened::Delivery(match &result {
            Delivered::Recorded { .. } => "recorded",
            Delivered::Again { .. } => "again",
            Delivered::Dead { .. } => "dead",
        }));
        if let (Delivered::Recorded { .. }, Some(departure)) = (&result, &supervision.departure)
            && let Some(proof) = departure.basis.gone_by
            && recording.recorded_at.is_none_or(|t| t < proof)
        {
            let since = self.now().duration_since(proof);
            self.count(&Happened::Recorded(since.as_secs_f64().max(0.0)));
        }
        let settled = DeliveryResult {
            supervision: due.supervision,
            version: row.version,
            at: self.now(),
            result,
        };
        self.journal()
            .commit(Change {
                delivered: Some(settled),
                ..Change::default()
            })
            .await?;
        Ok(())
    }

    async fn write_row(&self, row: &ParticipantRow, r: &Recording, crm: &dyn Crm, parked: &Parked) -> Delivered {
        let error = match crm.upsert(row).await {
            Ok(recorded) => return taken(recorded, None),
            Err(error) => error,
        };
        let error = match error.verdict {
            CrmVerdict::RetryNow => match crm.upsert(row).await {
                Ok(recorded) => return taken(recorded, None),
                // A create race happens once; the same again is something else.
                Err(again) if again.verdict == CrmVerdict::RetryNow => CrmError {
                    verdict: CrmVerdict::Retry,
                    ..again
                },
                Err(again) => again,
            },
            CrmVerdict::WithoutLookups => match crm.upsert(&row.clone().without_lookups()).await {
                Ok(recorded) => return taken(recorded, Some(format!("written without its lookups: {error}"))),
                Err(again) => again,
            },
            _ => error,
        };
        tracing::warn!(supervision_id = %r.supervision, delivery_id = %r.id, code = %error.code,
            "delivery {} was not taken: {error}", r.id);
        let now = self.now();
        let after = |wait: Duration| now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(60));
        let said = error.to_string();
        match error.verdict {
            CrmVerdict::Park(wait) | CrmVerdict::OrgFault(wait) => {
                parked.until(after(wait));
                Delivered::Again {
                    due_at: after(wait + Backoff::DELIVERY.wait(r.attempts)),
                    error: said,
                }
            }
            CrmVerdict::DeadLetter | CrmVerdict::WithoutLookups => Delivered::Dead {
                error: said,
                answer: error.answer,
            },
            CrmVerdict::Retry | CrmVerdict::RetryNow => Delivered::Again {
                due_at: after(Backoff::DELIVERY.wait(r.attempts)),
                error: said,
            },
        }
    }
}

fn taken(recorded: Recorded, note: Option<String>) -> Delivered {
    Delivered::Recorded { recorded, note }
}
