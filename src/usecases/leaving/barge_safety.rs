//! The guard before a supervisor who has barged in leaves: if the agent has gone meanwhile, the supervisor may be one of the
//! last two on the call, and to leave would end it for the customer.
//!
//! A silent supervisor is no party to the call, and needs no guard. For one who may have barged in, the vendor is asked: in
//! which mode the leg is now, who the agent on the contact is, and whether that agent still has it. What cannot be confirmed is
//! refused; an operator may take it on themselves, with a reason. The browser repeats the check before it acts.

use crate::usecases::leaving::LeavingError;
use std::time::Duration;

use crate::usecases::RequestContext;
use crate::usecases::evidence::evaluate::Observation;
use crate::usecases::leaving::LeavingService;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::{MetricEvent, Priority, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Channel, Mode, State, Supervision};

impl LeavingService {
    /// Agrees that this supervision may be left without ending the customer's call. What the vendor does not say in half the
    /// time an answer may take is not confirmed.
    ///
    /// # Errors
    /// [`LeavingError::CustomerCallAtRisk`] when the agent is gone, or is not known to be there.
    pub(crate) async fn check_barge_safety(&self, s: &Supervision) -> Result<(), LeavingError> {
        self.check_barge_safety_within(s, self.ctx.settings.answer_within / 2)
            .await
    }

    async fn check_barge_safety_within(&self, s: &Supervision, timeout: Duration) -> Result<(), LeavingError> {
        let checked = tokio::time::timeout(timeout, self.confirm_safe_to_leave(s)).await;
        checked.unwrap_or(Err(LeavingError::CustomerCallAtRisk(
            s.id,
            "Amazon Connect did not say in time whether the agent is still there",
        )))
    }

    /// The same for a request, with a refusal on record: no longer than its answer may still take.
    pub(crate) async fn require_safe_leave(
        &self,
        s: &Supervision,
        request: &RequestContext,
    ) -> Result<(), LeavingError> {
        let timeout = self.ctx.time_left(request).min(self.ctx.settings.answer_within / 2);
        let refused = match self.check_barge_safety_within(s, timeout).await {
            Err(refused @ LeavingError::CustomerCallAtRisk(..)) => refused,
            other => return other,
        };
        self.ctx.count(&MetricEvent::LeaveRefused);
        let audit = vec![
            self.ctx
                .audit(request, AuditAction::DisconnectRefused, s.id, refused.to_string()),
        ];
        self.ctx
            .store()
            .transact(Transaction {
                audit,
                ..Transaction::default()
            })
            .await?;
        Err(refused)
    }

    async fn confirm_safe_to_leave(&self, s: &Supervision) -> Result<(), LeavingError> {
        if !self.may_be_participant(s).await? {
            return Ok(());
        }
        let present = self.confirm_agent_present(s).await;
        present.map_err(|why| LeavingError::CustomerCallAtRisk(s.id, why))
    }

    /// Whether the supervisor may be speaking on a call: by what is known, and for one of whom that may be out of date, by
    /// what the vendor says now. If it says nothing, they may be.
    async fn may_be_participant(&self, s: &Supervision) -> Result<bool, LeavingError> {
        let on_connect_leg = matches!(s.state, State::Monitoring | State::Leaving) && s.vendor == AMAZON_CONNECT;
        let by_voice = matches!(s.channel, None | Some(Channel::Voice));
        if !on_connect_leg || !by_voice || s.allowed == Some(Mode::Silent) {
            return Ok(false);
        }
        if s.may_have_barged_in() {
            return Ok(true);
        }
        // They may have barged in in their CCP, and nothing has told us.
        let Some(leg) = &s.leg else { return Ok(false) };
        let asked_at = self.ctx.now();
        let look = self
            .ctx
            .telephony()
            .describe(&s.instance, leg.as_str(), Priority::Disconnect);
        // Half of the time is for the agent, who must be asked about if this says nothing.
        let Ok(Ok(seen)) = tokio::time::timeout(self.ctx.settings.answer_within / 4, look).await else {
            return Ok(true);
        };
        let observation =
            Observation::of_description(&seen, asked_at, self.ctx.now(), self.ctx.settings.poll_staleness);
        self.evidence
            .evaluate(&s.instance, leg.as_str(), observation, None)
            .await?;
        let now = self
            .ctx
            .store()
            .supervision(s.id)
            .await?
            .map(|stored| stored.supervision);
        Ok(now.is_some_and(|s| !s.state.is_final() && s.may_have_barged_in()))
    }

    async fn confirm_agent_present(&self, s: &Supervision) -> Result<(), &'static str> {
        let Some(contact) = &s.contact else {
            return Err("it is not known which contact the supervisor has barged in on");
        };
        let unavailable = "Amazon Connect could not be asked whether the agent is still there";
        let seen = self
            .ctx
            .telephony()
            .describe(&s.instance, contact.as_str(), Priority::Disconnect);
        let seen = seen.await.map_err(|_| unavailable)?;
        if seen.disconnected_at.is_some() {
            // It is over: nothing is left to end.
            return Ok(());
        }
        let agent = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
        let agent = agent.ok_or("Amazon Connect names no agent on the contact")?;
        let state = self.agent_state(&s.instance, &agent, contact, Priority::Disconnect);
        match state.await.map_err(|()| unavailable)?.as_deref() {
            Some("CONNECTED" | "CONNECTED_ONHOLD") => Ok(()),
            _ => Err("the agent is not on the call any more, so the supervisor may be one of the last two on it"),
        }
    }

    /// The state of a contact with its agent now; nothing if the agent does not have it.
    pub(crate) async fn agent_state(
        &self,
        instance: &InstanceName,
        agent: &UserId,
        contact: &ContactId,
        priority: Priority,
    ) -> Result<Option<String>, ()> {
        let contacts = self
            .ctx
            .telephony()
            .current_contacts(instance, std::slice::from_ref(agent), priority);
        let contacts = contacts.await.map_err(|_| ())?;
        let this = contacts
            .into_iter()
            .find(|c| c.contact.eq_ignore_ascii_case(contact.as_str()));
        Ok(this.map(|c| c.state))
    }
}
