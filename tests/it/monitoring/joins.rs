//! Joining: one leg from one request, whatever happens on the way; and never late.

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
async fn a_lost_answer_is_asked_for_again_with_the_same_token() {
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
async fn a_slow_join_is_accepted_and_finishes_by_itself() {
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
async fn a_disconnect_while_joining_is_kept_and_carried_out() {
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
async fn a_disconnect_while_joining_ends_a_join_that_comes_to_nothing() {
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
    assert_eq!(app.disconnect(&id).await.status, 200, "nothing is left to leave");
    assert_eq!(app.connect().legs(&call).len(), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_join_that_took_too_long_is_never_sent_again() {
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
async fn an_expired_join_whose_leg_exists_all_the_same_is_adopted() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::lost_answer("MonitorContact"));
    app.connect()
        .fault(Fault::error("MonitorContact", 500, "InternalServiceException").times(1000));
    let started = app.listen(&call, "supervisor-1").await;
    assert_eq!(
        (started.status, started.state()),
        (201, "MONITORING"),
        "{}",
        started.text
    );
    assert!(app.connect().calls("GetCurrentUserData") >= 1);
    app.finish().await;
}

#[tokio::test]
async fn a_restart_repeats_a_young_join_with_its_token_and_only_once() {
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
async fn a_restart_never_starts_listening_for_somebody_who_gave_up() {
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
    let failed = app.until(&id, "FAILED", |s| s["state"] == "FAILED").await;
    assert_eq!(failed["failure"]["code"], "join_timeout");
    assert_eq!(
        app.connect().calls("MonitorContact"),
        sent,
        "nothing was sent after its time"
    );
    assert!(
        app.connect().calls("GetCurrentUserData") >= 1,
        "it was looked whether a leg exists"
    );
    assert_eq!(app.connect().legs(&call).len(), 0);
    app.finish().await;
}

#[tokio::test]
async fn one_supervisor_one_voice_contact() {
    let app = TestApp::start().await;
    let (first, second) = (app.connect().create_call(), app.connect().create_call());
    let started = app.listen(&first, "supervisor-1").await;
    let same = app.listen(&first, "supervisor-1").await;
    assert_eq!(
        (same.status, same.id()),
        (200, started.id()),
        "the same again is the one that is there"
    );
    let busy = app.listen(&second, "supervisor-1").await;
    assert_eq!((busy.status, busy.code()), (409, "supervisor_conflict"));
    assert_eq!(busy.body["conflictsWith"], json!(started.id()));
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    app.finish().await;
}

#[tokio::test]
async fn equal_requests_at_the_same_moment_make_one_leg() {
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
async fn the_rate_budget_is_kept_and_says_when_it_is_full() {
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
        "one waits for its turn"
    );
    app.finish().await;
}

/// A client that gives up takes only its answer with it: what was accepted comes to its end.
#[tokio::test]
async fn a_join_goes_on_when_its_caller_has_given_up() {
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
    assert!(asked.send().await.is_err(), "it gave up");
    let found = app.found(&format!("contactId={call}&state=MONITORING")).await;
    app.leave(found["id"].as_str().expect("an id"), "supervisor-1").await;
    app.finish().await;
}
