//! What every service of the use cases shares: the ports, the settings, the state in memory, the helpers that start tasks and write
//! audit entries, and the one optimistic-locking loop.
//!
//! Guarantee: [`UseCaseContext::update`] never overwrites another writer's change. It writes with the revision that it
//! read; if another writer was faster, it reads again and applies the rule to the new state.

use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, RequestOrigin};
use sidedoor_domain::authority::Caller;
use sidedoor_domain::confirmation::AnswerAge;
use sidedoor_domain::ids::{InstanceName, SupervisionId};
use sidedoor_domain::ports::store::{KeyUse, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{
    Clock, CommitOutcome, Crm, MetricEvent, MetricsRecorder, Random, Store, StoreError, Telephony, Transaction,
};
use sidedoor_domain::supervision::{AMAZON_CONNECT, LeaveTimes, State, Supervision};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::spans;
use crate::usecases::error::{UnknownName, UseCaseError};
use crate::usecases::idempotency::OnlyWithKey;
use crate::usecases::settings::{InstanceSettings, UseCaseSettings};
use crate::usecases::signals::Signals;

/// The ports and process-wide handles that the use cases are built on.
pub struct UseCaseDependencies {
    /// Amazon Connect.
    pub telephony: Arc<dyn Telephony>,
    /// Salesforce; `None` when delivery to Salesforce is switched off.
    pub crm: Option<Arc<dyn Crm>>,
    /// The durable store.
    pub store: Arc<dyn Store>,
    /// The corrected wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub random: Arc<dyn Random>,
    /// Counts what happens, for the metrics endpoint.
    pub metrics: Arc<dyn MetricsRecorder>,
    /// Tracks background work, so that a shutdown can wait for it.
    pub tasks: TaskTracker,
    /// Cancelled when no new work may start. Unfinished work is in the store and resumes at the next start.
    pub stopping: CancellationToken,
}

/// The context that every service of one process shares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct UseCaseContext(Arc<Shared>);

/// What the clones of a context share.
pub(crate) struct Shared {
    pub(crate) deps: UseCaseDependencies,
    pub(crate) settings: UseCaseSettings,
    pub(crate) signals: Signals,
}

impl Deref for UseCaseContext {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// So many refuted claims of one credential within this time raise an alarm.
const REFUTED_ALARM: usize = 3;
const REFUTED_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The most credentials whose refuted claims are counted for the alarm.
const MAX_CREDENTIALS: usize = 100;

/// Counts the attempts of one optimistic-locking loop: read a supervision, change it, commit it with the revision that was
/// read. When another writer was faster, the caller starts the next attempt.
#[derive(Default)]
pub(crate) struct ConflictAttempts(u32);

impl ConflictAttempts {
    /// If sixteen writers in a row were faster, something is wrong, because contention alone does not explain it.
    const MAX_ATTEMPTS: u32 = 16;

    /// Counts one attempt.
    ///
    /// # Errors
    /// [`UseCaseError::Conflict`] when all attempts are used up.
    pub(crate) fn start_next(&mut self) -> Result<(), UseCaseError> {
        self.0 += 1;
        if self.0 > Self::MAX_ATTEMPTS {
            return Err(UseCaseError::Conflict);
        }
        Ok(())
    }
}

/// What every use case knows of the request that calls it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The authenticated caller.
    pub caller: Caller,
    /// Our id of the HTTP request, for the audit.
    pub request_id: Option<String>,
    /// Where the request came from, for the audit.
    pub origin: Arc<RequestOrigin>,
    /// The idempotency key, if the request has one.
    pub key: Option<KeyUse>,
    /// Set while no other request with this key is running.
    pub only_with_key: Option<OnlyWithKey>,
    /// When the request arrived. The time limit for the answer counts from here.
    pub arrived: tokio::time::Instant,
}

impl UseCaseContext {
    pub(crate) fn new(deps: UseCaseDependencies, settings: UseCaseSettings) -> Self {
        let signals = Signals::new(deps.clock.clone(), settings.intervals.name_unknown);
        Self(Arc::new(Shared {
            deps,
            settings,
            signals,
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    /// How long our clock runs, whatever the wall clock does.
    pub(crate) fn elapsed(&self) -> Duration {
        self.deps.clock.elapsed()
    }

    /// A moment of the past that was read from our clock, perhaps before it was set to another time, on the present scale.
    pub(crate) fn on_present_scale(&self, read: Timestamp) -> Timestamp {
        self.signals.clock_steps.on_present_scale(read, self.now())
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.deps.random.as_ref()
    }

    /// A new id. Ids of one process sort by the time of their creation.
    pub(crate) fn new_id(&self) -> SupervisionId {
        let serial = self.signals.next_serial();
        SupervisionId::new(self.now(), serial, self.random().bits())
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.deps.store.as_ref()
    }

    pub(crate) fn telephony(&self) -> &dyn Telephony {
        self.deps.telephony.as_ref()
    }

    pub(crate) fn instance(&self, name: &InstanceName) -> Option<&InstanceSettings> {
        self.settings.instances.get(name)
    }

    /// The error for a request with this instance, which is not configured, or with none although several are configured.
    pub(crate) fn instance_not_found(&self, named: Option<&InstanceName>) -> UseCaseError {
        let mut configured: Vec<String> = self.settings.instances.keys().map(ToString::to_string).collect();
        configured.sort();
        UseCaseError::InstanceNotFound(UnknownName {
            name: named.map(ToString::to_string),
            configured,
        })
    }

    /// The configured partner carriers, sorted.
    pub(crate) fn carriers(&self) -> impl Iterator<Item = &str> {
        let vendors = self.settings.timing.vendors.keys().map(String::as_str);
        vendors.filter(|vendor| *vendor != AMAZON_CONNECT)
    }

    /// How old answers may be, and how wrong our own clock.
    pub(crate) fn answer_age(&self) -> AnswerAge {
        AnswerAge {
            poll: self.settings.poll_staleness,
            describe: self.settings.describe_staleness,
            clock_error: SignedDuration::from_millis(self.settings.clock_error_ms),
        }
    }

    /// Counts refuted claims by credential. Three in an hour raise an alarm, because the credential may have leaked.
    pub(crate) fn count_refuted_claims(&self, id: SupervisionId, credentials: &[String]) {
        let now = self.now();
        for credential in credentials {
            self.count(&MetricEvent::ClaimRefuted(credential));
            tracing::warn!(supervision_id = %id, credential, "a claim of {credential} that the leg of {id} has ended is refuted by Amazon Connect");
            let mut recent = self
                .signals
                .refuted_claims
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if recent.len() >= MAX_CREDENTIALS && !recent.contains_key(credential) {
                recent.pop_first();
            }
            let times = recent.entry(credential.clone()).or_default();
            times.retain(|at| *at + REFUTED_WINDOW > now);
            times.push(now);
            if times.len() == REFUTED_ALARM {
                self.count(&MetricEvent::CredentialDoubted(credential));
                tracing::error!(
                    credential,
                    "{REFUTED_ALARM} claims of {credential} were refuted within an hour; check who uses that credential"
                );
            }
            // More would not change the alarm.
            times.truncate(REFUTED_ALARM);
        }
    }

    pub(crate) fn leave_times(&self) -> LeaveTimes {
        LeaveTimes {
            deadline: self.settings.leave_deadline,
            directive_ttl: self.settings.directive_ttl,
        }
    }

    /// How much time is left to answer a request that arrived at `arrived`.
    pub(crate) fn time_left_since(&self, arrived: tokio::time::Instant) -> Duration {
        self.settings.answer_within.saturating_sub(arrived.elapsed())
    }

    pub(crate) fn time_left(&self, request: &RequestContext) -> Duration {
        self.time_left_since(request.arrived)
    }

    pub(crate) fn count(&self, what: &MetricEvent) {
        self.deps.metrics.count(what);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.deps.stopping.is_cancelled()
    }

    /// Whether the Salesforce Users of supervisors and agents are looked up.
    pub(crate) fn wants_salesforce_users(&self) -> bool {
        self.deps.crm.is_some() && self.settings.salesforce_users.is_some()
    }

    /// Writes the names that are known into a supervision whose record is about to be sent with them.
    pub(crate) fn fill_in_names(&self, s: &mut Supervision) {
        s.learn_names(&self.signals.names.at(self.now()));
        s.names.unsent = false;
        let missing = s.missing_names();
        s.names.is_complete = missing.usernames.is_empty()
            && missing.queue.is_none()
            && (missing.salesforce_users.is_empty() || !self.wants_salesforce_users());
    }

    /// Commits a transaction, and notes the next step of its supervision. If its record is to be sent, it gets the names that are known.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn transact(&self, mut change: Transaction) -> Result<CommitOutcome, StoreError> {
        if let (Some(_), Some(SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _))) =
            (change.deliver_at, &mut change.supervision)
            && s.lacks_names()
        {
            self.fill_in_names(s);
        }
        let (unknown_leg, audits) = (
            change.unknown_legs.iter().map(|leg| leg.due_at).min(),
            !change.audit.is_empty(),
        );
        let doubtful = change
            .supervision
            .as_ref()
            .map(|write| (write.id(), write.instance().clone()));
        let committed = self.store().transact(change).await;
        if audits {
            self.signals.audited.notify_one();
        }
        match &committed {
            Ok(CommitOutcome::Done(written)) => {
                if let Some(written) = written {
                    self.signals.jobs.note(written);
                    if written.supervision.lacks_names() {
                        self.signals.unnamed.note(written.supervision.id);
                    }
                }
                if let Some(due_at) = unknown_leg {
                    self.signals.jobs.note_unknown_leg(due_at);
                }
            }
            Ok(_) => {}
            Err(_) => {
                // It may have been written nevertheless.
                if let Some((id, instance)) = doubtful {
                    self.signals.jobs.doubt(id, instance);
                }
                if unknown_leg.is_some() {
                    self.signals.jobs.note_unknown_leg(self.now());
                }
            }
        }
        committed
    }

    /// A supervision as it was read, with the newest poll that showed its leg alive. Such polls are written only with a change.
    pub(crate) fn with_newest_poll(&self, mut stored: StoredSupervision) -> StoredSupervision {
        if let Some(answer) = self.signals.jobs.newest_poll(stored.supervision.id) {
            stored.supervision.note_polled(&answer, self.answer_age());
        }
        stored
    }

    /// Changes a supervision by `rule` and commits it; retries when another writer was faster. `rule` returns what to write in
    /// the same transaction, or `None` if nothing is to change.
    ///
    /// Returns [`CommitOutcome::Stale`] when nothing was changed.
    pub(crate) async fn update(
        &self,
        id: SupervisionId,
        rule: impl Fn(&mut Supervision) -> Option<Transaction>,
    ) -> Result<CommitOutcome, UseCaseError> {
        let mut attempts = ConflictAttempts::default();
        loop {
            attempts.start_next()?;
            let Some(stored) = self.store().supervision(id).await? else {
                return Ok(CommitOutcome::Stale);
            };
            let StoredSupervision {
                supervision: mut updated,
                revision,
                ..
            } = self.with_newest_poll(stored);
            let Some(beside) = rule(&mut updated) else {
                return Ok(CommitOutcome::Stale);
            };
            let write = SupervisionWrite::Update(Box::new(updated), revision);
            let change = Transaction {
                supervision: Some(write),
                ..beside
            };
            match self.transact(change).await? {
                CommitOutcome::Stale => {}
                committed => return Ok(committed),
            }
        }
    }

    /// Starts a task that belongs to the current request or task.
    pub(crate) fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        spans::spawn(&self.deps.tasks, work)
    }

    /// Starts a background task about one supervision, in a span of its own that continues the supervision's trace.
    pub(crate) fn spawn_for<F>(
        &self,
        name: &'static str,
        s: &Supervision,
        work: F,
    ) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let contact = s.contact.as_ref().map(tracing::field::display);
        let span = tracing::info_span!("task", otel.name = name, supervision_id = %s.id, contact_id = contact);
        spans::continue_trace(&span, s);
        spans::spawn_in(&self.deps.tasks, span, work)
    }

    /// Runs `work` in a tracked task, so that it completes even if its request is dropped; waits for it at most `timeout`.
    pub(crate) async fn run_and_wait<F>(&self, timeout: Duration, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = spans::spawn(&self.deps.tasks, work);
        // A panic is logged by the task itself; the caller then answers from what the store contains.
        let _ = tokio::time::timeout(timeout, running).await;
    }

    /// Runs a whole request to completion even if the client disconnects, so that its answer is stored under its idempotency key.
    ///
    /// # Errors
    /// When the work panics, or the runtime shuts down.
    pub(crate) async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        spans::spawn(&self.deps.tasks, work).await
    }

    /// Runs work that must not stop halfway in a task of its own, because the request's own future is dropped when the client
    /// disconnects.
    pub(crate) async fn run_detached<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<UseCaseError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        spans::spawn(&self.deps.tasks, work)
            .await
            .unwrap_or_else(|_| Err(UseCaseError::Panicked.into()))
    }

    /// Reads one supervision for a caller.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`] also when the caller may not see it, so that the answer does not reveal that it exists.
    pub(crate) async fn get(
        &self,
        id: SupervisionId,
        request: &RequestContext,
    ) -> Result<StoredSupervision, UseCaseError> {
        tracing::Span::current().record("supervision_id", tracing::field::display(id));
        match self.store().supervision(id).await? {
            Some(stored) if request.caller.may_see(&stored.supervision) => Ok(stored),
            hidden => {
                // The answer is that of a supervision that does not exist, so only the audit tells the difference.
                if hidden.is_some() {
                    let outcome = "the supervision is not visible to this credential";
                    self.note_access(request, AuditAction::AccessRefused, Some(id), outcome);
                }
                Err(UseCaseError::SupervisionNotFound)
            }
        }
    }

    /// Changes a supervision by a rule. If the rule changed the departure, the Salesforce record is written again.
    pub(crate) async fn update_and_deliver(
        &self,
        id: SupervisionId,
        rule: impl Fn(&mut Supervision),
    ) -> Result<(), UseCaseError> {
        let committed = self.update(id, |s| {
            let before = s.clone();
            rule(s);
            if *s == before {
                return None;
            }
            let departure_changed = s.departure != before.departure;
            Some(Transaction {
                deliver_at: departure_changed.then(|| self.now()),
                // The record has nothing new to wait for, so it is delivered now rather than after the check.
                expedite: (!departure_changed && before.state == State::Left).then(|| (id, self.now())),
                rides_along: !departure_changed,
                ..Transaction::default()
            })
        });
        if committed.await?.is_done() {
            self.signals.deliver.notify_one();
        }
        Ok(())
    }
}
