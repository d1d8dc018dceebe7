//! Notices for agents that a supervisor listens, by Platform Event, where the rules of the jurisdiction ask for it.
//!
//! A notice follows the record that was written, so a supervision that Salesforce does not have yet causes none. Sidedoor
//! otherwise asks for the agent of a contact only when the supervisor leaves, so for a notice it describes the contact once the record of
//! the join is written. The next version of the record names the agent, and the notice follows it. Guarantee: no notice in a jurisdiction
//! without the rule, and no name unless the rule allows it. A notice may be lost, repeated or late; the page that shows it
//! takes each as the newest state of its supervision.

use jiff::SignedDuration;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::crm::{AgentNotice, EVENTS_A_CALL};
use sidedoor_domain::ports::{Crm, MetricEvent, Priority, Transaction};
use sidedoor_domain::rejoin::NotifyAgent;
use sidedoor_domain::supervision::{Mode, State, Supervision};

use crate::usecases::identity::names::NameService;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::send::{OutgoingRecord, RecordOutcome};

/// A departure that is older causes no notice, because the page that would show it is closed or shows another contact.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

impl SalesforceSyncService {
    /// Publishes the notices of the records that were written, in a task of its own.
    pub(super) fn notify_agents(&self, batch: &[OutgoingRecord], outcomes: &[RecordOutcome]) {
        let crm = self.ctx.deps.crm.clone().filter(|_| self.ctx.settings.notify_agents);
        let Some(crm) = crm else { return };
        let written = batch.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok());
        let mut notices: Vec<AgentNotice> = Vec::new();
        for s in written.map(|(outgoing, _)| &outgoing.stored.supervision) {
            notices.extend(self.notice_of(s));
            if !s.knows_agent() && s.state == State::Monitoring && self.rule_of(s) != NotifyAgent::No {
                let (this, s) = (self.clone(), s.clone());
                self.ctx.spawn(async move { this.learn_agent(&s).await });
            }
        }
        if !notices.is_empty() {
            let this = self.clone();
            self.ctx
                .spawn(async move { this.publish(crm.as_ref(), &notices).await });
        }
    }

    async fn publish(&self, crm: &dyn Crm, notices: &[AgentNotice]) {
        for some in notices.chunks(EVENTS_A_CALL) {
            match crm.notify_agents(some).await {
                Ok(()) => self.ctx.count(&MetricEvent::Announced("notified", some.len() as u64)),
                Err(e) => {
                    self.ctx
                        .count(&MetricEvent::Announced("not_notified", some.len() as u64));
                    tracing::warn!(code = %e.code, notices = some.len(), "could not notify agents that a supervisor listens; the next version of each record notifies again: {e}");
                }
            }
        }
    }

    /// Describes the contact to learn its agent. A failure is only logged: the check after the departure learns the agent, too.
    async fn learn_agent(&self, s: &Supervision) {
        let Some(contact) = &s.contact else { return };
        let described = self
            .ctx
            .describe_anywhere(&s.endpoint(), contact.as_str(), Priority::UnknownLeg)
            .await;
        let agent = match described {
            Ok((seen, _)) => seen.agent.and_then(|id| UserId::parse(id).ok()),
            Err(e) => {
                tracing::warn!(supervision_id = %s.id, code = %e.code, "could not learn which agent to notify; the agent of {} gets no notice of the start: {}", s.id, e.for_operators());
                return;
            }
        };
        if agent.is_none() {
            return;
        }
        NameService::new(self.ctx.clone())
            .learn_before_record(&s.instance, agent.as_ref(), None)
            .await;
        let noted = self.ctx.update(s.id, |s| {
            if s.knows_agent() {
                return None;
            }
            s.set_agent(agent.clone());
            Some(Transaction {
                deliver_at: Some(self.ctx.now()),
                ..Transaction::default()
            })
        });
        let noted = noted.await;
        self.ctx.signals.deliver.notify_one();
        if let Err(e) = noted {
            tracing::warn!(supervision_id = %s.id, error = %e, "could not store the agent of {}; the check after the departure learns it again: {e}", s.id);
        }
    }

    fn rule_of(&self, s: &Supervision) -> NotifyAgent {
        let rules = self.ctx.settings.policy.rules(s.compliance.jurisdiction.as_deref());
        rules.map_or(NotifyAgent::No, |rules| rules.notify_agent)
    }

    fn notice_of(&self, s: &Supervision) -> Option<AgentNotice> {
        let is_named = match self.rule_of(s) {
            NotifyAgent::No => return None,
            NotifyAgent::Unnamed => false,
            NotifyAgent::Named => true,
        };
        let is_over = s.state.is_final();
        let ended = s.departure.as_ref().map(|d| d.latest);
        // The request's word is not enough: a supervisor could have the notice sent to another agent.
        if s.state == State::Requested
            || !s.knows_agent()
            || ended.is_some_and(|at| self.ctx.now().duration_since(at) > RECENT)
        {
            return None;
        }
        Some(AgentNotice {
            supervision: s.id.to_string(),
            agent: s.names.agent_salesforce_user_id.clone()?,
            contact: s.contact.as_ref()?.to_string(),
            is_over,
            mode: if is_over { Mode::Silent } else { s.mode },
            supervisor: s.supervisor.username.clone().filter(|_| is_named),
        })
    }
}
