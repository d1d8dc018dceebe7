//! A start that names an agent instead of a contact: the agent's one live contact is found.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::Operation;
use sidedoor_domain::ports::user_data::{UserContact, UserDataSeen};
use sidedoor_domain::ports::{Priority, VendorError, VendorErrorCode, Verdict};

use crate::usecases::RequestContext;
use crate::usecases::caller_queues::CallerQueues;
use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::identity::IdentityError;
use crate::usecases::monitoring::{MonitoringError, MonitoringService};

/// An answer of Connect that is not older is used again. Connect's own data is often older.
const NEW_ENOUGH: Duration = Duration::from_secs(1);
/// The most agents in the cache.
const MAX_AGENTS: u64 = 1000;
/// How many agents a caller asks about at a time.
const QUESTIONS_A_CALLER: usize = 2;

impl MonitoringService {
    /// The one contact that the agent is connected to, within the limits of the caller's credential.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] without the scope `board`, [`MonitoringError::AgentContactNotFound`],
    /// [`MonitoringError::AgentContactAmbiguous`], the vendor's, and the store's.
    pub(super) async fn contact_of_agent(
        &self,
        instance: &InstanceName,
        agent: &UserId,
        request: &RequestContext,
    ) -> Result<ContactId, MonitoringError> {
        let caller = &request.caller;
        if !caller.may_see_board() {
            let why = "agentUserId without contactId needs the scope board; send contactId";
            return Err(UseCaseError::Forbidden(why).into());
        }
        let seen = tokio::time::timeout(
            self.ctx.time_left(request),
            self.contacts_seen(instance, agent, request),
        )
        .await
        .unwrap_or_else(|_| Err(too_late()))
        .map_err(IdentityError::Vendor)?;
        let groups = seen
            .users
            .get(agent.as_str())
            .map_or(&[][..], |state| &state.hierarchy_groups);
        let sees_all = caller.sees_agent(groups);
        let mut live = Vec::new();
        for contact in seen.contacts.iter().cloned() {
            let is_theirs = contact.user == agent.as_str() && is_connected(&contact);
            let may_see = sees_all || caller.sees_queue(contact.queue.as_deref());
            if is_theirs && may_see && self.ctx.store().by_leg(instance, &contact.contact).await?.is_none() {
                live.push(contact);
            }
        }
        let only = match live.as_slice() {
            [only] => ContactId::parse(only.contact.as_str()).ok(),
            [] => None,
            [_, _, ..] => return Err(MonitoringError::AgentContactAmbiguous(agent.clone(), live)),
        };
        only.ok_or_else(|| MonitoringError::AgentContactNotFound(agent.clone()))
    }

    /// What Connect says about the agent: from the board or an answer to the same question, if one of them is new enough, otherwise from
    /// Connect in the caller's turn.
    async fn contacts_seen(
        &self,
        instance: &InstanceName,
        agent: &UserId,
        request: &RequestContext,
    ) -> Result<Arc<UserDataSeen>, VendorError> {
        let _turn = self.agents.queues.turn(&request.caller).await;
        let (key, now) = ((instance.clone(), agent.clone()), self.ctx.now());
        if let Some(seen) = self.agents.seen.get(&key, now) {
            return Ok(seen);
        }
        let since = now - SignedDuration::try_from(NEW_ENOUGH).unwrap_or_default();
        if let Some(seen) = self.ctx.signals.boards.seen_since(instance, agent, since) {
            return Ok(Arc::new(seen));
        }
        let seen = self
            .ctx
            .current_contacts_everywhere(instance, std::slice::from_ref(agent), Priority::Join)
            .await?;
        let seen = Arc::new(seen);
        // Another answer may be out of date in a moment, when the agent's call begins.
        if seen.contacts.iter().filter(|contact| is_connected(contact)).count() == 1 {
            self.agents.seen.insert(key, seen.clone(), now);
        }
        Ok(seen)
    }
}

/// Connect's answers about agents, and whose turn it is to ask.
#[derive(Clone)]
pub(super) struct AgentsSeen {
    seen: ExpiringCache<(InstanceName, UserId), Arc<UserDataSeen>>,
    queues: CallerQueues,
}

impl Default for AgentsSeen {
    fn default() -> Self {
        Self {
            seen: ExpiringCache::new(MAX_AGENTS, NEW_ENOUGH),
            queues: CallerQueues::new(QUESTIONS_A_CALLER),
        }
    }
}

/// Whether the contact is a customer's that the agent talks to.
fn is_connected(contact: &UserContact) -> bool {
    contact.initiation_method != InitiationMethod::Monitor
        && matches!(contact.state.as_str(), "CONNECTED" | "CONNECTED_ONHOLD")
}

fn too_late() -> VendorError {
    VendorError {
        operation: Operation::GetCurrentUserData,
        code: VendorErrorCode::Timeout,
        message: "Amazon Connect did not list the agent's contacts in time.".into(),
        operator_note: None,
        verdict: Verdict::Retry,
        may_have_happened: false,
    }
}
