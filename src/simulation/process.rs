//! One process of the service: it starts on the disk that there is, and may crash at every await of a store or vendor call.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use sidedoor_domain::ids::RegionName;
use sidedoor_domain::ports::store::SupervisionWrite;
use sidedoor_domain::ports::{MetricEvent, MetricsRecorder, Transaction};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::carrier::CARRIER;
use super::telephony::SimTelephony;
use super::vendor::{ACCOUNT, INSTANCE_ID, REGION};
use super::world::{World, main_instance};
use crate::store::memory::{CommitFate, MemoryStore, StoreFaults};
use crate::usecases::clocks::calibrate::TimingSettings;
use crate::usecases::{
    DeliverySettings, InstanceSettings, KeyLimits, LegEndMethod, RetentionPeriods, UseCaseDependencies,
    UseCaseIntervals, UseCaseSettings, UseCases,
};

/// One process of the service.
pub(super) struct Process {
    pub(super) usecases: UseCases,
    pub(super) store: Arc<MemoryStore>,
    pub(super) generation: Generation,
}

/// Whether a process still runs.
#[derive(Clone)]
pub(super) struct Generation {
    pub(super) ended: CancellationToken,
}

impl Generation {
    /// A place where the process may crash. Does not return in a process that has crashed.
    pub(super) async fn crash_point(&self, world: &Arc<World>) {
        let chance = world.random.with(|rng| rng.u64(0..10_000));
        if !self.ended.is_cancelled() && world.is_busy() && chance < world.plan.conduct.crashes {
            world.crash(Duration::from_millis(chance * 100 + 50));
        }
        if self.ended.is_cancelled() {
            pending::<()>().await;
        }
    }
}

impl World {
    pub(super) async fn start_process(self: &Arc<Self>) {
        let generation = Generation {
            ended: CancellationToken::new(),
        };
        let faults = Arc::new(SimFaults {
            world: self.clone(),
            generation: generation.clone(),
        });
        let store = Arc::new(MemoryStore::open(self.disk.clone(), faults));
        let deps = UseCaseDependencies {
            telephony: Arc::new(SimTelephony::new(self.clone(), generation.clone())),
            crm: Some(self.crm.clone()),
            store: store.clone(),
            clock: Arc::new(self.own_clock()),
            random: self.random.clone(),
            metrics: Arc::new(SimMetrics(self.this.clone())),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let usecases = UseCases::new(deps, settings());
        self.note(|| "the process starts");
        self.process_started(Process {
            usecases: usecases.clone(),
            store,
            generation: generation.clone(),
        });
        let (world, starting) = (self.clone(), usecases.clone());
        tokio::spawn(async move {
            while let Err(e) = starting.resume().await {
                world.note(|| format!("resuming failed: {e}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::spawn(starting.polling.clone().dispatch_until_stopped());
        });
        tokio::spawn(usecases.salesforce_sync.clone().deliver_until_stopped());
        // Nothing sends `Date`s here, but the sender must live, because the loop ends without it.
        let (dates, no_dates) = tokio::sync::mpsc::channel(1);
        let (clocks, ended) = ((*usecases.clocks).clone(), generation.ended.clone());
        tokio::spawn(async move {
            let _sender = dates;
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                () = clocks.calibrate_until_stopped(no_dates) => {}
            }
        });
        tokio::spawn(usecases.recalibrator.clone().recalibrate_until_stopped());
    }
}

/// The faults of a process's store, and the watch over what it commits.
struct SimFaults {
    world: Arc<World>,
    generation: Generation,
}

#[async_trait]
impl StoreFaults for SimFaults {
    async fn before(&self, _: &'static str) {
        self.generation.crash_point(&self.world).await;
    }

    async fn after(&self, _: &'static str) {
        self.generation.crash_point(&self.world).await;
    }

    fn commit(&self, change: &Transaction) -> CommitFate {
        super::invariants::check_commit(&self.world, change);
        if let Some(SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = &change.supervision {
            self.world.note(|| format!("commit {} {}", s.id, s.state.as_str()));
        }
        let chance = self.world.random.with(|rng| rng.u64(0..1000));
        match chance {
            c if !self.world.is_busy() || c >= self.world.plan.conduct.commit_faults => CommitFate::Commit,
            c if c % 3 == 0 => CommitFate::FailNotCommitted,
            c if c % 3 == 1 => CommitFate::FailCommitted,
            _ => CommitFate::Overloaded,
        }
    }
}

/// Sees the alarms.
struct SimMetrics(Weak<World>);

impl MetricsRecorder for SimMetrics {
    fn count(&self, what: &MetricEvent<'_>) {
        let Some(world) = self.0.upgrade() else { return };
        if let MetricEvent::CustomerCallEnded = what {
            super::invariants::check_alarm(&world);
        }
    }
}

pub(super) fn settings() -> UseCaseSettings {
    let instance = InstanceSettings {
        vendor_id: INSTANCE_ID.into(),
        account_id: Some(ACCOUNT.into()),
        region: RegionName::parse(REGION).expect("a Region"),
        replica_region: None,
        voice_leg_end: LegEndMethod::Ccp,
        chat_leg_end: LegEndMethod::StopContactThenCcp,
        jurisdiction: None,
    };
    UseCaseSettings {
        max_voice_legs: 1,
        instances: BTreeMap::from([(main_instance(), instance)]),
        default_instance: Some(main_instance()),
        answer_within: Duration::from_secs(8),
        join_ttl: SignedDuration::from_secs(30),
        leave_deadline: SignedDuration::from_secs(15),
        directive_ttl: SignedDuration::from_secs(60),
        board_poll: Duration::from_secs(5),
        board_routing_profiles: Vec::new(),
        idle_poll: SignedDuration::from_secs(30),
        completeness_every: None,
        after_check_grace: SignedDuration::from_millis(500),
        poll_staleness: SignedDuration::from_secs(2),
        describe_staleness: SignedDuration::from_secs(2),
        claim_patience: SignedDuration::from_secs(60),
        clock_error_ms: 50,
        delivery: DeliverySettings {
            max_batch_delay: Duration::from_secs(1),
            slow_above: 0.8,
            find_voice_calls: false,
            find_messaging_sessions: false,
        },
        notify_agents: false,
        announce: false,
        compare: false,
        count_contacts: true,
        coverage_goal_percent: None,
        retention: RetentionPeriods {
            keys: SignedDuration::from_hours(24),
            evidence: SignedDuration::from_hours(24),
            supervisions: SignedDuration::from_hours(24),
            audit: None,
            coverage: SignedDuration::from_hours(24 * 400),
        },
        keys: KeyLimits {
            caller: 1_000_000,
            supervisor: 1_000_000,
        },
        username_cache_ttl: Duration::from_secs(60),
        salesforce_users: None,
        timing: TimingSettings {
            vendors: BTreeMap::from([(CARRIER.to_owned(), Default::default())]),
            ..TimingSettings::default()
        },
        policy: sidedoor_domain::rejoin::Policy::default(),
        streams: 10,
        intervals: UseCaseIntervals::default(),
    }
}
