//! The use cases: what Sidedoor does. They depend on the domain and its ports only, so they know neither HTTP nor SQL nor a
//! vendor's SDK. Each area has a service and an error enum.
//!
//! | area | file | use case |
//! |---|---|---|
//! | [`monitoring`] | [`monitoring::start`] | a supervisor asks to listen to a contact |
//! | | [`monitoring::join`] | the MonitorContact call, its retries and its outcome |
//! | | [`monitoring::change_mode`] | a supervisor changes between silent and barged |
//! | | [`monitoring::switch`] | a supervisor switches from one contact to another |
//! | | [`monitoring::compliance`] | the rules of a jurisdiction |
//! | [`leaving`] | [`leaving::disconnect`] | a caller asks a supervisor to leave |
//! | | [`leaving::close`] | an operator closes a supervision whose leg is unknown |
//! | | [`leaving::barge_safety`] | the check before a barged-in supervisor leaves |
//! | | [`leaving::end_leg`] | a leg is ended by a directive, or by StopContact behind the interlock |
//! | | [`leaving::after_check`] | the customer's call and the agent are checked after a departure |
//! | [`directives`] | [`directives::feed`] | a browser receives directives by stream or poll |
//! | | [`directives::presence`] | which tab is active and which are on standby |
//! | | [`directives::acknowledge`] | a browser acknowledges a directive |
//! | | [`directives::announce`] | Platform Events announce directives |
//! | [`evidence`] | [`evidence::contact_events`] | an event of Amazon Connect arrives |
//! | | [`evidence::carrier_events`] | an event of a partner carrier arrives |
//! | | [`evidence::evaluate`] | evidence is evaluated: joined, alive, ended |
//! | | [`evidence::adopt_leg`] | an unknown MONITOR leg becomes a supervision |
//! | [`polling`] | [`polling::dispatch`] | jobs that are due are started |
//! | | [`polling::idle_round`] | idle supervisions are polled a hundred at a time |
//! | [`board`] | [`board::agents`] | the agents, their live contacts, and who supervises each |
//! | | [`board::follow`] | the same as a stream of changes |
//! | [`clocks`] | [`clocks::calibrate`] | the vendors' clocks are learned |
//! | | [`clocks::recalibrate`] | departures are estimated again when a clock is known better |
//! | | [`clocks::vendors`] | clocks are reported and probed on request |
//! | [`salesforce_sync`] | [`salesforce_sync::deliver`] | records are written to Salesforce |
//! | | `salesforce_sync::calls` | two calls to Salesforce at a time, never two with one record |
//! | | `salesforce_sync::send` | one call that writes records |
//! | | `salesforce_sync::agent_notices` | agents are notified where the rules ask for it |
//! | | [`salesforce_sync::rate`] | when Salesforce is called, and when delivery pauses |
//! | | [`salesforce_sync::failure_scope`] | whether a rejection is the record's fault or the org's |
//! | | [`salesforce_sync::contact_records`] | the org's record of a contact is found: VoiceCall, MessagingSession |
//! | | [`salesforce_sync::dead_letters`] | records that need a person are shown and replayed |
//! | | [`salesforce_sync::compare`] | departures are compared with the org's own records |
//! | [`identity`] | [`identity::supervisors`] | a supervisor is resolved from an id or a user name |
//! | | [`identity::token_binding`] | the supervisor of a token is resolved |
//! | | [`identity::names`] | the names of the people and the queue are looked up |
//! | [`auditing`] | [`auditing`] | the audit is sealed |
//! | | `auditing::access` | refusals and reads become lines of the audit, bounded |
//! | [`reports`] | [`reports::supervisions`] | supervisions are read and counted |
//! | | [`reports::timeline`] | the history of one supervision |
//! | | [`reports::audit`] | the audit is read, and unfinished entries are closed |
//!
//! Shared by the areas: [`context`] (ports, optimistic locking), [`signals`] (state in memory), [`idempotency`] (keys and stored answers),
//! [`retry`] (the only backoff), [`regions`] (replicated instances), [`in_flight`] (no work twice at a time), [`job_queue`] (the next steps),
//! [`expiring_cache`], [`resume`] (after a restart), [`settings`] and
//! [`error`].
//!
//! **Shape of a use case.** Check what the caller may do; replay the answer if its idempotency key was used; read the
//! supervision with its revision; change it by its state machine; commit it with its evidence, delivery, audit and key as one
//! [`sidedoor_domain::ports::Transaction`]. If another writer was faster, the commit returns
//! [`sidedoor_domain::ports::CommitOutcome::Stale`] and the use case reads again. So several use cases may work on one
//! supervision, and none holds a lock while it calls a vendor.

pub mod auditing;
pub mod board;
mod caller_queues;
pub mod clocks;
mod context;
pub mod directives;
pub mod error;
pub mod evidence;
mod expiring_cache;
pub mod idempotency;
pub mod identity;
mod in_flight;
mod job_queue;
pub mod leaving;
pub mod monitoring;
pub mod polling;
mod regions;
pub mod reports;
mod resume;
mod retry;
pub mod salesforce_sync;
mod settings;
mod signals;

use std::sync::Arc;

use auditing::AuditingService;
use board::BoardService;
use clocks::{ClockService, DepartureRecalibrator};
use context::UseCaseContext;
pub use context::{RequestContext, UseCaseDependencies};
use directives::DirectiveService;
pub use error::UseCaseError;
use evidence::EvidenceService;
use idempotency::IdempotencyService;
use identity::IdentityResolver;
use identity::names::NameService;
use leaving::LeavingService;
use monitoring::{ComplianceRules, MonitoringService};
use polling::PollingService;
use reports::ReportService;
use salesforce_sync::{DeliveryService, SalesforceSyncService};
pub use settings::{
    DeliverySettings, InstanceSettings, KeyLimits, LegEndMethod, RetentionPeriods, UseCaseIntervals, UseCaseSettings,
    UserKeys,
};

/// Every use case, by area. Cheap to clone.
#[derive(Clone)]
pub struct UseCases {
    ctx: UseCaseContext,
    /// Starts supervisions, changes their modes, switches contacts.
    pub monitoring: Arc<MonitoringService>,
    /// Ends supervisions, with the checks before and after.
    pub leaving: Arc<LeavingService>,
    /// Processes what vendors, carriers and agents report.
    pub evidence: Arc<EvidenceService>,
    /// Polls the vendor when no event arrives.
    pub polling: PollingService,
    /// Sends directives to browsers and stores their acknowledgements.
    pub directives: DirectiveService,
    /// Writes records to Salesforce.
    pub salesforce_sync: SalesforceSyncService,
    /// Shows and replays Salesforce records.
    pub deliveries: DeliveryService,
    /// Learns the vendors' clocks.
    pub clocks: Arc<ClockService>,
    /// Recalibrates departures when a clock is known better.
    pub recalibrator: DepartureRecalibrator,
    /// Resolves supervisors from names and tokens.
    pub identity: Arc<IdentityResolver>,
    /// Learns the names of the people and the queue of each supervision.
    pub names: NameService,
    /// Stores and replays answers by idempotency key.
    pub idempotency: IdempotencyService,
    /// Seals the audit, and writes the lines about refusals and reads.
    pub auditing: AuditingService,
    /// Reads supervisions, timelines, the audit and counts.
    pub reports: Arc<ReportService>,
    /// Shows the agents, their contacts, and who supervises these.
    pub board: BoardService,
}

impl UseCases {
    /// Builds every service on the given ports.
    pub fn new(deps: UseCaseDependencies, settings: UseCaseSettings) -> Self {
        let ctx = UseCaseContext::new(deps, settings);
        let idempotency = IdempotencyService::new(ctx.clone());
        let identity = Arc::new(IdentityResolver::new(ctx.clone()));
        let names = NameService::new(ctx.clone());
        let compliance = Arc::new(ComplianceRules::new(ctx.clone()));
        let clocks = Arc::new(ClockService::new(ctx.clone(), idempotency.clone()));
        let evidence = Arc::new(EvidenceService::new(ctx.clone(), clocks.clone(), compliance.clone()));
        let recalibrator = DepartureRecalibrator::new(ctx.clone(), clocks.clone(), evidence.clone());
        let leaving = Arc::new(LeavingService::new(ctx.clone(), evidence.clone(), idempotency.clone()));
        let monitoring = Arc::new(MonitoringService::new(
            ctx.clone(),
            compliance,
            evidence.clone(),
            identity.clone(),
            idempotency.clone(),
            leaving.clone(),
        ));
        let deliveries = DeliveryService::new(ctx.clone(), idempotency.clone());
        let directives = DirectiveService::new(ctx.clone(), deliveries.clone(), evidence.clone(), idempotency.clone());
        let salesforce_sync = SalesforceSyncService::new(ctx.clone());
        let reports = Arc::new(ReportService::new(ctx.clone(), deliveries.clone(), directives.clone()));
        let polling = PollingService::new(
            ctx.clone(),
            evidence.clone(),
            leaving.clone(),
            monitoring.clone(),
            names.clone(),
            reports.clone(),
        );
        let board = BoardService::new(ctx.clone());
        let auditing = AuditingService::new(ctx.clone());
        Self {
            ctx,
            auditing,
            monitoring,
            leaving,
            evidence,
            polling,
            directives,
            salesforce_sync,
            deliveries,
            clocks,
            recalibrator,
            identity,
            names,
            idempotency,
            reports,
            board,
        }
    }

    /// The present time on the corrected clock.
    pub fn now(&self) -> jiff::Timestamp {
        self.ctx.now()
    }

    /// The share of contacts to be supervised, in percent, if a goal is configured.
    pub fn coverage_goal_percent(&self) -> Option<u8> {
        self.ctx.settings.coverage_goal_percent
    }

    /// Runs a whole request to completion even if the client disconnects, so that its answer is stored under its idempotency key.
    ///
    /// # Errors
    /// When the work panics, or the runtime shuts down.
    pub async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        self.ctx.run_to_end(work).await
    }

    /// How much time is left to answer a request that arrived at `arrived`.
    pub fn time_left(&self, arrived: tokio::time::Instant) -> std::time::Duration {
        self.ctx.time_left_since(arrived)
    }
}
