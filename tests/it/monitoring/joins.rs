//! Joining: one request makes one leg despite retries, crashes and slow answers, and no join is sent after `join_ttl`.

use serde_json::{Value, json};
use sidedoor_fakes::Fault;

use crate::support::app::TestApp;

fn tokens(app: &TestApp) -> Vec<Option<String>> {
    app.connect()
        .ledger()
        .calls
        .iter()
        .filter(|c| c.operation == "MonitorContact")
        .map(|c| c.client_token.clone())
        .collect()
}

#[tokio::test]
async fn join_with_lost_answer_is_retried_with_same_token() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::lost_answer("MonitorContact"));
    app.connect()
        .fault(Fault::error("MonitorContact", 500, "InternalServiceException"));
    app.connect()
        .fault(Fault::error("MonitorContact", 429, "ThrottlingException"));
    let started = app.listen(&call, "supervisor-1").await;
    assert_eq!((started.status, started.state()), (201, "MONITORING"));
    let tokens = tokens(&app);
    assert_eq!(tokens.len(), 4);
    assert!(
        tokens[0].is_some() && tokens.iter().all(|t| *t == tokens[0]),
        "{tokens:?}"
    );
    assert_eq!(app.connect().legs(&call).len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn join_that_is_slow_is_accepted_and_completes() {
    let app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "100").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::late("MonitorContact", 600));
    let started = app.listen(&call, "supervisor-1").await;
    assert_eq!((started.status, started.state()), (202, "JOINING"));
    app.until(&started.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    app.finish().await;
}

#[tokio::test]
async fn join_then_disconnect_leaves_after_joining() {
    let app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "100").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::late("MonitorContact", 500));
    let id = app.listen(&call, "supervisor-1").await.id();
    let asked = app.disconnect(&id).await;
    assert_eq!(
        (asked.status, asked.state(), &asked.body["nextAction"]),
        (202, "JOINING", &Value::Null)
    );
    let leaving = app.until(&id, "a directive", |s| !s["nextAction"].is_null()).await;
    app.browser("supervisor-1").obey(&leaving["nextAction"]).await;
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn join_then_disconnect_cancels_join_that_fails() {
    let app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "100").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault {
        delay_ms: 400,
        ..Fault::error("MonitorContact", 429, "ThrottlingException")
    });
    let id = app.listen(&call, "supervisor-1").await.id();
    app.disconnect(&id).await;
    let failed = app.until(&id, "FAILED", |s| s["state"] == "FAILED").await;
    assert_eq!(failed["failure"]["code"], "join_cancelled");
    assert_eq!(
        app.disconnect(&id).await.status,
        200,
        "no leg remains to be disconnected"
    );
    assert_eq!(app.connect().legs(&call).len(), 0);
    app.finish().await;
}

#[tokio::test]
async fn join_is_not_retried_after_join_ttl() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let call = app.connect().create_call();
    app.connect()
        .fault(Fault::error("MonitorContact", 429, "ThrottlingException").times(1000));
    let refused = app.listen(&call, "supervisor-1").await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "join_timeout"),
        "{}",
        refused.text
    );
    let sent = app.connect().calls("MonitorContact");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(app.connect().calls("MonitorContact"), sent);
    app.finish().await;
}

#[tokio::test]
async fn join_expired_adopts_leg_that_exists() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::lost_answer("MonitorContact"));
    app.connect()
        .fault(Fault::error("MonitorContact", 500, "InternalServiceException").times(1000));
    let started = app.listen(&call, "supervisor-1").await;
    assert!(matches!(started.status, 201 | 202), "{}", started.text);
    app.until(&started.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert!(app.connect().calls("GetCurrentUserData") >= 1);
    app.finish().await;
}

#[tokio::test]
async fn join_within_ttl_is_retried_once_after_restart() {
    let mut app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "100").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault {
        after_effect: true,
        ..Fault::late("MonitorContact", 2500)
    });
    let id = app.listen(&call, "supervisor-1").await.id();
    app.crash_and_restart().await;
    app.until(&id, "MONITORING", |s| s["state"] == "MONITORING").await;
    let tokens = tokens(&app);
    assert!(tokens.iter().all(|t| *t == tokens[0]), "{tokens:?}");
    assert_eq!(app.connect().legs(&call).len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn join_expired_is_not_retried_after_restart() {
    let mut app = TestApp::build()
        .set("HTTP__ANSWER_WITHIN_MS", "100")
        .set("SUPERVISION__JOIN_TTL_S", "1")
        .start()
        .await;
    let call = app.connect().create_call();
    app.connect().fault(Fault {
        drop_connection: true,
        delay_ms: 400,
        status: None,
        ..Fault::error("MonitorContact", 500, "")
    });
    let id = app.listen(&call, "supervisor-1").await.id();
    app.crash();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let sent = app.connect().calls("MonitorContact");
    app.restart().await;
    let looks = |_: &Value| app.connect().calls("GetCurrentUserData") >= 2;
    let searching = app.until(&id, "searched for more than once", looks).await;
    assert_eq!(searching["state"], "JOINING", "the search goes on for a day");
    assert_eq!(
        app.connect().calls("MonitorContact"),
        sent,
        "no join is sent after join_ttl"
    );
    assert_eq!(app.connect().legs(&call).len(), 0);
}

#[tokio::test]
async fn join_allows_one_voice_contact_per_supervisor() {
    let app = TestApp::start().await;
    let (first, second) = (app.connect().create_call(), app.connect().create_call());
    let started = app.listen(&first, "supervisor-1").await;
    let same = app.listen(&first, "supervisor-1").await;
    assert_eq!(
        (same.status, same.id()),
        (200, started.id()),
        "the same request returns the existing supervision"
    );
    let busy = app.listen(&second, "supervisor-1").await;
    assert_eq!((busy.status, busy.code()), (409, "supervisor_conflict"));
    assert_eq!(busy.body["conflictsWith"], json!(started.id()));
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    app.finish().await;
}

#[tokio::test]
async fn join_concurrent_equal_requests_make_one_leg() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let answers = futures::future::join_all((0..8).map(|_| app.listen(&call, "supervisor-1"))).await;
    let ids: std::collections::BTreeSet<String> = answers.iter().map(|a| a.id()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|a| a.status == 201).count(), 1);
    assert_eq!(app.connect().legs(&call).len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn join_keeps_rate_budget_and_reports_full_queue() {
    let app = TestApp::build()
        .set("CONNECT__QUOTAS__DEFAULT__MONITORCONTACT__PER_SECOND", "2")
        .set("CONNECT__QUOTAS__DEFAULT__MONITORCONTACT__BURST", "1")
        .set("CONNECT__QUOTAS__DEFAULT__QUEUE", "1")
        .set("HTTP__ANSWER_WITHIN_MS", "200")
        .start()
        .await;
    let calls: Vec<String> = (0..4).map(|_| app.connect().create_call()).collect();
    let supervisors = ["supervisor-1", "supervisor-2", "supervisor-3", "supervisor-4"];
    let answers = futures::future::join_all(calls.iter().zip(supervisors).map(|(call, s)| app.listen(call, s))).await;
    let full: Vec<_> = answers.iter().filter(|a| a.status == 503).collect();
    assert_eq!(full.len(), 2, "{answers:#?}");
    for answer in full {
        assert_eq!(answer.code(), "connect_budget_limit_reached");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!(
        answers.iter().any(|a| a.status == 202 && a.state() == "REQUESTED"),
        "one request waits in the queue"
    );
    app.finish().await;
}

/// A client that closes its connection loses only the response: the service still completes the accepted join.
#[tokio::test]
async fn join_completes_after_caller_disconnects() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::late("MonitorContact", 600));
    let impatient = reqwest::Client::builder()
        .timeout(std::time::Duration::from_millis(150))
        .build()
        .expect("a client");
    let body = crate::support::app::start(&call, "supervisor-1").to_string();
    let asked = impatient
        .post(format!("{}/v1/supervisions", app.url))
        .bearer_auth(crate::support::app::BACK_END)
        .header("Content-Type", "application/json")
        .body(body);
    assert!(asked.send().await.is_err(), "the client's own timeout ends the request");
    let found = app.found(&format!("contactId={call}&state=MONITORING")).await;
    app.leave(found["id"].as_str().expect("an id"), "supervisor-1").await;
    app.finish().await;
}
