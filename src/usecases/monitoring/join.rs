//! Sends the MonitorContact call: it waits for a place in the rate budget, retries with one `ClientToken`, and records the
//! outcome.
//!
//! **A late join is worse than none**, because the supervisor no longer expects it. The call is never sent after
//! `join_ttl`, nor after a disconnect was requested. If an earlier attempt may have succeeded (its answer was lost, late, cut or
//! unreadable, or the process crashed), the leg is searched for, and a leg that appears inherits the disconnect.

use std::time::Duration;

use sidedoor_domain::audit::{AuditAction, AuditEntry, AuditedCall, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::join_failure::{JoinFailure, OwnJoinFailure};
use sidedoor_domain::ports::store::{StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::telephony::MonitorCall;
use sidedoor_domain::ports::{
    Admission, Endpoint, MetricEvent, Priority, StoreError, Transaction, VendorError, VendorErrorCode,
};
use sidedoor_domain::supervision::{Mode, State, Supervision};

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::adopt_leg::LegGiven;
use crate::usecases::monitoring::switch::JoinTurn;
use crate::usecases::monitoring::{MonitoringError, MonitoringService, SupervisorOnCall};
use crate::usecases::retry::Backoff;

/// "Two supervisors can monitor the call" (administrator guide). Connect enforces the limit; we use it only to interpret
/// Connect's refusal, because the code of the refusal is not documented.
const SUPERVISORS_PER_CALL: usize = 2;
/// How long the write of an answer waits after the store failed, at first and at most. It begins short, because an event of the leg
/// may be stored as soon as the store works again, and the leg would then pass for one without a request.
const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The result of one attempt to join.
enum JoinAttempt {
    Leg(LegId),
    Again(Duration),
    /// Connect has refused the call in this Region. The other Region may accept it.
    OtherRegion(Endpoint),
    /// No attempt will succeed. `look` says whether a leg may exist nevertheless and must be searched for.
    GiveUp {
        look: bool,
        code: JoinFailure,
        detail: String,
    },
    /// The process is stopping. The supervision is in the store and resumes at the next start.
    Stopping,
}

impl MonitoringService {
    /// Completes a join. `maybe_sent` says that an earlier process may already have sent the call.
    pub(crate) async fn join(&self, id: SupervisionId, admission: Option<Admission>, maybe_sent: bool) {
        // A join that takes long is due again while its task still works on it.
        let Some(_in_flight) = self.ctx.signals.joins_in_flight.try_start(id) else {
            return;
        };
        if let Err(e) = self.try_join(id, admission, maybe_sent).await {
            // The supervision stays in the store unchanged, so the next start resumes it.
            tracing::error!(supervision_id = %id, error = %e, "could not continue the join of {id}; it resumes at the next start: {e}");
        }
    }

    async fn try_join(
        &self,
        id: SupervisionId,
        mut admission: Option<Admission>,
        mut maybe_sent: bool,
    ) -> Result<(), MonitoringError> {
        for attempt in 0.. {
            let Some(s) = self.ready_to_send(id, &mut admission, maybe_sent).await? else {
                return Ok(());
            };
            let outcome = match admission.take() {
                None => JoinAttempt::Again(Duration::ZERO),
                Some(place) => self.send(&s, place, attempt, &mut maybe_sent).await,
            };
            match outcome {
                JoinAttempt::Leg(leg) => return self.leg_given(id, leg).await,
                JoinAttempt::GiveUp {
                    look: false,
                    code,
                    detail,
                } => return self.join_failed(id, code, &detail).await,
                JoinAttempt::GiveUp {
                    look: true,
                    code,
                    detail,
                } => return self.search_leg(id, code, &detail).await,
                // Stored before the next attempt, so that a restart repeats the call in the same Region.
                JoinAttempt::OtherRegion(other) => self.ctx.remember_region(id, other.region.as_ref()).await?,
                JoinAttempt::Stopping => return Ok(()),
                JoinAttempt::Again(wait) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(wait) => {}
                        () = self.ctx.deps.stopping.cancelled() => return Ok(()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for a place in the rate budget and stores that the call is about to be sent. `None` when there is nothing to send:
    /// the supervision was cancelled, it expired, or the process is stopping.
    async fn ready_to_send(
        &self,
        id: SupervisionId,
        admission: &mut Option<Admission>,
        maybe_sent: bool,
    ) -> Result<Option<Supervision>, MonitoringError> {
        loop {
            let Some(StoredSupervision {
                mut supervision,
                revision,
                ..
            }) = self.ctx.store().supervision(id).await?
            else {
                return Ok(None);
            };
            let (State::Requested | State::Joining, Some(join)) = (supervision.state, &supervision.join) else {
                return Ok(None);
            };
            if join.search.is_some() {
                return Ok(None);
            }
            let left = join.expires_at.duration_since(self.ctx.now());
            if supervision.leave.is_some() || !left.is_positive() {
                let (code, detail) = if supervision.leave.is_some() {
                    (
                        OwnJoinFailure::Cancelled,
                        "The supervisor left before Connect gave them the leg.",
                    )
                } else if supervision.waits_for.is_some() {
                    (
                        OwnJoinFailure::LeaveTimedOut,
                        "The supervisor did not leave the contact they listened to before in time.",
                    )
                } else {
                    (
                        OwnJoinFailure::TimedOut,
                        "Connect did not give the leg in time; a late join is worse than none.",
                    )
                };
                if maybe_sent {
                    self.search_leg(id, code.into(), detail).await?;
                } else {
                    self.join_failed(id, code.into(), detail).await?;
                }
                return Ok(None);
            }
            match self.check_turn(&mut supervision, revision).await? {
                JoinTurn::Now => {}
                JoinTurn::NotYet if self.ctx.is_stopping() => return Ok(None),
                JoinTurn::NotYet => continue,
                JoinTurn::Never => {
                    let detail = "The supervisor did not leave the contact they listened to before.";
                    self.join_failed(id, OwnJoinFailure::LeaveTimedOut.into(), detail)
                        .await?;
                    return Ok(None);
                }
                JoinTurn::Taken(holder) => {
                    let detail = format!("The supervisor is on another contact already: supervision {holder}.");
                    self.join_failed(id, OwnJoinFailure::SupervisorConflict.into(), &detail)
                        .await?;
                    return Ok(None);
                }
            }
            if admission.is_none() {
                let (patience, endpoint) = (Duration::try_from(left).unwrap_or_default(), supervision.endpoint());
                let place = tokio::select! {
                    biased;
                    place = self.ctx.telephony().admit_monitor(&endpoint, patience) => place,
                    () = self.ctx.deps.stopping.cancelled() => return Ok(None),
                };
                match place {
                    Ok(place) => *admission = Some(place),
                    // The queue of the rate budget is full. Fail immediately, unless a leg may already exist.
                    Err(e) if !maybe_sent => {
                        self.join_failed(id, e.code.into(), &e.message).await?;
                        return Ok(None);
                    }
                    Err(_) => tokio::time::sleep(Backoff::CALL.wait(2, self.ctx.random())).await,
                }
                // The wait may have been long, so check again whether the supervisor still wants to join.
                continue;
            }
            if supervision.state == State::Joining {
                return Ok(Some(supervision));
            }
            if supervision.start_joining(self.ctx.now()).is_err() {
                return Ok(None);
            }
            let change = Transaction {
                supervision: Some(SupervisionWrite::Update(Box::new(supervision.clone()), revision)),
                audit: vec![self.join_begun_entry(id)],
                ..Transaction::default()
            };
            if self.ctx.transact(change).await?.is_done() {
                return Ok(Some(supervision));
            }
        }
    }

    /// The audit entry that precedes the MonitorContact call.
    pub(super) fn join_begun_entry(&self, id: SupervisionId) -> AuditEntry {
        self.ctx
            .audit_own(AuditAction::LegAskedFor, id, "MonitorContact")
            .in_phase(Phase::Begun, AuditedCall::MonitorContact.operation(id))
    }

    async fn send(&self, s: &Supervision, place: Admission, attempt: u32, maybe_sent: &mut bool) -> JoinAttempt {
        let (Some(contact), Some(user), Some(join)) = (&s.contact, &s.supervisor.connect_user_id, &s.join) else {
            let detail = "The request names no contact or no supervisor.".to_owned();
            return JoinAttempt::GiveUp {
                look: false,
                code: OwnJoinFailure::SupervisionInvalid.into(),
                detail,
            };
        };
        let call = MonitorCall {
            endpoint: s.endpoint(),
            contact: contact.clone(),
            user: user.clone(),
            allowed: s.allowed.unwrap_or(Mode::Silent),
            client_token: join.client_token.clone(),
        };
        let error = match self.ctx.telephony().monitor(&call, place).await {
            Ok(raw) => match LegId::from_monitor_answer(&raw, contact) {
                Ok(leg) => return JoinAttempt::Leg(leg),
                Err(refusal) => {
                    let detail = format!("Connect's answer was refused by the interlock: {refusal}.");
                    return JoinAttempt::GiveUp {
                        look: false,
                        code: OwnJoinFailure::LegInvalid.into(),
                        detail,
                    };
                }
            },
            Err(error) => error,
        };
        *maybe_sent |= error.may_have_happened;
        tracing::warn!(supervision_id = %s.id, code = %error.code, attempt, "MonitorContact for {} failed: {}", s.id, error.for_operators());
        if self.ctx.is_stopping() && error.is_retryable() {
            return JoinAttempt::Stopping;
        }
        // Only while no attempt may have made a leg: it is not documented whether the token is the same one in both Regions.
        if error.code == VendorErrorCode::RegionInvalid
            && !*maybe_sent
            && s.region.is_none()
            && let Some(other) = self.ctx.other_endpoint(&call.endpoint)
        {
            return JoinAttempt::OtherRegion(other);
        }
        let expires_in = Duration::try_from(join.expires_at.duration_since(self.ctx.now())).unwrap_or_default();
        match Backoff::CALL.after(error.verdict, attempt, self.ctx.random()) {
            Some(wait) if wait < expires_in => JoinAttempt::Again(wait),
            Some(_) => give_up(*maybe_sent, OwnJoinFailure::TimedOut.into(), &error),
            None => give_up(*maybe_sent, error.code.into(), &error),
        }
    }

    /// Sends the MonitorContact of a search once more, with the same token, if the rate budget has a place now. Returns whether it
    /// gave the leg.
    pub(crate) async fn repeat_join(&self, s: &Supervision) -> Result<bool, MonitoringError> {
        let Some(place) = self.ctx.telephony().try_admit_monitor(&s.endpoint()) else {
            return Ok(false);
        };
        match self.send(s, place, 0, &mut true).await {
            JoinAttempt::Leg(leg) => self.leg_given(s.id, leg).await.map(|()| true),
            _ => Ok(false),
        }
    }

    /// Connect returned the leg: the supervision becomes MONITORING, or LEAVING if a leave was requested meanwhile.
    async fn leg_given(&self, id: SupervisionId, leg: LegId) -> Result<(), MonitoringError> {
        match self
            .until_stored(id, || self.evidence.give_leg(id, leg.clone()))
            .await?
        {
            LegGiven::Leaving => Ok(self.leaving.carry_out_leave(id).await?),
            LegGiven::Taken(owner) => {
                let detail = format!("Connect's leg already belongs to supervision {owner}.");
                self.join_failed(id, OwnJoinFailure::LegConflict.into(), &detail).await
            }
            LegGiven::Monitoring | LegGiven::TooLate => Ok(()),
        }
    }

    /// The other known supervisors on the contact of this supervision.
    pub(super) async fn others_on_call(&self, s: &Supervision) -> Result<Vec<SupervisorOnCall>, StoreError> {
        let Some(contact) = &s.contact else {
            return Ok(Vec::new());
        };
        let on_it = self.ctx.store().active_on(&s.instance, contact).await?;
        let others = on_it
            .into_iter()
            .map(|o| o.supervision)
            .filter(|o| o.id != s.id && o.leg.is_some());
        Ok(others
            .map(|o| SupervisorOnCall {
                supervision: o.id,
                supervisor: o.supervisor,
                state: o.state,
            })
            .collect())
    }

    /// Connect refused a join with a code that may mean that the contact is full. If it is, returns that code and a detail that says
    /// how many supervisors are on it, and schedules polls of them, because what we know of them may be out of date. If no other supervisor is
    /// on the contact, asks whether the CCP is open: Connect answers 402 for a closed one, too (amazon-connect-streams issue 816).
    async fn explain_refusal(
        &self,
        id: SupervisionId,
        code: JoinFailure,
        detail: &str,
    ) -> Result<Option<(JoinFailure, String)>, MonitoringError> {
        const QUOTA: JoinFailure = JoinFailure::Vendor(VendorErrorCode::QuotaLimitReached);
        if code != QUOTA && code != JoinFailure::Vendor(VendorErrorCode::RequestInvalid) {
            return Ok(None);
        }
        let Some(StoredSupervision { supervision, .. }) = self.ctx.store().supervision(id).await? else {
            return Ok(None);
        };
        let others = self.others_on_call(&supervision).await?;
        if others.is_empty() && code == QUOTA {
            let detail = format!(
                "{}. No other supervisor is known on this contact. Is the supervisor's Contact Control Panel (CCP) open and logged in? \
                 Connect answers like this when it is closed.",
                detail.trim_end_matches('.')
            );
            return Ok(Some((code, detail)));
        }
        if others.len() < SUPERVISORS_PER_CALL || (code != QUOTA && !self.is_contact_active(&supervision).await) {
            return Ok(None);
        }
        for other in &others {
            self.ctx
                .update(other.supervision, |s| {
                    s.next_check_at = Some(self.ctx.now());
                    Some(Transaction::default())
                })
                .await?;
        }
        // Without their names, because the supervisor who is refused reads it, too.
        let detail = format!(
            "Connect accepts no further supervisor on this contact; {} are on it.",
            others.len()
        );
        Ok(Some((OwnJoinFailure::ContactLimitReached.into(), detail)))
    }

    /// Whether the vendor confirms that the contact has not ended.
    async fn is_contact_active(&self, s: &Supervision) -> bool {
        let Some(contact) = &s.contact else { return false };
        let seen = self.ctx.describe_for(s, contact.as_str(), Priority::Join);
        seen.await.is_ok_and(|seen| seen.disconnected_at.is_none())
    }

    /// Records that the join failed.
    pub(crate) async fn join_failed(
        &self,
        id: SupervisionId,
        code: JoinFailure,
        detail: &str,
    ) -> Result<(), MonitoringError> {
        // The more precise code is optional, so an error here must not prevent recording the failure.
        let explained = self.explain_refusal(id, code, detail).await.unwrap_or_else(|e| {
            tracing::warn!(supervision_id = %id, error = %e, "could not read who is on the contact of {id}; keeping the original code: {e}");
            None
        });
        let (code, detail) = explained
            .as_ref()
            .map_or((code, detail), |(code, detail)| (*code, detail.as_str()));
        self.ctx.count(&MetricEvent::JoinFailed(code));
        self.until_stored(id, || {
            self.ctx.update(id, |s| {
                s.fail(code, detail, self.ctx.now()).ok()?;
                Some(Transaction {
                    audit: vec![
                        self.ctx
                            .audit_own(AuditAction::SupervisionFailed, id, code.as_str())
                            .in_phase(Phase::Failed, AuditedCall::MonitorContact.operation(id)),
                    ],
                    ..Transaction::default()
                })
            })
        })
        .await?;
        Ok(())
    }

    /// No further call is sent, but an earlier one may have created a leg: it is searched for by
    /// [`crate::usecases::polling::searches`]. A repeat could put a supervisor on a call that they cancelled, and the server cannot
    /// end a voice leg.
    async fn search_leg(&self, id: SupervisionId, code: JoinFailure, detail: &str) -> Result<(), MonitoringError> {
        self.until_stored(id, || {
            self.ctx.update(id, |s| {
                s.search_leg(code, detail, self.ctx.now()).ok()?;
                Some(Transaction::default())
            })
        })
        .await?;
        Ok(())
    }

    /// Writes what Connect answered, and repeats that while the store fails, because the answer is nowhere else. A repeat of a write
    /// that had succeeded after all changes nothing.
    async fn until_stored<T, F>(&self, id: SupervisionId, write: impl Fn() -> F) -> Result<T, UseCaseError>
    where
        F: Future<Output = Result<T, UseCaseError>>,
    {
        let mut wait = STORE_RETRY.0;
        loop {
            match write().await {
                Err(UseCaseError::Store(e @ (StoreError::Store(_) | StoreError::Overloaded)))
                    if !self.ctx.is_stopping() =>
                {
                    tracing::error!(supervision_id = %id, error = %e, "could not store Connect's answer to MonitorContact for {id}; retrying: {e}");
                }
                done => return done,
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
            wait = (wait * 2).min(STORE_RETRY.1);
        }
    }
}

fn give_up(look: bool, code: JoinFailure, error: &VendorError) -> JoinAttempt {
    JoinAttempt::GiveUp {
        look,
        code,
        detail: error.message.clone(),
    }
}
