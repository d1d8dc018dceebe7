//! Deliveries to an org that is slow, or that does not answer some calls. There are no people here: the records are in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::departure::{Basis, Continuity, Departure, Reason};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{ContactId, SupervisionId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::{
    DeliveryFilter, DeliveryOutcome, DeliveryResult, DeliveryStore as _, RecordState, SupervisionStore as _,
    SupervisionWrite,
};
use sidedoor_domain::ports::{Clock, MetricEvent, MetricsRecorder, Store, Transaction, WrittenRecord};
use sidedoor_domain::supervision::{LeaveTimes, Mode, Supervision, Supervisor};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::plan::{Conduct, Plan};
use super::process::{Generation, settings};
use super::slow_org::Org;
use super::telephony::SimTelephony;
use super::world::{World, lock, main_instance, supervisor};
use crate::store::memory::{CommitFate, MemoryDisk, MemoryStore, StoreFaults};
use crate::usecases::{UseCaseDependencies, UseCases};

/// Counts commits.
#[derive(Default)]
pub(super) struct CommitCounter(AtomicUsize);

#[async_trait]
impl StoreFaults for CommitCounter {
    fn commit(&self, _: &Transaction) -> CommitFate {
        self.0.fetch_add(1, Ordering::Relaxed);
        CommitFate::Commit
    }
}

struct NoMetrics;

impl MetricsRecorder for NoMetrics {
    fn count(&self, _: &MetricEvent<'_>) {}
}

/// The service with an org, and a store that `F` watches.
pub(super) struct Desk<F = CommitCounter> {
    org: Arc<Org>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) faults: Arc<F>,
    stopping: CancellationToken,
    pub(super) usecases: UseCases,
}

impl<F: StoreFaults + Default + 'static> Desk<F> {
    pub(super) fn new(find_voice_calls: bool) -> Self {
        let plan = Plan {
            seed: 1,
            conduct: Conduct::calm(),
            supervisors: 1,
            contacts: 1,
            acts: Vec::new(),
        };
        let world = World::new(plan, false);
        let generation = Generation {
            ended: CancellationToken::new(),
        };
        let (org, faults) = (Arc::new(Org::default()), Arc::new(F::default()));
        let store = Arc::new(MemoryStore::open(MemoryDisk::default(), faults.clone()));
        let clock: Arc<dyn Clock> = Arc::new(world.own_clock());
        let stopping = CancellationToken::new();
        let deps = UseCaseDependencies {
            telephony: Arc::new(SimTelephony::new(world.clone(), generation)),
            crm: Some(org.clone()),
            store: store.clone(),
            clock: clock.clone(),
            random: world.random.clone(),
            metrics: Arc::new(NoMetrics),
            tasks: TaskTracker::new(),
            stopping: stopping.clone(),
        };
        let mut settings = settings();
        settings.delivery.find_voice_calls = find_voice_calls;
        settings.streams = 1000;
        Self {
            org,
            store,
            clock,
            faults,
            stopping,
            usecases: UseCases::new(deps, settings),
        }
    }

    fn deliver(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(self.usecases.salesforce_sync.clone().deliver_until_stopped())
    }

    async fn commit(&self, change: Transaction) {
        let outcome = self.store.transact(change).await.expect("answered");
        assert!(outcome.is_done());
    }

    /// Stores a departed supervision whose record is due now.
    async fn depart(&self, i: usize) -> SupervisionId {
        let s = departed(i, self.clock.now());
        let change = Transaction {
            supervision: Some(SupervisionWrite::Insert(Box::new(s.clone()))),
            deliver_at: Some(self.clock.now()),
            ..Transaction::default()
        };
        self.commit(change).await;
        s.id
    }

    /// Gives a record a new version that is due now.
    async fn change(&self, id: SupervisionId) {
        loop {
            let stored = self.store.supervision(id).await.expect("read").expect("there");
            let change = Transaction {
                supervision: Some(SupervisionWrite::Update(Box::new(stored.supervision), stored.revision)),
                deliver_at: Some(self.clock.now()),
                ..Transaction::default()
            };
            if self.store.transact(change).await.expect("answered").is_done() {
                return;
            }
        }
    }

    async fn pending(&self) -> usize {
        let filter = DeliveryFilter {
            state: Some(RecordState::Pending),
            limit: 100_000,
            ..DeliveryFilter::default()
        };
        self.store.deliveries(&filter).await.expect("read").len()
    }

    async fn all_written(&self) {
        while self.pending().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn leg(i: usize) -> String {
    format!("leg-{i}")
}

pub(super) fn times() -> LeaveTimes {
    LeaveTimes {
        deadline: SignedDuration::from_secs(15),
        directive_ttl: SignedDuration::from_secs(60),
    }
}

fn departed(i: usize, at: Timestamp) -> Supervision {
    let contact = ContactId::parse(format!("contact-{i}")).expect("an id");
    let who = Supervisor {
        connect_user_id: Some(supervisor(i)),
        username: None,
        salesforce_user_id: None,
    };
    let id = SupervisionId::new(at, u16::try_from(i % 4096).unwrap_or(0), i as u64);
    let ttl = SignedDuration::from_secs(30);
    let mut s = Supervision::request(id, main_instance(), contact.clone(), who, Mode::Silent, at, ttl);
    s.start_joining(at).expect("fits");
    let leg = LegId::from_monitor_answer(&leg(i), &contact).expect("a leg");
    s.leg_given(leg, at, at, times()).expect("fits");
    let departure = Departure {
        disconnected_at: at,
        uncertainty_ms: Some(500),
        earliest: Some(at - SignedDuration::from_millis(500)),
        latest: at,
        vendor_timestamp: None,
        source: Source::ContactEvent,
        confirmation: sidedoor_domain::confirmation::Confirmation::VendorAsked,
        reason: Reason::Supervisor,
        continuity: Continuity::Unknown,
        agent_after: None,
        grade: clock_calibration::Grade::Bounded,
        offset_ms: None,
        calibration_version: 0,
        conflicting: false,
        basis: Basis::default(),
    };
    s.conclude(departure).expect("fits");
    s
}

pub(super) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async { test().await });
}

/// A record whose call gets no answer waits for its time-out. The others do not wait for it.
#[test]
fn hung_call_delays_no_other_record() {
    run(|| async {
        let desk: Desk = Desk::new(false);
        desk.org.slow(&leg(0), Duration::from_secs(60));
        desk.depart(0).await;
        desk.deliver();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        for i in 1..=20 {
            desk.depart(i).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "the call still hangs");
        let late: Vec<usize> = (1..=20).filter(|i| desk.org.version(&leg(*i)) == 0).collect();
        assert_eq!(late, Vec::<usize>::new(), "these wait for the call that hangs");
        assert_eq!(desk.org.version(&leg(0)), 0);
        desk.all_written().await;
        assert_eq!(desk.org.version(&leg(0)), 1);
    });
}

/// A newer version that becomes due while the old one is in flight waits for the old one's answer, and is sent then.
#[test]
fn hung_record_is_in_one_call_at_a_time() {
    run(|| async {
        let desk: Desk = Desk::new(false);
        desk.org.slow(&leg(0), Duration::from_secs(5));
        let id = desk.depart(0).await;
        desk.deliver();
        tokio::time::sleep(Duration::from_secs(1)).await;
        desk.change(id).await;
        desk.depart(1).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(desk.org.version(&leg(1)), 1, "another record passes");
        assert_eq!(lock(&desk.org.calls).overlapping, Vec::<String>::new());
        desk.all_written().await;
        assert_eq!(desk.org.version(&leg(0)), 2);
        assert_eq!(lock(&desk.org.calls).overlapping, Vec::<String>::new());
    });
}

#[test]
fn hung_calls_are_two_at_most() {
    run(|| async {
        let desk: Desk = Desk::new(false);
        for i in 0..4 {
            desk.org.slow(&leg(i), Duration::from_secs(60));
            desk.depart(i).await;
            if i == 0 {
                desk.deliver();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(lock(&desk.org.calls).most_in_flight, 2);
        desk.all_written().await;
        assert_eq!(lock(&desk.org.calls).most_in_flight, 2);
    });
}

/// A search for VoiceCalls is a call like the others.
#[test]
fn hung_search_delays_no_record() {
    run(|| async {
        let desk: Desk = Desk::new(true);
        *lock(&desk.org.slow_search) = Some(Duration::from_secs(60));
        desk.depart(0).await;
        desk.deliver();
        tokio::time::sleep(Duration::from_millis(200)).await;
        desk.depart(1).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(desk.org.version(&leg(1)), 1);
        desk.all_written().await;
        assert!(lock(&desk.org.calls).most_in_flight <= 2);
    });
}

/// Hundreds of records that change while calls take between no time and longer than the time-out.
#[test]
fn calls_in_flight_never_share_a_record() {
    for seed in 0..20 {
        run(|| async {
            let mut random = fastrand::Rng::with_seed(seed);
            let desk: Desk = Desk::new(false);
            desk.deliver();
            let mut known = Vec::new();
            for i in 0..300 {
                if random.u8(..) < 40 {
                    desk.org.slow(&leg(i), Duration::from_millis(random.u64(0..15_000)));
                }
                known.push(desk.depart(i).await);
                for _ in 0..random.usize(0..4) {
                    desk.change(known[random.usize(..known.len())]).await;
                }
                tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
            }
            desk.all_written().await;
            let versions = known.iter().enumerate();
            for (i, id) in versions {
                let stored = desk.store.supervision(*id).await.expect("read").expect("there");
                let newest = stored.record_sync.expect("a delivery").version;
                assert_eq!(desk.org.version(&leg(i)), newest, "seed {seed}, record {i}");
            }
            let calls = lock(&desk.org.calls);
            assert_eq!(calls.overlapping, Vec::<String>::new(), "seed {seed}");
            assert!(calls.most_in_flight <= 2, "seed {seed}");
        });
    }
}

/// A burst costs as few calls as with one call at a time: while a call is answered in time, the next one fills.
#[test]
fn burst_costs_few_calls() {
    run(|| async {
        let desk: Desk = Desk::new(false);
        desk.deliver();
        for i in 0..1000 {
            desk.depart(i).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        desk.all_written().await;
        let upserts = lock(&desk.org.calls).upserts;
        assert!(upserts <= 15, "{upserts} calls for 1,000 departures within 2 s");
    });
}

/// Records without a VoiceCall cost one commit for each page of a search, not one for each record.
#[test]
fn voice_call_searches_commit_a_page_at_once() {
    run(|| async {
        let desk: Desk = Desk::new(true);
        let written = |supervision| DeliveryResult {
            supervision,
            version: 1,
            at: desk.clock.now(),
            result: DeliveryOutcome::Written {
                recorded: WrittenRecord {
                    object_name: "VoiceCallParticipant__c".into(),
                    record_id: None,
                    created: true,
                    newer_kept: false,
                },
                has_departure: true,
                note: None,
                look_again_at: Some(desk.clock.now()),
            },
        };
        let mut results = Vec::new();
        for i in 0..300 {
            results.push(written(desk.depart(i).await));
        }
        let change = Transaction {
            delivery_results: results,
            ..Transaction::default()
        };
        desk.commit(change).await;
        let before = desk.faults.0.load(Ordering::Relaxed);
        desk.deliver();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let commits = desk.faults.0.load(Ordering::Relaxed) - before;
        assert_eq!(
            (lock(&desk.org.calls).searches, commits),
            (2, 2),
            "none has a VoiceCall yet"
        );

        let found = (0..300).map(|i| (format!("contact-{i}"), vec![format!("0LQ{i}")]));
        *lock(&desk.org.voice_calls) = found.collect();
        let before = desk.faults.0.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(320)).await;
        assert_eq!(desk.pending().await, 0);
        let commits = desk.faults.0.load(Ordering::Relaxed) - before;
        assert_eq!(lock(&desk.org.calls).searches, 4);
        // Two pages that were found, and the calls that write their records.
        assert!(commits <= 2 + 4, "{commits} commits for 300 VoiceCalls");
        assert_eq!(desk.org.version(&leg(299)), 2);
    });
}

/// The first write of a record and its search are one call after the other, and cost two commits for all records of the call.
#[test]
fn voice_calls_of_new_records_commit_at_once() {
    run(|| async {
        let desk: Desk = Desk::new(true);
        let found = (0..100).map(|i| (format!("contact-{i}"), vec![format!("0LQ{i}")]));
        *lock(&desk.org.voice_calls) = found.collect();
        for i in 0..100 {
            desk.depart(i).await;
        }
        let before = desk.faults.0.load(Ordering::Relaxed);
        desk.deliver();
        desk.all_written().await;
        let commits = desk.faults.0.load(Ordering::Relaxed) - before;
        assert_eq!(commits, 2, "the VoiceCalls, and the results of the call");
        desk.stopping.cancel();
    });
}
