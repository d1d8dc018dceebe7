//! Who may do what. A caller has scopes, and perhaps the one supervisor its credential names.

use serde::{Deserialize, Serialize};

use super::ids::{InstanceName, UserId};
use super::supervision::{Requester, Supervision};

/// What a credential allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Act, only as the supervisor the credential names.
    Supervise,
    /// Act as any supervisor: for a key that a trusted back end holds.
    SuperviseAny,
    /// See everything, change nothing.
    Read,
    /// Deliver vendors' events, and nothing else.
    Events,
    /// See everything, and end others' supervisions.
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

    /// The scope a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// What kind of name a token's claim gives its supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// Amazon Connect's id of the user.
    ConnectUserId,
    /// The user name in Amazon Connect.
    ConnectUsername,
    /// The id of the Salesforce User, whose record says the Connect user name.
    SalesforceUserId,
}

/// What a verified token says of its supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// How the value is meant.
    pub kind: ClaimKind,
    /// The value.
    pub value: String,
    /// In which instance a user name is meant; the default one if none is given.
    pub instance: Option<InstanceName>,
}

/// Why a good token names nobody in Amazon Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// There is no such user, or several.
    NotLinked,
    /// Nobody could be asked just now.
    Unresolved,
}

/// A caller: its name for the audit, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The credential's name.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The supervisor it names, for [`Scope::Supervise`].
    pub supervisor: Option<UserId>,
    /// The Salesforce User it names.
    pub salesforce_user: Option<String>,
    /// Why it names no supervisor, if it should.
    pub unbound: Option<Unbound>,
}

impl Caller {
    /// One that names nobody.
    pub fn new(name: impl Into<String>, scopes: Vec<Scope>) -> Self {
        Self {
            name: name.into(),
            scopes,
            supervisor: None,
            salesforce_user: None,
            unbound: None,
        }
    }

    /// The same, naming a supervisor.
    #[must_use]
    pub fn naming(mut self, supervisor: Option<UserId>) -> Self {
        self.supervisor = supervisor;
        self
    }

    /// Whether it delivers vendors' events and does nothing else.
    pub fn delivers_events(&self) -> bool {
        self.scopes == [Scope::Events]
    }

    /// Whether it may have a supervision recorded as this Salesforce User's by its own word: it may act as anyone, or names that
    /// User itself. Ids of 15 and of 18 characters mean the same User. Of any other the CRM is asked.
    pub fn may_record_as(&self, salesforce_user: &str) -> bool {
        let short = |id: &str| id.get(..15).map(ToOwned::to_owned);
        self.has(Scope::SuperviseAny)
            || self
                .salesforce_user
                .as_deref()
                .is_some_and(|own| short(own) == short(salesforce_user))
    }

    /// Whether it has a scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it may start listening as `user`.
    pub fn may_act_as(&self, user: &UserId) -> bool {
        self.has(Scope::SuperviseAny) || (self.has(Scope::Supervise) && self.supervisor.as_ref() == Some(user))
    }

    /// As whom it may end this supervision, if at all.
    pub fn may_end(&self, supervision: &Supervision) -> Option<Requester> {
        if self.owns(supervision) {
            Some(Requester::Supervisor)
        } else if self.has(Scope::Operate) {
            Some(Requester::Operator)
        } else {
            None
        }
    }

    /// Whether it may answer a directive of this supervision: only for the supervisor whose browser it is.
    pub fn owns(&self, supervision: &Supervision) -> bool {
        self.has(Scope::SuperviseAny)
            || supervision
                .supervisor
                .connect_user_id
                .as_ref()
                .is_some_and(|user| self.may_act_as(user))
    }

    /// Whether it may see this supervision.
    pub fn may_see(&self, supervision: &Supervision) -> bool {
        self.sees_all() || self.owns(supervision)
    }

    /// Whether it may see everybody's.
    pub fn sees_all(&self) -> bool {
        [Scope::Read, Scope::Operate, Scope::SuperviseAny]
            .into_iter()
            .any(|scope| self.has(scope))
    }
}
