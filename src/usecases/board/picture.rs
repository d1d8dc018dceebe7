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
    directory: Option<(Duration, Arc<Directory>)>,
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

    /// The list of all users, unless it is too old.
    pub(crate) fn directory(&self, instance: &InstanceName, now: Duration) -> Option<Arc<Directory>> {
        let boards = self.boards();
        let (at, directory) = boards.get(instance)?.directory.as_ref()?;
        (now < *at + DIRECTORY_FOR).then(|| directory.clone())
    }

    pub(crate) fn set_directory(&self, instance: &InstanceName, now: Duration, directory: Arc<Directory>) {
        self.boards().entry(instance.clone()).or_default().directory = Some((now, directory));
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
