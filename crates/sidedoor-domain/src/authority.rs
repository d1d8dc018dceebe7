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
mod tests {
    use super::*;
    use crate::test_support::*;

    /// A caller with one scope, whose credential names a supervisor.
    fn caller(scope: Scope, supervisor: &str) -> Caller {
        Caller::new("caller", vec![scope]).naming(Some(user(supervisor)))
    }

    #[test]
    fn scope_words_parse_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::SuperviseAny.as_str(), "supervise:any");
        assert_eq!(Scope::parse("Read"), None);
    }

    #[test]
    fn caller_acts_as_its_own_supervisor_or_as_any() {
        let may_act = |caller: Caller| caller.may_act_as(&user("supervisor-1"));
        assert!(may_act(caller(Scope::Supervise, "supervisor-1")));
        assert!(!may_act(caller(Scope::Supervise, "supervisor-2")));
        assert!(!may_act(Caller::new("nobody", vec![Scope::Supervise])));
        assert!(may_act(Caller::new("back end", vec![Scope::SuperviseAny])));
        assert!(!may_act(caller(Scope::Read, "supervisor-1")), "the scope is needed");
    }

    #[test]
    fn caller_ends_a_supervision_as_supervisor_or_operator() {
        let s = monitoring();
        let own = caller(Scope::Supervise, "supervisor-1");
        let any = Caller::new("back end", vec![Scope::SuperviseAny, Scope::Operate]);
        let operator = caller(Scope::Operate, "supervisor-1");
        assert_eq!(own.may_end(&s), Some(Requester::Supervisor));
        assert_eq!(any.may_end(&s), Some(Requester::Supervisor));
        assert_eq!(operator.may_end(&s), Some(Requester::Operator));
        for (scope, supervisor) in [
            (Scope::Supervise, "supervisor-2"),
            (Scope::Read, "supervisor-1"),
            (Scope::Events, "supervisor-1"),
        ] {
            assert_eq!(caller(scope, supervisor).may_end(&s), None, "{scope:?}");
        }
        let mut of_nobody = monitoring();
        of_nobody.supervisor.connect_user_id = None;
        assert_eq!(own.may_end(&of_nobody), None);
        assert_eq!(any.may_end(&of_nobody), Some(Requester::Supervisor));
    }

    #[test]
    fn caller_sees_its_own_supervisions_or_all() {
        let s = monitoring();
        for (scope, supervisor, sees_this, sees_all) in [
            (Scope::Supervise, "supervisor-1", true, false),
            (Scope::Supervise, "supervisor-2", false, false),
            (Scope::Events, "supervisor-1", false, false),
            (Scope::Read, "supervisor-2", true, true),
            (Scope::Operate, "supervisor-2", true, true),
            (Scope::SuperviseAny, "supervisor-2", true, true),
        ] {
            let caller = caller(scope, supervisor);
            assert_eq!(
                (caller.may_see(&s), caller.sees_all()),
                (sees_this, sees_all),
                "{scope:?}"
            );
        }
    }

    #[test]
    fn board_limits_show_queues_and_hierarchy_groups_only() {
        let limited = Caller::new("board", vec![Scope::Board]).seeing(BoardLimits {
            queues: BTreeSet::from(["sales".into()]),
            hierarchy_groups: BTreeSet::from(["north".into()]),
        });
        assert!(limited.sees_agent(&["all".into(), "north".into()]) && !limited.sees_agent(&["south".into()]));
        assert!(limited.sees_queue(Some("sales")) && !limited.sees_queue(Some("support")) && !limited.sees_queue(None));
        let all = Caller::new("board", vec![Scope::Board]);
        assert!(all.sees_agent(&[]) && all.sees_queue(None));
        for scope in [Scope::Read, Scope::Operate, Scope::SuperviseAny] {
            let both = Caller {
                scopes: vec![Scope::Board, scope],
                ..limited.clone()
            };
            assert!(both.sees_agent(&[]) && both.sees_queue(None), "{scope:?} has no limits");
        }
        let other = caller(Scope::Supervise, "supervisor-1");
        assert!(!other.may_see_board() && !other.sees_agent(&[]) && !other.sees_queue(Some("sales")));
    }

    #[test]
    fn only_a_scope_that_speaks_lets_a_supervisor_barge() {
        for scope in Scope::ALL {
            let speaks = matches!(scope, Scope::Barge | Scope::SuperviseAny);
            assert_eq!(caller(scope, "supervisor-1").may_barge(), speaks, "{scope:?}");
        }
    }

    #[test]
    fn caller_records_as_the_salesforce_user_it_names() {
        let naming = |id: Option<&str>| Caller {
            salesforce_user: id.map(ToOwned::to_owned),
            ..caller(Scope::Supervise, "supervisor-1")
        };
        let own = naming(Some("005000000000001AAA"));
        assert!(own.may_record_as("005000000000001AAA"));
        assert!(own.may_record_as("005000000000001"), "15 and 18 characters are one id");
        assert!(!own.may_record_as("005000000000002AAA") && !own.may_record_as("005"));
        assert!(!naming(None).may_record_as("005000000000001AAA"));
        assert!(
            !naming(Some("short")).may_record_as("other"),
            "ids that are too short differ"
        );
        assert!(caller(Scope::SuperviseAny, "supervisor-1").may_record_as("005000000000002AAA"));
    }

    #[test]
    fn caller_delivers_events_only_with_no_other_scope() {
        let caller = |scopes: &[Scope]| Caller::new("bus", scopes.to_vec());
        assert!(caller(&[Scope::Events]).delivers_events());
        assert!(!caller(&[Scope::Events, Scope::Read]).delivers_events());
        assert!(!caller(&[Scope::Read]).delivers_events() && !caller(&[]).delivers_events());
    }

    #[test]
    fn event_source_covers_its_vendor_and_instances_only() {
        let [main, east] = ["main", "east"].map(|name| InstanceName::parse(name).expect("a name"));
        let source = |instances| EventSource::Vendor {
            name: "acme".into(),
            instances,
            is_authentic: false,
        };
        let caller = |source| Caller::new("bus", vec![Scope::Events]).delivering(Some(source));
        let listed = caller(source(EventInstances::Listed(BTreeSet::from([main.clone()]))));
        assert!(listed.may_deliver("acme", &main) && !listed.may_deliver("acme", &east));
        assert!(!listed.may_deliver("amazon-connect", &main) && !listed.may_deliver_for("amazon-connect"));
        let all = caller(source(EventInstances::All));
        assert!(all.may_deliver("acme", &east) && !all.may_deliver("other", &east));
        assert!(caller(EventSource::Any).may_deliver("anything", &east));
        assert!(
            !Caller::new("bus", vec![Scope::Events]).may_deliver("acme", &main),
            "a source is needed"
        );
        let other_scope = Caller::new("x", vec![Scope::Operate]).delivering(Some(EventSource::Any));
        assert!(!other_scope.may_deliver("acme", &main), "the scope is needed");
    }
}
