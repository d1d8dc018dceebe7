//! The after-check of every departure: did the customer's call continue, and is the agent still on it? The barge safety
//! check decides before a leave; this check verifies the result.
//!
//! **The alarm** is raised only for a call that ended right after a leg that we ended. A hang-up or a transfer ends the leg
//! too, but does not raise it.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::departure::{AgentAfter, Continuity, Reason};
use sidedoor_domain::ids::{SupervisionId, UserId};
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Priority, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Mode, Supervision};

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::evaluate::Observation;
use crate::usecases::leaving::LeavingService;
use crate::usecases::polling::reconcile::log_failed_poll;
use crate::usecases::retry::Backoff;

/// After this many failed after-checks `customerCallContinued` stays unknown.
const MAX_CHECKS: u32 = 4;
/// Two stamps in whole seconds may differ by this much and still mean the same moment.
const STAMP_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

/// If the contact ends this soon after the leg of a barged-in supervisor, the leave is taken as the cause.
const BARGED_END_WINDOW: SignedDuration = SignedDuration::from_secs(5);
/// The staleness of polls that the time of the second check assumes.
const DEFAULT_STALENESS: SignedDuration = SignedDuration::from_secs(2);

/// The result of one look at the customer's contact.
struct ContactCheck {
    continuity: Continuity,
    /// Whether the contact ended first and the leg with it.
    contact_ended_first: bool,
    agent: Option<UserId>,
    agent_after: Option<AgentAfter>,
}

impl ContactCheck {
    fn unknown() -> Self {
        Self {
            continuity: Continuity::Unknown,
            contact_ended_first: false,
            agent: None,
            agent_after: None,
        }
    }
}

impl LeavingService {
    /// Checks the customer's contact after a departure: immediately, so that the Salesforce record is complete, and for a
    /// requested leave once more when the vendor's data must be current. The second result is final.
    pub(crate) async fn check_departed_contact(&self, s: &Supervision) -> Result<(), UseCaseError> {
        if s.contact.is_none() {
            return self.ctx.update_and_deliver(s.id, |s| s.next_check_at = None).await;
        }
        self.refresh_leg_modes(s).await?;
        // The description of the leg may have added a stamp to the departure.
        let Some(StoredSupervision { supervision: s, .. }) = self.ctx.store().supervision(s.id).await? else {
            return Ok(());
        };
        let check = self.check_contact(&s).await;
        let Some(check) = check else {
            return self
                .ctx
                .update_and_deliver(s.id, |s| {
                    let wait = SignedDuration::try_from(Backoff::LOOK.wait(s.checks, self.ctx.random()))
                        .unwrap_or(STAMP_TOLERANCE);
                    s.checks = s.checks.saturating_add(1);
                    s.next_check_at = Some(self.ctx.now() + wait.max(STAMP_TOLERANCE));
                })
                .await;
        };
        let second_check_at = self.second_check_at(&s, &check);
        let change = |s: &mut Supervision| {
            s.agent = s.agent.take().or_else(|| check.agent.clone());
            s.note_after(check.continuity, check.contact_ended_first, check.agent_after.clone())
                .ok()?;
            s.next_check_at = second_check_at;
            Some(Transaction {
                audit: if second_check_at.is_some() {
                    Vec::new()
                } else {
                    self.alarm_entries(s)
                },
                ..Transaction::default()
            })
        };
        self.update_departed(s.id, change).await?;
        if second_check_at.is_none()
            && let Some(StoredSupervision { supervision, .. }) = self.ctx.store().supervision(s.id).await?
        {
            self.raise_alarms(&supervision);
        }
        Ok(())
    }

    async fn check_contact(&self, s: &Supervision) -> Option<ContactCheck> {
        let contact = s.contact.as_ref()?;
        let seen = self
            .ctx
            .telephony()
            .describe(&s.instance, contact.as_str(), Priority::AfterCheck)
            .await;
        match seen {
            // An event already reported the end, so this answer is outdated.
            Ok(seen) if seen.disconnected_at.is_none() && s.contact_ended => {
                (s.checks >= MAX_CHECKS).then(ContactCheck::unknown)
            }
            Ok(seen) => {
                let mut check = evaluate_contact(s, &seen);
                check.agent = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
                if let (None, Some(agent)) = (seen.disconnected_at, &check.agent) {
                    let state = self
                        .agent_state(&s.instance, agent, contact, Priority::AfterCheck)
                        .await;
                    check.agent_after = state.ok().map(|state| AgentAfter::of(state.as_deref()));
                }
                Some(check)
            }
            Err(e) if e.is_retryable() && s.checks < MAX_CHECKS => {
                log_failed_poll(s, &e);
                None
            }
            Err(e) => {
                log_failed_poll(s, &e);
                Some(ContactCheck::unknown())
            }
        }
    }

    /// When to check a second time, because an answer from the moment of the drop may not show its effect yet.
    fn second_check_at(&self, s: &Supervision, check: &ContactCheck) -> Option<Timestamp> {
        let gone_by = s.departure.as_ref()?.basis.gone_by?;
        let staleness = (self.ctx.settings.poll_staleness - DEFAULT_STALENESS).max(SignedDuration::ZERO);
        let at = gone_by + self.ctx.settings.intervals.after_again + staleness;
        let open = check.continuity == Continuity::Continued && s.leave.is_some();
        Some(at).filter(|at| open && self.ctx.now() < *at)
    }

    /// Changes a supervision that is LEFT. Its Salesforce record is written again if the departure changed; otherwise the record
    /// is delivered now rather than after the check.
    async fn update_departed(
        &self,
        id: SupervisionId,
        rule: impl Fn(&mut Supervision) -> Option<Transaction>,
    ) -> Result<(), UseCaseError> {
        let committed = self.ctx.update(id, |s| {
            let before = s.departure.clone();
            let change = rule(s)?;
            let changed = s.departure != before;
            Some(Transaction {
                deliver_at: changed.then(|| self.ctx.now()),
                expedite: (!changed).then(|| (id, self.ctx.now())),
                ..change
            })
        });
        if committed.await? == CommitOutcome::Done {
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }

    /// Reads the leg's `StateTransitions` if the supervisor may have barged in, because no event may have reported it.
    async fn refresh_leg_modes(&self, s: &Supervision) -> Result<(), UseCaseError> {
        let (Some(leg), true) = (&s.leg, s.vendor == AMAZON_CONNECT) else {
            return Ok(());
        };
        if s.allowed == Some(Mode::Silent) || s.checks > 0 {
            return Ok(());
        }
        let asked_at = self.ctx.now();
        if let Ok(seen) = self
            .ctx
            .telephony()
            .describe(&s.instance, leg.as_str(), Priority::AfterCheck)
            .await
        {
            let observation =
                Observation::of_description(&seen, asked_at, self.ctx.now(), self.ctx.settings.poll_staleness);
            self.evidence
                .evaluate(&s.instance, leg.as_str(), observation, None)
                .await?;
        }
        Ok(())
    }

    /// The alarms as audit entries, written in the same transaction as the result.
    fn alarm_entries(&self, s: &Supervision) -> Vec<AuditEntry> {
        let mut audit = Vec::new();
        if ended_by_us(s) {
            audit.push(self.ctx.audit_own(
                AuditAction::CustomerCallEnded,
                s.id,
                "right after the leg that Sidedoor ended",
            ));
        }
        if let Some(agent) = agent_left_behind(s) {
            audit.push(
                self.ctx
                    .audit_own(AuditAction::AgentLooksWrong, s.id, agent.state.clone()),
            );
        }
        audit
    }

    /// Logs and counts the alarms.
    fn raise_alarms(&self, s: &Supervision) {
        if ended_by_us(s) {
            self.ctx.count(&MetricEvent::CustomerCallEnded);
            tracing::error!(supervision_id = %s.id, contact_id = s.contact.as_ref().map(tracing::field::display), "the customer's call ended right after the supervisor of {} left", s.id);
        }
        if let Some(agent) = agent_left_behind(s) {
            self.ctx.count(&MetricEvent::AgentLooksWrong);
            tracing::warn!(supervision_id = %s.id, state = agent.state, "the agent is {} on the contact after the departure of {}", agent.state, s.id);
        }
    }
}

fn ended_by_us(s: &Supervision) -> bool {
    let departure = s.departure.as_ref().filter(|_| s.leave.is_some());
    departure.is_some_and(|d| d.continuity == Continuity::Ended && d.reason != Reason::ContactEnded)
}

fn agent_left_behind(s: &Supervision) -> Option<&AgentAfter> {
    let after = s.departure.as_ref()?.agent_after.as_ref();
    after.filter(|agent| agent.looks_wrong)
}

/// Whether the call continued, and whether it ended before the leg. Both stamps are from the same vendor clock, so they can
/// be compared without knowing its offset.
fn evaluate_contact(s: &Supervision, seen: &ContactSeen) -> ContactCheck {
    let with = |continuity| ContactCheck {
        continuity,
        ..ContactCheck::unknown()
    };
    let Some(contact_end) = seen.disconnected_at else {
        return with(Continuity::Continued);
    };
    if seen.has_successor {
        return with(Continuity::Continued);
    }
    let Some(leg_end) = s.departure.as_ref().and_then(|d| d.vendor_timestamp) else {
        return with(Continuity::Unknown);
    };
    // Only a barged-in supervisor is a participant whose leaving can end the call, and Connect may take a moment to end it.
    let right_after = if s.has_barged || s.may_have_barged_in() {
        BARGED_END_WINDOW
    } else {
        STAMP_TOLERANCE
    };
    if contact_end > leg_end + right_after {
        return with(Continuity::Continued);
    }
    // The leg ended first if its browser reported that it ended it, or if a leave was requested and the stamps agree.
    let leg_first = s.browser_ended_the_leg() || (s.leave.is_some() && leg_end < contact_end);
    ContactCheck {
        contact_ended_first: !leg_first,
        ..with(Continuity::Ended)
    }
}
