//! Ends a supervisor's leg. Voice legs end by a directive to the supervisor's browser, because no server call is documented
//! to end them. Chat and task legs end by StopContact behind the interlock; if that is refused, by the directive.
//!
//! **Interlock.** StopContact is sent only with a [`sidedoor_domain::interlock::ClearedLeg`], which needs a fresh
//! DescribeContact that says MONITOR and names the supervisor. Its answer 200 means "accepted" and proves nothing.
//!
//! **After a crash.** `ServerEnd::Due` is in the store before the call. A restart repeats the check and the call, which is
//! harmless because a leg that has ended answers 410.

use sidedoor_domain::audit::{AuditAction, AuditedCall, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::interlock::{ContactSeen, clear_to_end};
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::ports::{CommitOutcome, Priority, Transaction, VendorError};
use sidedoor_domain::supervision::{Channel, ServerEnd, State, Supervision};

use crate::usecases::LegEndMethod;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::leaving::{LeavingError, LeavingService};
use crate::usecases::retry::Backoff;

/// The most attempts at StopContact before the browser is directed instead.
const MAX_ATTEMPTS: u32 = 4;

/// Whether the server must still decide how the leg ends, or send StopContact.
pub(crate) fn is_to_be_carried_out(s: &Supervision) -> bool {
    let server_end = s.leave.as_ref().map_or(ServerEnd::None, |l| l.server_end);
    match (s.state, server_end) {
        (State::Leaving, ServerEnd::Due) => true,
        (State::Leaving, ServerEnd::None) => s.end_directive().is_none(),
        _ => false,
    }
}

impl LeavingService {
    /// Does what [`is_to_be_carried_out`] asks for, if no other task is doing it.
    pub(crate) async fn carry_out_leave(&self, id: SupervisionId) -> Result<(), LeavingError> {
        // The request's own task and the poll may both start this; only one of them may do it.
        let Some(_in_flight) = self.ctx.signals.leaves_in_flight.try_start(id) else {
            return Ok(());
        };
        let Some(StoredSupervision { supervision, .. }) = self.ctx.store().supervision(id).await? else {
            return Ok(());
        };
        if !is_to_be_carried_out(&supervision) {
            return Ok(());
        }
        let Some(leg) = supervision.leg.clone() else {
            return Ok(());
        };
        let by_browser = |channel| {
            let instance = self.ctx.instance(&supervision.instance);
            instance.is_none_or(|i| i.leg_end(channel) == LegEndMethod::Ccp)
        };
        if supervision.channel.is_some_and(by_browser) {
            // The browser finds out itself whether the leg still exists.
            return self.direct_browser(id, ServerEnd::None, "directed the browser").await;
        }
        let asked_at = self.ctx.now();
        let seen = self.ctx.describe_for(&supervision, leg.as_str(), Priority::Claim).await;
        if let Ok(seen) = &seen {
            let observation = Observation::of_description(seen, asked_at, self.ctx.now());
            self.evidence
                .evaluate(&supervision.instance, leg.as_str(), observation, None)
                .await?;
            if seen.disconnected_at.is_some() {
                return Ok(());
            }
        }
        let channel = supervision
            .channel
            .or_else(|| seen.as_ref().ok().and_then(|s| s.channel));
        // The channel is still unknown: the directive works for every channel.
        let method = channel.and_then(|c| self.ctx.instance(&supervision.instance).map(|i| i.leg_end(c)));
        match method.unwrap_or(LegEndMethod::Ccp) {
            LegEndMethod::Ccp => self.direct_browser(id, ServerEnd::None, "directed the browser").await,
            LegEndMethod::StopContactThenCcp => {
                // StopContact is documented not to work for voice legs, so the browser is directed at the same time.
                if channel == Some(Channel::Voice) {
                    self.direct_browser(id, ServerEnd::Due, "directed the browser before trying StopContact")
                        .await?;
                }
                self.end_from_server(id, seen).await
            }
        }
    }

    async fn end_from_server(
        &self,
        id: SupervisionId,
        mut seen: Result<ContactSeen, VendorError>,
    ) -> Result<(), LeavingError> {
        for attempt in 0..MAX_ATTEMPTS {
            let Some(StoredSupervision { supervision, .. }) = self.ctx.store().supervision(id).await? else {
                return Ok(());
            };
            let (State::Leaving, Some(leg)) = (supervision.state, supervision.leg.clone()) else {
                return Ok(());
            };
            if supervision.channel == Some(Channel::Voice) && self.is_leave_unsafe(&supervision).await? {
                // The next poll tries again.
                return Ok(());
            }
            self.begin_server_end(id).await?;
            let error = match self.try_end(&supervision, &seen).await {
                Ok(()) => {
                    return self
                        .note_server_end(id, ServerEnd::Accepted, "StopContact was accepted")
                        .await;
                }
                Err(ServerEndError::Interlock(why)) => {
                    tracing::warn!(supervision_id = %id, %why, "the interlock rejected StopContact for {id}; directing the browser instead: {why}");
                    return self
                        .direct_browser(id, ServerEnd::Refused, &format!("interlock: {why}"))
                        .await;
                }
                Err(ServerEndError::Vendor(error)) => error,
            };
            tracing::warn!(supervision_id = %id, code = %error.code, attempt, "could not end the leg of {id} by StopContact: {}", error.for_operators());
            let Some(wait) = Backoff::CALL.after(error.verdict, attempt, self.ctx.random()) else {
                return self
                    .direct_browser(id, ServerEnd::Refused, &format!("StopContact: {}", error.code))
                    .await;
            };
            // The outcome of this attempt is known, so its audit entry is written even if another attempt follows.
            let failed = self
                .ctx
                .audit_own(AuditAction::LegStopRefused, id, format!("StopContact: {}", error.code))
                .in_phase(Phase::Failed, AuditedCall::StopContact.operation(id));
            self.ctx
                .transact(Transaction {
                    audit: vec![failed],
                    ..Transaction::default()
                })
                .await?;
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => {}
                () = self.ctx.deps.stopping.cancelled() => return Ok(()),
            }
            // A clearance is valid only for its moment, so describe the leg again before every attempt.
            seen = self.ctx.describe_for(&supervision, leg.as_str(), Priority::Claim).await;
        }
        self.direct_browser(id, ServerEnd::Refused, "StopContact did not succeed")
            .await
    }

    /// Writes the audit entry before StopContact is sent.
    async fn begin_server_end(&self, id: SupervisionId) -> Result<(), LeavingError> {
        let begun = self.ctx.audit_own(AuditAction::LegStopBegun, id, "StopContact");
        let ahead = Transaction {
            audit: vec![begun.in_phase(Phase::Begun, AuditedCall::StopContact.operation(id))],
            ..Transaction::default()
        };
        self.ctx.transact(ahead).await?;
        Ok(())
    }

    async fn try_end(&self, s: &Supervision, seen: &Result<ContactSeen, VendorError>) -> Result<(), ServerEndError> {
        let seen = seen.as_ref().map_err(|e| ServerEndError::Vendor(e.clone()))?;
        let (Some(leg), Some(user)) = (&s.leg, &s.supervisor.connect_user_id) else {
            return Err(ServerEndError::Interlock("the leg's supervisor is not known".into()));
        };
        let cleared =
            clear_to_end(leg, seen, user, s.contact.as_ref()).map_err(|r| ServerEndError::Interlock(r.to_string()))?;
        self.ctx.end_leg_of(s, &cleared).await.map_err(ServerEndError::Vendor)
    }

    /// The directive has expired and the leg still exists: directs the browser again, because a disconnect never expires. If the
    /// barge safety check fails now, the directive waits for the next poll.
    pub(crate) async fn renew_directive(&self, s: &Supervision) -> Result<(), LeavingError> {
        if self.is_leave_unsafe(s).await? {
            return Ok(());
        }
        self.change_leave(
            s.id,
            AuditAction::DirectiveIssued,
            "the previous directive had expired",
            None,
            |s| {
                let _ = s.direct_browser(self.ctx.now(), self.ctx.leave_times());
            },
        )
        .await
    }

    /// Whether carrying out this leave now may end the customer's call and no operator has accepted that.
    async fn is_leave_unsafe(&self, s: &Supervision) -> Result<bool, LeavingError> {
        if s.leave.as_ref().is_some_and(|l| l.customer_call_may_end) {
            return Ok(false);
        }
        match self.check_barge_safety(s).await {
            Err(LeavingError::CustomerCallAtRisk(id, why)) => {
                tracing::warn!(supervision_id = %id, "the leave of {id} waits for the next poll because it may end the customer's call: {why}");
                Ok(true)
            }
            other => other.map(|()| false),
        }
    }

    /// Issues the directive and records the state of the server-side end.
    async fn direct_browser(
        &self,
        id: SupervisionId,
        server_end: ServerEnd,
        outcome: &str,
    ) -> Result<(), LeavingError> {
        // Refused is the result of a StopContact call; in the other cases no call is open in the audit.
        let ended = (server_end == ServerEnd::Refused).then_some(Phase::Failed);
        self.change_leave(id, AuditAction::DirectiveIssued, outcome, ended, |s| {
            let _ = s.direct_browser(self.ctx.now(), self.ctx.leave_times());
            let _ = s.server_end(server_end);
        })
        .await
    }

    async fn note_server_end(
        &self,
        id: SupervisionId,
        server_end: ServerEnd,
        outcome: &str,
    ) -> Result<(), LeavingError> {
        self.change_leave(id, AuditAction::LegStopAccepted, outcome, Some(Phase::Done), |s| {
            let _ = s.server_end(server_end);
        })
        .await
    }

    async fn change_leave(
        &self,
        id: SupervisionId,
        action: AuditAction,
        outcome: &str,
        ended: Option<Phase>,
        change_it: impl Fn(&mut Supervision),
    ) -> Result<(), LeavingError> {
        let committed = self.ctx.update(id, |s| {
            if s.state != State::Leaving {
                return None;
            }
            change_it(s);
            s.next_check_at = Some(self.ctx.now() + self.ctx.settings.intervals.leaving_first_look);
            Some(Transaction {
                audit: vec![match ended {
                    Some(phase) => self
                        .ctx
                        .audit_own(action, id, outcome)
                        .in_phase(phase, AuditedCall::StopContact.operation(id)),
                    None => self.ctx.audit_own(action, id, outcome),
                }],
                ..Transaction::default()
            })
        });
        match (committed.await?, ended) {
            (CommitOutcome::Done(_), _) => {}
            // Evidence has already ended the supervision; the action still needs its end in the audit.
            (_, Some(phase)) => {
                let over = Transaction {
                    audit: vec![
                        self.ctx
                            .audit_own(action, id, outcome)
                            .in_phase(phase, AuditedCall::StopContact.operation(id)),
                    ],
                    ..Transaction::default()
                };
                self.ctx.transact(over).await?;
            }
            (_, None) => {}
        }
        Ok(())
    }
}

/// Why a server-side end failed.
enum ServerEndError {
    Interlock(String),
    Vendor(VendorError),
}
