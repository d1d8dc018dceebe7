//! From one contact to the next in one request, with no moment at which both legs are there for Connect.

use serde_json::{Value, json};
use sidedoor::domain::ids::SupervisionId;
use sidedoor::domain::supervision::{State, Supervision};
use sidedoor::journal::JournalView;
use sidedoor::ports::journal::Write;
use sidedoor::ports::{Change, Committed, Journal};

use crate::support::departed::journal_of;
use crate::support::house::{Answer, House};
use crate::support::sql;

async fn switch(house: &House, contact: &str) -> Answer {
    let body = json!({"contactId": contact, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": true});
    house.call("POST", "/v1/supervisions").json(&body).send().await
}

async fn two_calls(house: &House) -> (String, String, String) {
    let (first, second) = (house.connect().create_call(), house.connect().create_call());
    let id = house.listen(&first, "supervisor-1").await.id();
    house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    (id, first, second)
}

async fn leave(house: &House, id: &str) {
    let asked = house.disconnect(id).await;
    house.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    house.until_left(id).await;
}

/// When a supervision's leg began and when it ended, in truth.
fn life(house: &House, s: &Value) -> (jiff::Timestamp, Option<jiff::Timestamp>) {
    let leg = house
        .connect()
        .contact(s["legContactId"].as_str().expect("a leg"))
        .expect("known");
    (leg.true_begun_at, leg.true_disconnect_at)
}

#[tokio::test]
async fn a_switch_leaves_the_first_and_then_joins_the_next() {
    let house = House::start().await;
    let (first, _, second_call) = two_calls(&house).await;
    let answer = switch(&house, &second_call).await;
    assert_eq!(
        (answer.status, answer.state(), &answer.body["waitsFor"]),
        (202, "REQUESTED", &json!(first))
    );
    assert_eq!(
        answer.body["nextAction"]["supervisionId"],
        json!(first),
        "what ends the first leg"
    );
    assert_eq!(house.get(&first).await.state(), "LEAVING");
    assert_eq!(
        house.connect().calls("MonitorContact"),
        1,
        "nothing is sent before the first is gone"
    );
    house.browser("supervisor-1").obey(&answer.body["nextAction"]).await;
    let next = house
        .until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert!(next["waitsFor"].is_null());
    let left = house.until_left(&first).await;
    let ended = life(&house, &left).1.expect("ended");
    assert!(ended <= life(&house, &next).0, "no moment with both");
    leave(&house, &answer.id()).await;
    house.finish().await;
}

#[tokio::test]
async fn a_first_that_does_not_leave_ends_the_switch_and_nothing_waits_for_ever() {
    let house = House::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let (first, _, second_call) = two_calls(&house).await;
    let answer = switch(&house, &second_call).await;
    let failed = house.until(&answer.id(), "FAILED", |s| s["state"] == "FAILED").await;
    assert_eq!(failed["failure"]["code"], "current_not_left");
    assert_eq!(house.connect().calls("MonitorContact"), 1);
    assert_eq!(house.get(&first).await.body["leaveOutcome"], "OVERDUE");
    leave(&house, &first).await;
    house.finish().await;
}

#[tokio::test]
async fn a_switch_survives_a_crash_between_leaving_and_joining() {
    let mut house = House::start().await;
    let (first, _, second_call) = two_calls(&house).await;
    let answer = switch(&house, &second_call).await;
    house.crash_and_restart().await;
    assert_eq!(house.get(&answer.id()).await.body["waitsFor"], json!(first));
    house.browser("supervisor-1").obey(&answer.body["nextAction"]).await;
    house
        .until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(house.connect().calls("MonitorContact"), 2, "one leg each");
    leave(&house, &answer.id()).await;
    house.finish().await;
}

#[tokio::test]
async fn whoever_changes_their_mind_while_waiting_joins_only_the_last() {
    let house = House::start().await;
    let (first, _, second_call) = two_calls(&house).await;
    let third_call = house.connect().create_call();
    let second = switch(&house, &second_call).await;
    let third = switch(&house, &third_call).await;
    assert_eq!(third.body["waitsFor"], json!(first));
    let withdrawn = house.until(&second.id(), "FAILED", |s| s["state"] == "FAILED").await;
    assert_eq!(withdrawn["failure"]["code"], "withdrawn");
    house.browser("supervisor-1").obey(&third.body["nextAction"]).await;
    house
        .until(&third.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    leave(&house, &third.id()).await;
    house.finish().await;
}

#[tokio::test]
async fn with_nothing_to_leave_a_switch_is_a_start() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let answer = switch(&house, &call).await;
    assert_eq!((answer.status, &answer.body["waitsFor"]), (201, &Value::Null));
    let again = switch(&house, &call).await;
    assert_eq!(
        (again.status, again.id()),
        (200, answer.id()),
        "the same contact is no switch"
    );
    let odd = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": "yes"});
    assert_eq!(
        house.call("POST", "/v1/supervisions").json(&odd).send().await.status,
        400
    );
    leave(&house, &answer.id()).await;
    house.finish().await;
}

/// Writes the first supervision back as it was before the switch, as a crash right after the second one was written, before the
/// first was asked to leave, would have left both.
async fn rewind(house: &House, before: Supervision) {
    let journal = journal_of(&house.journal_path()).await;
    let now = journal.supervision(before.id).await.expect("read").expect("there");
    assert_eq!(
        now.supervision.state,
        State::Leaving,
        "the switch asked the first one to leave"
    );
    let change = Change {
        supervision: Some(Write::Update(Box::new(before), now.revision)),
        ..Change::default()
    };
    assert_eq!(journal.commit(change).await.expect("written"), Committed::Done);
    journal.close().await;
    // A directive that was given is never taken back by a write, so its row must go by hand.
    sql(&house.journal_path(), "DELETE FROM directives")
        .await
        .expect("deleted");
}

#[tokio::test]
async fn a_crash_between_the_two_halves_of_a_switch_loses_neither() {
    let mut house = House::start().await;
    let (first, _, second_call) = two_calls(&house).await;
    let url = format!("sqlite://{}", house.journal_path().display());
    let view = JournalView::open(&url).await.expect("opens");
    let id = SupervisionId::parse(&first).expect("an id");
    let before = view.supervision(id).await.expect("read").expect("there").supervision;
    assert_eq!(
        (before.state, &before.leave, before.directives.len()),
        (State::Monitoring, &None, 0)
    );
    drop(view);
    let answer = switch(&house, &second_call).await;
    house.crash();
    rewind(&house, before).await;
    house.restart().await;
    let left = house.until(&first, "LEAVING", |s| !s["nextAction"].is_null()).await;
    assert_eq!(left["state"], "LEAVING");
    assert_ne!(
        left["nextAction"]["directiveId"], answer.body["nextAction"]["directiveId"],
        "the restarted service gave the directive, not the one before the crash"
    );
    house.browser("supervisor-1").obey(&left["nextAction"]).await;
    house
        .until(&answer.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(house.connect().calls("MonitorContact"), 2, "one leg each");
    leave(&house, &answer.id()).await;
    house.finish().await;
}
