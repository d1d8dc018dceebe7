//! The use cases: what Sidedoor does, over the ports, knowing neither HTTP nor SQL nor any vendor.
//!
//! | file | story |
//! |---|---|
//! | [`monitoring::start`] | a supervisor asks to listen |
//! | [`monitoring::join`] | the MonitorContact call, its retries, its end |
//! | [`leaving::disconnect`] | somebody asks that the supervisor leave |
//! | [`leaving::end_leg`] | how the leg is made to end: directive, or StopContact behind the interlock |
//! | [`monitoring::change_mode`] | from listening to speaking and back |
//! | [`leaving::barge_safety`] | the guard before one who has barged in leaves |
//! | [`directives::feed`] | what the supervisor's browser is told, as a stream or a poll |
//! | [`directives::presence`] | whose browser is there to act |
//! | [`directives::acknowledge`] | the browser answers a directive |
//! | [`evidence::contact_events`] | a vendor's event comes in |
//! | [`evidence::evaluate`] | evidence is weighed: joined, alive, gone |
//! | [`clocks::calibrate`] | what that teaches about the vendors' clocks |
//! | [`clocks::recalibrate`] | a departure concluded anew when its clock is known better |
//! | [`evidence::carrier_events`] | a partner carrier's word on a leg |
//! | [`clocks::vendors`] | asking what is known of a clock, and probing it |
//! | [`evidence::adopt_leg`] | a MONITOR leg that nobody asked us for |
//! | [`leaving::after_check`] | the customer's call and the agent, right after a departure |
//! | [`reports::timeline`] | the life of one supervision, told in order |
//! | [`polling::reconcile`] | looking at the vendor when no event comes, and after a departure |
//! | [`polling::batch_poll`] | idle supervisions, a hundred in one call |
//! | [`salesforce_sync::deliver`] | rows on their way to the CRM |
//! | [`directives::announce`] | directives announced by the CRM's own events |
//! | [`salesforce_sync::compare`] | our departures beside the org's own record of them |
//! | [`salesforce_sync::rate`] | when the CRM is called, and when it is left alone |
//! | [`salesforce_sync::voice_calls`] | the VoiceCall a row belongs to |
//! | [`salesforce_sync::dead_letters`] | rows that need a person: seen, and sent again |
//! | [`resume`] | after a restart |
//! | [`idempotency`] | idempotency keys |
//! | [`retry`] | full-jitter backoff, the one layer of retries |
//! | [`monitoring::compliance`] | what a jurisdiction asks of a supervision |
//! | [`monitoring::switch`] | from one contact to the next |
//! | [`identity::supervisors`] | a supervisor by id or by name |
//! | [`reports::audit`] | who did what: read, and what was never completed swept |
//! | [`identity::token_binding`] | the supervisor whom a token names |
//! | [`reports::supervisions`] | reading |
//!
//! **Shape of every flow.** Read a supervision with its revision, change it by its state machine, commit it with its
//! evidence, delivery and audit as one [`sidedoor_domain::ports::Change`]. If somebody else was faster, the change is stale:
//! read again. So any number of flows may work on one supervision, and none holds a lock across a vendor's call.

pub mod clocks;
pub mod directives;
pub mod error;
pub mod evidence;
pub mod idempotency;
pub mod identity;
pub mod in_flight;
pub mod leaving;
pub mod monitoring;
pub mod polling;
pub mod reports;
pub mod resume;
pub mod retry;
pub mod salesforce_sync;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::{FlowError, OnCall};
use sidedoor_domain::audit::AuditEntry;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::{InstanceName, SupervisionId};
pub use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{KeyUse, SupervisionWrite};
use sidedoor_domain::ports::{Clock, CommitOutcome, Crm, MetricEvent, MetricsRecorder, Store, Telephony, Transaction};
use sidedoor_domain::rejoin::Policy;
use sidedoor_domain::supervision::{Channel, LeaveTimes, Supervision};

/// How often a change is made anew because somebody else was faster, before we give up.
const STALE_TRIES: u32 = 16;

/// How a leg of some channel is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegEnd {
    /// A directive to the supervisor's browser.
    Ccp,
    /// StopContact on the leg behind the interlock; if that is refused, the directive.
    StopContactThenCcp,
}

/// What the flows know of a Connect instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Connect's id of it; events name it.
    pub vendor_id: String,
    /// How voice legs end.
    pub voice_leg_end: LegEnd,
    /// How chat and task legs end.
    pub chat_leg_end: LegEnd,
    /// Whose rules hold when a request names no jurisdiction.
    pub jurisdiction: Option<String>,
}

impl Instance {
    fn leg_end(&self, channel: Channel) -> LegEnd {
        match channel {
            Channel::Voice => self.voice_leg_end,
            Channel::Chat | Channel::Task => self.chat_leg_end,
        }
    }
}

/// The flows' settings; the configuration's documentation says what each is for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configured instances.
    pub instances: HashMap<InstanceName, Instance>,
    /// The one meant when a request names none.
    pub default_instance: Option<InstanceName>,
    /// How long an answer may take before it is "accepted, not finished".
    pub answer_within: Duration,
    /// After this long a join is never sent again.
    pub join_ttl: SignedDuration,
    /// How long evidence of a leave may take before it is overdue.
    pub leave_deadline: SignedDuration,
    /// How long a directive is good.
    pub directive_ttl: SignedDuration,
    /// How often an idle supervision is looked at.
    pub idle_poll: SignedDuration,
    /// How long a departure's row waits for the after-check, so that one write carries both.
    pub after_check_grace: SignedDuration,
    /// How old a poll's answer may be at the vendor.
    pub poll_staleness: SignedDuration,
    /// The greatest error of our own clock, ms.
    pub clock_error_ms: i64,
    /// Rows on their way to the CRM.
    pub delivery: DeliverySettings,
    /// Whether directives are announced by the CRM's own events.
    pub announce: bool,
    /// Whether departures are compared with the org's own record of them.
    pub compare: bool,
    /// How long things are kept.
    pub keep: Keep,
    /// How long a user name stands for the same user without asking the vendor again.
    pub names_for: Duration,
    /// The vendors' clocks.
    pub timing: clocks::calibrate::Settings,
    /// What each jurisdiction asks of supervision.
    pub policy: Policy,
    /// Streams of directives open at a time.
    pub streams: usize,
    /// Waits of our own that no operator needs to set.
    pub pace: Pace,
}

/// How patient the flows are before they act by themselves. [`Pace::default`] is what runs; tests run faster.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How soon after a join we look at the leg, if no event told us of it.
    pub first_look: SignedDuration,
    /// How soon a leave is looked at, if no event came.
    pub leaving_first_look: SignedDuration,
    /// How long an event may take after the browser's DONE before we look ourselves.
    pub after_done: SignedDuration,
    /// How long a leg that nobody explains waits: the answer that explains it may be on its way.
    pub unexplained: SignedDuration,
    /// How long the join's row waits for the news that the supervisor was connected, so that one write carries both.
    pub join_row: SignedDuration,
    /// How long after a departure that we asked for the customer's contact is looked at again.
    pub after_again: SignedDuration,
    /// The least time between two looks at recent departures, if not the usual.
    pub regrade: Option<Duration>,
    /// How often what is past its time is swept.
    pub sweep: Duration,
    /// How often departures are compared with the org's own record.
    pub compare: Duration,
    /// How old a departure must be for that, and how long one without such a record rests; if not the usual.
    pub compare_after: Option<(SignedDuration, SignedDuration)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_look: SignedDuration::from_secs(5),
            leaving_first_look: SignedDuration::from_secs(3),
            after_done: SignedDuration::from_millis(1500),
            unexplained: SignedDuration::from_secs(2),
            join_row: SignedDuration::from_secs(1),
            after_again: SignedDuration::from_secs(5),
            regrade: None,
            sweep: Duration::from_secs(60),
            compare: Duration::from_secs(3600),
            compare_after: None,
        }
    }
}

/// How rows go to the CRM.
#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// The longest wait for more rows before a call.
    pub longest_linger: Duration,
    /// Above this share of the day's calls the interval between calls stretches.
    pub slow_above: f64,
    /// Whether the VoiceCall of a row is looked for when the caller gave none.
    pub find_voice_calls: bool,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Idempotency keys and their answers.
    pub keys: SignedDuration,
    /// Evidence and ids of seen events.
    pub evidence: SignedDuration,
    /// Finished supervisions.
    pub supervisions: SignedDuration,
}

/// What the flows are built on.
pub struct Parts {
    /// Amazon Connect.
    pub telephony: Arc<dyn Telephony>,
    /// Salesforce; none when delivery is switched off.
    pub crm: Option<Arc<dyn Crm>>,
    /// The durable record.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where what happens is counted.
    pub metrics: Arc<dyn MetricsRecorder>,
    /// Where background work is tracked, so that a stop can wait for it.
    pub tasks: TaskTracker,
    /// Cancelled when no new work is to begin; what is unfinished is on disk and resumes at the next start.
    pub stopping: CancellationToken,
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Flows {
    parts: Arc<Parts>,
    settings: Arc<Settings>,
    signals: Arc<Signals>,
    clocks: Arc<clocks::calibrate::Clocks>,
    names: identity::supervisors::Names,
    bindings: identity::token_binding::Bindings,
    controllers: directives::presence::Controllers,
    voice_calls: salesforce_sync::voice_calls::VoiceCalls,
}

/// What the flows of one process share beside the store.
#[derive(Default)]
struct Signals {
    /// Wakes the loops that otherwise sleep until something is due.
    check: Notify,
    deliver: Notify,
    /// How far the looking at those who listened lately has come.
    rounds: polling::batch_poll::Rounds,
    /// Why nothing is sent to the CRM now, if so.
    held: std::sync::Mutex<Option<salesforce_sync::rate::Held>>,
    /// Leaves being carried out by somebody at this moment.
    leaves: in_flight::InFlight<SupervisionId>,
}

/// What comes with every request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// The HTTP request's id.
    pub request_id: Option<String>,
    /// Its idempotency key, if it carries one.
    pub key: Option<KeyUse>,
    /// When it came in: how long an answer may take is counted from here.
    pub arrived: tokio::time::Instant,
}

impl Flows {
    /// Puts the use cases on their parts.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        Self {
            clocks: Arc::new(clocks::calibrate::Clocks::new(&settings.timing.vendors)),
            names: identity::supervisors::names(settings.names_for),
            bindings: identity::token_binding::Bindings::new(settings.names_for),
            controllers: directives::presence::Controllers::new(settings.streams),
            voice_calls: salesforce_sync::voice_calls::VoiceCalls::new(),
            parts: Arc::new(parts),
            settings: Arc::new(settings),
            signals: Arc::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    fn telephony(&self) -> &dyn Telephony {
        self.parts.telephony.as_ref()
    }

    fn instance(&self, name: &InstanceName) -> Option<&Instance> {
        self.settings.instances.get(name)
    }

    fn leave_times(&self) -> LeaveTimes {
        LeaveTimes {
            deadline: self.settings.leave_deadline,
            directive_ttl: self.settings.directive_ttl,
        }
    }

    /// How long the answer to a request that came in then may still take.
    pub fn left_since(&self, arrived: tokio::time::Instant) -> Duration {
        self.settings.answer_within.saturating_sub(arrived.elapsed())
    }

    fn left(&self, by: &Request) -> Duration {
        self.left_since(by.arrived)
    }

    fn count(&self, what: &MetricEvent) {
        self.parts.metrics.count(what);
    }

    /// Streams of directives open now.
    pub fn open_streams(&self) -> usize {
        self.controllers.open()
    }

    fn is_stopping(&self) -> bool {
        self.parts.stopping.is_cancelled()
    }

    /// Changes a supervision by `rule`, anew from the newest revision while others are faster. The rule may refuse
    /// (`None`); else it gives what is written beside the supervision. Returns what was committed: `CommitOutcome::Stale`
    /// stands for "nothing was to be changed".
    async fn amend(
        &self,
        id: SupervisionId,
        rule: impl Fn(&mut Supervision) -> Option<Transaction>,
    ) -> Result<CommitOutcome, FlowError> {
        for _ in 0..STALE_TRIES {
            let Some(stored) = self.store().supervision(id).await? else {
                return Ok(CommitOutcome::Stale);
            };
            let mut amended = stored.supervision.clone();
            let Some(beside) = rule(&mut amended) else {
                return Ok(CommitOutcome::Stale);
            };
            let write = SupervisionWrite::Update(Box::new(amended), stored.revision);
            match self
                .store()
                .commit(Transaction {
                    supervision: Some(write),
                    ..beside
                })
                .await?
            {
                CommitOutcome::Stale => {}
                committed => return Ok(committed),
            }
        }
        Err(FlowError::Contended)
    }

    /// Runs work to its end, tracked, whatever becomes of the request that began it; waits for it so long at most.
    async fn run_and_wait<F>(&self, patience: Duration, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = self.parts.tasks.spawn(work);
        // A panic in the work is logged by its own task; the answer then says what the store knows.
        let _ = tokio::time::timeout(patience, running).await;
    }

    /// Runs a whole request to its end, so that a client that goes away takes no answer with it that its key is to keep.
    ///
    /// # Errors
    /// When the work panics, or the process ends.
    pub async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        self.parts.tasks.spawn(work).await
    }

    /// Runs work that must not stop half-way when its request is given up: a client that goes away takes the request's own
    /// future with it.
    async fn own<T, F>(&self, work: F) -> Result<T, FlowError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, FlowError>> + Send + 'static,
    {
        self.parts.tasks.spawn(work).await.unwrap_or(Err(FlowError::Contended))
    }

    fn audit(&self, by: &Request, action: &'static str, id: SupervisionId, outcome: impl Into<String>) -> AuditEntry {
        AuditEntry {
            request_id: by.request_id.clone(),
            ..AuditEntry::done(self.now(), by.caller.name.clone(), action, outcome).of(id)
        }
    }

    fn audit_own(&self, action: &'static str, id: SupervisionId, outcome: impl Into<String>) -> AuditEntry {
        AuditEntry::done(self.now(), sidedoor_domain::audit::SELF, action, outcome).of(id)
    }
}
