//! In-memory state of one process that is not in the store: what wakes the background loops, and what runs now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::Clock;
use tokio::sync::Notify;

use crate::usecases::auditing::access::AccessLog;
use crate::usecases::board::picture::Boards;
use crate::usecases::identity::name_cache::NameCache;
use crate::usecases::in_flight::InFlight;
use crate::usecases::job_queue::JobQueue;
use crate::usecases::leaving::silent_leaves::SilentLeaves;
use crate::usecases::polling::clock_steps::ClockSteps;
use crate::usecases::polling::idle_round::PollRounds;
use crate::usecases::salesforce_sync::rate::DeliveryPause;

/// The state. It is built once, for all services.
pub(crate) struct Signals {
    /// The next step of each supervision.
    pub(crate) jobs: JobQueue,
    /// How our own clock was set to another time, until the plans of all supervisions are adapted.
    pub(crate) clock_steps: ClockSteps,
    /// Wakes the loop that seals the audit, because there are new lines, or refusals and reads that become lines.
    pub(crate) audited: Notify,
    /// Refusals and reads that are not in the store yet.
    pub(crate) access: AccessLog,
    /// Wakes the delivery loop, because a Salesforce record may have become due.
    pub(crate) deliver: Notify,
    /// Progress of the batch polls through supervisors who listened recently.
    pub(crate) poll_rounds: PollRounds,
    /// What the board of each instance shows, and whether it is viewed.
    pub(crate) boards: Boards,
    /// Why nothing is sent to Salesforce at the moment; `None` while delivery runs.
    pub(crate) delivery_pause: Mutex<Option<DeliveryPause>>,
    /// Supervisions whose leave is being carried out now, so that no two tasks carry out the same one.
    pub(crate) leaves_in_flight: InFlight<SupervisionId>,
    /// When the vendor was last asked about a departed supervisor after another request to leave.
    pub(crate) departed_asks: RecentAsks,
    /// Joins that a task works on now.
    pub(crate) joins_in_flight: InFlight<SupervisionId>,
    /// Idempotency keys of requests that are running, with their callers.
    pub(crate) keys_in_flight: InFlight<(String, String)>,
    /// When claims of each credential were refuted in the last hour.
    pub(super) refuted_claims: Mutex<BTreeMap<String, Vec<Timestamp>>>,
    /// The names that are known.
    pub(crate) names: NameCache,
    /// Supervisions whose names may have to be looked up.
    pub(crate) unnamed: Unnamed,
    silent_leaves: Mutex<SilentLeaves>,
    /// How many ids this process has generated.
    ids: AtomicU16,
}

/// When each supervision was last asked about. Bounded: the least id is forgotten first, and may then be asked about again.
#[derive(Default)]
pub(crate) struct RecentAsks(Mutex<BTreeMap<SupervisionId, Duration>>);

impl RecentAsks {
    const MOST: usize = 1000;
    const PAUSE: Duration = Duration::from_secs(5);

    /// Whether a question is due at `now` by [`Clock::elapsed`]; if so, none is for some seconds.
    pub(crate) fn is_due(&self, id: SupervisionId, now: Duration) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.get(&id).is_some_and(|at| now < *at + Self::PAUSE) {
            return false;
        }
        if asked.len() >= Self::MOST {
            asked.pop_first();
        }
        asked.insert(id, now);
        true
    }
}

/// Supervisions that were just written without all of their names. Bounded: what does not fit is found in the store later.
#[derive(Default)]
pub(crate) struct Unnamed {
    ids: Mutex<BTreeSet<SupervisionId>>,
    news: Notify,
}

impl Unnamed {
    const MOST: usize = 10_000;

    pub(crate) fn note(&self, id: SupervisionId) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() < Self::MOST && ids.insert(id) {
            self.news.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Vec<SupervisionId> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *ids).into_iter().collect()
    }

    pub(crate) async fn changed(&self) {
        self.news.notified().await;
    }
}

impl Signals {
    /// `name_unknown` is how long a name that was not found is not looked up again.
    pub(super) fn new(clock: Arc<dyn Clock>, name_unknown: Duration) -> Self {
        Self {
            jobs: JobQueue::new(clock),
            clock_steps: ClockSteps::default(),
            audited: Notify::new(),
            access: AccessLog::default(),
            deliver: Notify::new(),
            poll_rounds: PollRounds::default(),
            boards: Boards::default(),
            delivery_pause: Mutex::default(),
            leaves_in_flight: InFlight::default(),
            departed_asks: RecentAsks::default(),
            joins_in_flight: InFlight::default(),
            keys_in_flight: InFlight::default(),
            refuted_claims: Mutex::default(),
            names: NameCache::new(name_unknown),
            unnamed: Unnamed::default(),
            silent_leaves: Mutex::default(),
            ids: AtomicU16::default(),
        }
    }

    /// Whether nothing is sent to Salesforce at the moment.
    pub(crate) fn delivery_is_paused(&self) -> bool {
        self.delivery_pause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    pub(crate) fn silent_leaves(&self) -> MutexGuard<'_, SilentLeaves> {
        self.silent_leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The serial number of the next id that this process generates.
    pub(super) fn next_serial(&self) -> u16 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}
