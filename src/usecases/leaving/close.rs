//! An operator closes a supervision whose leg Amazon Connect no longer knows.
//!
//! A supervision normally ends by evidence. A leg that the vendor no longer knows gives none soon, and holds the supervisor's voice
//! place meanwhile. Guarantee: a supervision whose leg the vendor still knows is not closed.

use std::time::Duration;

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::confirmation::{Confirmation, Finding};
use sidedoor_domain::departure::DropFacts;
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{KeyWrite, StoredSupervision};
use sidedoor_domain::ports::{CommitOutcome, Priority, Transaction, VendorErrorCode};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::leaving::{LeavingError, LeavingService};

/// How long the answer waits for the vendor.
const ASK: Duration = Duration::from_secs(4);

/// The answer to a request to close a supervision.
#[derive(Debug, Clone)]
pub enum CloseOutcome {
    /// The supervision as it is now, which is over.
    Over(Box<StoredSupervision>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl LeavingService {
    /// Closes a supervision for an operator, who gives a reason.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`LeavingError::NotClosable`] while the vendor knows the
    /// leg or could not be asked, or there is no leg yet; those of idempotency keys, and the store's.
    pub async fn close(
        &self,
        id: SupervisionId,
        reason: &str,
        request: &RequestContext,
    ) -> Result<CloseOutcome, LeavingError> {
        let stored = self.ctx.get(id, request).await?;
        if !request.caller.has(Scope::Operate) {
            return Err(UseCaseError::Forbidden("only an operator may close a supervision").into());
        }
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(CloseOutcome::Replay(replay));
        }
        if !stored.supervision.state.is_final() {
            self.check_leg_is_unknown(&stored.supervision).await?;
        }
        let committed = self
            .ctx
            .update(id, |s| {
                let now = self.ctx.now();
                if s.state.is_final() {
                    return None;
                }
                let facts = DropFacts {
                    asked: None,
                    confirmation: Confirmation::None,
                    alive: None,
                    gone_by: now,
                    source: Source::Operator,
                    stamps: Vec::new(),
                    vendor_reason: None,
                };
                let departure = self.evidence.departure_of(s, &facts);
                s.conclude(departure).ok()?;
                // The after-check still finds out whether the customer's call continued.
                s.next_check_at = Some(now);
                let entry = self
                    .ctx
                    .audit(request, AuditAction::SupervisionClosed, id, "closed without evidence");
                Some(Transaction {
                    key: request.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
                    audit: vec![entry.because(Some(reason.to_owned()))],
                    deliver_at: Some(now),
                    ..Transaction::default()
                })
            })
            .await?;
        match committed {
            CommitOutcome::Done(_) => {
                self.ctx.signals.deliver.notify_one();
            }
            CommitOutcome::KeyUsed(record) => {
                return Ok(CloseOutcome::Replay(self.idempotency.replay_of(request, record).await?));
            }
            _ => {
                if let Some(replay) = self.idempotency.take_key(request, Some(id)).await? {
                    return Ok(CloseOutcome::Replay(replay));
                }
            }
        }
        Ok(CloseOutcome::Over(Box::new(self.ctx.get(id, request).await?)))
    }

    /// Checks that the vendor does not know the leg. What it answers is evidence like any other.
    async fn check_leg_is_unknown(&self, s: &Supervision) -> Result<(), LeavingError> {
        let refused = |why| Err(LeavingError::NotClosable(s.state, why));
        let (State::Monitoring | State::Leaving, Some(leg)) = (s.state, &s.leg) else {
            return refused("it has no leg yet; disconnect it instead");
        };
        if s.vendor != AMAZON_CONNECT {
            return Ok(());
        }
        let sent_at = self.ctx.now();
        let asked = self.ctx.describe_for(s, leg.as_str(), Priority::Claim);
        let observation = match tokio::time::timeout(ASK, asked).await {
            Ok(Ok(seen)) => Observation::of_description(&seen, sent_at, self.ctx.now()),
            Ok(Err(e)) if e.code == VendorErrorCode::ResourceNotFound => {
                Observation::of_finding(Source::DescribeContact, Finding::NotFound, sent_at, self.ctx.now())
            }
            Ok(Err(_)) | Err(_) => return refused("Amazon Connect could not be asked about its leg; retry later"),
        };
        let is_alive = observation
            .answer
            .is_some_and(|answer| answer.finding == Finding::Alive);
        self.evidence
            .evaluate(&s.instance, leg.as_str(), observation, None)
            .await?;
        if is_alive {
            return refused("Amazon Connect still knows its leg; disconnect it instead");
        }
        Ok(())
    }
}
