//! What makes a row a dead letter though each of its refusals, by itself, is one that passes: it was tried for half an hour,
//! and the org took others meanwhile.

use std::time::Duration;

use serde_json::Value;
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{READER, TestApp};
use crate::support::sql;

async fn app() -> TestApp {
    TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await
}

/// A supervisor listens: their row is on its way. Its supervision and its leg.
async fn row(app: &TestApp, supervisor: &str) -> (String, String) {
    app.connect().set_ccp_open(supervisor, true);
    let call = app.connect().create_contact(NewContact::default());
    let s = app.joined(&call, supervisor).await;
    let text = |name: &str| s[name].as_str().expect("a text").to_owned();
    (text("id"), text("legContactId"))
}

/// A fault of one row that usually passes, and here never does.
fn never_taken(app: &TestApp, leg: &str) {
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 503, "SERVER_UNAVAILABLE").times(1000);
        fault.matching = Some(leg.to_owned());
        app.salesforce().fault(fault);
    }
}

async fn recording(app: &TestApp, id: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..1500 {
        last = app.get(id).await.body["salesforceRecord"].clone();
        if good(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{id} was never {what}: {last:#}");
}

/// As if the oldest row had been refused so often while others were taken, and all were due.
async fn age(app: &mut TestApp, refusals: u32) {
    app.crash();
    let oldest = "UPDATE deliveries SET due_at = 0, refused_at = 1, refusals = 39
                  WHERE supervision_id = (SELECT MIN(id) FROM supervisions)";
    let once_more = "UPDATE deliveries SET refusals = refusals + 1
                     WHERE supervision_id = (SELECT MIN(id) FROM supervisions)";
    // The store is free a moment after the crash.
    let mut tries = 0;
    while let Err(e) = sql(&app.store_path(), oldest).await {
        tries += 1;
        assert!(tries < 100, "{e}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 39..refusals {
        sql(&app.store_path(), once_more).await.expect("aged");
    }
    due(app).await;
}

async fn due(app: &TestApp) {
    let now = "UPDATE deliveries SET due_at = 0 WHERE state = 'PENDING'";
    sql(&app.store_path(), now).await.expect("made due");
}

fn down(app: &TestApp) {
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
}

#[tokio::test]
async fn a_row_that_was_tried_for_half_an_hour_while_others_were_taken_needs_a_person() {
    let mut app = app().await;
    down(&app);
    let (hopeless, leg) = row(&app, "hopeless").await;
    let (other, _) = row(&app, "other").await;
    age(&mut app, 39).await;
    app.salesforce().clear_faults();
    never_taken(&app, &leg);
    app.restart().await;
    // In one call with another that is taken, it is refused for the fortieth time and still to be tried again.
    recording(&app, &other, "taken", |r| r["state"] == "WRITTEN").await;
    let told = recording(&app, &hopeless, "tried", |r| {
        r["lastError"]
            .as_str()
            .is_some_and(|e| e.contains("SERVER_UNAVAILABLE"))
    })
    .await;
    assert_eq!(told["state"], "PENDING", "{told}");
    // Alone it says nothing more; but others are taken since.
    let (second, _) = row(&app, "second").await;
    recording(&app, &second, "taken", |r| r["state"] == "WRITTEN").await;
    due(&app).await;
    let told = recording(&app, &hopeless, "given up", |r| r["state"] == "FAILED").await;
    assert!(
        told["lastError"].as_str().expect("why").contains("SERVER_UNAVAILABLE"),
        "{told}"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn among_others_that_are_taken_it_is_given_up_too() {
    let mut app = app().await;
    down(&app);
    let (hopeless, leg) = row(&app, "hopeless").await;
    let (other, _) = row(&app, "other").await;
    age(&mut app, 40).await;
    app.salesforce().clear_faults();
    never_taken(&app, &leg);
    app.restart().await;
    recording(&app, &other, "taken", |r| r["state"] == "WRITTEN").await;
    recording(&app, &hopeless, "given up", |r| r["state"] == "FAILED").await;
    app.assert_invariants().await;
}

/// The same row while the org takes nothing at all: that is the org's state, however often it is met.
#[tokio::test]
async fn no_row_is_given_up_while_the_org_takes_none() {
    let mut app = app().await;
    down(&app);
    let (id, leg) = row(&app, "waits").await;
    age(&mut app, 60).await;
    app.restart().await;
    let tried = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE attempts > 3";
    for _ in 0..1000 {
        if sql(&app.store_path(), tried).await.expect("read") == [["1"]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = app.get(&id).await.body["salesforceRecord"].clone();
    assert_eq!(told["state"], "PENDING", "{told}");
    app.salesforce().clear_faults();
    recording(&app, &id, "taken", |r| r["state"] == "WRITTEN").await;
    app.row(&leg);
    app.assert_invariants().await;
}

/// What a row went through while the org took nothing is not held against it: its first refusal of its own is the first.
#[tokio::test]
async fn an_outage_counts_against_no_row() {
    let app = app().await;
    down(&app);
    let (id, leg) = row(&app, "waits").await;
    recording(&app, &id, "tried", |r| r["attempts"].as_u64() >= Some(4)).await;
    let (other, _) = row(&app, "other").await;
    app.salesforce().clear_faults();
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 403, "INSUFFICIENT_ACCESS");
        fault.matching = Some(leg.clone());
        app.salesforce().fault(fault);
    }
    recording(&app, &other, "taken", |r| r["state"] == "WRITTEN").await;
    recording(&app, &id, "taken", |r| r["state"] == "WRITTEN").await;
    app.assert_invariants().await;
}

/// Faults of the org that its description does not show: a full store, a trigger that fails for all.
#[tokio::test]
async fn what_ails_every_row_gives_none_up() {
    for code in [
        "STORAGE_LIMIT_EXCEEDED",
        "EXCEEDED_QUOTA",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    ] {
        let app = app().await;
        for operation in ["upsert", "item"] {
            app.salesforce().fault(Fault::error(operation, 400, code).times(1000));
        }
        let mut ids = Vec::new();
        for supervisor in ["first", "second", "third"] {
            ids.push(row(&app, supervisor).await.0);
        }
        let mut paused = Value::Null;
        for _ in 0..400 {
            paused = app.call("GET", "/v1/deliveries").key(READER).send().await.body["paused"].clone();
            if !paused.is_null() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(paused["reason"].as_str().expect("why").contains(code), "{paused}");
        tokio::time::sleep(Duration::from_secs(6)).await;
        for id in &ids {
            let told = app.get(id).await.body["salesforceRecord"].clone();
            assert_eq!(told["state"], "PENDING", "{code}: {told}");
        }
        app.assert_invariants().await;
    }
}

/// One bad row alone in an idle org: nobody knows whose fault it is, and the next row does not wait for it.
#[tokio::test]
async fn a_refused_row_that_is_alone_holds_nothing_up() {
    let app = app().await;
    let refused = Fault::error("upsert", 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY").times(1000);
    app.salesforce().fault(refused);
    let (bad, leg) = row(&app, "bad").await;
    recording(&app, &bad, "refused", |r| r["attempts"].as_u64() >= Some(1)).await;
    app.salesforce().clear_faults();
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY").times(1000);
        fault.matching = Some(leg.clone());
        app.salesforce().fault(fault);
    }
    let paused = app.call("GET", "/v1/deliveries").key(READER).send().await.body["paused"].clone();
    assert!(paused.is_null(), "{paused}");
    // Those that are taken beside it show that it is its own fault.
    for i in 0..6 {
        let (id, _) = row(&app, &format!("good-{i}")).await;
        recording(&app, &id, "taken", |r| r["state"] == "WRITTEN").await;
        due(&app).await;
        let told = app.get(&bad).await.body["salesforceRecord"].clone();
        if told["state"] == "FAILED" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    recording(&app, &bad, "given up", |r| r["state"] == "FAILED").await;
    app.assert_invariants().await;
}
