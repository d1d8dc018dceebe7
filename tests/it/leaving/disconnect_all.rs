//! A supervisor leaves all they listen to in one request: every leg is asked, however slow the vendor is, whoever still waits for
//! the answer, and whatever holds one of them back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{BACK_END, OPERATOR, SUPERVISOR_1, TestApp};

const ALL: &str = "/v1/supervisors/supervisor-1/disconnect";

fn chat(app: &TestApp) -> String {
    app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    })
}

/// A supervisor on three chats, in a app whose vendor will not say what they are.
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
async fn every_leg_is_asked_before_any_is_waited_for_and_the_answer_comes_in_time() {
    let (app, ids) = on_three_chats().await;
    let begun = Instant::now();
    let answer = app.call("POST", ALL).send().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!((answer.status, answer.id()), (202, ids[2].clone()), "{}", answer.text);
    for id in &ids {
        assert_eq!(app.get(id).await.state(), "LEAVING");
    }
    all_left(app, &ids).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_no_leave() {
    let (app, ids) = on_three_chats().await;
    let lost = app.http.post(format!("{}{ALL}", app.url)).bearer_auth(BACK_END);
    let lost = lost.timeout(Duration::from_secs(1)).send().await;
    assert!(lost.is_err(), "it did not wait");
    for id in &ids {
        assert_eq!(app.get(id).await.state(), "LEAVING");
    }
    all_left(app, &ids).await;
}

/// One leg is held back by the guard, another is left, and the key stands for that: asked again, the same is answered.
#[tokio::test]
async fn what_is_held_back_in_part_is_one_answer_for_its_key() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let spoken = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    app.until(&spoken, "joined", |s| !s["joinedAt"].is_null()).await;
    let mode = format!("/v1/supervisions/{spoken}/mode");
    let asked = app
        .call("POST", &mode)
        .key(SUPERVISOR_1)
        .json(&json!({"mode": "BARGE"}));
    let action = asked.send().await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until(&spoken, "BARGE", |s| s["mode"] == "BARGE").await;
    app.connect().agent_leaves(&call).expect("gone");
    // Beside the call a chat, begun by hand.
    let contact = chat(&app);
    app.connect()
        .begin_leg_by_hand(&contact, "supervisor-1")
        .expect("begun");
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

/// A browser said that it ended the leg, and nothing shows it; or it never answered: who asks again gets a new order.
#[tokio::test]
async fn who_asks_again_after_the_time_is_up_has_the_browser_told_anew() {
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
        let told = app.call("POST", &acknowledged).json(&ack).send().await;
        assert_eq!(told.status, 200, "{}", told.text);
        if n == 0 {
            let early = ask("early").await;
            assert_eq!(
                early["directiveId"], before["directiveId"],
                "the evidence may be on its way"
            );
            app.until(&id, "overdue", |s| s["overdue"] == true).await;
        }
        let anew = ask(&format!("k-{}", n + 1)).await;
        assert_ne!(anew["directiveId"], before["directiveId"], "{outcome}");
        assert_eq!(anew["acknowledged"], Value::Null);
        let open = ask(&format!("open-{n}")).await;
        assert_eq!(open["directiveId"], anew["directiveId"], "one that is open stands");
        before = anew;
    }
    app.browser("supervisor-1").obey(&before).await;
    app.until_left(&id).await;
    app.finish().await;
}
