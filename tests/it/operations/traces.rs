//! Observability of one request: its log lines carry its id, and its trace goes from the caller to the Salesforce record.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use sidedoor_fakes::{Browser, Fakes, FakesConfig, Fault};

use crate::support::process::{EVENTS_KEY, KEY, Process, free_port, spawn_logging};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

struct Running {
    fakes: Fakes,
    process: Process,
    url: String,
    log: PathBuf,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(more: &[(&str, &str)]) -> Self {
        let fakes = sidedoor_fakes::start(FakesConfig::default())
            .await
            .expect("the fakes start");
        let folder = tempfile::tempdir().expect("a folder");
        let (port, log) = (free_port(), folder.path().join("log"));
        let mut settings = vec![
            ("TELEMETRY__LOG_FORMAT", "json"),
            ("TELEMETRY__LOG_FILTER", "sidedoor=debug,warn"),
            ("SUPERVISION__AFTER_CHECK_GRACE_MS", "200"),
        ];
        settings.extend(more);
        let process = spawn_logging(&fakes, port, &folder.path().join("store.db"), &log, &settings);
        let url = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let running = Self {
            fakes,
            process,
            url,
            log,
            http,
            _folder: folder,
        };
        running
            .until("ready", async || {
                let answer = running.http.get(format!("{}/readyz", running.url)).send().await;
                answer.is_ok_and(|a| a.status().is_success()).then_some(())
            })
            .await;
        running
    }

    async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        for _ in 0..400 {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what} did not come in 20 s; the log:\n{}", text_of(&self.log));
    }

    async fn start_supervision(&self, contact: &str, request_id: &str) -> Value {
        let body = json!({"contactId": contact, "supervisor": {"connectUserId": "supervisor-1"}});
        let request = self.http.post(format!("{}/v1/supervisions", self.url)).bearer_auth(KEY);
        let request = request
            .header("X-Request-Id", request_id)
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        request
            .json(&body)
            .send()
            .await
            .expect("answered")
            .json()
            .await
            .expect("JSON")
    }

    async fn supervision(&self, id: &str) -> Value {
        let request = self
            .http
            .get(format!("{}/v1/supervisions/{id}", self.url))
            .bearer_auth(KEY);
        request.send().await.expect("answered").json().await.expect("JSON")
    }
}

fn text_of(log: &Path) -> String {
    std::fs::read_to_string(log).expect("readable")
}

fn lines_of(log: &Path) -> Vec<Value> {
    text_of(log)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

/// The fields of a log line's spans.
fn has_in_a_span(line: &Value, field: &str, value: &str) -> bool {
    line["spans"]
        .as_array()
        .is_some_and(|spans| spans.iter().any(|span| span[field] == value))
}

#[tokio::test]
async fn log_lines_of_a_failing_start_carry_its_request_id() {
    let running = Running::start(&[("SUPERVISION__JOIN_TTL_S", "1")]).await;
    running.fakes.connect().fault(Fault {
        times: 100,
        ..Fault::error("MonitorContact", 403, "AccessDeniedException")
    });
    let call = running.fakes.connect().create_call();
    let answer = running.start_supervision(&call, "failing-start-1").await;
    assert_eq!(answer["code"], "connect_access_forbidden", "{answer}");
    let id = answer["supervisionId"].as_str().expect("an id");
    assert_eq!(answer["clientRequestId"], "failing-start-1");
    let ours = answer["requestId"].as_str().expect("an id");

    let lines = lines_of(&running.log);
    let about: Vec<&Value> = lines.iter().filter(|line| line.to_string().contains(id)).collect();
    assert!(
        about.len() >= 2,
        "the request and its failed join are logged: {lines:?}"
    );
    for line in about {
        assert!(has_in_a_span(line, "request_id", ours), "no request id: {line}");
        assert!(
            has_in_a_span(line, "client_request_id", "failing-start-1"),
            "no request id of the client: {line}"
        );
        assert!(has_in_a_span(line, "supervision_id", id), "no supervision id: {line}");
        assert!(has_in_a_span(line, "contact_id", &call), "no contact id: {line}");
    }
    running.process.kill();
}

/// Takes spans over OTLP.
async fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
    let kept = spans.clone();
    let take = move |body: Bytes| {
        let kept = kept.clone();
        async move {
            let export = ExportTraceServiceRequest::decode(body).expect("an export of spans");
            let all = export
                .resource_spans
                .into_iter()
                .flat_map(|r| r.scope_spans)
                .flat_map(|s| s.spans);
            kept.lock().expect("not poisoned").extend(all);
            ([("content-type", "application/x-protobuf")], Vec::<u8>::new())
        }
    };
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1/traces", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, spans)
}

#[tokio::test]
async fn trace_goes_from_the_request_to_the_salesforce_record() {
    let (endpoint, spans) = collector().await;
    let running = Running::start(&[("TELEMETRY__OTLP_ENDPOINT", &endpoint)]).await;
    running.fakes.connect().change_events(|e| {
        e.target = Some(format!("{}/v1/events/connect", running.url));
        e.api_key = Some(EVENTS_KEY.into());
    });
    let call = running.fakes.connect().create_call();
    let started = running.start_supervision(&call, "traced-start").await;
    let id = started["id"].as_str().expect("started").to_owned();
    let request = running
        .http
        .post(format!("{}/v1/supervisions/{id}/disconnect", running.url))
        .bearer_auth(KEY);
    let left: Value = request.send().await.expect("answered").json().await.expect("JSON");
    let browser = Browser::new(
        running.fakes.connect().clone(),
        "supervisor-1",
        &running.url,
        Some(KEY.into()),
    );
    browser.obey(&left["nextAction"]).await;
    running
        .until("the departure's record", async || {
            let s = running.supervision(&id).await;
            let written = s["state"] == "LEFT" && s["salesforceRecord"]["state"] == "WRITTEN";
            written.then_some(())
        })
        .await;

    let named = |name: &str| -> Vec<String> {
        let all = spans.lock().expect("not poisoned");
        let ours = all.iter().filter(|s| s.name == name);
        ours.map(|s| hex::encode(&s.trace_id)).collect()
    };
    for name in ["POST /v1/supervisions", "salesforce_records"] {
        running
            .until(name, async || named(name).contains(&TRACE.to_owned()).then_some(()))
            .await;
    }
    let is_of_trace = |header: &String| header.contains(TRACE);
    let ledger = running.fakes.connect().ledger();
    let joins: Vec<_> = ledger
        .calls
        .iter()
        .filter(|c| c.operation == "MonitorContact")
        .collect();
    assert!(
        joins.iter().all(|c| c.trace_parent.as_ref().is_some_and(is_of_trace)) && !joins.is_empty(),
        "MonitorContact carries the trace: {joins:?}"
    );
    let sent = running.fakes.salesforce().trace_parents();
    assert!(sent.iter().any(is_of_trace), "no record carries the trace: {sent:?}");
    running.process.kill();
}
