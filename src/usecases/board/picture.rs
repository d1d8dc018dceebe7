//! What the last polling round found of the agents of each instance, and who looks at it. In memory only: a restart asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::contact_event::InitiationMethod;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::VendorError;
use sidedoor_domain::ports::user_data::{Directory, UserContact, UserDataSeen, UserState};
use tokio::sync::watch;

/// The agents are asked for until this long after the last look at the board.
const VIEWED_FOR: Duration = Duration::from_secs(30);
/// How long the list of all users is used.
const DIRECTORY_FOR: Duration = Duration::from_secs(600);
/// How long the list is not asked for again after Connect refused it.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// An agent with their live contacts. The legs of supervisors are not among these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(super) user: UserId,
    pub(super) username: Option<String>,
    pub(super) state: UserState,
    pub(super) contacts: Vec<UserContact>,
}

/// The agents of an instance at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    /// When the polling round began to ask; `None` before the first answer.
    pub(super) as_of: Option<Timestamp>,
    /// Whether Connect listed all agents.
    pub(super) is_complete: bool,
    pub(super) agents: BTreeMap<UserId, Arc<Agent>>,
    /// Why the last round failed. The agents are then those of an earlier one.
    pub(super) failure: Option<VendorError>,
}

#[derive(Default)]
struct Board {
    /// By [`Clock::elapsed`](sidedoor_domain::ports::Clock::elapsed), as every other time here.
    viewed_at: Option<Duration>,
    directory: Option<Arc<Directory>>,
    /// When the list of all users is asked for again; `None` for now.
    ask_directory_at: Option<Duration>,
    picture: watch::Sender<Arc<Picture>>,
}

/// The board of each instance.
#[derive(Default)]
pub(crate) struct Boards(Mutex<BTreeMap<InstanceName, Board>>);

impl Boards {
    fn boards(&self) -> MutexGuard<'_, BTreeMap<InstanceName, Board>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A caller views the board. Returns what it shows, and whether it was not viewed for a while, so that a round is due now.
    pub(super) fn view(&self, instance: &InstanceName, now: Duration) -> (watch::Receiver<Arc<Picture>>, bool) {
        let mut boards = self.boards();
        let board = boards.entry(instance.clone()).or_default();
        let is_first = !board.is_viewed(now);
        board.viewed_at = Some(now);
        (board.picture.subscribe(), is_first)
    }

    /// Whether a caller viewed the board a short time ago.
    pub(crate) fn is_viewed(&self, instance: &InstanceName, now: Duration) -> bool {
        self.boards().get(instance).is_some_and(|board| board.is_viewed(now))
    }

    /// The last list of all users, and whether to ask for a newer one.
    pub(crate) fn directory(&self, instance: &InstanceName, now: Duration) -> (Option<Arc<Directory>>, bool) {
        let boards = self.boards();
        let board = boards.get(instance);
        let is_to_be_asked = board.and_then(|b| b.ask_directory_at).is_none_or(|at| at <= now);
        (board.and_then(|b| b.directory.clone()), is_to_be_asked)
    }

    /// What Connect answered to the question for all users; `None` if it refused, so that the last list is used for longer.
    pub(crate) fn set_directory(&self, instance: &InstanceName, now: Duration, answer: Option<Arc<Directory>>) {
        let mut boards = self.boards();
        let board = boards.entry(instance.clone()).or_default();
        let wait = if answer.is_some() {
            DIRECTORY_FOR
        } else {
            ASK_AGAIN_AFTER
        };
        board.ask_directory_at = Some(now + wait);
        board.directory = answer.or_else(|| board.directory.take());
    }

    /// The answers of one round, each of one Region.
    pub(crate) fn show(&self, instance: &InstanceName, as_of: Timestamp, directory: &Directory, seen: &[UserDataSeen]) {
        let picture = Picture {
            as_of: Some(as_of),
            is_complete: directory.is_complete && seen.iter().all(|answer| answer.is_complete),
            agents: agents(directory, seen),
            failure: None,
        };
        let mut boards = self.boards();
        let board = boards.entry(instance.clone()).or_default();
        board.picture.send_replace(Arc::new(picture));
    }

    /// What the board shows of an agent, if Connect was asked at `since` or later.
    pub(crate) fn seen_since(&self, instance: &InstanceName, agent: &UserId, since: Timestamp) -> Option<UserDataSeen> {
        let boards = self.boards();
        let picture = boards.get(instance)?.picture.borrow();
        let agent = picture.agents.get(agent).filter(|_| picture.as_of >= Some(since))?;
        Some(UserDataSeen {
            contacts: agent.contacts.clone(),
            users: BTreeMap::from([(agent.user.to_string(), agent.state.clone())]),
            is_complete: picture.is_complete,
            answered_elsewhere: None,
        })
    }

    /// A round failed, so the board shows what it showed before.
    pub(crate) fn note_failure(&self, instance: &InstanceName, failure: VendorError) {
        let mut boards = self.boards();
        let board = boards.entry(instance.clone()).or_default();
        board.picture.send_modify(|picture| {
            *picture = Arc::new(Picture {
                failure: Some(failure),
                ..Picture::clone(picture)
            });
        });
    }
}

impl Board {
    fn is_viewed(&self, now: Duration) -> bool {
        self.viewed_at.is_some_and(|at| now < at + VIEWED_FOR)
    }
}

/// In a replicated instance a user may be listed in both Regions, with the contacts that are there.
fn agents(directory: &Directory, seen: &[UserDataSeen]) -> BTreeMap<UserId, Arc<Agent>> {
    let mut agents: BTreeMap<UserId, Agent> = BTreeMap::new();
    let mut listed: BTreeSet<&str> = BTreeSet::new();
    for answer in seen {
        for (id, state) in &answer.users {
            if let Ok(user) = UserId::parse(id.as_str()) {
                agents.entry(user.clone()).or_insert_with(|| Agent {
                    username: directory.usernames.get(&user).cloned(),
                    user,
                    state: state.clone(),
                    contacts: Vec::new(),
                });
            }
        }
        for contact in &answer.contacts {
            let is_leg = contact.initiation_method == InitiationMethod::Monitor;
            let user = UserId::parse(contact.user.as_str()).ok();
            let agent = user.and_then(|user| agents.get_mut(&user));
            if let Some(agent) = agent.filter(|_| !is_leg && !contact.is_over() && listed.insert(&contact.contact)) {
                agent.contacts.push(contact.clone());
            }
        }
    }
    let shared = |(user, agent)| (user, Arc::new(agent));
    agents.into_iter().map(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_list_of_users_is_used_while_connect_refuses_a_newer_one() {
        let (boards, main) = (Boards::default(), InstanceName::parse("main").expect("a name"));
        let at = |s: u64| Duration::from_secs(s);
        let state = |s: u64| {
            let (known, is_to_be_asked) = boards.directory(&main, at(s));
            (known.is_some(), is_to_be_asked)
        };
        assert_eq!(state(0), (false, true));
        boards.set_directory(&main, at(0), None);
        assert_eq!((state(29), state(30)), ((false, false), (false, true)));
        boards.set_directory(&main, at(30), Some(Arc::default()));
        assert_eq!((state(629), state(630)), ((true, false), (true, true)));
        boards.set_directory(&main, at(630), None);
        assert_eq!((state(631), state(660)), ((true, false), (true, true)));
    }
}
