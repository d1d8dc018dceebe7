//! Starts the jobs of supervisions when they are due.
//!
//! Guarantee: every unfinished supervision is asked about again, after a restart too, because its next step is in the store. A job that is
//! done moves that step, whether the vendor answered or not.
//!
//! The classes have places of their own, so that no lower one delays a higher one: work without a waiting caller may take all of its places,
//! and a requested leave still starts at once. The rate budget of each vendor call orders the calls in the same way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sidedoor_domain::ids::{InstanceName, SupervisionId};
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::ports::{Endpoint, Priority};
use sidedoor_domain::supervision::State;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::usecases::error::UseCaseError;
use crate::usecases::in_flight::InFlight;
use crate::usecases::job_queue::RunningJob;
use crate::usecases::polling::{PollingError, PollingService};

/// The most supervisions that one call asks about.
pub(super) const BATCH: usize = 100;
/// The most looks at single legs in flight without a waiting caller.
const LOOKS_AT_A_TIME: usize = 8;
/// The most batches of a class and an instance in flight.
const BATCHES_AT_A_TIME: usize = 2;
/// The most unknown legs that are looked up at a time.
const UNKNOWN_LEGS_AT_A_TIME: usize = 4;
/// The most unknown legs that are read at once.
const UNKNOWN_LEGS: u32 = 64;
/// The most rows that are read at once at the start.
const PAGE: u32 = 1024;
/// The longest sleep of the loop.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// A question about claims carries those that are due within this time.
const CLAIMS_AHEAD: Duration = Duration::from_secs(5);
/// How long to wait after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A supervision whose job runs.
pub(super) type Work = (StoredSupervision, RunningJob);

/// The places of the classes.
struct Places {
    batches: BTreeMap<(Priority, InstanceName), Arc<Semaphore>>,
    looks: Arc<Semaphore>,
    unknown_legs: Arc<Semaphore>,
}

impl Places {
    fn batch(&mut self, class: Priority, instance: &InstanceName) -> Option<OwnedSemaphorePermit> {
        let places = self.batches.entry((class, instance.clone()));
        let places = places.or_insert_with(|| Arc::new(Semaphore::new(BATCHES_AT_A_TIME)));
        places.clone().try_acquire_owned().ok()
    }
}

impl PollingService {
    /// Reads the jobs of an earlier process.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn load_jobs(&self) -> Result<(), UseCaseError> {
        let mut after = None;
        loop {
            let page = self.ctx.store().jobs(after, PAGE).await?;
            let full = page.len() >= PAGE as usize;
            after = page.last().map(|job| job.supervision);
            for job in page {
                self.ctx.signals.jobs.load(job);
            }
            if !full {
                break;
            }
        }
        after = None;
        loop {
            let page = self.ctx.store().idle_legs(after, PAGE).await?;
            let full = page.len() >= PAGE as usize;
            after = page.last().map(|leg| leg.supervision);
            page.into_iter().for_each(|leg| self.ctx.signals.jobs.load_idle(leg));
            if !full {
                break;
            }
        }
        self.read_next_unknown_leg().await
    }

    async fn read_next_unknown_leg(&self) -> Result<(), UseCaseError> {
        if let Some(due_at) = self.ctx.store().next_due().await?.unknown_leg {
            self.ctx.signals.jobs.note_unknown_leg(due_at);
        }
        Ok(())
    }

    /// Starts jobs when they are due until the process stops. When the store fails, the error is logged and the loop continues.
    pub async fn dispatch_until_stopped(self) {
        let mut places = Places {
            batches: BTreeMap::new(),
            looks: Arc::new(Semaphore::new(LOOKS_AT_A_TIME)),
            unknown_legs: Arc::new(Semaphore::new(UNKNOWN_LEGS_AT_A_TIME)),
        };
        let legs = InFlight::default();
        while !self.ctx.is_stopping() {
            if let Err(e) = self.follow_clock_steps().await {
                tracing::error!(error = %e, "could not adapt the plans to the clock; retrying: {e}");
            }
            self.note_overdue_leaves();
            self.start_due_jobs(&mut places);
            self.start_due_rounds();
            if self.ctx.signals.jobs.take_unknown_leg_due()
                && let Err(e) = self.look_up_unknown_legs(&legs, &places.unknown_legs).await
            {
                tracing::error!(error = %e, "could not read the unknown legs; retrying in 1 s: {e}");
                let again = self.ctx.now() + jiff::SignedDuration::from_secs(1);
                self.ctx.signals.jobs.note_unknown_leg(again);
            }
            let next_job = self.ctx.signals.jobs.next_due_in();
            let pause = next_job
                .into_iter()
                .chain(self.next_round_in())
                .min()
                .unwrap_or(LONGEST_SLEEP);
            tokio::select! {
                biased;
                () = self.ctx.signals.jobs.changed() => {}
                () = tokio::time::sleep(pause.min(LONGEST_SLEEP)) => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
    }

    /// Starts the jobs that are due, the highest class first, as far as there are places.
    fn start_due_jobs(&self, places: &mut Places) {
        for class in Priority::ALL.into_iter().rev() {
            for (instance, ids) in self.ctx.signals.jobs.due(class, Duration::ZERO, BATCH) {
                match class {
                    Priority::IdlePoll | Priority::UnknownLeg => self.start_looks(&ids, &places.looks),
                    Priority::Claim | Priority::Join | Priority::AfterCheck => {
                        if let Some(place) = places.batch(class, &instance) {
                            self.start_batch(class, instance, ids, place);
                        }
                    }
                }
            }
        }
    }

    fn start_looks(&self, ids: &[SupervisionId], room: &Arc<Semaphore>) {
        for id in ids {
            let Ok(place) = room.clone().try_acquire_owned() else {
                return;
            };
            let Some(job) = self.ctx.signals.jobs.start(*id) else {
                continue;
            };
            let this = self.clone();
            self.ctx.spawn(async move {
                let _place = place;
                if let Some((stored, job)) = this.read_due(job).await {
                    let supervision = stored.supervision;
                    let about = supervision.clone();
                    let task = this.clone();
                    let look = async move { task.poll_supervision(&supervision).await };
                    this.log_failure("poll", this.ctx.spawn_for("poll", &about, look).await);
                    drop(job);
                }
            });
        }
    }

    /// Starts a task for the jobs of a class and an instance.
    fn start_batch(
        &self,
        class: Priority,
        instance: InstanceName,
        mut ids: Vec<SupervisionId>,
        place: OwnedSemaphorePermit,
    ) {
        if class == Priority::Claim && ids.len() < BATCH {
            // A question about one claim carries the others that are due soon.
            let soon = self.ctx.signals.jobs.due(class, CLAIMS_AHEAD, BATCH);
            let soon = soon
                .into_iter()
                .filter(|(of, _)| *of == instance)
                .flat_map(|(_, ids)| ids);
            let known: Vec<SupervisionId> = ids.clone();
            ids.extend(soon.filter(|id| !known.contains(id)).take(BATCH - known.len()));
        }
        let jobs: Vec<RunningJob> = ids
            .into_iter()
            .filter_map(|id| self.ctx.signals.jobs.start(id))
            .collect();
        if jobs.is_empty() {
            return;
        }
        let this = self.clone();
        self.ctx.spawn(async move {
            let _place = place;
            let mut work = Vec::with_capacity(jobs.len());
            for job in jobs {
                work.extend(this.read(job).await);
            }
            // A call goes to one Region.
            let mut by_region: BTreeMap<Endpoint, Vec<Work>> = BTreeMap::new();
            for one in work {
                by_region.entry(one.0.supervision.endpoint()).or_default().push(one);
            }
            for (endpoint, work) in by_region {
                let done = match class {
                    Priority::AfterCheck => this.check_departed(&endpoint, work).await,
                    _ => this.work_on_leaves_and_joins(&endpoint, work).await,
                };
                this.log_failure(class.as_str(), Ok(done));
            }
        });
    }

    /// Leaves, claims, and joins whose task has ended.
    async fn work_on_leaves_and_joins(&self, endpoint: &Endpoint, work: Vec<Work>) -> Result<(), PollingError> {
        let now = self.ctx.now();
        let (mut leaves, mut searches) = (Vec::new(), Vec::new());
        for (stored, job) in work {
            let s = &stored.supervision;
            let is_due = s.next_check_at.is_some_and(|at| at <= now);
            match s.state {
                State::Requested | State::Joining if s.search().is_some() && is_due => searches.push((stored, job)),
                State::Requested | State::Joining if is_due => self.resume_join(s).await?,
                State::Monitoring | State::Leaving => leaves.push((stored, job)),
                // It is read again when it is due.
                _ => {}
            }
        }
        let (leaves, searches) = tokio::join!(
            self.ask_about_leaves(endpoint, leaves),
            self.search_legs(endpoint, searches)
        );
        leaves.and(searches)
    }

    /// Reads the supervision of a job. What the queue knows of it is brought up to date.
    pub(super) async fn read(&self, mut job: RunningJob) -> Option<Work> {
        match self.ctx.store().supervision(job.id()).await {
            Ok(Some(stored)) => {
                self.ctx.signals.jobs.note(&stored);
                Some((self.ctx.with_newest_poll(stored), job))
            }
            Ok(None) => {
                self.ctx.signals.jobs.forget(job.id());
                None
            }
            Err(e) => {
                let again_in = self.after_failed_read(job.id(), &e);
                job.postpone(again_in);
                None
            }
        }
    }

    /// As [`Self::read`], if the job is due now.
    async fn read_due(&self, job: RunningJob) -> Option<Work> {
        let now = self.ctx.now();
        let read = self.read(job).await?;
        let is_due = read.0.supervision.next_check_at.is_some_and(|at| at <= now);
        is_due.then_some(read)
    }

    /// Leaves become overdue at their deadlines, however long the vendor takes to answer.
    fn note_overdue_leaves(&self) {
        for id in self.ctx.signals.jobs.take_overdue() {
            let this = self.clone();
            self.ctx.spawn(async move {
                while let Err(e) = this.note_overdue(id).await {
                    tracing::error!(supervision_id = %id, error = %e, "could not store that the leave of {id} is overdue; retrying in 1 s: {e}");
                    tokio::time::sleep(AFTER_FAILURE).await;
                    if this.ctx.is_stopping() {
                        return;
                    }
                }
            });
        }
    }

    /// Looks up unknown legs that are due.
    async fn look_up_unknown_legs(
        &self,
        in_flight: &InFlight<String>,
        room: &Arc<Semaphore>,
    ) -> Result<(), UseCaseError> {
        let busy = in_flight.keys();
        let due = self.ctx.store().due_unknown_legs(self.ctx.now(), UNKNOWN_LEGS).await?;
        for leg in due {
            // The lowest class never delays the others: without a free place the leg stays due.
            let Ok(place) = room.clone().try_acquire_owned() else {
                return Ok(());
            };
            let name = format!("{}/{}", leg.instance, leg.leg);
            let Some(guard) = in_flight.try_start(name.clone()).filter(|_| !busy.contains(&name)) else {
                continue;
            };
            let this = self.clone();
            self.ctx.spawn(async move {
                let in_flight = (guard, place);
                this.evidence.adopt_leg(leg).await;
                drop(in_flight);
                if let Err(e) = this.read_next_unknown_leg().await {
                    tracing::error!(error = %e, "could not read the next unknown leg; retrying in 1 s: {e}");
                    let again = this.ctx.now() + jiff::SignedDuration::from_secs(1);
                    this.ctx.signals.jobs.note_unknown_leg(again);
                }
            });
        }
        if in_flight.keys().is_empty() {
            self.read_next_unknown_leg().await?;
        }
        Ok(())
    }

    fn log_failure(&self, what: &str, done: Result<Result<(), PollingError>, tokio::task::JoinError>) {
        if let Ok(Err(e)) = done {
            tracing::error!(error = %e, "could not finish a job ({what}); retrying in 1 s: {e}");
        }
    }
}
