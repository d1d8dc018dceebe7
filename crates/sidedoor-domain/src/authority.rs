//! Which caller may do what. A caller has scopes, and its credential may name one supervisor.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{InstanceName, UserId};
use super::supervision::{Requester, Supervision};

/// One right of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Act as the supervisor whom the credential names, and as no other. Alone it allows to listen, not to speak.
    Supervise,
    /// Speak: start with mode BARGE, and change to it.
    Barge,
    /// Act as any supervisor. It is for the key of a trusted back end.
    SuperviseAny,
    /// See the board of agents, within [`BoardLimits`]. Of others' supervisions only the mode and the state.
    Board,
    /// See who is on a contact that the caller names.
    Presence,
    /// Read everything except the audit, and change nothing.
    Read,
    /// Read the audit.
    Audit,
    /// Deliver vendors' events and do nothing else.
    Events,
    /// Read everything except the audit, and end any supervision.
    Operate,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 9] = [
        Self::Supervise,
        Self::Barge,
        Self::SuperviseAny,
        Self::Board,
        Self::Presence,
        Self::Read,
        Self::Audit,
        Self::Events,
        Self::Operate,
    ];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supervise => "supervise",
            Self::Barge => "barge",
            Self::SuperviseAny => "supervise:any",
            Self::Board => "board",
            Self::Presence => "presence",
            Self::Read => "read",
            Self::Audit => "audit",
            Self::Events => "events",
            Self::Operate => "operate",
        }
    }

    /// The scope with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// The kind of name by which a token's claim names a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// The Connect user id.
    ConnectUserId,
    /// The Connect user name.
    ConnectUsername,
    /// The id of the Salesforce User, whose record has the Connect user name.
    SalesforceUserId,
}

/// The supervisor that a verified token names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The kind of name.
    pub kind: ClaimKind,
    /// The name itself.
    pub value: String,
    /// The instance in which a user name is looked up; `None` for the default instance.
    pub instance: Option<InstanceName>,
}

/// Why a valid token is linked to no Connect user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// There is no such user, or there are several.
    NotLinked,
    /// The user could not be looked up at the moment.
    Unresolved,
}

/// Whose events a credential with [`Scope::Events`] may deliver. Each sender has a credential of its own, so that none can speak
/// for another vendor or about another instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSource {
    /// Every vendor's. Only a service without authentication has such a caller.
    Any,
    /// The events of one vendor.
    Vendor {
        /// The vendor's name, as in `[timing.vendors]`.
        name: String,
        /// The instances that the events may be about.
        instances: EventInstances,
        /// Whether only the vendor can have sent what this credential delivers, as from a queue whose policy admits only the
        /// vendor's rule. The vendor's stamps then teach its clock; a single event is still a claim.
        is_authentic: bool,
    },
}

/// The Connect instances that a credential's events may be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventInstances {
    /// Every configured instance.
    All,
    /// Only these.
    Listed(BTreeSet<InstanceName>),
}

impl EventSource {
    fn covers_vendor(&self, vendor: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Vendor { name, .. } => name == vendor,
        }
    }

    fn covers_instance(&self, instance: &InstanceName) -> bool {
        match self {
            Self::Any => true,
            Self::Vendor { instances, .. } => match instances {
                EventInstances::All => true,
                EventInstances::Listed(listed) => listed.contains(instance),
            },
        }
    }
}

/// Which agents and contacts a credential shows on the board. Without limits it shows all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardLimits {
    /// The ids of the queues whose contacts are shown.
    pub queues: BTreeSet<String>,
    /// The ids of the hierarchy groups whose agents are shown with all of their contacts.
    pub hierarchy_groups: BTreeSet<String>,
}

impl BoardLimits {
    fn are_set(&self) -> bool {
        !self.queues.is_empty() || !self.hierarchy_groups.is_empty()
    }
}

/// The caller of a request: its name in the audit, and its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the credential.
    pub name: String,
    /// The scopes.
    pub scopes: Vec<Scope>,
    /// The supervisor whom the credential names, for [`Scope::Supervise`].
    pub supervisor: Option<UserId>,
    /// The Salesforce User whom the credential names.
    pub salesforce_user: Option<String>,
    /// Why the credential is linked to no supervisor although it names one.
    pub unbound: Option<Unbound>,
    /// Whose events the caller may deliver, for [`Scope::Events`].
    pub event_source: Option<EventSource>,
    /// What the caller sees of the board, for [`Scope::Board`].
    pub board: BoardLimits,
    /// When the credential ends, if it is a token. Its streams end then.
    pub expires_at: Option<Timestamp>,
}

impl Caller {
    /// A caller whose credential names no supervisor.
    pub fn new(name: impl Into<String>, scopes: Vec<Scope>) -> Self {
        Self {
            name: name.into(),
            scopes,
            supervisor: None,
            salesforce_user: None,
            unbound: None,
            event_source: None,
            board: BoardLimits::default(),
            expires_at: None,
        }
    }

    /// Sets the supervisor whom the credential names.
    #[must_use]
    pub fn naming(mut self, supervisor: Option<UserId>) -> Self {
        self.supervisor = supervisor;
        self
    }

    /// Sets when the credential ends.
    #[must_use]
    pub fn until(mut self, expires_at: Option<Timestamp>) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// Sets what the credential shows on the board.
    #[must_use]
    pub fn seeing(mut self, board: BoardLimits) -> Self {
        self.board = board;
        self
    }

    /// Whether all that the caller may do is for the one supervisor whom the credential names.
    pub fn acts_for_one_supervisor(&self) -> bool {
        self.has(Scope::Supervise) && !self.sees_all() && !self.has(Scope::Audit)
    }

    /// Whether the credential is one supervisor's, whatever else it allows. Such a caller is one person, and has the limits of one.
    pub fn names_one_supervisor(&self) -> bool {
        self.has(Scope::Supervise) && !self.has(Scope::SuperviseAny)
    }

    /// Whether the caller may look at the board.
    pub fn may_see_board(&self) -> bool {
        self.has(Scope::Board) || self.sees_all()
    }

    /// Whether the caller sees an agent of these hierarchy groups with all contacts.
    pub fn sees_agent(&self, groups: &[String]) -> bool {
        let limits = &self.board;
        self.sees_all()
            || (self.has(Scope::Board)
                && (!limits.are_set() || groups.iter().any(|group| limits.hierarchy_groups.contains(group))))
    }

    /// Whether the caller sees the contacts of a queue, whoever has them.
    pub fn sees_queue(&self, queue: Option<&str>) -> bool {
        self.sees_agent(&[]) || (self.has(Scope::Board) && queue.is_some_and(|queue| self.board.queues.contains(queue)))
    }

    /// Whether the caller may let a supervisor speak. Everyone may let one listen who may act as that supervisor.
    pub fn may_barge(&self) -> bool {
        self.has(Scope::Barge) || self.has(Scope::SuperviseAny)
    }

    /// Whether the caller may see who is on a contact that it names.
    pub fn sees_presence(&self) -> bool {
        self.has(Scope::Presence) || self.sees_all()
    }

    /// Whether what the caller delivers is proven to come from the vendor.
    pub fn is_authentic(&self) -> bool {
        matches!(self.event_source, Some(EventSource::Vendor { is_authentic: true, .. }))
    }

    /// Sets whose events the credential may deliver.
    #[must_use]
    pub fn delivering(mut self, source: Option<EventSource>) -> Self {
        self.event_source = source;
        self
    }

    /// Whether the caller may deliver events of this vendor, about some instance.
    pub fn may_deliver_for(&self, vendor: &str) -> bool {
        self.has(Scope::Events) && self.event_source.as_ref().is_some_and(|s| s.covers_vendor(vendor))
    }

    /// Whether the caller may deliver events of this vendor about this instance.
    pub fn may_deliver(&self, vendor: &str, instance: &InstanceName) -> bool {
        let covers = |s: &EventSource| s.covers_instance(instance);
        self.may_deliver_for(vendor) && self.event_source.as_ref().is_some_and(covers)
    }

    /// Whether the caller may deliver vendors' events and nothing else.
    pub fn delivers_events(&self) -> bool {
        self.scopes == [Scope::Events]
    }

    /// Whether the credential names this Salesforce User, or any may be set. Ids of 15 and of 18 characters mean the same User.
    pub fn may_record_as(&self, salesforce_user: &str) -> bool {
        fn short(id: &str) -> &str {
            id.get(..15).unwrap_or(id)
        }
        let own = self.salesforce_user.as_deref();
        self.has(Scope::SuperviseAny) || own.is_some_and(|own| short(own) == short(salesforce_user))
    }

    /// Whether the caller has a scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the caller may start to listen as `user`.
    pub fn may_act_as(&self, user: &UserId) -> bool {
        self.has(Scope::SuperviseAny) || (self.has(Scope::Supervise) && self.supervisor.as_ref() == Some(user))
    }

    /// In which role the caller may end this supervision; `None` if it may not.
    pub fn may_end(&self, supervision: &Supervision) -> Option<Requester> {
        if self.owns(supervision) {
            Some(Requester::Supervisor)
        } else if self.has(Scope::Operate) {
            Some(Requester::Operator)
        } else {
            None
        }
    }

    /// Whether the caller acts for this supervision's supervisor, and so may acknowledge its directives.
    pub fn owns(&self, supervision: &Supervision) -> bool {
        self.has(Scope::SuperviseAny)
            || supervision
                .supervisor
                .connect_user_id
                .as_ref()
                .is_some_and(|user| self.may_act_as(user))
    }

    /// Whether the caller may read this supervision.
    pub fn may_see(&self, supervision: &Supervision) -> bool {
        self.sees_all() || self.owns(supervision)
    }

    /// Whether the caller may read every supervision.
    pub fn sees_all(&self) -> bool {
        [Scope::Read, Scope::Operate, Scope::SuperviseAny]
            .into_iter()
            .any(|scope| self.has(scope))
    }
}

#[cfg(test)]
mod tests;
