//! Which caller may do what. A caller has scopes, and its credential may name one supervisor.

use serde::{Deserialize, Serialize};

use super::ids::{InstanceName, UserId};
use super::supervision::{Requester, Supervision};

/// One right of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Act as the supervisor whom the credential names, and as no other.
    Supervise,
    /// Act as any supervisor. It is for the key of a trusted back end.
    SuperviseAny,
    /// Read everything and change nothing.
    Read,
    /// Deliver vendors' events and do nothing else.
    Events,
    /// Read everything and end any supervision.
    Operate,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 5] = [
        Self::Supervise,
        Self::SuperviseAny,
        Self::Read,
        Self::Events,
        Self::Operate,
    ];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supervise => "supervise",
            Self::SuperviseAny => "supervise:any",
            Self::Read => "read",
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
        }
    }

    /// Sets the supervisor whom the credential names.
    #[must_use]
    pub fn naming(mut self, supervisor: Option<UserId>) -> Self {
        self.supervisor = supervisor;
        self
    }

    /// Whether the caller may deliver vendors' events and nothing else.
    pub fn delivers_events(&self) -> bool {
        self.scopes == [Scope::Events]
    }

    /// Whether the caller may set this Salesforce User on a record without a look-up in the CRM: it may act as any supervisor, or
    /// its credential names this User. Ids of 15 and of 18 characters mean the same User.
    pub fn may_record_as(&self, salesforce_user: &str) -> bool {
        let short = |id: &str| id.get(..15).map(ToOwned::to_owned);
        self.has(Scope::SuperviseAny)
            || self
                .salesforce_user
                .as_deref()
                .is_some_and(|own| short(own) == short(salesforce_user))
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
