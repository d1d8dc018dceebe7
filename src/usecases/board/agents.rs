//! The part of the board that a caller may see.
//!
//! Guarantee: a caller with the scope `board` sees the agents and contacts within the limits of its credential, and of others'
//! supervisions only the mode and the state.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::user_data::{UserContact, UserState};
use sidedoor_domain::supervision::{KnownNames, Mode, State, Supervision, Supervisor};
use tokio::sync::watch;

use crate::usecases::RequestContext;
use crate::usecases::board::picture::{Agent, Picture};
use crate::usecases::board::{BoardError, BoardService};
use crate::usecases::error::UseCaseError;

/// How long a first look waits for the first answer of Connect.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Which agents to show. A field that is `None` excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct BoardFilter {
    /// In this instance; the default one if `None`.
    pub instance: Option<InstanceName>,
    /// With a live contact of this queue, by its id.
    pub queue: Option<String>,
    /// With this routing profile, by its id.
    pub routing_profile: Option<String>,
    /// In this hierarchy group, by its id.
    pub hierarchy_group: Option<String>,
    /// Whose user name contains this; case is ignored.
    pub name: Option<String>,
    /// Only agents with live contacts.
    pub with_contacts: bool,
}

/// What the board shows to a caller.
#[derive(Debug, Clone, PartialEq)]
pub struct BoardView {
    /// When Connect was asked; `None` if it has not answered yet.
    pub as_of: Option<Timestamp>,
    /// Whether Connect listed all agents.
    pub is_complete: bool,
    /// The agents, by user id.
    pub agents: Vec<AgentOnBoard>,
}

/// An agent as a caller sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentOnBoard {
    /// The instance.
    pub instance: InstanceName,
    /// The user's id.
    pub user: UserId,
    /// The user name, if it is known.
    pub username: Option<String>,
    /// The status, routing profile and hierarchy groups.
    pub state: UserState,
    /// The live contacts.
    pub contacts: Vec<ContactOnBoard>,
    /// Whether the caller's credential names this user.
    pub is_caller: bool,
}

/// A live contact of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactOnBoard {
    /// The contact.
    pub contact: UserContact,
    /// The name of its queue, if it is known.
    pub queue: Option<String>,
    /// The unfinished supervisions of the contact, oldest first.
    pub supervisions: Vec<SupervisionOnBoard>,
}

/// A supervision of a contact.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisionOnBoard {
    /// The mode.
    pub mode: Mode,
    /// The state.
    pub state: State,
    /// Whether the caller acts for its supervisor and no other.
    pub is_callers: bool,
    /// Which supervision it is and whose, if the caller may know.
    pub shown: Option<(SupervisionId, Supervisor)>,
}

impl BoardService {
    /// The agents that the caller may see. The first look waits some seconds for Connect's answer.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::InstanceNotFound`], [`BoardError::Vendor`] if Connect has never listed the
    /// agents and refuses to, and the store's.
    pub async fn agents(&self, filter: &BoardFilter, request: &RequestContext) -> Result<BoardView, BoardError> {
        let instance = self.checked_instance(filter, request)?;
        let mut pictures = self.look(&instance);
        let answered = pictures.wait_for(|picture| picture.as_of.is_some() || picture.failure.is_some());
        // Without an answer the board is empty and says so.
        let _ = tokio::time::timeout(FIRST_ANSWER, answered).await;
        let picture = pictures.borrow_and_update().clone();
        self.view(&instance, &picture, filter, request).await
    }

    pub(super) fn checked_instance(
        &self,
        filter: &BoardFilter,
        request: &RequestContext,
    ) -> Result<InstanceName, BoardError> {
        if !request.caller.may_see_board() {
            return Err(UseCaseError::Forbidden("this credential may not see the board of agents").into());
        }
        let named = filter.instance.clone();
        let named = named.or_else(|| self.ctx.settings.default_instance.clone());
        let known = named.filter(|name| self.ctx.instance(name).is_some());
        Ok(known.ok_or_else(|| self.ctx.instance_not_found(filter.instance.as_ref()))?)
    }

    /// Lets the polling rounds ask for all agents for a while.
    pub(super) fn look(&self, instance: &InstanceName) -> watch::Receiver<Arc<Picture>> {
        let (pictures, is_first) = self.ctx.signals.boards.view(instance, self.ctx.elapsed());
        if is_first {
            self.ctx.signals.jobs.wake();
        }
        pictures
    }

    pub(super) async fn view(
        &self,
        instance: &InstanceName,
        picture: &Picture,
        filter: &BoardFilter,
        request: &RequestContext,
    ) -> Result<BoardView, BoardError> {
        if let (None, Some(failure)) = (picture.as_of, &picture.failure) {
            return Err(BoardError::Vendor(failure.clone()));
        }
        let agents = picture.agents.values();
        let shown = agents.filter_map(|agent| shown_contacts(agent, filter, request).map(|contacts| (agent, contacts)));
        let views = shown.map(|(agent, contacts)| async move {
            let contacts = contacts.into_iter().map(|c| self.contact_view(instance, c, request));
            Ok::<_, BoardError>(AgentOnBoard {
                instance: instance.clone(),
                user: agent.user.clone(),
                username: agent.username.clone(),
                state: agent.state.clone(),
                contacts: try_join_all(contacts).await?.into_iter().flatten().collect(),
                is_caller: request.caller.supervisor.as_ref() == Some(&agent.user),
            })
        });
        Ok(BoardView {
            as_of: picture.as_of,
            is_complete: picture.is_complete,
            agents: try_join_all(views).await?,
        })
    }

    /// `None` if the contact is a supervisor's leg that Connect lists without its initiation method.
    async fn contact_view(
        &self,
        instance: &InstanceName,
        contact: &UserContact,
        request: &RequestContext,
    ) -> Result<Option<ContactOnBoard>, BoardError> {
        let store = self.ctx.store();
        if contact.initiation_method == InitiationMethod::Unknown
            && store.by_leg(instance, &contact.contact).await?.is_some()
        {
            return Ok(None);
        }
        let supervisions = match ContactId::parse(contact.contact.as_str()) {
            Ok(id) => store.active_on(instance, &id).await?,
            Err(_) => Vec::new(),
        };
        let names = self.ctx.signals.names.at(self.ctx.now());
        let queue = contact.queue.as_deref();
        Ok(Some(ContactOnBoard {
            contact: contact.clone(),
            queue: queue.and_then(|id| names.queue(instance, id)),
            supervisions: supervisions
                .iter()
                .map(|stored| supervision_view(&stored.supervision, request))
                .collect(),
        }))
    }
}

/// The contacts of an agent that the caller may see; `None` if the agent is not shown.
fn shown_contacts<'a>(
    agent: &'a Agent,
    filter: &BoardFilter,
    request: &RequestContext,
) -> Option<Vec<&'a UserContact>> {
    let caller = &request.caller;
    let sees_all = caller.sees_agent(&agent.state.hierarchy_groups);
    let may_see = |c: &&UserContact| sees_all || caller.sees_queue(c.queue.as_deref());
    let contacts: Vec<_> = agent.contacts.iter().filter(may_see).collect();
    let in_queue = |queue: &String| contacts.iter().any(|c| c.queue.as_ref() == Some(queue));
    let has_name = |part: &String| {
        let name = agent.username.as_deref().unwrap_or(agent.user.as_str());
        name.to_lowercase().contains(&part.to_lowercase())
    };
    let state = &agent.state;
    let is_shown = (sees_all || !contacts.is_empty())
        && filter.queue.as_ref().is_none_or(in_queue)
        && (filter.routing_profile.is_none() || filter.routing_profile == state.routing_profile)
        && filter
            .hierarchy_group
            .as_ref()
            .is_none_or(|group| state.hierarchy_groups.contains(group))
        && filter.name.as_ref().is_none_or(has_name)
        && (!filter.with_contacts || !contacts.is_empty());
    is_shown.then_some(contacts)
}

fn supervision_view(s: &Supervision, request: &RequestContext) -> SupervisionOnBoard {
    let own = request.caller.supervisor.as_ref();
    SupervisionOnBoard {
        mode: s.mode,
        state: s.state,
        is_callers: own.is_some() && s.supervisor.connect_user_id.as_ref() == own,
        shown: request.caller.may_see(s).then(|| (s.id, s.supervisor.clone())),
    }
}
