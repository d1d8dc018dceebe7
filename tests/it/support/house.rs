//! A whole house: the service on a free port with a journal of its own, and both vendors' fakes. The service runs in a
//! runtime of its own, so that a test can end it as abruptly as a power cut ends a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use sidedoor::app::{self, App, Overrides};
use sidedoor::config::Config;
use sidedoor::fakes::connect::{ACCESS_KEY, INSTANCE, REGION, SECRET_KEY};
use sidedoor::fakes::{Browser, ConnectFake, Fakes, FakesConfig, Manners, SalesforceFake};
use sidedoor::flows::Pace;
use sidedoor::ports::Clock;
use tokio::runtime::Runtime;

pub use super::answer::Answer;
use super::openapi::Contract;

/// The keys of the house.
pub const BACK_END: &str = "key-of-the-back-end-1";
pub const EVENTS: &str = "key-for-the-events-bus";
pub const OPERATOR: &str = "key-of-an-operator-01";
pub const READER: &str = "key-that-only-reads-1";
pub const SUPERVISOR_1: &str = "key-of-supervisor-1-x";

pub struct Built {
    settings: BTreeMap<String, String>,
    fakes: FakesConfig,
    pace: Pace,
    clock: Option<Arc<dyn Clock>>,
    unset: Vec<String>,
    store: Option<PathBuf>,
}

pub struct House {
    pub fakes: Fakes,
    pub url: String,
    pub http: reqwest::Client,
    contract: Arc<Contract>,
    folder: tempfile::TempDir,
    settings: BTreeMap<String, String>,
    pace: Pace,
    clock: Option<Arc<dyn Clock>>,
    running: Option<(Runtime, App)>,
}

impl Built {
    /// Another setting, as `SECTION__KEY`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(format!("SIDEDOOR__{key}"), value.to_owned());
        self
    }

    /// Without a setting that houses usually have.
    pub fn unset(mut self, key: &str) -> Self {
        self.unset.push(format!("SIDEDOOR__{key}"));
        self
    }

    /// Another wait before the second look at the customer's contact, ms.
    pub fn after_again(mut self, ms: i64) -> Self {
        self.pace.after_again = SignedDuration::from_millis(ms);
        self
    }

    /// Departures are compared with the org's own record every 100 ms, however fresh they are.
    pub fn compare_often(self) -> Self {
        self.compare_every(Duration::from_millis(100))
    }

    /// … or so often.
    pub fn compare_every(mut self, pause: Duration) -> Self {
        self.pace.compare = pause;
        self.pace.compare_after = Some((SignedDuration::ZERO, SignedDuration::from_millis(200)));
        self
    }

    /// Another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Another pace of the flows.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// On a copy of this store, so that the store itself stays as it is.
    pub fn on_a_copy_of(mut self, store: PathBuf) -> Self {
        self.store = Some(store);
        self
    }

    /// Other fakes.
    pub fn fakes(mut self, how: impl FnOnce(&mut FakesConfig)) -> Self {
        how(&mut self.fakes);
        self
    }

    pub async fn start(self) -> House {
        self.start_with(|_| ()).await
    }

    /// Starts the service when the fakes are as told.
    pub async fn start_with(self, first: impl FnOnce(&Fakes)) -> House {
        let fakes = sidedoor::fakes::start(self.fakes).await.expect("the fakes start");
        first(&fakes);
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(store) = &self.store {
            std::fs::copy(store, folder.path().join("journal.db")).expect("copied");
        }
        let mut settings = defaults(&fakes, folder.path().join("journal.db"));
        settings.extend(self.settings);
        settings.retain(|key, _| !self.unset.contains(key));
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let contract = Arc::new(Contract::load());
        let mut house = House {
            fakes,
            url: String::new(),
            http,
            contract,
            folder,
            settings,
            pace: self.pace,
            clock: self.clock,
            running: None,
        };
        house.open().await;
        house
    }
}

fn defaults(fakes: &Fakes, journal: PathBuf) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |key: &str, value: &str| settings.insert(format!("SIDEDOOR__{key}"), value.to_owned());
    set("STORE__URL", &format!("sqlite://{}", journal.display()));
    set("CONNECT__INSTANCES__MAIN__INSTANCE_ID", INSTANCE);
    set("CONNECT__INSTANCES__MAIN__REGION", REGION);
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
    ];
    for (i, (name, secret, scopes)) in keys.iter().enumerate() {
        set(&format!("AUTH__API_KEYS__{i}__NAME"), name);
        set(&format!("AUTH__API_KEYS__{i}__SECRET"), secret);
        set(&format!("AUTH__API_KEYS__{i}__SCOPES"), scopes);
    }
    set("AUTH__API_KEYS__4__SUPERVISOR", "supervisor-1");
    settings
}

impl House {
    pub fn build() -> Built {
        let mut fakes = FakesConfig::default();
        fakes.connect.connect_delay_ms = 10;
        (fakes.events.delay_min_ms, fakes.events.delay_max_ms) = (10, 40);
        Built {
            settings: BTreeMap::new(),
            fakes,
            pace: super::stories::quick(),
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
        let (pace, clock) = (self.pace, self.clock.clone());
        let started = runtime.spawn(async move {
            let overrides = Overrides {
                credentials: Some((ACCESS_KEY.into(), SecretString::from(SECRET_KEY))),
                pace,
                clock,
            };
            // After an abrupt end the old journal's lock goes with its last task: a moment later.
            for attempt in 0.. {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                match app::start(config.clone(), listener, overrides.clone()).await {
                    Ok(app) => return app,
                    Err(e) if attempt == 200 => panic!("the service does not start: {e}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            unreachable!("the loop ends by returning")
        });
        let app = started.await.expect("started");
        self.url = format!("http://{}", app.address);
        let target = format!("{}/v1/events/connect", self.url);
        self.connect()
            .change_events(|e| (e.target, e.api_key) = (Some(target), Some(EVENTS.into())));
        self.running = Some((runtime, app));
    }

    /// Ends the service between two instructions, as a power cut would, and starts another on the same journal.
    pub async fn crash_and_restart(&mut self) {
        if let Some((runtime, app)) = self.running.take() {
            runtime.shutdown_background();
            drop(app);
        }
        self.open().await;
    }

    /// Ends the service as a power cut would.
    pub fn crash(&mut self) {
        if let Some((runtime, app)) = self.running.take() {
            runtime.shutdown_background();
            drop(app);
        }
    }

    /// Starts it again.
    pub async fn restart(&mut self) {
        self.open().await;
    }

    /// Another setting from the next start on.
    pub fn change_setting(&mut self, key: &str, value: &str) {
        self.settings.insert(format!("SIDEDOOR__{key}"), value.to_owned());
    }

    pub fn connect(&self) -> &ConnectFake {
        self.fakes.connect()
    }

    pub fn salesforce(&self) -> &SalesforceFake {
        self.fakes.salesforce()
    }

    pub fn journal_path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            house: self,
            method: method.into(),
            path: path.into(),
            key: Some(BACK_END.into()),
            body: None,
            raw: None,
            idempotency: None,
            media: None,
        }
    }

    pub fn browser(&self, supervisor: &str) -> Browser {
        let manners = Manners {
            delay_ms: 20,
            ..Manners::default()
        };
        Browser::new(self.connect().clone(), supervisor, &self.url, Some(BACK_END.into())).with(manners)
    }

    /// Asks for a supervision until it is as wanted; 30 s at most, since two houses of a thousand may be at work beside this one.
    pub async fn until(&self, id: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1500 {
            last = self.get(id).await.body;
            if good(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{id} never came to {what}: {last:#}");
    }

    pub async fn until_left(&self, id: &str) -> Value {
        self.until(id, "LEFT", |s| s["state"] == "LEFT").await
    }

    /// Waits until no event is on its way.
    pub async fn quiet(&self) {
        for _ in 0..500 {
            if self.connect().pending_events() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("events are on their way for ever");
    }

    /// The house rules, after every story: no customer's call was ended by us, nothing is pending, a clean stop.
    pub async fn finish(mut self) {
        self.quiet().await;
        self.nothing_pending().await;
        self.rules_hold().await;
        if let Some((runtime, app)) = self.running.take() {
            app.lifecycle.stop();
            let stopped = runtime.spawn(app.stopped(std::future::pending())).await.expect("stops");
            assert!(stopped.clean && stopped.failed.is_none(), "{stopped:?}");
            runtime.shutdown_background();
        }
    }

    /// Waits until nothing is unfinished, on its way or to be explained, and stays so for a moment: an observed leg may
    /// yet become a supervision with a row.
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
        panic!("something is left unfinished: {left:#?}");
    }

    async fn pending(&self) -> Vec<Vec<String>> {
        let sql = "SELECT 'supervision', id, state FROM supervisions WHERE state IN ('REQUESTED', 'JOINING', 'LEAVING')
                     OR (state = 'LEFT' AND next_check_at IS NOT NULL)
                   UNION ALL SELECT 'delivery', supervision_id, state FROM deliveries WHERE state = 'PENDING'
                   UNION ALL SELECT 'leg', leg_id, CAST(looks AS TEXT) FROM unexplained_legs";
        super::sql(&self.journal_path(), sql).await.expect("read")
    }

    /// No customer's call was ended by us, and no leg has two rows.
    pub async fn rules_hold(&self) {
        assert_eq!(
            self.connect().customer_contacts_we_ended(),
            Vec::new(),
            "a customer's call was ended"
        );
        let rows = self.salesforce().rows("VoiceCallParticipant__c");
        let mut keys: Vec<String> = rows.iter().map(|r| r["Leg_Key__c"].to_string()).collect();
        let before = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), before, "a leg has two rows");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The body that starts a supervision.
pub fn start(contact: &str, supervisor: &str) -> Value {
    json!({"contactId": contact, "supervisor": {"connectUserId": supervisor}})
}

/// A request to the house.
pub struct Call<'h> {
    house: &'h House,
    method: String,
    path: String,
    key: Option<String>,
    body: Option<String>,
    raw: Option<Vec<u8>>,
    idempotency: Option<String>,
    media: Option<String>,
}

impl Call<'_> {
    /// With another key than the back end's.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Without any.
    pub fn anonymous(mut self) -> Self {
        self.key = None;
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    pub fn raw(mut self, body: &[u8]) -> Self {
        self.raw = Some(body.to_vec());
        self
    }

    pub fn media(mut self, media: &str) -> Self {
        self.media = Some(media.into());
        self
    }

    pub fn idempotency(mut self, key: &str) -> Self {
        self.idempotency = Some(key.into());
        self
    }

    /// Sends it and holds the answer against the contract.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// Like `send`, for a service that may die meanwhile.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).expect("a method");
        let mut request = self
            .house
            .http
            .request(method, format!("{}{}", self.house.url, self.path));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(key) = &self.idempotency {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = self.raw.or_else(|| self.body.map(String::into_bytes)) {
            request = request
                .header("Content-Type", self.media.as_deref().unwrap_or("application/json"))
                .body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let media = headers
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        assert!(
            headers.contains_key("x-request-id"),
            "{} {} has no X-Request-Id",
            self.method,
            self.path
        );
        let text = answer.text().await?;
        if let Err(e) = self
            .house
            .contract
            .validate(&self.method, &self.path, status, &media, &text)
        {
            panic!("the answer breaks the contract: {e}");
        }
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer {
            status,
            body,
            text,
            headers,
        })
    }
}
