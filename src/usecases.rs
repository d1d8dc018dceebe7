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
pub mod context;
pub mod directives;
pub mod error;
pub mod evidence;
pub mod idempotency;
pub mod identity;
mod in_flight;
pub mod leaving;
pub mod monitoring;
pub mod polling;
pub mod reports;
pub mod resume;
mod retry;
pub mod salesforce_sync;
pub mod settings;

pub use context::{RequestContext, UseCaseDependencies};
pub use error::UseCaseError;
pub use settings::{
    DeliverySettings, InstanceSettings, LegEndMethod, RetentionPeriods, UseCaseIntervals, UseCaseSettings,
};

use clocks::{ClockService, DepartureRecalibrator};
use context::UseCaseContext;
use directives::DirectiveService;
use evidence::EvidenceService;
use idempotency::IdempotencyService;
use identity::IdentityResolver;
use leaving::LeavingService;
use monitoring::{ComplianceRules, MonitoringService};
use polling::PollingService;
use reports::ReportService;
use salesforce_sync::{DeliveryService, SalesforceSyncService};

/// Every use case, by area. Cheap to clone.
#[derive(Clone)]
pub struct UseCases {
    ctx: UseCaseContext,
    /// Starting a supervision, joining, changing its mode, switching to another contact.
    pub monitoring: MonitoringService,
    /// Asking a supervisor to leave, ending the leg, and the checks before and after.
    pub leaving: LeavingService,
    /// Taking in what vendors, carriers and agents report.
    pub evidence: EvidenceService,
    /// Looking at the vendor when no event comes.
    pub polling: PollingService,
    /// What supervisors' browsers are asked to do, and what they answer.
    pub directives: DirectiveService,
    /// Writing departures to Salesforce.
    pub salesforce_sync: SalesforceSyncService,
    /// Salesforce records that are on their way or need a person.
    pub deliveries: DeliveryService,
    /// The vendors' clocks.
    pub clocks: ClockService,
    /// Departures evaluated again when a clock is known better.
    pub recalibrator: DepartureRecalibrator,
    /// Which supervisor a name or a token means.
    pub identity: IdentityResolver,
    /// Idempotency keys.
    pub idempotency: IdempotencyService,
    /// Reading: supervisions, timelines, the audit, counts.
    pub reports: ReportService,
}

impl UseCases {
    /// Builds every service on its ports.
    pub fn new(deps: UseCaseDependencies, settings: UseCaseSettings) -> Self {
        let ctx = UseCaseContext::new(deps, settings);
        let idempotency = IdempotencyService::new(ctx.clone());
        let identity = IdentityResolver::new(ctx.clone());
        let compliance = ComplianceRules::new(ctx.clone());
        let clocks = ClockService::new(ctx.clone(), idempotency.clone());
        let evidence = EvidenceService::new(ctx.clone(), clocks.clone(), compliance.clone());
        let recalibrator = DepartureRecalibrator::new(ctx.clone(), clocks.clone(), evidence.clone());
        let leaving = LeavingService::new(ctx.clone(), evidence.clone(), idempotency.clone());
        let monitoring = MonitoringService::new(
            ctx.clone(),
            compliance,
            evidence.clone(),
            identity.clone(),
            idempotency.clone(),
            leaving.clone(),
        );
        let deliveries = DeliveryService::new(ctx.clone(), idempotency.clone());
        let directives = DirectiveService::new(ctx.clone(), deliveries.clone(), evidence.clone(), idempotency.clone());
        let salesforce_sync = SalesforceSyncService::new(ctx.clone());
        let reports = ReportService::new(ctx.clone(), deliveries.clone(), directives.clone());
        let polling = PollingService::new(
            ctx.clone(),
            evidence.clone(),
            leaving.clone(),
            monitoring.clone(),
            reports.clone(),
        );
        Self {
            ctx,
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
            idempotency,
            reports,
        }
    }

    /// The time, as the service has it.
    pub fn now(&self) -> jiff::Timestamp {
        self.ctx.now()
    }

    /// Runs a whole request to its end, also when the client goes away, so that its answer is kept under its idempotency key.
    ///
    /// # Errors
    /// When the work panics, or the process ends.
    pub async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        self.ctx.run_to_end(work).await
    }

    /// How much of the answer's time is left for a request that came in at `arrived`.
    pub fn time_left(&self, arrived: tokio::time::Instant) -> std::time::Duration {
        self.ctx.time_left_since(arrived)
    }
}
