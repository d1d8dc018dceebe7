//! What every use case shares: the ports, the settings, the signals that wake the background loops, and the one
//! optimistic-lock loop.

use crate::telemetry::spans;
use crate::usecases::error::UseCaseError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::audit::AuditEntry;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::{InstanceName, SupervisionId};
use sidedoor_domain::ports::store::{KeyUse, Stored, SupervisionWrite};
use sidedoor_domain::ports::{Clock, CommitOutcome, Crm, MetricEvent, MetricsRecorder, Store, Telephony, Transaction};
use sidedoor_domain::supervision::{LeaveTimes, State, Supervision};

use crate::usecases::in_flight::InFlight;
use crate::usecases::polling::batch_poll::PollRounds;
use crate::usecases::salesforce_sync::rate::DeliveryPause;
use crate::usecases::settings::{InstanceSettings, UseCaseSettings};

/// What the flows are built on.
pub struct UseCaseDependencies {
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

/// What the use cases of one process share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct UseCaseContext {
    pub(crate) deps: Arc<UseCaseDependencies>,
    pub(crate) settings: Arc<UseCaseSettings>,
    pub(crate) signals: Arc<Signals>,
}

/// What the flows of one process share beside the store.
#[derive(Default)]
pub(crate) struct Signals {
    /// Wakes the loops that otherwise sleep until something is due.
    pub(crate) check: Notify,
    pub(crate) deliver: Notify,
    /// How far the looking at those who listened lately has come.
    pub(crate) poll_rounds: PollRounds,
    /// Why nothing is sent to the CRM now, if so.
    pub(crate) delivery_pause: std::sync::Mutex<Option<DeliveryPause>>,
    /// Leaves being carried out by somebody at this moment.
    pub(crate) leaves_in_flight: InFlight<SupervisionId>,
}

/// Bounds the optimistic locking of a change: read a supervision, change it, commit it with the revision that was read; when
/// another writer was faster, start the next attempt.
#[derive(Default)]
pub(crate) struct ConflictAttempts(u32);

impl ConflictAttempts {
    /// Sixteen writers in a row that were faster are a fault of somebody's, not bad luck.
    const MAX_ATTEMPTS: u32 = 16;

    /// Counts an attempt.
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

/// What comes with every request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Who asks.
    pub caller: Caller,
    /// The HTTP request's id.
    pub request_id: Option<String>,
    /// Its idempotency key, if it carries one.
    pub key: Option<KeyUse>,
    /// When it came in: how long an answer may take is counted from here.
    pub arrived: tokio::time::Instant,
}

impl UseCaseContext {
    pub(crate) fn new(deps: UseCaseDependencies, settings: UseCaseSettings) -> Self {
        Self {
            deps: Arc::new(deps),
            settings: Arc::new(settings),
            signals: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.deps.clock.now()
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

    pub(crate) fn leave_times(&self) -> LeaveTimes {
        LeaveTimes {
            deadline: self.settings.leave_deadline,
            directive_ttl: self.settings.directive_ttl,
        }
    }

    /// How long the answer to a request that came in then may still take.
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

    /// Changes a supervision by `rule`, which may decide that nothing changes (`None`); otherwise it returns what is written
    /// beside the supervision. Returns [`CommitOutcome::Stale`] when nothing was changed.
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
            let mut updated = stored.supervision.clone();
            let Some(beside) = rule(&mut updated) else {
                return Ok(CommitOutcome::Stale);
            };
            let write = SupervisionWrite::Update(Box::new(updated), stored.revision);
            let change = Transaction {
                supervision: Some(write),
                ..beside
            };
            match self.store().transact(change).await? {
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

    /// Runs work to its end, tracked, whatever becomes of the request that began it; waits for it so long at most.
    pub(crate) async fn run_and_wait<F>(&self, timeout: Duration, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = spans::spawn(&self.deps.tasks, work);
        // A panic in the work is logged by its own task; the answer then says what the store knows.
        let _ = tokio::time::timeout(timeout, running).await;
    }

    /// Runs a whole request to its end, so that a client that goes away takes no answer with it that its key is to keep.
    ///
    /// # Errors
    /// When the work panics, or the process ends.
    pub(crate) async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        spans::spawn(&self.deps.tasks, work).await
    }

    /// Runs work that must not stop half-way when its request is given up: a client that goes away takes the request's own
    /// future with it.
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

    pub(crate) fn audit(
        &self,
        request: &RequestContext,
        action: AuditAction,
        id: SupervisionId,
        outcome: impl Into<String>,
    ) -> AuditEntry {
        AuditEntry {
            request_id: request.request_id.clone(),
            ..AuditEntry::done(self.now(), request.caller.name.clone(), action, outcome).of(id)
        }
    }

    pub(crate) fn audit_own(&self, action: AuditAction, id: SupervisionId, outcome: impl Into<String>) -> AuditEntry {
        AuditEntry::done(self.now(), sidedoor_domain::audit::SELF, action, outcome).of(id)
    }

    /// One supervision.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`] also when the caller may not see it: whether it exists is none of their business.
    pub(crate) async fn get(&self, id: SupervisionId, request: &RequestContext) -> Result<Stored, UseCaseError> {
        tracing::Span::current().record("supervision_id", tracing::field::display(id));
        let stored = self.store().supervision(id).await?;
        stored
            .filter(|s| request.caller.may_see(&s.supervision))
            .ok_or(UseCaseError::SupervisionNotFound)
    }

    /// Changes a supervision by a rule of its own; its row follows if what the row says changed.
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
                // Nothing new for the row: it need not wait for this check any longer.
                hasten: (!departure_changed && before.state == State::Left).then(|| (id, self.now())),
                ..Transaction::default()
            })
        });
        if committed.await? == CommitOutcome::Done {
            self.signals.deliver.notify_one();
        }
        Ok(())
    }
}
