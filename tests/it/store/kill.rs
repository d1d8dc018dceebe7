//! Kills a real process under mixed load with SIGKILL, at random moments and at named points, many times on one store: nothing
//! accepted is lost, and no request makes a second leg. The clients behave as documented: they repeat a request with its key until it
//! is answered.
//!
//! A point lies between a vendor's call and its answer, where a crash leaves the most open. `KILL_ROUNDS` is the number of kills.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::connect::NewContact;
use sidedoor_fakes::{Browser, Fakes, FakesConfig, Fault, Manners};

use crate::support::process::{EVENTS_KEY, KEY, free_port, spawn};

/// Kills in `make test`. `make test-all` asks for more.
const ROUNDS: usize = 60;
const CLIENTS: usize = 6;
/// How long the vendors hold back the answer at a named point, and the longest wait for that point, ms. A process that does not come by
/// is killed as well.
const HELD_BACK_MS: u64 = 2000;

/// Where a process is killed: after the vendor has carried out this call, and before its answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CrashPoint {
    MonitorContact,
    DescribeContact,
    StopContact,
    SalesforceLogin,
    RecordWritten,
}

impl CrashPoint {
    const ALL: [Self; 5] = [
        Self::MonitorContact,
        Self::DescribeContact,
        Self::StopContact,
        Self::SalesforceLogin,
        Self::RecordWritten,
    ];

    /// How often the vendor has carried out such a call.
    fn passed(self, fakes: &Fakes) -> usize {
        match self {
            Self::MonitorContact => fakes.connect().calls("MonitorContact"),
            Self::DescribeContact => fakes.connect().calls("DescribeContact"),
            Self::StopContact => fakes.connect().calls("StopContact"),
            Self::SalesforceLogin => usize::try_from(fakes.salesforce().logins()).expect("fits"),
            Self::RecordWritten => fakes.salesforce().written().len(),
        }
    }

    /// Makes the vendor hold back the next answer to such a call.
    fn hold_back(self, fakes: &Fakes) {
        let held = |operation| Fault::hang(operation, HELD_BACK_MS).after_effect();
        match self {
            Self::MonitorContact => fakes.connect().fault(held("MonitorContact")),
            Self::DescribeContact => fakes.connect().fault(held("DescribeContact")),
            Self::StopContact => fakes.connect().fault(held("StopContact")),
            Self::SalesforceLogin => fakes.salesforce().fault(held("token")),
            Self::RecordWritten => {
                for operation in ["upsert", "collections"] {
                    fakes.salesforce().fault(held(operation));
                }
            }
        }
    }

    /// Waits until the call was carried out and says whether it was.
    async fn reached(self, fakes: &Fakes, passed: usize) -> bool {
        for _ in 0..HELD_BACK_MS {
            if self.passed(fakes) > passed {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }
}

struct Environment {
    fakes: Fakes,
    http: reqwest::Client,
    url: String,
    serial: AtomicUsize,
}

impl Environment {
    async fn ready(&self) {
        for _ in 0..1000 {
            if let Ok(answer) = self.http.get(format!("{}/readyz", self.url)).send().await
                && answer.status() == 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("timeout waiting for the service to be ready");
    }

    /// Repeats a request with its key until it has a final answer.
    async fn repeat_until_answered(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        for _ in 0..2000 {
            let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(KEY);
            let sent = request.header("Idempotency-Key", key).json(body).send().await;
            if let Ok(answer) = sent {
                let status = answer.status().as_u16();
                if let Ok(body) = answer.json::<Value>().await
                    && status < 500
                    && body["code"] != "idempotency_key_conflict"
                {
                    return (status, body);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path}: no final answer");
    }

    async fn get(&self, id: &str) -> Value {
        let url = format!("{}/v1/supervisions/{id}", self.url);
        self.http
            .get(url)
            .bearer_auth(KEY)
            .send()
            .await
            .expect("answered")
            .json()
            .await
            .expect("JSON")
    }

    /// Runs one client: supervision after supervision, each on its own call, until `stop` is cancelled.
    async fn client(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) -> Vec<(String, String, String)> {
        let mut accepted = Vec::new();
        while !stop.is_cancelled() {
            let n = self.serial.fetch_add(1, Ordering::SeqCst);
            let supervisor = format!("load-{n}");
            self.fakes.connect().set_ccp_open(&supervisor, true);
            let channel = if n % 3 == 2 { "CHAT" } else { "VOICE" };
            let call = self.fakes.connect().create_contact(NewContact {
                channel: channel.into(),
                ..NewContact::default()
            });
            let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor}});
            let (status, started) = self
                .repeat_until_answered("/v1/supervisions", &format!("start-{n}"), &body)
                .await;
            assert!((200..300).contains(&status), "{started}");
            let id = started["id"].as_str().expect("an id").to_owned();
            accepted.push((id.clone(), call, supervisor.clone()));
            let path = format!("/v1/supervisions/{id}/disconnect");
            let (status, left) = self
                .repeat_until_answered(&path, &format!("leave-{n}"), &json!({}))
                .await;
            assert!((200..300).contains(&status), "{left}");
            if !left["nextAction"].is_null() {
                self.browser(&supervisor).obey(&left["nextAction"]).await;
            }
        }
        accepted
    }

    fn browser(&self, supervisor: &str) -> Browser {
        let manners = Manners {
            delay_ms: 5,
            ..Manners::default()
        };
        Browser::new(self.fakes.connect().clone(), supervisor, &self.url, Some(KEY.into())).with(manners)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_and_duplicate_nothing() {
    let mut config = FakesConfig::default();
    config.connect.connect_delay_ms = 5;
    (
        config.events.delay_min_ms,
        config.events.delay_max_ms,
        config.events.duplicate,
    ) = (5, 60, 0.2);
    let fakes = sidedoor_fakes::start(config).await.expect("the fakes start");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    fakes
        .connect()
        .change_events(|e| (e.target, e.api_key) = (Some(format!("{url}/v1/events/connect")), Some(EVENTS_KEY.into())));
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store.db");
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .expect("a client");
    let stage = Arc::new(Environment {
        fakes,
        http,
        url,
        serial: AtomicUsize::new(0),
    });
    let seed = std::env::var("SIDEDOOR_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("SIDEDOOR_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);

    let stop = tokio_util::sync::CancellationToken::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(stage.clone().client(stop.clone())))
        .collect();
    let rounds = std::env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut points: BTreeMap<CrashPoint, usize> = BTreeMap::new();
    for round in 0..rounds {
        // Every other kill is at a named point.
        let point = (round % 2 == 0).then(|| CrashPoint::ALL[round / 2 % CrashPoint::ALL.len()]);
        let passed = point.map(|point| point.passed(&stage.fakes));
        if let Some(point) = point {
            point.hold_back(&stage.fakes);
        }
        let process = spawn(&stage.fakes, port, &store);
        stage.ready().await;
        if let (Some(point), Some(passed)) = (point, passed) {
            if point.reached(&stage.fakes, passed).await {
                *points.entry(point).or_default() += 1;
            }
        } else {
            tokio::time::sleep(Duration::from_millis(chance.u64(1..150))).await;
        }
        process.kill();
        stage.fakes.connect().clear_faults();
        stage.fakes.salesforce().clear_faults();
    }
    for point in CrashPoint::ALL {
        let killed = points.get(&point).copied().unwrap_or_default();
        assert!(
            killed * 20 >= rounds,
            "only {killed} of {rounds} kills were at {point:?}"
        );
    }
    let process = spawn(&stage.fakes, port, &store);
    stage.ready().await;
    stop.cancel();
    let mut accepted = Vec::new();
    for client in clients {
        accepted.extend(client.await.expect("no client failed"));
    }
    assert!(
        accepted.len() > rounds / 2,
        "too few supervisions were accepted: {}",
        accepted.len()
    );
    println!("{} supervisions through {rounds} kills, {points:?}", accepted.len());

    // Every accepted supervision reaches exactly one final state.
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for (id, call, supervisor) in &accepted {
        let mut last = Value::Null;
        for _ in 0..1500 {
            last = stage.get(id).await;
            let settled = last["state"] == "FAILED"
                || (last["state"] == "LEFT" && last["salesforceRecord"]["state"] == "WRITTEN");
            if settled {
                break;
            }
            if !last["nextAction"].is_null() && last["nextAction"]["acknowledged"].is_null() {
                stage.browser(supervisor).obey(&last["nextAction"]).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let state = last["state"].as_str().unwrap_or_default().to_owned();
        assert!(matches!(state.as_str(), "LEFT" | "FAILED"), "{id} is lost: {last:#}");
        *states.entry(state.clone()).or_default() += 1;
        let legs = stage.fakes.connect().legs(call);
        assert!(legs.len() <= 1, "one request made {} legs", legs.len());
        assert!(
            stage.fakes.connect().live_legs(call).is_empty(),
            "{id}: a leg is still on the call"
        );
        if state == "LEFT" {
            let rows = stage.fakes.salesforce().rows("VoiceCallParticipant__c");
            let of_leg = rows
                .iter()
                .filter(|r| r.get("Leg_Key__c") == Some(&json!(legs[0])))
                .count();
            assert_eq!(of_leg, 1, "each leg has exactly one record");
        }
    }
    println!("{states:?}");
    assert!(
        states.get("LEFT").is_some_and(|left| *left * 2 > accepted.len()),
        "most supervisions joined before they left: {states:?}"
    );
    assert_eq!(stage.fakes.connect().customer_contacts_we_ended(), Vec::new());
    process.kill();
}
