//! Stores the contacts that agents had, for the report of coverage.

use sidedoor_domain::contact_event::{ContactEvent, ContactEventType};
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::{COUNTED_AFTER, CoverageKey, HandledContact};

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;

impl EvidenceService {
    /// Stores a customer's contact that has ended, if an agent had it. Returns whether it is stored. A contact whose end is older than
    /// what is stored by ids is not counted, because it may have been counted before.
    pub(super) async fn count_handled(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        event: &ContactEvent,
    ) -> Result<bool, UseCaseError> {
        // COMPLETED repeats it.
        if !self.ctx.settings.count_contacts || event.event_type != ContactEventType::Disconnected {
            return Ok(false);
        }
        let agent = event.user.as_deref().filter(|_| event.is_connection());
        let agent = agent.and_then(|id| UserId::parse(id).ok());
        let (Some(agent), Some(channel)) = (agent, event.channel) else {
            return Ok(false);
        };
        let now = self.ctx.now();
        let ended_at = event.disconnected_at.unwrap_or(now);
        if !(now - COUNTED_AFTER..now + COUNTED_AFTER).contains(&ended_at) {
            return Ok(false);
        }
        let handled = HandledContact {
            instance: instance.clone(),
            contact: contact.clone(),
            ended_at,
            key: CoverageKey {
                channel,
                queue: event.queue.clone().filter(|queue| !queue.is_empty()),
                agent: Some(agent),
            },
        };
        let change = Transaction {
            handled_contact: Some(handled),
            ..Transaction::default()
        };
        self.ctx.transact(change).await?;
        Ok(true)
    }
}
