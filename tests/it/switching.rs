//! From one contact to the next in one request, with no moment at which both legs are there for Connect.

use serde_json::{Value, json};
use sidedoor::store::sqlite::StoreView;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::SupervisionStore;
use sidedoor_domain::ports::store::SupervisionWrite;
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction};
use sidedoor_domain::supervision::{State, Supervision};

use crate::support::app::{Answer, TestApp};
use crate::support::departed::journal_of;
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

/// When a supervision's leg began and when it ended, in truth.
fn life(app: &TestApp, s: &Value) -> (jiff::Timestamp, Option<jiff::Timestamp>) {
    let leg = app
        .connect()
        .contact(s["legContactId"].as_str().expect("a leg"))
        .expect("known");
    (leg.true_begun_at, leg.true_disconnect_at)
}

#[tokio::test]
async fn a_switch_leaves_the_first_and_then_joins_the_next() {
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
        "what ends the first leg"
    );
    assert_eq!(app.get(&first).await.state(), "LEAVING");
    assert_eq!(
        app.connect().calls("MonitorContact"),
        1,
        "nothing is sent before the first is gone"
    );
    app.browser("supervisor-1").obey(&answer.body["nextAction"]).await;
    let next = app
        .until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert!(next["waitsFor"].is_null());
    let left = app.until_left(&first).await;
    let ended = life(&app, &left).1.expect("ended");
    assert!(ended <= life(&app, &next).0, "no moment with both");
    leave(&app, &answer.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn a_first_that_does_not_leave_ends_the_switch_and_nothing_waits_for_ever() {
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
async fn a_switch_survives_a_crash_between_leaving_and_joining() {
    let mut app = TestApp::start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let answer = switch(&app, &second_call).await;
    app.crash_and_restart().await;
    assert_eq!(app.get(&answer.id()).await.body["waitsFor"], json!(first));
    app.browser("supervisor-1").obey(&answer.body["nextAction"]).await;
    app.until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(app.connect().calls("MonitorContact"), 2, "one leg each");
    leave(&app, &answer.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn whoever_changes_their_mind_while_waiting_joins_only_the_last() {
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
async fn with_nothing_to_leave_a_switch_is_a_start() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let answer = switch(&app, &call).await;
    assert_eq!((answer.status, &answer.body["waitsFor"]), (201, &Value::Null));
    let again = switch(&app, &call).await;
    assert_eq!(
        (again.status, again.id()),
        (200, answer.id()),
        "the same contact is no switch"
    );
    let odd = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": "yes"});
    assert_eq!(app.call("POST", "/v1/supervisions").json(&odd).send().await.status, 400);
    leave(&app, &answer.id()).await;
    app.finish().await;
}

/// Writes the first supervision back as it was before the switch, as a crash right after the second one was written, before the
/// first was asked to leave, would have left both.
async fn rewind(app: &TestApp, before: Supervision) {
    let store = journal_of(&app.journal_path()).await;
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
    assert_eq!(store.transact(change).await.expect("written"), CommitOutcome::Done);
    store.close().await;
    // A directive that was given is never taken back by a write, so its row must go by hand.
    sql(&app.journal_path(), "DELETE FROM directives")
        .await
        .expect("deleted");
}

#[tokio::test]
async fn a_crash_between_the_two_halves_of_a_switch_loses_neither() {
    let mut app = TestApp::start().await;
    let (first, _, second_call) = two_calls(&app).await;
    let url = format!("sqlite://{}", app.journal_path().display());
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
        "the restarted service gave the directive, not the one before the crash"
    );
    app.browser("supervisor-1").obey(&left["nextAction"]).await;
    app.until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(app.connect().calls("MonitorContact"), 2, "one leg each");
    leave(&app, &answer.id()).await;
    app.finish().await;
}
