//! The names of the people and the queue of a supervision. Vendors name them by ids; a quality manager needs names.

use super::{State, Supervision};
use crate::ids::{InstanceName, UserId};

/// The names of the agent and the queue. Those of the supervisor are in [`Supervisor`](super::Supervisor).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The agent's Connect user name.
    pub agent_username: Option<String>,
    /// The id of the agent's Salesforce User.
    pub agent_salesforce_user_id: Option<String>,
    /// The id of the contact's queue.
    pub queue_id: Option<String>,
    /// The queue's name.
    pub queue: Option<String>,
    /// Whether Salesforce was asked who the supervisor is. It is asked again, but not for each version of the record.
    pub supervisor_asked: bool,
    /// The same for the agent.
    pub agent_asked: bool,
    /// Whether only the request names the agent. The vendor's word replaces it.
    pub agent_claimed: bool,
    /// Whether names became known after the record's newest version, so that the record lacks them.
    pub unsent: bool,
    /// Whether everything that can be looked up is known and sent, so that nothing is looked up any more.
    pub is_complete: bool,
}

/// What can be looked up, and is not known of a supervision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingNames {
    /// Users of the vendor without a user name.
    pub usernames: Vec<UserId>,
    /// People without a Salesforce User, by their user names, and by their ids where these are known.
    pub salesforce_users: Vec<(String, Option<UserId>)>,
    /// A queue without a name.
    pub queue: Option<String>,
}

/// Names by what they belong to. `None` if there is no such name, or not exactly one.
pub trait KnownNames {
    /// The user name of a user.
    fn username(&self, instance: &InstanceName, user: &UserId) -> Option<String>;
    /// The Salesforce User of the person with this Connect user name and id.
    fn salesforce_user(&self, username: &str, user: Option<&UserId>) -> Option<String>;
    /// The name of a queue.
    fn queue(&self, instance: &InstanceName, queue: &str) -> Option<String>;
}

impl Supervision {
    /// Whether names may have to be looked up.
    pub fn lacks_names(&self) -> bool {
        self.leg.is_some() && self.state != State::Failed && !self.names.is_complete
    }

    /// The agent of the contact by the vendor's own word.
    pub fn set_agent(&mut self, agent: Option<UserId>) {
        self.names.agent_claimed &= agent.is_none();
        if let Some(agent) = agent.filter(|agent| self.agent.as_ref() != Some(agent)) {
            self.agent = Some(agent);
            self.names.agent_username = None;
            self.names.agent_salesforce_user_id = None;
            self.names.agent_asked = false;
            self.names.is_complete = false;
        }
    }

    /// The agent of the contact by the word of the request.
    pub fn claim_agent(&mut self, agent: Option<UserId>) {
        self.names.agent_claimed = agent.is_some();
        self.agent = agent;
    }

    /// Whether the vendor has named the agent.
    pub fn knows_agent(&self) -> bool {
        self.agent.is_some() && !self.names.agent_claimed
    }

    /// The queue of the contact by the vendor's own word.
    pub fn set_queue(&mut self, queue: Option<String>) {
        if let Some(queue) = queue.filter(|queue| self.names.queue_id.as_ref() != Some(queue)) {
            self.names.queue_id = Some(queue);
            self.names.queue = None;
            self.names.is_complete = false;
        }
    }

    /// The people whose Salesforce Users are not known, and about whom Salesforce was not asked.
    pub fn people_to_ask_about(&self) -> Vec<(String, Option<UserId>)> {
        let names = &self.names;
        let supervisor = &self.supervisor;
        [
            (
                names.supervisor_asked || supervisor.salesforce_user_id.is_some(),
                &supervisor.username,
                &supervisor.connect_user_id,
            ),
            (
                names.agent_asked || names.agent_salesforce_user_id.is_some(),
                &names.agent_username,
                &self.agent,
            ),
        ]
        .into_iter()
        .filter(|(is_done, ..)| !is_done)
        .filter_map(|(_, name, id)| Some((name.clone()?, id.clone())))
        .collect()
    }

    /// Salesforce was asked about these people.
    pub fn note_asked_about(&mut self, people: &[(String, Option<UserId>)]) {
        let asked = |username: &Option<String>| people.iter().any(|(name, _)| Some(name) == username.as_ref());
        self.names.supervisor_asked |= asked(&self.supervisor.username);
        self.names.agent_asked |= asked(&self.names.agent_username);
    }

    /// The names that are not known.
    pub fn missing_names(&self) -> MissingNames {
        let supervisor = (
            &self.supervisor.connect_user_id,
            &self.supervisor.username,
            &self.supervisor.salesforce_user_id,
        );
        let agent = (
            &self.agent,
            &self.names.agent_username,
            &self.names.agent_salesforce_user_id,
        );
        let mut missing = MissingNames::default();
        for (id, username, salesforce_user) in [supervisor, agent] {
            match (id, username) {
                (Some(id), None) => missing.usernames.push(id.clone()),
                (id, Some(name)) if salesforce_user.is_none() => {
                    missing.salesforce_users.push((name.clone(), id.clone()))
                }
                _ => {}
            }
        }
        missing.queue = self.names.queue_id.clone().filter(|_| self.names.queue.is_none());
        missing
    }

    /// Sets the names that are known. A name that is set stays, because the request gave it.
    pub fn learn_names(&mut self, known: &dyn KnownNames) {
        let username = |id: &Option<UserId>| id.as_ref().and_then(|id| known.username(&self.instance, id));
        let supervisor = self.supervisor.username.take();
        self.supervisor.username = supervisor.or_else(|| username(&self.supervisor.connect_user_id));
        let agent = self.names.agent_username.take();
        self.names.agent_username = agent.or_else(|| username(&self.agent));
        let user = |name: &Option<String>, id: &Option<UserId>| known.salesforce_user(name.as_ref()?, id.as_ref());
        let supervisor = self.supervisor.salesforce_user_id.take();
        self.supervisor.salesforce_user_id =
            supervisor.or_else(|| user(&self.supervisor.username, &self.supervisor.connect_user_id));
        let agent = self.names.agent_salesforce_user_id.take();
        self.names.agent_salesforce_user_id = agent.or_else(|| user(&self.names.agent_username, &self.agent));
        if let (None, Some(queue)) = (&self.names.queue, &self.names.queue_id) {
            self.names.queue = known.queue(&self.instance, queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::*;

    struct Directory;

    impl KnownNames for Directory {
        fn username(&self, _: &InstanceName, user: &UserId) -> Option<String> {
            (user.as_str() != "stranger").then(|| format!("{user}@example"))
        }

        fn salesforce_user(&self, username: &str, _: Option<&UserId>) -> Option<String> {
            Some(format!("005-{username}"))
        }

        fn queue(&self, _: &InstanceName, queue: &str) -> Option<String> {
            Some(format!("Queue {queue}"))
        }
    }

    #[test]
    fn names_are_learnt_of_everyone_who_is_known() {
        let mut s = monitoring();
        s.supervisor.username = None;
        assert!(s.lacks_names());
        s.set_agent(Some(user("agent-1")));
        s.set_queue(Some("q-1".into()));
        assert_eq!(s.missing_names().usernames, [user("supervisor-1"), user("agent-1")]);
        assert_eq!(s.missing_names().queue.as_deref(), Some("q-1"));
        s.learn_names(&Directory);
        assert_eq!(s.missing_names(), MissingNames::default());
        assert_eq!(s.supervisor.username.as_deref(), Some("supervisor-1@example"));
        assert_eq!(s.names.agent_salesforce_user_id.as_deref(), Some("005-agent-1@example"));
        assert_eq!(s.names.queue.as_deref(), Some("Queue q-1"));
    }

    #[test]
    fn another_agent_has_other_names() {
        let mut s = monitoring();
        s.set_agent(Some(user("agent-1")));
        s.learn_names(&Directory);
        s.names.is_complete = true;
        s.set_agent(Some(user("agent-1")));
        s.set_agent(None);
        assert!(!s.lacks_names());
        s.set_agent(Some(user("stranger")));
        assert!(s.lacks_names());
        assert_eq!(
            (&s.names.agent_username, &s.names.agent_salesforce_user_id),
            (&None, &None)
        );
        s.learn_names(&Directory);
        assert_eq!(s.names.agent_username, None);
    }

    #[test]
    fn agent_of_the_request_is_replaced_by_the_vendors() {
        let mut s = monitoring();
        s.claim_agent(Some(user("agent-9")));
        assert!(s.agent.is_some() && !s.knows_agent());
        s.set_agent(None);
        assert!(!s.knows_agent(), "the vendor has said nothing");
        let mut confirmed = s.clone();
        confirmed.set_agent(Some(user("agent-9")));
        assert!(confirmed.knows_agent());
        s.set_agent(Some(user("agent-1")));
        assert!(s.knows_agent() && s.agent == Some(user("agent-1")));
    }

    #[test]
    fn salesforce_is_asked_about_each_person_once() {
        let mut s = monitoring();
        s.supervisor.username = Some("ann".into());
        s.supervisor.salesforce_user_id = None;
        let ann = [("ann".to_owned(), Some(user("supervisor-1")))];
        assert_eq!(s.people_to_ask_about(), ann);
        s.note_asked_about(&ann);
        assert_eq!(s.people_to_ask_about(), []);
        s.set_agent(Some(user("agent-1")));
        assert_eq!(s.people_to_ask_about(), [], "no user name yet");
        s.names.agent_username = Some("bob".into());
        let bob = [("bob".to_owned(), Some(user("agent-1")))];
        assert_eq!(s.people_to_ask_about(), bob);
        s.note_asked_about(&bob);
        s.set_agent(Some(user("agent-2")));
        s.names.agent_username = Some("cid".into());
        assert_eq!(s.people_to_ask_about(), [("cid".to_owned(), Some(user("agent-2")))]);
    }

    #[test]
    fn names_of_the_request_are_kept() {
        let mut s = monitoring();
        s.supervisor.username = Some("given".into());
        s.supervisor.salesforce_user_id = Some("005given".into());
        s.learn_names(&Directory);
        assert_eq!(s.supervisor.username.as_deref(), Some("given"));
        assert_eq!(s.supervisor.salesforce_user_id.as_deref(), Some("005given"));
    }
}
