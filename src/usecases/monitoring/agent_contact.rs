//! A start that names an agent instead of a contact: the agent's one live contact is found.

use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::Operation;
use sidedoor_domain::ports::user_data::UserContact;
use sidedoor_domain::ports::{Priority, VendorError, VendorErrorCode, Verdict};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::identity::IdentityError;
use crate::usecases::monitoring::{MonitoringError, MonitoringService};

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
        let asked = self
            .ctx
            .current_contacts_everywhere(instance, std::slice::from_ref(agent), Priority::Join);
        let seen = tokio::time::timeout(self.ctx.time_left(request), asked)
            .await
            .unwrap_or_else(|_| Err(too_late()))
            .map_err(IdentityError::Vendor)?;
        let groups = seen
            .users
            .get(agent.as_str())
            .map_or(&[][..], |state| &state.hierarchy_groups);
        let sees_all = caller.sees_agent(groups);
        let mut live = Vec::new();
        for contact in seen.contacts {
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
