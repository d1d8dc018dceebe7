//! The barge safety check before a supervisor leaves. A supervisor who has barged in is a participant. If the agent has
//! already left, their leaving may end the customer's call.
//!
//! A silent supervisor is not a participant and needs no check. For a supervisor who may have barged in, the vendor is
//! asked for the mode of the leg, for the agent on the contact, and for the state of that agent's contact. What cannot be
//! confirmed is refused, because an unconfirmed leave may end the call; an operator may override the refusal with a reason.
//! The browser repeats the check before it acts.

use std::time::Duration;

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::{ContactId, UserId};
use sidedoor_domain::ports::{MetricEvent, Priority, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Channel, Mode, State, Supervision};

use crate::usecases::RequestContext;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::leaving::{LeavingError, LeavingService};

impl LeavingService {
    /// Confirms that the supervisor can leave without ending the customer's call. The vendor has half of the answer time to
    /// respond; no response counts as not confirmed.
    ///
    /// # Errors
    /// [`LeavingError::CustomerCallAtRisk`] when the agent has left, or their presence cannot be confirmed.
    pub(crate) async fn check_barge_safety(&self, s: &Supervision) -> Result<(), LeavingError> {
        self.check_barge_safety_within(s, self.ctx.settings.answer_within / 2)
            .await
    }

    async fn check_barge_safety_within(&self, s: &Supervision, timeout: Duration) -> Result<(), LeavingError> {
        let checked = tokio::time::timeout(timeout, self.confirm_safe_to_leave(s)).await;
        checked.unwrap_or(Err(LeavingError::CustomerCallAtRisk(
            s.id,
            "Amazon Connect did not confirm in time that the agent is still on the call",
        )))
    }

    /// The same check for a request, within its remaining time. A refusal is counted and audited.
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

    /// Whether the supervisor may be a participant of the call. If our data may be out of date, the vendor is asked; without
    /// an answer the result is `true`, because that is the safe assumption.
    async fn may_be_participant(&self, s: &Supervision) -> Result<bool, LeavingError> {
        let on_connect_leg = matches!(s.state, State::Monitoring | State::Leaving) && s.vendor == AMAZON_CONNECT;
        let by_voice = matches!(s.channel, None | Some(Channel::Voice));
        if !on_connect_leg || !by_voice || s.allowed == Some(Mode::Silent) {
            return Ok(false);
        }
        if s.may_have_barged_in() {
            return Ok(true);
        }
        // They may have barged in in their CCP without an event that reports it.
        let Some(leg) = &s.leg else { return Ok(false) };
        let asked_at = self.ctx.now();
        let look = self.ctx.describe_for(s, leg.as_str(), Priority::Claim);
        // The other half of the time is for the question about the agent.
        let Ok(Ok(seen)) = tokio::time::timeout(self.ctx.settings.answer_within / 4, look).await else {
            return Ok(true);
        };
        let observation = Observation::of_description(&seen, asked_at, self.ctx.now());
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
            return Err("it is not known on which contact the supervisor has barged in");
        };
        let unavailable = "Amazon Connect could not be asked whether the agent is still on the call";
        let seen = self.ctx.describe_for(s, contact.as_str(), Priority::Claim);
        let seen = seen.await.map_err(|_| unavailable)?;
        if seen.disconnected_at.is_some() {
            // The call is already over, so leaving cannot end it.
            return Ok(());
        }
        let agent = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
        let agent = agent.ok_or("Amazon Connect names no agent on the contact")?;
        let state = self.agent_state(s, &agent, contact, Priority::Claim);
        match state.await.map_err(|()| unavailable)?.as_deref() {
            Some("CONNECTED" | "CONNECTED_ONHOLD") => Ok(()),
            _ => Err("the agent is no longer on the call, so the supervisor may be one of the last two participants"),
        }
    }

    /// The state of the contact in the agent's current contacts; `None` if the agent does not have it.
    pub(super) async fn agent_state(
        &self,
        s: &Supervision,
        agent: &UserId,
        contact: &ContactId,
        priority: Priority,
    ) -> Result<Option<String>, ()> {
        let endpoint = s.endpoint();
        let contacts = self
            .ctx
            .current_contacts_anywhere(&endpoint, std::slice::from_ref(agent), priority);
        let contacts = contacts.await.map_err(|_| ())?;
        let this = contacts
            .contacts
            .into_iter()
            .find(|c| c.contact.eq_ignore_ascii_case(contact.as_str()));
        Ok(this.map(|c| c.state))
    }
}
