//! One simulated world: the vendor, the org, the browsers and the people of a plan, and the service, which may crash at any await
//! and start again on the same disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::KeyUse;
use sidedoor_domain::supervision::State;
use tokio::sync::Notify;

use super::crm::SimCrm;
use super::plan::{Act, BrowserConduct, Plan, Step};
use super::process::Process;
use super::time::{SeededRandom, ServiceClock, TrueTime, WrongClock};
use super::vendor::{EndedBy, Vendor};
use crate::store::memory::MemoryDisk;
use crate::usecases::{RequestContext, UseCases};

pub(super) fn main_instance() -> InstanceName {
    InstanceName::parse("main").expect("a name")
}

pub(super) fn supervisor(i: usize) -> UserId {
    UserId::parse(format!("supervisor-{i}")).expect("an id")
}

pub(super) fn contact(i: usize) -> ContactId {
    ContactId::parse(format!("contact-{i}")).expect("an id")
}

/// A rule that the service broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// A stable name of the rule.
    pub(super) rule: &'static str,
    pub(super) detail: String,
}

/// What people were promised.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) starts: Vec<SupervisionId>,
    pub(super) disconnects: Vec<SupervisionId>,
}

/// One simulated world.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) truth: TrueTime,
    pub(super) vendor: Arc<Vendor>,
    pub(super) crm: Arc<SimCrm>,
    pub(super) random: Arc<SeededRandom>,
    pub(super) disk: MemoryDisk,
    process: Mutex<Option<Arc<Process>>>,
    started: Notify,
    restart: Notify,
    down: Mutex<Duration>,
    busy: AtomicBool,
    pub(super) keys: AtomicU64,
    story: Mutex<Vec<String>>,
    tells: bool,
    violations: Mutex<Vec<Violation>>,
    pub(super) promises: Mutex<Promises>,
    browsers: Mutex<BTreeMap<usize, BrowserConduct>>,
    /// Supervisions whose browser said DONE and had done nothing. Their word cannot be checked, so the service may believe it.
    pub(super) lies: Mutex<BTreeSet<SupervisionId>>,
    /// Supervisions about whose leg a carrier said something false.
    pub(super) carrier_lies: Mutex<BTreeSet<SupervisionId>>,
    /// When the leg of each departed supervision ended, true ms.
    pub(super) ended_legs: Mutex<BTreeMap<SupervisionId, i64>>,
    /// When a departure was first committed, true ms.
    pub(super) noticed: Mutex<BTreeMap<SupervisionId, i64>>,
    /// The legs of the carrier's own, and when each ended, true ms.
    pub(super) carrier_legs: Mutex<BTreeMap<String, Option<i64>>>,
    /// The corrections of this machine's clock, ms.
    own_steps: Arc<Mutex<Vec<i64>>>,
    pub(super) this: Weak<World>,
}

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world at its beginning. With `tells` it keeps its story.
    pub(super) fn new(plan: Plan, tells: bool) -> Arc<Self> {
        let truth = TrueTime::start();
        Arc::new_cyclic(|this| Self {
            vendor: Vendor::new(plan.conduct.clone(), plan.seed ^ 0xFEED, truth),
            crm: Arc::new(SimCrm::default()),
            random: Arc::new(SeededRandom::new(plan.seed)),
            disk: MemoryDisk::default(),
            process: Mutex::default(),
            started: Notify::new(),
            restart: Notify::new(),
            down: Mutex::new(Duration::ZERO),
            busy: AtomicBool::new(true),
            keys: AtomicU64::new(0),
            story: Mutex::default(),
            tells,
            violations: Mutex::default(),
            promises: Mutex::default(),
            browsers: Mutex::default(),
            lies: Mutex::default(),
            carrier_lies: Mutex::default(),
            ended_legs: Mutex::default(),
            noticed: Mutex::default(),
            carrier_legs: Mutex::default(),
            own_steps: Arc::default(),
            plan,
            truth,
            this: this.clone(),
        })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    fn machine_clock(&self) -> WrongClock {
        WrongClock {
            truth: self.truth,
            offset_ms: self.plan.conduct.own_offset_ms,
            drift_ppm: self.plan.conduct.own_drift_ppm,
        }
    }

    /// The clock of a process that starts now.
    pub(super) fn own_clock(&self) -> ServiceClock {
        ServiceClock::start(self.machine_clock(), self.own_steps.clone())
    }

    /// A true moment on every scale on which the service may state it: shifted by corrections of this machine's clock that followed
    /// each other. A process converts what it stored by the corrections that it noticed. It cannot notice one from before its start,
    /// which the machine's clock brings along.
    pub(super) fn our_readings(&self, truth: Timestamp) -> impl Iterator<Item = Timestamp> {
        let steps = lock(&self.own_steps).clone();
        let mut shifts = vec![0];
        for from in 0..steps.len() {
            let mut sum = 0;
            shifts.extend(steps[from..].iter().map(|step| {
                sum += step;
                sum
            }));
        }
        shifts
            .into_iter()
            .map(move |ms| truth + SignedDuration::from_millis(ms))
    }

    /// Adds a line to the story.
    pub(super) fn note<L: Display>(&self, line: impl FnOnce() -> L) {
        if self.tells {
            lock(&self.story).push(format!("{:>8} {}", self.truth.ms(), line()));
        }
    }

    pub(super) fn story(&self) -> Vec<String> {
        lock(&self.story).clone()
    }

    pub(super) fn violated(&self, rule: &'static str, detail: String) {
        self.note(|| format!("VIOLATED {rule}: {detail}"));
        lock(&self.violations).push(Violation { rule, detail });
    }

    /// How long after its true end each departure was first committed, ms.
    pub(super) fn times_to_notice(&self) -> Vec<i64> {
        let noticed = lock(&self.noticed);
        let ended = lock(&self.ended_legs);
        noticed
            .iter()
            .filter_map(|(id, at)| Some(at - ended.get(id)?))
            .collect()
    }

    /// Whether the browser of a supervision or a carrier said something false about its leg.
    pub(super) fn was_lied_to(&self, id: SupervisionId) -> bool {
        lock(&self.lies).contains(&id) || lock(&self.carrier_lies).contains(&id)
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    /// Ends the process, which starts again after `down`.
    pub(super) fn crash(&self, down: Duration) {
        let Some(process) = lock(&self.process).take() else {
            return;
        };
        self.note(|| "the process crashes");
        process.generation.ended.cancel();
        process.store.crash();
        *lock(&self.down) = down;
        self.restart.notify_one();
    }

    /// Runs the service, and starts it again after each crash.
    async fn keep_running(self: Arc<Self>) {
        loop {
            self.start_process().await;
            self.restart.notified().await;
            let down = *lock(&self.down);
            tokio::time::sleep(down).await;
        }
    }

    /// The running process; waits until there is one. A `watch` would wake its receivers in random order.
    pub(super) async fn process(&self) -> Arc<Process> {
        loop {
            let started = self.started.notified();
            if let Some(process) = lock(&self.process).clone() {
                return process;
            }
            started.await;
        }
    }

    pub(super) fn process_started(&self, process: Process) {
        *lock(&self.process) = Some(Arc::new(process));
        self.started.notify_waiters();
    }

    /// Runs `work` on the running process; `None` if the process crashed before it was done.
    pub(super) async fn on_process<T, F: Future<Output = T>>(&self, work: impl FnOnce(UseCases) -> F) -> Option<T> {
        let process = self.process().await;
        let ended = process.generation.ended.clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => None,
            done = work(process.usecases.clone()) => Some(done),
        }
    }

    pub(super) fn caller(name: &str, scopes: &[Scope]) -> Caller {
        Caller::new(name, scopes.to_vec())
    }

    pub(super) fn request(caller: Caller, key: Option<KeyUse>) -> RequestContext {
        RequestContext {
            caller,
            request_id: None,
            origin: Arc::default(),
            key,
            only_with_key: None,
            arrived: tokio::time::Instant::now(),
        }
    }

    async fn act(self: Arc<Self>, step: Step) {
        match step {
            Step::Start {
                supervisor,
                contact,
                leave_current,
            } => self.start(supervisor, contact, leave_current).await,
            Step::Disconnect { supervisor, contact } => self.disconnect(supervisor, contact).await,
            Step::DisconnectAll { supervisor } => self.disconnect_all(supervisor).await,
            Step::LeaveByHand { supervisor: i } => {
                let legs: Vec<String> = {
                    let state = self.vendor.state();
                    let theirs = state
                        .legs
                        .values()
                        .filter(|l| l.user == supervisor(i).as_str() && l.is_live());
                    theirs.map(|l| l.id.clone()).collect()
                };
                for leg in legs {
                    self.vendor.end_leg(&self, &leg, EndedBy::Ccp);
                }
            }
            Step::BeginByHand {
                supervisor: i,
                contact: on,
            } => {
                let _ = self
                    .vendor
                    .begin_leg(&self, contact(on).as_str(), supervisor(i).as_str(), None);
            }
            Step::HangUp { contact: on } => self.vendor.end_contact(&self, contact(on).as_str(), EndedBy::Customer),
            Step::Transfer { contact: on } => self.vendor.transfer(&self, contact(on).as_str()),
            Step::Browser { supervisor, conduct } => {
                lock(&self.browsers).insert(supervisor, conduct);
            }
            Step::Outage {
                operation,
                outage,
                for_ms,
            } => self.vendor.begin_outage(operation, outage, for_ms),
            Step::Forge {
                forgery,
                supervisor,
                contact,
                stamp_off_ms,
            } => {
                self.forge(forgery, supervisor, contact, stamp_off_ms);
            }
            Step::Crash { down_ms } => self.crash(Duration::from_millis(down_ms)),
            Step::CarrierLeg { supervisor, for_ms } => self.carrier_leg(supervisor, for_ms).await,
            Step::CorrectOwnClock { by_ms } => lock(&self.own_steps).push(by_ms),
        }
    }

    pub(super) fn browser_conduct(&self, i: usize) -> BrowserConduct {
        match self.is_busy() {
            true => lock(&self.browsers).get(&i).copied().unwrap_or(BrowserConduct::Obeys),
            // The person opens the browser again.
            false => BrowserConduct::Obeys,
        }
    }

    /// Lives through the whole plan: the busy time, the last outages, and `calm` afterwards.
    pub(super) async fn live(self: &Arc<Self>, calm: Duration) {
        for i in 0..self.plan.contacts {
            self.vendor.add_contact(contact(i).as_str(), &format!("agent-{i}"));
        }
        tokio::spawn(self.clone().keep_running());
        for i in 0..self.plan.supervisors {
            tokio::spawn(super::browser::run(self.clone(), i));
        }
        for Act { at_ms, step } in self.plan.acts.clone() {
            let now = u64::try_from(self.truth.ms()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now))).await;
            self.note(|| format!("{step:?}"));
            tokio::spawn(self.clone().act(step));
        }
        // The longest outage begins last.
        tokio::time::sleep(Duration::from_secs(75)).await;
        self.busy.store(false, Ordering::Relaxed);
        self.vendor.calm_down();
        self.note(|| "the world is calm");
        tokio::time::sleep(calm).await;
        super::invariants::check_end(self).await;
    }
}

/// Whether a state is one in which a supervisor listens.
pub(super) fn listens(state: State) -> bool {
    matches!(state, State::Monitoring | State::Leaving)
}
