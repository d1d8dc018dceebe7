//! The store fails: the disk gives errors, a page is damaged, another program keeps the database locked. Requests get 503, `/readyz`
//! names the cause, and when it is gone everything goes on without a restart.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use sidedoor_fakes::{Fakes, FakesConfig, Fault};

use crate::support::app::{READER, TestApp, start};
use crate::support::process::{KEY, OPERATORS_KEY, Process, free_port, spawn_limited};

/// The detail of the check of the store in an answer of `/readyz`; `None` if the check passes.
fn store_fault(ready: &Value) -> Option<String> {
    let checks = ready["checks"].as_array().expect("checks");
    let store = checks.iter().find(|check| check["name"] == "store").expect("a check");
    let detail = store["detail"].as_str().map(ToOwned::to_owned);
    assert_eq!(store["ok"] == false, detail.is_some(), "{store:#}");
    detail
}

struct Service {
    fakes: Fakes,
    process: Process,
    http: reqwest::Client,
    url: String,
    _folder: tempfile::TempDir,
}

impl Service {
    /// A process whose files can be limited in size, as on a disk that gives errors. It gets no events.
    async fn start() -> Self {
        let fakes = sidedoor_fakes::start(FakesConfig::default())
            .await
            .expect("the fakes start");
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let process = spawn_limited(&fakes, port, &folder.path().join("store.db"));
        let this = Self {
            fakes,
            process,
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(20))
                .build()
                .expect("a client"),
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        };
        this.until_ready().await;
        this
    }

    /// Lets no file of the process be written beyond this size.
    fn limit_files(&self, bytes: &str) {
        let status = Command::new("prlimit")
            .args([
                "--pid",
                &self.process.id().to_string(),
                &format!("--fsize={bytes}:unlimited"),
            ])
            .status();
        assert!(status.expect("prlimit runs").success());
    }

    async fn ready(&self) -> (u16, Value) {
        let answer = self
            .http
            .get(format!("{}/readyz", self.url))
            .bearer_auth(OPERATORS_KEY)
            .send()
            .await
            .expect("answered");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn until_ready(&self) {
        for _ in 0..1000 {
            let sent = self.http.get(format!("{}/readyz", self.url)).send().await;
            if sent.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service did not get ready");
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Option<String>, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(KEY);
        let answer = request
            .header("Idempotency-Key", key)
            .json(body)
            .send()
            .await
            .expect("answered");
        let wait = answer
            .headers()
            .get("retry-after")
            .map(|v| v.to_str().expect("a text").to_owned());
        (answer.status().as_u16(), wait, answer.json().await.expect("JSON"))
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(KEY);
        request.send().await.expect("answered").json().await.expect("JSON")
    }
}

/// While the disk gives errors, Connect gives a leg, and other requests come. The leg is stored when the disk works again, and the
/// keys of the requests that failed can be used.
#[tokio::test]
async fn failing_disk_loses_no_leg_and_no_key() {
    let service = Service::start().await;
    let connect = service.fakes.connect();
    let (call, other) = (connect.create_call(), connect.create_call());
    connect.fault(Fault::late("MonitorContact", 1500));
    let body = start(&call, "supervisor-1");
    let (first, (refused, again, fault)) = tokio::join!(service.post("/v1/supervisions", "first", &body), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        service.limit_files("4096");
        let other = start(&other, "supervisor-2");
        let refused = service.post("/v1/supervisions", "other", &other).await;
        let again = service.post("/v1/supervisions", "other", &other).await;
        let fault = service.ready().await;
        // The leg comes meanwhile.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(service.ready().await.0, 503, "only a write shows that it still fails");
        service.limit_files("unlimited");
        (refused, again, fault)
    });
    for (status, wait, body) in [&refused, &again] {
        assert_eq!(
            (*status, &body["code"]),
            (503, &json!("service_unavailable")),
            "{body:#}"
        );
        assert_eq!(wait.as_deref(), Some("1"));
    }
    assert_eq!(fault.0, 503);
    let detail = store_fault(&fault.1).expect("a fault");
    assert_eq!(detail, "the disk reported an I/O error");
    service.until_ready().await;
    assert_eq!(store_fault(&service.ready().await.1), None);

    assert!(matches!(first.0, 201 | 202), "{:#}", first.2);
    let id = first.2["id"].as_str().expect("an id").to_owned();
    let mut state = Value::Null;
    for _ in 0..500 {
        state = service.get(&format!("/v1/supervisions/{id}")).await["state"].clone();
        if state == "MONITORING" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state, "MONITORING", "the leg was lost");
    assert_eq!(service.fakes.connect().legs(&call).len(), 1);
    let (status, _, body) = service
        .post("/v1/supervisions", "other", &start(&other, "supervisor-2"))
        .await;
    assert!(matches!(status, 201 | 202), "{body:#}");
    assert_eq!(service.fakes.connect().legs(&other).len(), 1);
}

/// Overwrites the first page of a table in the file of a stopped service.
fn damage_table(store: &Path, table: &str) {
    let page: i64 = {
        let db = Connection::open(store).expect("opens");
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("written");
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?";
        db.query_row(root, [table], |row| row.get(0)).expect("a table")
    };
    let mut file = std::fs::File::options().write(true).open(store).expect("opens");
    file.seek(SeekFrom::Start(u64::try_from(page - 1).expect("positive") * 4096))
        .expect("sought");
    file.write_all(&[0xA5; 4096]).expect("damaged");
}

#[tokio::test]
async fn damaged_page_is_reported_and_other_reads_go_on() {
    let mut app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    app.until_written(s["id"].as_str().expect("an id")).await;
    app.crash();
    tokio::time::sleep(Duration::from_millis(300)).await;
    damage_table(&app.store_path(), "idempotency_keys");
    app.restart().await;
    let refused = app
        .call("POST", "/v1/supervisions")
        .json(&start(&app.connect().create_call(), "supervisor-2"))
        .idempotency("k")
        .send()
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "service_unavailable"),
        "{}",
        refused.text
    );
    assert_eq!(refused.headers["retry-after"], "1");
    let ready = app.call("GET", "/readyz").key(READER).send().await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        store_fault(&ready.body).as_deref(),
        Some("the database file is damaged")
    );
    let list = app.call("GET", "/v1/supervisions").key(READER).send().await;
    assert_eq!(list.status, 200, "{}", list.text);
}

/// There is no event of the leg, so only Connect's answer has its id.
#[tokio::test]
async fn store_locked_for_20_s_loses_no_leg() {
    let app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "1000").start().await;
    app.connect().change_events(|events| events.target = None);
    let (call, other) = (app.connect().create_call(), app.connect().create_call());
    app.connect().fault(Fault::late("MonitorContact", 700));
    let ask = || {
        let body = start(&call, "supervisor-1");
        app.call("POST", "/v1/supervisions").json(&body).idempotency("k").send()
    };
    let (first, refused) = tokio::join!(ask(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let program = Connection::open(app.store_path()).expect("opens");
        program.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let refused = app.listen(&other, "supervisor-2").await;
        let ready = app.call("GET", "/readyz").key(READER).send().await;
        assert_eq!(ready.status, 503);
        let fault = store_fault(&ready.body);
        assert_eq!(fault.as_deref(), Some("another program has locked the database"));
        tokio::time::sleep(Duration::from_secs(14)).await;
        program.execute_batch("ROLLBACK").expect("unlocked");
        refused
    });
    assert_eq!(
        (first.status, refused.status),
        (202, 503),
        "{} {}",
        first.text,
        refused.text
    );
    app.until_connected(&first.id()).await;
    assert_eq!(app.connect().legs(&call).len(), 1);
    let again = ask().await;
    assert_eq!(
        (again.id(), &again.headers["idempotent-replayed"]),
        (first.id(), &"true".parse().expect("a value"))
    );
    for _ in 0..300 {
        let ready = app.call("GET", "/readyz").key(READER).send().await;
        if ready.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the service did not get ready again");
}
