//! The whole service under test: on a free port, with its own store and the fakes of both vendors. The service runs in its
//! own runtime, so that a test can end it as abruptly as a power failure ends a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use sidedoor::app::{self, App, Overrides};
use sidedoor::config::Config;
use sidedoor::usecases::UseCaseIntervals;
use sidedoor_domain::ports::Clock;
use sidedoor_fakes::connect::{ACCESS_KEY, ACCOUNT, INSTANCE, REGION, SECRET_KEY};
use sidedoor_fakes::{Browser, ConnectFake, Fakes, FakesConfig, Manners, SalesforceFake};
use tokio::runtime::Runtime;

use super::openapi::Contract;
pub use super::request::{Answer, Call};

/// API keys that the service is configured with.
pub const BACK_END: &str = "key-of-the-back-end-1";
pub const EVENTS: &str = "key-for-the-events-bus";
/// The key of the carrier `acme`, which exists if the carrier is configured.
pub const CARRIER: &str = "key-of-the-carrier-01";
pub const OPERATOR: &str = "key-of-an-operator-01";
pub const READER: &str = "key-that-only-reads-1";
pub const SUPERVISOR_1: &str = "key-of-supervisor-1-x";
/// A key of supervisor-1 with which they may also speak.
pub const SPEAKER_1: &str = "key-of-supervisor-1-s";
pub const BOARD: &str = "key-that-sees-a-board";
pub const PRESENCE: &str = "key-that-sees-whos-on";
pub const AUDITOR: &str = "key-that-reads-audits";
/// A key with the scope `barge` and no other.
pub const ONLY_BARGE: &str = "key-that-may-do-nought";

pub struct TestAppBuilder {
    settings: BTreeMap<String, String>,
    fakes: FakesConfig,
    intervals: UseCaseIntervals,
    clock: Option<Arc<dyn Clock>>,
    unset: Vec<String>,
    store: Option<PathBuf>,
}

pub struct TestApp {
    pub fakes: Fakes,
    pub url: String,
    pub http: reqwest::Client,
    contract: Arc<Contract>,
    folder: tempfile::TempDir,
    settings: BTreeMap<String, String>,
    intervals: UseCaseIntervals,
    clock: Option<Arc<dyn Clock>>,
    running: Option<(Runtime, App)>,
}

impl TestAppBuilder {
    /// Sets a setting, named as `SECTION__KEY`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(format!("SIDEDOOR__{key}"), value.to_owned());
        self
    }

    /// Removes a setting that is set by default.
    pub fn unset(mut self, key: &str) -> Self {
        self.unset.push(format!("SIDEDOOR__{key}"));
        self
    }

    /// Changes the wait before the second check of the customer's contact, ms.
    pub fn after_again(mut self, ms: i64) -> Self {
        self.intervals.after_again = SignedDuration::from_millis(ms);
        self
    }

    /// Compares departures with the org's own records every 100 ms, without waiting until they are older.
    pub fn compare_often(self) -> Self {
        self.compare_every(Duration::from_millis(100))
    }

    /// Compares departures with the org's own records every `pause`.
    pub fn compare_every(mut self, pause: Duration) -> Self {
        self.intervals.compare = pause;
        self.intervals.compare_after = Some((SignedDuration::ZERO, SignedDuration::from_millis(200)));
        self
    }

    /// Replaces the service's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Changes the intervals of the use cases.
    pub fn intervals(mut self, intervals: UseCaseIntervals) -> Self {
        self.intervals = intervals;
        self
    }

    /// Runs the service on a copy of this store, so that the store itself is not changed.
    pub fn on_a_copy_of(mut self, store: PathBuf) -> Self {
        self.store = Some(store);
        self
    }

    /// Changes the fakes' configuration.
    pub fn fakes(mut self, how: impl FnOnce(&mut FakesConfig)) -> Self {
        how(&mut self.fakes);
        self
    }

    pub async fn start(self) -> TestApp {
        self.start_with(|_| ()).await
    }

    /// Starts the service after `prepare` has changed the fakes.
    pub async fn start_with(self, first: impl FnOnce(&Fakes)) -> TestApp {
        let fakes = sidedoor_fakes::start(self.fakes).await.expect("the fakes start");
        first(&fakes);
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(store) = &self.store {
            std::fs::copy(store, folder.path().join("store.db")).expect("copied");
        }
        let mut settings = defaults(&fakes, folder.path().join("store.db"));
        settings.extend(self.settings);
        if settings
            .keys()
            .any(|key| key.starts_with("SIDEDOOR__TIMING__VENDORS__ACME__"))
        {
            for (key, value) in carrier_key() {
                settings.entry(key).or_insert(value);
            }
        }
        if settings.contains_key("SIDEDOOR__CONNECT__INSTANCES__MAIN__REPLICA_REGION") {
            let url = "SIDEDOOR__CONNECT__INSTANCES__MAIN__REPLICA_ENDPOINT_URL".to_owned();
            settings.entry(url).or_insert_with(|| fakes.connect_url().to_owned());
        }
        settings.retain(|key, _| !self.unset.contains(key));
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let contract = Arc::new(Contract::load());
        let mut app = TestApp {
            fakes,
            url: String::new(),
            http,
            contract,
            folder,
            settings,
            intervals: self.intervals,
            clock: self.clock,
            running: None,
        };
        app.open().await;
        app
    }
}

fn defaults(fakes: &Fakes, store: PathBuf) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |key: &str, value: &str| settings.insert(format!("SIDEDOOR__{key}"), value.to_owned());
    set("STORE__URL", &format!("sqlite://{}", store.display()));
    set("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE);
    set("CONNECT__INSTANCES__MAIN__REGION", REGION);
    set("CONNECT__INSTANCES__MAIN__ACCOUNT_ID", ACCOUNT);
    set("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url());
    set("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "2000");
    set("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "500");
    set("SALESFORCE__LOGIN_URL", fakes.salesforce_url());
    set("SALESFORCE__CLIENT_ID", "fake-client-id");
    set("SALESFORCE__CLIENT_SECRET", "fake-client-secret");
    set("SUPERVISION__AFTER_CHECK_GRACE_MS", "200");
    let keys = [
        ("back-end", BACK_END, "supervise:any"),
        ("events", EVENTS, "events"),
        ("operator", OPERATOR, "operate"),
        ("reader", READER, "read"),
        ("supervisor-1", SUPERVISOR_1, "supervise"),
        ("supervisor-1-speaks", SPEAKER_1, "supervise,barge"),
        ("board", BOARD, "board"),
        ("presence", PRESENCE, "presence"),
        ("auditor", AUDITOR, "audit"),
        ("only-barge", ONLY_BARGE, "barge"),
    ];
    for (i, (name, secret, scopes)) in keys.iter().enumerate() {
        set(&format!("AUTH__API_KEYS__{i}__NAME"), name);
        set(&format!("AUTH__API_KEYS__{i}__SECRET"), secret);
        set(&format!("AUTH__API_KEYS__{i}__SCOPES"), scopes);
    }
    set("AUTH__API_KEYS__1__VENDOR", "amazon-connect");
    set("AUTH__API_KEYS__1__INSTANCES", "*");
    set("AUTH__API_KEYS__4__SUPERVISOR", "supervisor-1");
    set("AUTH__API_KEYS__5__SUPERVISOR", "supervisor-1");
    settings
}

fn carrier_key() -> impl Iterator<Item = (String, String)> {
    let settings = [
        ("NAME", "carrier"),
        ("SECRET", CARRIER),
        ("SCOPES", "events"),
        ("VENDOR", "acme"),
        ("INSTANCES", "*"),
    ];
    let key = |(name, value): (&str, &str)| (format!("SIDEDOOR__AUTH__API_KEYS__10__{name}"), value.to_owned());
    settings.into_iter().map(key)
}

impl TestApp {
    pub fn build() -> TestAppBuilder {
        let mut fakes = FakesConfig::default();
        fakes.connect.connect_delay_ms = 10;
        (fakes.events.delay_min_ms, fakes.events.delay_max_ms) = (10, 40);
        TestAppBuilder {
            settings: BTreeMap::new(),
            fakes,
            intervals: super::supervision_steps::fast_intervals(),
            clock: None,
            unset: Vec::new(),
            store: None,
        }
    }

    pub async fn start() -> Self {
        Self::build().start().await
    }

    async fn open(&mut self) {
        let config = Config::load(None, self.settings.clone()).expect("the settings are good");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (intervals, clock) = (self.intervals, self.clock.clone());
        let started = runtime.spawn(async move {
            let overrides = Overrides {
                credentials: Some((ACCESS_KEY.into(), SecretString::from(SECRET_KEY))),
                pace: intervals,
                clock,
            };
            // After a crash the last task of the old service releases the store's lock a moment later, so starting is retried.
            for attempt in 0.. {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                match app::start(config.clone(), listener, overrides.clone()).await {
                    Ok(app) => return app,
                    Err(e) if attempt == 200 => panic!("the service does not start: {e}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            unreachable!("the loop returns or panics")
        });
        let app = started.await.expect("started");
        let speaks_tls = self.settings.contains_key("SIDEDOOR__HTTP__TLS__CERTIFICATE_FILE");
        let scheme = if speaks_tls { "https" } else { "http" };
        self.url = format!("{scheme}://{}", app.address);
        let target = format!("{}/v1/events/connect", self.url);
        self.connect()
            .change_events(|e| (e.target, e.api_key) = (Some(target), Some(EVENTS.into())));
        self.running = Some((runtime, app));
    }

    /// Ends the service abruptly, as a power failure would, and starts another on the same store.
    pub async fn crash_and_restart(&mut self) {
        if let Some((runtime, app)) = self.running.take() {
            runtime.shutdown_background();
            drop(app);
        }
        self.open().await;
    }

    /// Ends the service abruptly, as a power failure would.
    pub fn crash(&mut self) {
        if let Some((runtime, app)) = self.running.take() {
            runtime.shutdown_background();
            drop(app);
        }
    }

    /// Starts the service again on the same store.
    pub async fn restart(&mut self) {
        self.open().await;
    }

    /// Runs a command of `sidedoor` with the service's settings, as an operator would.
    pub async fn command(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sidedoor"));
        command.args(arguments).envs(&self.settings);
        let ran = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
        ran.await.expect("no panic")
    }

    /// Changes a setting from the next start on.
    pub fn change_setting(&mut self, key: &str, value: &str) {
        self.settings.insert(format!("SIDEDOOR__{key}"), value.to_owned());
    }

    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    pub fn connect(&self) -> &ConnectFake {
        self.fakes.connect()
    }

    pub fn salesforce(&self) -> &SalesforceFake {
        self.fakes.salesforce()
    }

    pub fn store_path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call::new(self, method, path)
    }

    /// Starts a supervision and returns the answer, whatever its status is.
    pub async fn listen(&self, contact: &str, supervisor: &str) -> Answer {
        self.call("POST", "/v1/supervisions")
            .json(&start(contact, supervisor))
            .send()
            .await
    }

    pub async fn disconnect(&self, id: &str) -> Answer {
        self.call("POST", &format!("/v1/supervisions/{id}/disconnect"))
            .send()
            .await
    }

    pub async fn get(&self, id: &str) -> Answer {
        self.call("GET", &format!("/v1/supervisions/{id}")).send().await
    }

    pub fn browser(&self, supervisor: &str) -> Browser {
        let manners = Manners {
            delay_ms: 20,
            ..Manners::default()
        };
        Browser::new(self.connect().clone(), supervisor, &self.url, Some(BACK_END.into())).with(manners)
    }

    /// Reads a supervision until `good` accepts it, for at most 30 s, because heavy tests may run in parallel.
    pub async fn until(&self, id: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1500 {
            last = self.get(id).await.body;
            if good(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout waiting for {id} to be {what}: {last:#}");
    }

    pub async fn until_left(&self, id: &str) -> Value {
        self.until(id, "LEFT", |s| s["state"] == "LEFT").await
    }

    /// Waits until the fakes have delivered every event.
    pub async fn events_delivered(&self) {
        for _ in 0..500 {
            if self.connect().pending_events() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout: the fakes still have undelivered events");
    }

    /// Ends a test: asserts that nothing is pending, that the invariants hold, and that the service stops cleanly.
    pub async fn finish(mut self) {
        self.events_delivered().await;
        self.nothing_pending().await;
        self.assert_invariants().await;
        self.stop().await;
    }

    /// Stops the service cleanly.
    pub async fn stop(&mut self) {
        if let Some((runtime, app)) = self.running.take() {
            app.lifecycle.stop();
            let stopped = runtime.spawn(app.stopped(std::future::pending())).await.expect("stops");
            assert!(stopped.clean && stopped.failed.is_none(), "{stopped:?}");
            runtime.shutdown_background();
        }
    }

    /// Waits until no supervision, delivery or unknown leg is pending and this stays so for a moment, because an observed leg may
    /// still become a supervision with a record.
    async fn nothing_pending(&self) {
        let (mut still, mut left) = (0, Vec::new());
        for _ in 0..600 {
            left = self.pending().await;
            still = if left.is_empty() { still + 1 } else { 0 };
            if still == 10 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout: work is still pending: {left:#?}");
    }

    /// A join whose leg is searched for does not count, because the search goes on for a day.
    async fn pending(&self) -> Vec<Vec<String>> {
        let sql = "SELECT 'supervision', id, state FROM supervisions WHERE state IN ('REQUESTED', 'LEAVING')
                     OR (state = 'JOINING' AND id IN (SELECT supervision_id FROM unfinished
                                                   WHERE json_extract(doc, '$.join.search') IS NULL))
                     OR (state = 'LEFT' AND id IN (SELECT supervision_id FROM unfinished))
                   UNION ALL SELECT 'delivery', supervision_id, state FROM deliveries WHERE state = 'PENDING'
                   UNION ALL SELECT 'leg', leg_id, CAST(looks AS TEXT) FROM unexplained_legs";
        super::sql(&self.store_path(), sql).await.expect("read")
    }

    /// Asserts that the service ended no customer's call, that no leg has two records, and that no two calls wrote one record.
    pub async fn assert_invariants(&self) {
        assert_eq!(
            self.connect().customer_contacts_we_ended(),
            Vec::new(),
            "the service ended a customer's call"
        );
        let rows = self.salesforce().rows("VoiceCallParticipant__c");
        let mut keys: Vec<String> = rows.iter().map(|r| r["Leg_Key__c"].to_string()).collect();
        let before = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), before, "a leg has two records");
        let overlapping = self.salesforce().overlapping_writes();
        assert_eq!(
            overlapping,
            Vec::<String>::new(),
            "two calls wrote a record at the same time"
        );
        assert!(
            self.salesforce().most_writes_at_once() <= 2,
            "more than two calls at a time"
        );
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The body that starts a supervision.
pub fn start(contact: &str, supervisor: &str) -> Value {
    json!({"contactId": contact, "supervisor": {"connectUserId": supervisor}})
}
