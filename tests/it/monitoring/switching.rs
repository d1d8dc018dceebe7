//! Switching from one contact to the next in one request, so that Connect never sees both legs at once.

use serde_json::{Value, json};
use sidedoor::store::sqlite::StoreView;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{SupervisionStore, SupervisionWrite};
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_domain::supervision::{State, Supervision};

use crate::support::app::{Answer, TestApp};
use crate::support::departures::open_after_crash;
use crate::support::sql;

async fn switch(app: &TestApp, contact: &str) -> Answer {
    let body = json!({"contactId": contact, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": true});
    app.call("POST", "/v1/supervisions").json(&body).send().await
}

async fn two_calls(app: &TestApp) -> (String, String, String) {
    let (first, second) = (app.connect().create_call(), app.connect().create_call());
    let id = app.listen(&first, "supervisor-1").await.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    (id, first, second)
}

async fn leave(app: &TestApp, id: &str) {
    let asked = app.disconnect(id).await;
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(id).await;
}

/// The real start and end of a supervision's leg, as the fake vendor recorded them.
fn leg_interval(app: &TestApp, s: &Value) -> (jiff::Timestamp, Option<jiff::Timestamp>) {
    let leg = app
        .connect()
        .contact(s["legContactId"].as_str().expect("a leg"))
        .expect("known");
    (leg.true_begun_at, leg.true_disconnect_at)
}

#[tokio::test]
async fn switch_leaves_first_contact_then_joins_next() {
    let app = TestApp::start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let answer = switch(&app, &second_call).await;
    assert_eq!(
        (answer.status, answer.state(), &answer.body["waitsFor"]),
        (202, "REQUESTED", &json!(first))
    );
    assert_eq!(
        answer.body["nextAction"]["supervisionId"],
        json!(first),
        "the answer has the directive that ends the first leg"
    );
    assert_eq!(app.get(&first).await.state(), "LEAVING");
    assert_eq!(
        app.connect().calls("MonitorContact"),
        1,
        "the join is not sent before the first leg has ended"
    );
    app.browser("supervisor-1").obey(&answer.body["nextAction"]).await;
    let next = app
        .until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert!(next["waitsFor"].is_null());
    let left = app.until_left(&first).await;
    let ended = leg_interval(&app, &left).1.expect("ended");
    assert!(ended <= leg_interval(&app, &next).0, "the two legs never overlap");
    leave(&app, &answer.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn switch_fails_if_first_leg_does_not_leave_in_time() {
    let app = TestApp::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let answer = switch(&app, &second_call).await;
    let failed = app.until(&answer.id(), "FAILED", |s| s["state"] == "FAILED").await;
    assert_eq!(failed["failure"]["code"], "leave_timeout");
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    assert_eq!(app.get(&first).await.body["leaveOutcome"], "OVERDUE");
    leave(&app, &first).await;
    app.finish().await;
}

#[tokio::test]
async fn switch_survives_crash_between_leave_and_join() {
    let mut app = TestApp::start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let answer = switch(&app, &second_call).await;
    app.crash_and_restart().await;
    assert_eq!(app.get(&answer.id()).await.body["waitsFor"], json!(first));
    app.browser("supervisor-1").obey(&answer.body["nextAction"]).await;
    app.until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(app.connect().calls("MonitorContact"), 2, "one leg for each contact");
    leave(&app, &answer.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn switch_replaced_while_waiting_joins_only_last_contact() {
    let app = TestApp::start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let third_call = app.connect().create_call();
    let second = switch(&app, &second_call).await;
    let third = switch(&app, &third_call).await;
    assert_eq!(third.body["waitsFor"], json!(first));
    let withdrawn = app.until(&second.id(), "FAILED", |s| s["state"] == "FAILED").await;
    assert_eq!(withdrawn["failure"]["code"], "join_cancelled");
    app.browser("supervisor-1").obey(&third.body["nextAction"]).await;
    app.until(&third.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    leave(&app, &third.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn switch_with_nothing_to_leave_is_a_start() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let answer = switch(&app, &call).await;
    assert_eq!((answer.status, &answer.body["waitsFor"]), (201, &Value::Null));
    let again = switch(&app, &call).await;
    assert_eq!(
        (again.status, again.id()),
        (200, answer.id()),
        "the same contact is not a switch"
    );
    let odd = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": "yes"});
    assert_eq!(app.call("POST", "/v1/supervisions").json(&odd).send().await.status, 400);
    leave(&app, &answer.id()).await;
    app.finish().await;
}

/// Writes the first supervision back as it was before the switch. This simulates a crash after the second supervision was
/// written and before the first was asked to leave.
async fn rewind(app: &TestApp, before: Supervision) {
    let store = open_after_crash(&app.store_path()).await;
    let now = store.supervision(before.id).await.expect("read").expect("there");
    assert_eq!(
        now.supervision.state,
        State::Leaving,
        "the switch asked the first one to leave"
    );
    let change = Transaction {
        supervision: Some(SupervisionWrite::Update(Box::new(before), now.revision)),
        ..Transaction::default()
    };
    assert!(store.transact(change).await.expect("written").is_done());
    store.close().await;
    // No write of the store deletes a directive, so this deletes its row directly.
    sql(&app.store_path(), "DELETE FROM directives").await.expect("deleted");
}

#[tokio::test]
async fn switch_survives_crash_before_leave_is_requested() {
    let mut app = TestApp::start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let url = format!("sqlite://{}", app.store_path().display());
    let view = StoreView::open(&url).await.expect("opens");
    let id = SupervisionId::parse(&first).expect("an id");
    let before = view.supervision(id).await.expect("read").expect("there").supervision;
    assert_eq!(
        (before.state, &before.leave, before.directives.len()),
        (State::Monitoring, &None, 0)
    );
    drop(view);
    let answer = switch(&app, &second_call).await;
    app.crash();
    rewind(&app, before).await;
    app.restart().await;
    let left = app.until(&first, "LEAVING", |s| !s["nextAction"].is_null()).await;
    assert_eq!(left["state"], "LEAVING");
    assert_ne!(
        left["nextAction"]["directiveId"], answer.body["nextAction"]["directiveId"],
        "the restarted service issued a new directive"
    );
    app.browser("supervisor-1").obey(&left["nextAction"]).await;
    app.until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(app.connect().calls("MonitorContact"), 2, "one leg each");
    leave(&app, &answer.id()).await;
    app.finish().await;
}
