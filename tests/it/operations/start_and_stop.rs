//! Starting and stopping a real process: it reports all problems of its configuration, drains on the first signal, exits at
//! once on the second, and loses nothing in either case.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidedoor_fakes::{Fakes, FakesConfig, Fault};

use crate::support::process::{KEY, Process, free_port, spawn};

struct Stage {
    fakes: Fakes,
    http: reqwest::Client,
    port: u16,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let fakes = sidedoor_fakes::start(FakesConfig::default())
            .await
            .expect("the fakes start");
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self {
            fakes,
            http,
            port: free_port(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    async fn start(&self) -> Process {
        let process = spawn(&self.fakes, self.port, &self.folder.path().join("store.db"));
        for _ in 0..1000 {
            if self
                .http
                .get(self.url("/readyz"))
                .send()
                .await
                .is_ok_and(|a| a.status() == 200)
            {
                return process;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the service did not get ready");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Sends a start request whose vendor call takes `ms`.
    fn slow_start(&self, ms: u64) -> tokio::task::JoinHandle<Result<reqwest::Response, reqwest::Error>> {
        self.fakes.connect().fault(Fault {
            after_effect: true,
            ..Fault::late("MonitorContact", ms)
        });
        let body =
            json!({"contactId": self.fakes.connect().create_call(), "supervisor": {"connectUserId": "supervisor-1"}});
        tokio::spawn(
            self.http
                .post(self.url("/v1/supervisions"))
                .bearer_auth(KEY)
                .json(&body)
                .send(),
        )
    }
}

#[tokio::test]
async fn stop_answers_running_requests_and_accepts_none() {
    let stage = Stage::new().await;
    let process = stage.start().await;
    let slow = stage.slow_start(1500);
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        stage.http.get(stage.url("/readyz")).send().await.is_err(),
        "no new request is accepted"
    );
    let answer = slow.await.expect("no panic").expect("answered");
    assert_eq!(answer.status(), 201);
    assert!(process.exit().await.success());
}

#[tokio::test]
async fn stop_second_signal_forces_exit_and_start_resumes() {
    let stage = Stage::new().await;
    let process = stage.start().await;
    let slow = stage.slow_start(2500);
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let signalled = Instant::now();
    process.terminate();
    process.exit().await;
    assert!(
        signalled.elapsed() < Duration::from_secs(2),
        "{:?}",
        signalled.elapsed()
    );
    assert!(slow.await.expect("no panic").is_err(), "it was not answered");

    let process = stage.start().await;
    for _ in 0..500 {
        let answer = stage
            .http
            .get(stage.url("/v1/supervisions"))
            .bearer_auth(KEY)
            .send()
            .await
            .expect("answered");
        let all: Value = answer.json().await.expect("JSON");
        if all["items"][0]["state"] == "MONITORING" {
            process.terminate();
            assert!(process.exit().await.success());
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the join was not resumed");
}

#[test]
fn start_reports_all_configuration_problems_once() {
    let out = Command::new(env!("CARGO_BIN_EXE_sidedoor"))
        .arg("serve")
        .current_dir(std::env::temp_dir())
        .env("SIDEDOOR__HTTP__LISTEN", "0.0.0.0:0")
        .env("SIDEDOOR__CONNECT__INSTANCES__MAIN__REGION", "Oregon")
        .env("SIDEDOOR__CONNECT__QUOTAS__DEFAULT__QUEUE", "0")
        .env("SIDEDOOR__SALESFORCE__CLIENT_SECRET", "a-secret-not-to-show")
        .stdout(Stdio::piped())
        .output()
        .expect("ran");
    assert_eq!(out.status.code(), Some(1));
    let report = String::from_utf8_lossy(&out.stderr);
    for setting in [
        "auth.api_keys",
        "http.tls",
        "connect.instances.main.region",
        "connect.instances.main.instance_id",
        "connect.quotas.default.queue",
        "salesforce.login_url",
    ] {
        let lines = report.lines().filter(|line| line.trim_start().starts_with(setting));
        assert_eq!(lines.count(), 1, "{setting} is not reported once:\n{report}");
    }
    assert!(!report.contains("a-secret-not-to-show"));
}
