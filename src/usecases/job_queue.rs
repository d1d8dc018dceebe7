//! The next step of each supervision, in memory: an index of the jobs in the store. It is built at the start, and every commit
//! changes it; see [`UseCaseContext::transact`](super::context::UseCaseContext::transact).
//!
//! Due times in memory are monotonic, so that a jump of the wall clock moves none of them. Higher classes come first. Within a class
//! the supervisions whose end was requested come first, and then the longest due.
//!
//! Idle supervisions have no job. Their list is kept here for the polling round, with the newest answer that showed each leg alive: it is
//! written with the next real change, so that polling writes nothing. After a crash the bracket of a departure is wider, and still true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::confirmation::LegAnswer;
use sidedoor_domain::ids::{InstanceName, RegionName, SupervisionId};
use sidedoor_domain::ports::store::{IdleLeg, Job, StoredSupervision};
use sidedoor_domain::ports::{Clock, Priority};
use sidedoor_domain::supervision::{NextStep, State};
use tokio::sync::Notify;

/// How soon a job that changed nothing is done again.
const PAUSE: Duration = Duration::from_secs(1);
/// The most unreadable supervisions that are remembered, so that each is logged once.
const MOST_UNREADABLE: usize = 10_000;

/// The jobs of a process. Clones share them.
#[derive(Clone)]
pub(crate) struct JobQueue(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    jobs: Mutex<Jobs>,
    changed: Notify,
}

/// A moment by [`Clock::elapsed`].
type Elapsed = Duration;

/// The place of a job among the others of its class: whether its end was not requested, when it is due, and its supervision.
type Place = (bool, Elapsed, SupervisionId);

struct Entry {
    revision: i64,
    instance: InstanceName,
    class: Priority,
    is_requested: bool,
    due: Option<Elapsed>,
    overdue: Option<Elapsed>,
    is_running: bool,
}

impl Entry {
    fn place(&self, id: SupervisionId) -> Option<Place> {
        self.due.map(|due| (!self.is_requested, due, id))
    }
}

#[derive(Default)]
struct Jobs {
    entries: BTreeMap<SupervisionId, Entry>,
    /// The jobs that do not run now, by class and instance.
    waiting: BTreeMap<(Priority, InstanceName), BTreeSet<Place>>,
    overdue: BTreeSet<(Elapsed, SupervisionId)>,
    idle: BTreeMap<SupervisionId, IdleLeg>,
    /// The Regions of idle legs that are not in their instance's first one.
    regions: BTreeMap<SupervisionId, RegionName>,
    polled: BTreeMap<SupervisionId, LegAnswer>,
    unknown_leg: Option<Elapsed>,
    unreadable: BTreeSet<SupervisionId>,
}

impl Jobs {
    fn place(&mut self, id: SupervisionId, entry: Entry) {
        if let (Some(place), false) = (entry.place(id), entry.is_running) {
            let key = (entry.class, entry.instance.clone());
            self.waiting.entry(key).or_default().insert(place);
        }
        self.overdue.extend(entry.overdue.map(|at| (at, id)));
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: SupervisionId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(place) = entry.place(id) {
            let key = (entry.class, entry.instance.clone());
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.remove(&place);
                if waiting.is_empty() {
                    self.waiting.remove(&key);
                }
            }
        }
        if let Some(at) = entry.overdue {
            self.overdue.remove(&(at, id));
        }
        Some(entry)
    }

    /// Whether nothing newer than this revision is known.
    fn is_news(&self, id: SupervisionId, revision: i64) -> bool {
        self.entries.get(&id).is_none_or(|entry| entry.revision <= revision)
            && self.idle.get(&id).is_none_or(|leg| leg.revision <= revision)
    }
}

fn idle_leg(stored: &StoredSupervision) -> Option<IdleLeg> {
    let s = &stored.supervision;
    let idles = s.state == State::Monitoring && s.next_check_at.is_none();
    let leg = s.leg.as_ref().filter(|_| idles)?;
    Some(IdleLeg {
        supervision: s.id,
        revision: stored.revision,
        instance: s.instance.clone(),
        user: s.supervisor.connect_user_id.clone()?,
        leg: leg.as_str().to_owned(),
    })
}

impl JobQueue {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            clock,
            jobs: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn now(&self) -> Elapsed {
        self.0.clock.elapsed()
    }

    /// When our clock shows `at`, unless it is set to another time.
    fn elapsed_at(&self, at: Timestamp) -> Elapsed {
        let left = Duration::try_from(at.duration_since(self.0.clock.now()));
        self.now() + left.unwrap_or_default()
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A supervision was committed, or read.
    pub(crate) fn note(&self, stored: &StoredSupervision) {
        let s = &stored.supervision;
        let mut jobs = self.jobs();
        if !jobs.is_news(s.id, stored.revision) {
            return;
        }
        let is_running = jobs.remove(s.id).is_some_and(|entry| entry.is_running);
        jobs.idle.remove(&s.id);
        jobs.regions.remove(&s.id);
        let is_included = |answer: &LegAnswer| s.watch.alive_sent_at >= Some(answer.sent_at);
        if s.state.is_final() || jobs.polled.get(&s.id).is_some_and(is_included) {
            jobs.polled.remove(&s.id);
        }
        match s.next_step() {
            Some(step) => {
                let entry = Entry {
                    revision: stored.revision,
                    instance: s.instance.clone(),
                    class: step.class,
                    is_requested: s.leave.is_some(),
                    due: s.next_check_at.map(|at| self.elapsed_at(at)),
                    overdue: s.overdue_at().map(|at| self.elapsed_at(at)),
                    is_running,
                };
                jobs.place(s.id, entry);
            }
            None => {
                if let Some(leg) = idle_leg(stored) {
                    jobs.idle.insert(s.id, leg);
                    jobs.regions.extend(s.region.clone().map(|region| (s.id, region)));
                }
            }
        }
        drop(jobs);
        self.wake();
    }

    /// A job was read from the store at the start.
    pub(crate) fn load(&self, job: Job) {
        let mut jobs = self.jobs();
        if !jobs.is_news(job.supervision, job.revision) || jobs.entries.contains_key(&job.supervision) {
            return;
        }
        let NextStep { class, due_at } = job.step;
        let entry = Entry {
            revision: job.revision,
            instance: job.instance,
            class,
            is_requested: false,
            due: Some(self.elapsed_at(due_at)),
            overdue: None,
            is_running: false,
        };
        jobs.place(job.supervision, entry);
    }

    /// An idle leg was read from the store at the start.
    pub(crate) fn load_idle(&self, leg: IdleLeg) {
        let mut jobs = self.jobs();
        let is_known = jobs.entries.contains_key(&leg.supervision);
        if !is_known && jobs.is_news(leg.supervision, leg.revision) {
            jobs.idle.insert(leg.supervision, leg);
        }
    }

    /// The outcome of a commit is unknown: its supervision is read again soon.
    pub(crate) fn doubt(&self, id: SupervisionId, instance: InstanceName) {
        let mut jobs = self.jobs();
        let known = jobs.remove(id);
        let entry = Entry {
            revision: known.as_ref().map_or(0, |entry| entry.revision),
            instance,
            class: Priority::Claim,
            is_requested: true,
            due: Some(self.now() + PAUSE),
            overdue: known.as_ref().and_then(|entry| entry.overdue),
            is_running: known.is_some_and(|entry| entry.is_running),
        };
        jobs.place(id, entry);
        drop(jobs);
        self.wake();
    }

    /// The supervision is not stored.
    pub(crate) fn forget(&self, id: SupervisionId) {
        let mut jobs = self.jobs();
        jobs.remove(id);
        jobs.idle.remove(&id);
        jobs.regions.remove(&id);
        jobs.polled.remove(&id);
    }

    /// The supervision cannot be read. Returns whether that is new.
    pub(crate) fn note_unreadable(&self, id: SupervisionId) -> bool {
        let mut jobs = self.jobs();
        jobs.unreadable.len() < MOST_UNREADABLE && jobs.unreadable.insert(id)
    }

    /// The supervisions that have a job.
    pub(crate) fn ids(&self) -> Vec<SupervisionId> {
        self.jobs().entries.keys().copied().collect()
    }

    /// The jobs of a class that are due within `ahead` and do not run, by instance, at most `limit` of each.
    pub(crate) fn due(
        &self,
        class: Priority,
        ahead: Duration,
        limit: usize,
    ) -> Vec<(InstanceName, Vec<SupervisionId>)> {
        let by = self.now() + ahead;
        let jobs = self.jobs();
        let of_class = jobs.waiting.iter().filter(|((of, _), _)| *of == class);
        let due = of_class.map(|((_, instance), waiting)| {
            let requested = waiting.iter().take_while(|(other, ..)| !other);
            let others = waiting.iter().skip_while(|(other, ..)| !other);
            let is_due = |(_, at, _): &&Place| *at <= by;
            let ids = requested.take_while(is_due).chain(others.take_while(is_due));
            (
                instance.clone(),
                ids.map(|(.., id)| *id).take(limit).collect::<Vec<_>>(),
            )
        });
        due.filter(|(_, ids)| !ids.is_empty()).collect()
    }

    /// Marks a job as running until the guard drops; `None` if it already runs, or is not there any more.
    pub(crate) fn start(&self, id: SupervisionId) -> Option<RunningJob> {
        let mut jobs = self.jobs();
        if jobs.entries.get(&id)?.is_running {
            return None;
        }
        let mut entry = jobs.remove(id)?;
        entry.is_running = true;
        let revision = entry.revision;
        jobs.place(id, entry);
        Some(RunningJob {
            queue: self.clone(),
            id,
            revision,
            again_in: PAUSE,
        })
    }

    /// The supervisions whose leave is overdue now. Each is returned once.
    pub(crate) fn take_overdue(&self) -> Vec<SupervisionId> {
        let now = self.now();
        let mut jobs = self.jobs();
        let due: Vec<(Elapsed, SupervisionId)> =
            jobs.overdue.iter().take_while(|(at, _)| *at <= now).copied().collect();
        for place @ (_, id) in &due {
            jobs.overdue.remove(place);
            if let Some(entry) = jobs.entries.get_mut(id) {
                entry.overdue = None;
            }
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// How long until the next job becomes due that is not due yet.
    pub(crate) fn next_due_in(&self) -> Option<Duration> {
        // A job that is due already waits for a place, and the end of another wakes the loop.
        let now = self.now() + Duration::from_millis(1);
        let jobs = self.jobs();
        let later = |waiting: &BTreeSet<Place>, other: bool| {
            let from = (other, now, SupervisionId::least_at(Timestamp::UNIX_EPOCH));
            let next = waiting.range(from..).next().filter(|(is_other, ..)| *is_other == other);
            next.map(|(_, at, _)| *at)
        };
        let waiting = jobs.waiting.values().flat_map(|w| [later(w, false), later(w, true)]);
        let overdue = jobs.overdue.first().map(|(at, _)| *at);
        let next = waiting.flatten().chain(overdue).chain(jobs.unknown_leg).min();
        next.map(|at| at.saturating_sub(self.now()))
    }

    /// The idle legs of an instance, by Region and supervision.
    pub(crate) fn idle_legs(&self, instance: &InstanceName) -> BTreeMap<Option<RegionName>, Vec<IdleLeg>> {
        let jobs = self.jobs();
        let mut found: BTreeMap<_, Vec<IdleLeg>> = BTreeMap::new();
        for leg in jobs.idle.values().filter(|leg| leg.instance == *instance) {
            let region = jobs.regions.get(&leg.supervision).cloned();
            found.entry(region).or_default().push(leg.clone());
        }
        found
    }

    /// The Region of an idle leg.
    pub(crate) fn note_region(&self, id: SupervisionId, region: Option<&RegionName>) {
        let mut jobs = self.jobs();
        match region.filter(|_| jobs.idle.contains_key(&id)) {
            Some(region) => jobs.regions.insert(id, region.clone()),
            None => jobs.regions.remove(&id),
        };
    }

    /// A poll listed the leg of a supervision. Returns whether it is the first since the last write.
    pub(crate) fn note_polled(&self, id: SupervisionId, answer: LegAnswer) -> bool {
        self.jobs().polled.insert(id, answer).is_none()
    }

    /// The newest poll that listed the leg and is not written yet.
    pub(crate) fn newest_poll(&self, id: SupervisionId) -> Option<LegAnswer> {
        self.jobs().polled.get(&id).copied()
    }

    /// An unknown leg is due at `at`.
    pub(crate) fn note_unknown_leg(&self, at: Timestamp) {
        let at = self.elapsed_at(at);
        let mut jobs = self.jobs();
        jobs.unknown_leg = Some(jobs.unknown_leg.map_or(at, |known| known.min(at)));
        drop(jobs);
        self.wake();
    }

    /// Whether an unknown leg is due. Returns it once.
    pub(crate) fn take_unknown_leg_due(&self) -> bool {
        let now = self.now();
        self.jobs().unknown_leg.take_if(|at| *at <= now).is_some()
    }

    /// Wakes the loop that starts the jobs.
    pub(crate) fn wake(&self) {
        self.0.changed.notify_one();
    }

    /// Waits until a job was changed or has ended.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn ended(&self, running: &RunningJob) {
        let mut jobs = self.jobs();
        if let Some(mut entry) = jobs.remove(running.id) {
            entry.is_running = false;
            if entry.revision == running.revision {
                // It changed nothing, and would be done again and again.
                let now = self.now();
                let is_due = |due: &Elapsed| *due <= now;
                let again = now + running.again_in;
                entry.due = entry.due.map(|due| if is_due(&due) { again } else { due });
            }
            jobs.place(running.id, entry);
        }
        drop(jobs);
        self.wake();
    }
}

/// A job that runs. It waits for its next time when this drops.
pub(crate) struct RunningJob {
    queue: JobQueue,
    id: SupervisionId,
    revision: i64,
    again_in: Duration,
}

impl RunningJob {
    /// The supervision.
    pub(crate) fn id(&self) -> SupervisionId {
        self.id
    }

    /// Nothing was done yet: the job is done again so soon, unless its supervision changes.
    pub(crate) fn postpone(&mut self, again_in: Duration) {
        self.again_in = again_in;
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.queue.ended(self);
    }
}

#[cfg(test)]
mod tests;
