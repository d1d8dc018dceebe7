//! The MonitorContact call: its place in the budget, its retries with one `ClientToken`, and its end.
//!
//! **A late join is worse than none.** After `join_ttl` it is never sent again. If it may have been carried out all the
//! same (a lost answer, a crash), the vendor is asked whether a leg exists; one that does is adopted, else the join
//! failed as `join_timeout`.

use crate::usecases::monitoring::MonitoringError;
use std::time::Duration;

use crate::usecases::context::ConflictAttempts;
use crate::usecases::monitoring::MonitoringService;
use crate::usecases::monitoring::OnCall;
use crate::usecases::monitoring::switch::Turn;
use crate::usecases::retry::Backoff;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::audit::{AuditEntry, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::join_failure::{JoinFailure, OwnJoinFailure};
use sidedoor_domain::ports::store::{Stored, SupervisionWrite};
use sidedoor_domain::ports::telephony::{MonitorCall, UserContact};
use sidedoor_domain::ports::{
    Admission, CommitOutcome, MetricEvent, Priority, StoreError, Transaction, VendorError, VendorErrorCode,
};
use sidedoor_domain::supervision::{Mode, State, Supervision};

/// "Two supervisors can monitor the call" (administrator guide). Connect decides; this only helps to understand its refusal,
/// whose code is not documented.
const SUPERVISORS_A_CALL: usize = 2;

/// How often we look for a leg that may exist.
const LOOKS: u32 = 8;

/// What one attempt, or the waiting before it, came to.
enum Attempt {
    Leg(LegId),
    Again(Duration),
    /// It will not succeed; whether a leg exists all the same is known (`false`) or must be looked up (`true`).
    GiveUp {
        look: bool,
        code: JoinFailure,
        detail: String,
    },
    /// The process stops: what is on disk resumes at the next start.
    Leave,
}

impl MonitoringService {
    /// Carries a join to its end. `maybe_sent` says that an earlier process may have sent it already.
    pub(crate) async fn join(&self, id: SupervisionId, admission: Option<Admission>, maybe_sent: bool) {
        if let Err(e) = self.try_join(id, admission, maybe_sent).await {
            // The supervision is on disk as it was: the next start takes it up again.
            tracing::error!(supervision_id = %id, error = %e, "join of {id} could not be carried on");
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
                None => Attempt::Again(Duration::ZERO),
                Some(place) => self.send(&s, place, attempt, &mut maybe_sent).await,
            };
            match outcome {
                Attempt::Leg(leg) => return self.leg_given(id, leg).await,
                Attempt::GiveUp {
                    look: false,
                    code,
                    detail,
                } => return self.join_failed(id, code, &detail).await,
                Attempt::GiveUp {
                    look: true,
                    code,
                    detail,
                } => return self.look_for_leg(id, code, &detail).await,
                Attempt::Leave => return Ok(()),
                Attempt::Again(wait) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.ctx.parts.stopping.cancelled() => return Ok(()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for a place in the budget and writes "about to be sent". `None` when there is nothing (more) to send: it
    /// was withdrawn, it expired, or the process stops.
    async fn ready_to_send(
        &self,
        id: SupervisionId,
        admission: &mut Option<Admission>,
        maybe_sent: bool,
    ) -> Result<Option<Supervision>, MonitoringError> {
        loop {
            let Some(Stored {
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
                    self.look_for_leg(id, code.into(), detail).await?;
                } else {
                    self.join_failed(id, code.into(), detail).await?;
                }
                return Ok(None);
            }
            match self.turn_of(&mut supervision, revision).await? {
                Turn::Now => {}
                Turn::NotYet if self.ctx.is_stopping() => return Ok(None),
                Turn::NotYet => continue,
                Turn::Never => {
                    let detail = "The supervisor did not leave the contact they listened to before.";
                    self.join_failed(id, OwnJoinFailure::LeaveTimedOut.into(), detail)
                        .await?;
                    return Ok(None);
                }
                Turn::Taken(holder) => {
                    let detail = format!("The supervisor is on another contact already: supervision {holder}.");
                    self.join_failed(id, OwnJoinFailure::SupervisorConflict.into(), &detail)
                        .await?;
                    return Ok(None);
                }
            }
            if admission.is_none() {
                let patience = Duration::try_from(left).unwrap_or_default();
                let place = tokio::select! {
                    place = self.ctx.telephony().admit_monitor(&supervision.instance, patience) => place,
                    () = self.ctx.parts.stopping.cancelled() => return Ok(None),
                };
                match place {
                    Ok(place) => *admission = Some(place),
                    // The budget's queue is full: said at once, unless a leg may exist already.
                    Err(e) if !maybe_sent => {
                        self.join_failed(id, e.code.into(), &e.message).await?;
                        return Ok(None);
                    }
                    Err(_) => tokio::time::sleep(Backoff::CALL.wait(2)).await,
                }
                // The wait may have been long: look again whether the supervisor still wants it.
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
                audit: vec![self.join_begins(id)],
                ..Transaction::default()
            };
            if self.ctx.store().transact(change).await? == CommitOutcome::Done {
                return Ok(Some(supervision));
            }
        }
    }

    /// Said by the audit before MonitorContact is called.
    pub(crate) fn join_begins(&self, id: SupervisionId) -> AuditEntry {
        self.ctx
            .audit_own(AuditAction::LegAskedFor, id, "MonitorContact")
            .in_phase(Phase::Begun, operation(id))
    }

    async fn send(&self, s: &Supervision, place: Admission, attempt: u32, maybe_sent: &mut bool) -> Attempt {
        let (Some(contact), Some(user), Some(join)) = (&s.contact, &s.supervisor.connect_user_id, &s.join) else {
            let detail = "The request names no contact or no supervisor.".to_owned();
            return Attempt::GiveUp {
                look: false,
                code: OwnJoinFailure::SupervisionInvalid.into(),
                detail,
            };
        };
        let call = MonitorCall {
            instance: s.instance.clone(),
            contact: contact.clone(),
            user: user.clone(),
            allowed: s.allowed.unwrap_or(Mode::Silent),
            client_token: join.client_token.clone(),
        };
        let error = match self.ctx.telephony().monitor(&call, place).await {
            Ok(raw) => match LegId::from_monitor_answer(&raw, contact) {
                Ok(leg) => return Attempt::Leg(leg),
                Err(refusal) => {
                    let detail = format!("Connect's answer was refused by the interlock: {refusal}.");
                    return Attempt::GiveUp {
                        look: false,
                        code: OwnJoinFailure::LegInvalid.into(),
                        detail,
                    };
                }
            },
            Err(error) => error,
        };
        *maybe_sent |= error.may_have_happened;
        tracing::warn!(supervision_id = %s.id, code = %error.code, attempt, "MonitorContact for {} failed: {}", s.id, error.message);
        if self.ctx.is_stopping() && error.is_retryable() {
            return Attempt::Leave;
        }
        let expires_in = Duration::try_from(join.expires_at.duration_since(self.ctx.now())).unwrap_or_default();
        match Backoff::CALL.after(error.verdict, attempt) {
            Some(wait) if wait < expires_in => Attempt::Again(wait),
            Some(_) => give_up(*maybe_sent, OwnJoinFailure::TimedOut.into(), &error),
            None => give_up(*maybe_sent, error.code.into(), &error),
        }
    }

    /// Connect gave the leg: on to MONITORING, or straight to LEAVING if a leave waits.
    async fn leg_given(&self, id: SupervisionId, leg: LegId) -> Result<(), MonitoringError> {
        let mut attempts = ConflictAttempts::default();
        loop {
            attempts.start_next()?;
            let Some(Stored {
                mut supervision,
                revision,
                ..
            }) = self.ctx.store().supervision(id).await?
            else {
                return Ok(());
            };
            let now = self.ctx.now();
            if supervision
                .leg_given(
                    leg.clone(),
                    now,
                    now + self.ctx.settings.intervals.first_look,
                    self.ctx.leave_times(),
                )
                .is_err()
            {
                return Ok(());
            }
            let (instance, state) = (supervision.instance.clone(), supervision.state);
            let change = Transaction {
                explained: vec![(instance.clone(), leg.to_string())],
                deliver_at: Some(now + self.ctx.settings.intervals.join_row),
                audit: vec![
                    self.ctx
                        .audit_own(AuditAction::LegGiven, id, format!("leg {leg}"))
                        .in_phase(Phase::Done, operation(id)),
                ],
                supervision: Some(SupervisionWrite::Update(Box::new(supervision), revision)),
                ..Transaction::default()
            };
            match self.ctx.store().transact(change).await? {
                CommitOutcome::Done => {
                    self.ctx.signals.check.notify_one();
                    self.ctx.signals.deliver.notify_one();
                    // Events may have come before this answer.
                    self.evidence.weigh_stored_evidence(&instance, leg.as_str()).await?;
                    if state == State::Leaving {
                        self.leaving.carry_out_leave(id).await?;
                    }
                    return Ok(());
                }
                CommitOutcome::LegTaken(by) => {
                    let detail = format!("Connect's leg is recorded by supervision {by} already.");
                    return self.join_failed(id, OwnJoinFailure::LegConflict.into(), &detail).await;
                }
                _ => {}
            }
        }
    }

    /// Who else is on the contact of this supervision, as far as is known.
    pub(crate) async fn others_on_call(&self, s: &Supervision) -> Result<Vec<OnCall>, StoreError> {
        let Some(contact) = &s.contact else {
            return Ok(Vec::new());
        };
        let on_it = self.ctx.store().active_on(&s.instance, contact).await?;
        let others = on_it
            .into_iter()
            .map(|o| o.supervision)
            .filter(|o| o.id != s.id && o.leg.is_some());
        Ok(others
            .map(|o| OnCall {
                supervision: o.id,
                supervisor: o.supervisor,
                state: o.state,
            })
            .collect())
    }

    /// Connect refused a join in a way that may mean that the contact is full: says so if it is. Those who are on it are
    /// looked at now, since what we know of them may be out of date.
    async fn perhaps_full(&self, id: SupervisionId, code: JoinFailure) -> Result<Option<String>, MonitoringError> {
        const QUOTA: JoinFailure = JoinFailure::Vendor(VendorErrorCode::QuotaLimitReached);
        if code != QUOTA && code != JoinFailure::Vendor(VendorErrorCode::RequestInvalid) {
            return Ok(None);
        }
        let Some(Stored { supervision, .. }) = self.ctx.store().supervision(id).await? else {
            return Ok(None);
        };
        let others = self.others_on_call(&supervision).await?;
        if others.len() < SUPERVISORS_A_CALL || (code != QUOTA && !self.is_going_on(&supervision).await) {
            return Ok(None);
        }
        for other in &others {
            self.ctx
                .amend(other.supervision, |s| {
                    s.next_check_at = Some(self.ctx.now());
                    Some(Transaction::default())
                })
                .await?;
        }
        self.ctx.signals.check.notify_one();
        let names = others.iter().map(|o| {
            let id = o.supervisor.connect_user_id.as_ref().map(ToString::to_string);
            let name = o.supervisor.username.clone().or(id);
            name.unwrap_or_else(|| "somebody unknown".into())
        });
        let names: Vec<String> = names.collect();
        Ok(Some(format!(
            "Connect takes no further supervisor on this contact; on it are {}.",
            names.join(", ")
        )))
    }

    /// Whether the vendor says that the contact is not over.
    async fn is_going_on(&self, s: &Supervision) -> bool {
        let Some(contact) = &s.contact else { return false };
        let seen = self
            .ctx
            .telephony()
            .describe(&s.instance, contact.as_str(), Priority::Monitor);
        seen.await.is_ok_and(|seen| seen.disconnected_at.is_none())
    }

    /// The join came to nothing.
    async fn join_failed(&self, id: SupervisionId, code: JoinFailure, detail: &str) -> Result<(), MonitoringError> {
        // A better word for it is worth a look, and no more than that.
        let full = self.perhaps_full(id, code).await.unwrap_or_else(|e| {
            tracing::warn!(supervision_id = %id, error = %e, "who is on the contact of {id} could not be seen");
            None
        });
        let (code, detail) = full.as_deref().map_or((code, detail), |full| {
            (OwnJoinFailure::ContactLimitReached.into(), full)
        });
        self.ctx.count(&MetricEvent::JoinFailed(code));
        self.ctx
            .amend(id, |s| {
                s.fail(code, detail, self.ctx.now()).ok()?;
                Some(Transaction {
                    audit: vec![
                        self.ctx
                            .audit_own(AuditAction::SupervisionFailed, id, code.as_str())
                            .in_phase(Phase::Failed, operation(id)),
                    ],
                    ..Transaction::default()
                })
            })
            .await?;
        Ok(())
    }

    /// Nothing more is sent, but an earlier sending may have made a leg: asks the vendor, adopts it if it is there, else
    /// the join failed. If the vendor cannot say for long, it failed too: a leg that turns up later is an observed one.
    async fn look_for_leg(&self, id: SupervisionId, code: JoinFailure, detail: &str) -> Result<(), MonitoringError> {
        for attempt in 0..LOOKS {
            let Some(Stored { supervision, .. }) = self.ctx.store().supervision(id).await? else {
                return Ok(());
            };
            match self.find_leg(&supervision).await {
                Ok(Some(leg)) => {
                    tracing::info!(supervision_id = %id, leg_contact_id = %leg, "found the leg of {id} by looking");
                    return self.leg_given(id, leg).await;
                }
                Ok(None) => break,
                Err(e) => {
                    tracing::warn!(supervision_id = %id, code = %e.code, "looking for the leg of {id} failed: {}", e.message);
                    let Some(wait) = Backoff::LOOK.after(e.verdict, attempt) else {
                        break;
                    };
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.ctx.parts.stopping.cancelled() => return Ok(()),
                    }
                }
            }
        }
        self.join_failed(id, code, detail).await
    }

    /// The MONITOR leg this supervisor has on this contact now, by the vendor's word.
    async fn find_leg(&self, s: &Supervision) -> Result<Option<LegId>, VendorError> {
        let (Some(user), Some(contact)) = (&s.supervisor.connect_user_id, &s.contact) else {
            return Ok(None);
        };
        let has = self
            .ctx
            .telephony()
            .current_contacts(&s.instance, std::slice::from_ref(user), Priority::Monitor)
            .await?;
        for candidate in has.iter().filter(|c| is_live_leg(c)) {
            let seen = self
                .ctx
                .telephony()
                .describe(&s.instance, &candidate.contact, Priority::Monitor)
                .await?;
            // Which field links a leg to its contact is not documented. One that names other contacts, and not this
            // one, is another's leg; one that names none can only be this one, as it began after the request.
            let ours = seen.related.is_empty() || seen.related.iter().any(|id| id == contact.as_str());
            if let (true, Ok(leg)) = (ours, LegId::from_description(&seen, Some(contact))) {
                return Ok(Some(leg));
            }
        }
        Ok(None)
    }
}

/// Whether a contact of a user is a leg that has not ended.
pub(crate) fn is_live_leg(contact: &UserContact) -> bool {
    contact.initiation_method == "MONITOR"
        && !matches!(contact.state.as_str(), "ENDED" | "MISSED" | "ERROR" | "REJECTED")
}

fn give_up(look: bool, code: JoinFailure, error: &VendorError) -> Attempt {
    Attempt::GiveUp {
        look,
        code,
        detail: error.message.clone(),
    }
}

/// What the beginning and the end of a join are audited under.
fn operation(id: SupervisionId) -> String {
    format!("monitor_contact/{id}")
}
