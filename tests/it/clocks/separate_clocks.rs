//! Two processes with two clocks: the vendors' fakes run under libfaketime with an offset and a drift, Sidedoor runs on
//! the real clock. For each of two hundred departures the true time is measured: the interval must contain it, and the
//! instant must be as accurate as the simulation's target.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::{EVENTS_KEY, KEY, Process, Vendors, free_port, spawn_vendors, spawn_with};

const DEPARTURES: usize = 200;
const SUPERVISORS: usize = 8;
/// Offset of the vendors' clock at the start, in ms, and its drift, in ppm.
const OFFSET_MS: i64 = 1370;
const DRIFT_PPM: f64 = 150.0;
/// The first departures, of which no errors are measured because the clock is not known yet.
const WARM_UP: usize = 40;

struct Stage {
    vendors: Vendors,
    http: reqwest::Client,
    url: String,
    next: AtomicUsize,
}

/// Real time, in ms since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "the true time is measured here")]
fn now_ms() -> f64 {
    jiff::Timestamp::now().as_microsecond() as f64 / 1000.0
}

impl Stage {
    async fn post(&self, url: String, body: &Value) -> Value {
        let sent = self
            .http
            .post(&url)
            .bearer_auth(KEY)
            .json(body)
            .send()
            .await
            .expect("answered");
        let (status, text) = (sent.status(), sent.text().await.expect("a body"));
        assert!(status.is_success(), "{url}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn until(&self, id: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1000 {
            let url = format!("{}/v1/supervisions/{id}", self.url);
            last = self
                .http
                .get(url)
                .bearer_auth(KEY)
                .send()
                .await
                .expect("answered")
                .json()
                .await
                .expect("JSON");
            if good(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout waiting for supervision {id}: {last:#}");
    }

    /// One departure: real times just before and just after it, because the call that ends the leg takes time itself, and the
    /// supervision as recorded.
    async fn departure(&self, supervisor: &str) -> (f64, f64, Value) {
        let fake = &self.vendors.connect_url;
        let call = self.post(format!("{fake}/_fake/contacts"), &json!({})).await["contactId"].clone();
        let start = json!({"contactId": call, "supervisor": {"connectUserId": supervisor}});
        let id = self.post(format!("{}/v1/supervisions", self.url), &start).await["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let joined = self.until(&id, |s| !s["joinedAt"].is_null()).await;
        let left = self
            .post(format!("{}/v1/supervisions/{id}/disconnect", self.url), &json!({}))
            .await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(30..300))).await;
        let before = now_ms();
        let leg = json!({"legContactId": joined["legContactId"]});
        self.post(format!("{fake}/_fake/ccp/{supervisor}/end-leg"), &leg).await;
        let after = now_ms();
        let done = json!({"directiveId": left["nextAction"]["directiveId"], "outcome": "DONE"});
        self.post(format!("{}/v1/supervisions/{id}/acknowledgements", self.url), &done)
            .await;
        // The acknowledgement may arrive after the event and then changes the departure, so wait until that is done.
        let left = self
            .until(&id, |s| {
                s["state"] == "LEFT" && !s["departure"]["customerCallContinued"].is_null()
            })
            .await;
        (before, after, left)
    }

    async fn supervisor(self: Arc<Self>, name: String) -> Vec<(usize, f64, f64, Value)> {
        let mut all = Vec::new();
        loop {
            let nth = self.next.fetch_add(1, Ordering::SeqCst);
            if nth >= DEPARTURES + WARM_UP {
                return all;
            }
            let (before, after, left) = self.departure(&name).await;
            all.push((nth, before, after, left));
        }
    }
}

async fn start(granularity_ms: i64, folder: &std::path::Path) -> (Arc<Stage>, Process) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let faked = format!("+{}s x{}", OFFSET_MS as f64 / 1000.0, 1.0 + DRIFT_PPM * 1e-6);
    let vendors = spawn_vendors(&faked, &format!("{url}/v1/events/connect"));
    let more = [("CLOCK__MAX_ERROR_MS", "5")];
    let store = folder.join("store.db");
    let process = spawn_with(&vendors.connect_url, &vendors.salesforce_url, port, &store, &more);
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client");
    let settings = json!({"clock": {"granularityMs": granularity_ms}, "connectDelayMs": 20, "supervisorsPerCall": 2});
    let patched = http
        .patch(format!("{}/_fake/settings", vendors.connect_url))
        .json(&settings)
        .send()
        .await;
    assert!(patched.expect("answered").status().is_success());
    let events = json!({"target": format!("{url}/v1/events/connect"), "apiKey": EVENTS_KEY, "delayMinMs": 40, "delayMaxMs": 500,
                        "duplicate": 0.02, "reorder": 0.05, "loss": 0.02});
    let patched = http
        .patch(format!("{}/_fake/events", vendors.connect_url))
        .json(&events)
        .send()
        .await;
    assert!(patched.expect("answered").status().is_success());
    for _ in 0..500 {
        if http
            .get(format!("{url}/readyz"))
            .send()
            .await
            .is_ok_and(|a| a.status() == 200)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (
        Arc::new(Stage {
            vendors,
            http,
            url,
            next: AtomicUsize::new(0),
        }),
        process,
    )
}

/// Measures two hundred departures after the warm-up. Returns the errors in ms, sorted.
async fn two_hundred(granularity_ms: i64) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let (stage, process) = start(granularity_ms, folder.path()).await;
    let clients: Vec<_> = (0..SUPERVISORS)
        .map(|i| {
            let (stage, name) = (stage.clone(), format!("two-clocks-{i}"));
            tokio::spawn(async move {
                stage
                    .post(
                        format!("{}/_fake/users", stage.vendors.connect_url),
                        &json!({"userId": name}),
                    )
                    .await;
                stage.supervisor(name).await
            })
        })
        .collect();
    let mut errors = Vec::new();
    for client in clients {
        for (nth, before, after, left) in client.await.expect("no panic") {
            let d = &left["departure"];
            let ms = |v: &Value| {
                let t: jiff::Timestamp = v.as_str().expect("a time").parse().expect("RFC 3339");
                t.as_microsecond() as f64 / 1000.0
            };
            // The interval contains the truth from the first departure on, whatever the clocks do. One millisecond is
            // added because the API truncates times to milliseconds.
            assert!(
                ms(&d["earliest"]) <= after && before <= ms(&d["latest"]) + 1.0,
                "{before} {after} {d:#}"
            );
            if nth >= WARM_UP {
                errors.push((ms(&d["disconnectedAt"]) - f64::midpoint(before, after)).abs());
            }
        }
    }
    assert_eq!(errors.len(), DEPARTURES);
    process.terminate();
    errors.sort_by(f64::total_cmp);
    eprintln!(
        "stamps with a granularity of {granularity_ms} ms: error p50 {:.1} ms, p95 {:.1} ms",
        errors[errors.len() / 2],
        p95(&errors)
    );
    errors
}

fn p95(errors: &[f64]) -> f64 {
    errors[errors.len() * 95 / 100]
}

#[tokio::test]
async fn two_clocks_with_millisecond_stamps_meet_the_target() {
    let errors = two_hundred(1).await;
    // The simulation's target for stamps in milliseconds.
    assert!(p95(&errors) <= 45.0, "p95 {} of {errors:?}", p95(&errors));
}

#[tokio::test]
async fn two_clocks_with_whole_second_stamps_meet_the_target() {
    let errors = two_hundred(1000).await;
    // Whole seconds hardly narrow brackets of half a second, so the target is the accuracy of the bracket's middle: the
    // bracket begins 30–300 ms before the departure and ends 40–500 ms after it.
    assert!(p95(&errors) <= 250.0, "p95 {} of {errors:?}", p95(&errors));
}
