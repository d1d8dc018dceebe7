//! A supervisor leaves all contacts in one request. The service disconnects every leg even if the vendor is slow, the client
//! closes its connection, or the barge safety check refuses one of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{BACK_END, OPERATOR, SPEAKER_1, TestApp};

const ALL: &str = "/v1/supervisors/supervisor-1/disconnect";

fn chat(app: &TestApp) -> String {
    app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    })
}

/// A supervisor on three chats, while Connect does not answer what channel they have.
async fn on_three_chats() -> (TestApp, Vec<String>) {
    let app = TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__CALL_TIMEOUT_MS", "10000")
        .start()
        .await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = app.listen(&chat(&app), "supervisor-1").await.id();
        app.until(&id, "a chat", |s| s["channel"] == "CHAT").await;
        ids.push(id);
    }
    app.events_delivered().await;
    app.connect().fault(Fault::late("DescribeContact", 20_000).times(1000));
    (app, ids)
}

async fn all_left(app: TestApp, ids: &[String]) {
    app.connect().clear_faults();
    for id in ids {
        app.until_left(id).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn disconnect_all_starts_every_leg_before_waiting() {
    let (app, ids) = on_three_chats().await;
    let started = Instant::now();
    let answer = app.call("POST", ALL).send().await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!((answer.status, answer.id()), (202, ids[2].clone()), "{}", answer.text);
    for id in &ids {
        assert_eq!(app.get(id).await.state(), "LEAVING");
    }
    all_left(app, &ids).await;
}

#[tokio::test]
async fn disconnect_all_completes_after_client_disconnects() {
    let (app, ids) = on_three_chats().await;
    let lost = app.http.post(format!("{}{ALL}", app.url)).bearer_auth(BACK_END);
    let lost = lost.timeout(Duration::from_secs(1)).send().await;
    assert!(lost.is_err(), "the client did not wait for the answer");
    for id in &ids {
        assert_eq!(app.get(id).await.state(), "LEAVING");
    }
    all_left(app, &ids).await;
}

/// The barge safety check refuses one leg and another is disconnected; a repeat with the same key returns the same answer.
#[tokio::test]
async fn disconnect_all_partial_refusal_is_replayed_for_key() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let spoken = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    app.until(&spoken, "joined", |s| !s["joinedAt"].is_null()).await;
    let mode = format!("/v1/supervisions/{spoken}/mode");
    let asked = app.call("POST", &mode).key(SPEAKER_1).json(&json!({"mode": "BARGE"}));
    let action = asked.send().await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until(&spoken, "BARGE", |s| s["mode"] == "BARGE").await;
    app.connect().agent_leaves(&call).expect("gone");
    // A chat beside the call, started by hand.
    let contact = chat(&app);
    app.connect()
        .begin_leg_by_hand(&contact, "supervisor-1")
        .expect("a leg");
    let written = app.found(&format!("contactId={contact}")).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.until(&written, "a chat", |s| s["channel"] == "CHAT").await;
    let ask = || app.call("POST", ALL).key(OPERATOR).idempotency("k").send();
    let first = ask().await;
    assert_eq!(
        (first.status, first.code()),
        (409, "barge_safety_conflict"),
        "{}",
        first.text
    );
    app.until_left(&written).await;
    assert_eq!(app.get(&spoken).await.state(), "MONITORING");
    let again = ask().await;
    assert_eq!(
        (again.status, again.code()),
        (409, "barge_safety_conflict"),
        "{}",
        again.text
    );
    assert_eq!(again.text, first.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    app.until_left(&spoken).await;
    app.finish().await;
}

/// The browser acknowledged with DONE but no evidence followed, or it never answered: the next request issues a new directive.
#[tokio::test]
async fn disconnect_after_deadline_issues_new_directive() {
    let app = TestApp::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/supervisions/{id}/disconnect");
    let ask = async |key: &str| {
        let answer = app.call("POST", &path).idempotency(key).send().await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.body["nextAction"].clone()
    };
    let mut before: Value = ask("k-0").await;
    for (n, outcome) in ["DONE", "ALREADY_GONE"].into_iter().enumerate() {
        let ack = json!({"directiveId": before["directiveId"], "outcome": outcome});
        let acknowledged = format!("/v1/supervisions/{id}/acknowledgements");
        let answer = app.call("POST", &acknowledged).json(&ack).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        if n == 0 {
            let early = ask("early").await;
            assert_eq!(
                early["directiveId"], before["directiveId"],
                "the evidence may still arrive"
            );
            app.until(&id, "overdue", |s| s["overdue"] == true).await;
        }
        let renewed = ask(&format!("k-{}", n + 1)).await;
        assert_ne!(renewed["directiveId"], before["directiveId"], "{outcome}");
        assert_eq!(renewed["acknowledged"], Value::Null);
        let open = ask(&format!("open-{n}")).await;
        assert_eq!(
            open["directiveId"], renewed["directiveId"],
            "a directive that is still open is kept"
        );
        before = renewed;
    }
    app.browser("supervisor-1").obey(&before).await;
    app.until_left(&id).await;
    app.finish().await;
}
