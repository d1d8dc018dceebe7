//! Probing a vendor's clock on request: which endpoint is asked, which is not, and what the audit records.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::app::{AUDITOR, Answer, OPERATOR, TestApp};

/// An endpoint that answers `times` requests with the given head and its date, and then closes connections without an answer.
struct Endpoint {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start(times: usize, head: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (count, head) = (count.clone(), head.clone());
                tokio::spawn(async move {
                    let mut heard = [0; 4096];
                    while matches!(stream.read(&mut heard).await, Ok(n) if n > 0) {
                        if count.fetch_add(1, Ordering::SeqCst) >= times {
                            return;
                        }
                        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
                            .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
                            .expect("a date");
                        let answer = format!("{head}Date: {date}\r\nContent-Length: 0\r\n\r\n");
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn app(endpoint: &Endpoint) -> TestApp {
    TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", &endpoint.url)
        .start()
        .await
}

async fn probe(app: &TestApp, vendor: &str, body: &Value) -> Answer {
    let path = format!("/v1/vendors/{vendor}/probes");
    app.call("POST", &path).key(OPERATOR).json(body).send().await
}

/// The audit's entries about probes, oldest first: phase and outcome.
async fn audit_entries(app: &TestApp) -> Vec<(String, String)> {
    let path = "/v1/audit?action=vendor.probed";
    let entries = app.call("GET", path).key(AUDITOR).send().await.body;
    let text = |line: &Value, name: &str| line[name].as_str().expect("text").to_owned();
    let items = entries["items"].as_array().expect("lines").iter().rev();
    items.map(|line| (text(line, "phase"), text(line, "outcome"))).collect()
}

#[tokio::test]
async fn probe_uses_date_of_redirect_without_following_it() {
    let elsewhere = Endpoint::start(100, "HTTP/1.1 200 OK\r\n".into()).await;
    let redirects = format!("HTTP/1.1 302 Found\r\nLocation: {}/\r\n", elsewhere.url);
    let endpoint = Endpoint::start(100, redirects).await;
    let app = app(&endpoint).await;
    let answer = probe(&app, "amazon-connect", &json!({"count": 1})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["clocks"][0]["samples"], 1, "{}", answer.text);
    assert!(endpoint.asked() > 0);
    assert_eq!(elsewhere.asked(), 0, "the redirect's target is not asked");
    app.finish().await;
}

#[tokio::test]
async fn probe_is_audited_before_start_and_on_partial_failure() {
    // A probe is two requests: the first may have to connect, so only the second is measured.
    let endpoint = Endpoint::start(2, "HTTP/1.1 200 OK\r\n".into()).await;
    let app = app(&endpoint).await;
    let failed = probe(&app, "amazon-connect", &json!({"count": 3})).await;
    assert_eq!(
        (failed.status, failed.code()),
        (502, "connect_date_unavailable"),
        "{}",
        failed.text
    );
    let entries = audit_entries(&app).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!((entries[0].0.as_str(), entries[1].0.as_str()), ("BEGUN", "FAILED"));
    assert!(
        entries[1].1.contains("1 times of 3") && entries[1].1.contains("connect_date_unavailable"),
        "{entries:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn probe_of_unknown_instance_is_refused_without_audit() {
    let app = TestApp::build()
        .set("TIMING__VENDORS__ACME__MAX_DRIFT_PPM", "50")
        .start()
        .await;
    let now = jiff::Timestamp::now().to_string();
    let sample = json!({"sentAt": now, "receivedAt": now, "vendorTime": now});
    for vendor in ["amazon-connect", "acme"] {
        for body in [
            json!({"instance": "elsewhere", "samples": [sample]}),
            json!({"instance": "elsewhere", "count": 1}),
        ] {
            let refused = probe(&app, vendor, &body).await;
            assert_eq!(
                (refused.status, refused.code()),
                (422, "instance_not_found"),
                "{}",
                refused.text
            );
        }
        let path = format!("/v1/vendors/{vendor}/calibration");
        let known = app.call("GET", &path).key(OPERATOR).send().await.body;
        assert_eq!(known["clocks"], json!([]), "{vendor}");
    }
    assert_eq!(audit_entries(&app).await, Vec::new());
    let taken = probe(&app, "acme", &json!({"instance": "main", "samples": [sample]})).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    let entries = audit_entries(&app).await;
    assert_eq!((entries[0].0.as_str(), entries[1].0.as_str()), ("BEGUN", "DONE"));
    app.finish().await;
}
