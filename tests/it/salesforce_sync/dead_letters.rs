//! When a record becomes a dead letter although each single refusal is retryable: it was retried for half an hour,
//! and the org accepted other records in that time.

use std::time::Duration;

use serde_json::Value;
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{READER, TestApp};
use crate::support::sql;
use crate::support::stored_states::pass_ten_minutes;

async fn app() -> TestApp {
    TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await
}

/// Starts a supervision, whose record is then pending. Returns the supervision's id and its leg.
async fn pending_record(app: &TestApp, supervisor: &str) -> (String, String) {
    app.connect().set_ccp_open(supervisor, true);
    let call = app.connect().create_contact(NewContact::default());
    let s = app.joined(&call, supervisor).await;
    let text = |name: &str| s[name].as_str().expect("a text").to_owned();
    (text("id"), text("legContactId"))
}

/// Makes the org answer one record for ever with an error that is usually temporary.
fn reject_always(app: &TestApp, leg: &str) {
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 503, "SERVER_UNAVAILABLE").times(1000);
        fault.matching = Some(leg.to_owned());
        app.salesforce().fault(fault);
    }
}

async fn until_record(app: &TestApp, id: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..1500 {
        last = app.get(id).await.body["salesforceRecord"].clone();
        if good(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout waiting for {id} to be {what}: {last:#}");
}

/// Simulates that the oldest record was refused `refusals` times while others were accepted, and makes all deliveries due. By SQL,
/// because the port counts an attempt with every refusal, and the tests count attempts.
async fn add_refusals(app: &mut TestApp, refusals: u32) {
    app.crash();
    let oldest = "UPDATE deliveries SET due_at = 0, refused_at = 1, refusals = 39
                  WHERE supervision_id = (SELECT MIN(id) FROM supervisions)";
    let once_more = "UPDATE deliveries SET refusals = refusals + 1
                     WHERE supervision_id = (SELECT MIN(id) FROM supervisions)";
    // The store's lock is released a moment after the crash.
    let mut tries = 0;
    while let Err(e) = sql(&app.store_path(), oldest).await {
        tries += 1;
        assert!(tries < 100, "{e}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 39..refusals {
        sql(&app.store_path(), once_more).await.expect("aged");
    }
    make_all_due(app).await;
}

/// By SQL, because the store of a running service cannot be opened a second time.
async fn make_all_due(app: &TestApp) {
    let now = "UPDATE deliveries SET due_at = 0 WHERE state = 'PENDING'";
    sql(&app.store_path(), now).await.expect("made due");
}

fn reject_every_call(app: &TestApp) {
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
}

#[tokio::test]
async fn dead_letter_after_half_an_hour_of_refusals() {
    let mut app = app().await;
    reject_every_call(&app);
    let (hopeless, leg) = pending_record(&app, "hopeless").await;
    let (other, _) = pending_record(&app, "other").await;
    add_refusals(&mut app, 39).await;
    app.salesforce().clear_faults();
    reject_always(&app, &leg);
    app.restart().await;
    // It is refused for the fortieth time, in one call with another record that is accepted, and is still retried.
    until_record(&app, &other, "accepted", |r| r["state"] == "WRITTEN").await;
    let record = until_record(&app, &hopeless, "tried", |r| {
        r["lastError"]
            .as_str()
            .is_some_and(|e| e.contains("SERVER_UNAVAILABLE"))
    })
    .await;
    assert_eq!(record["state"], "PENDING", "{record}");
    // A call with this record alone does not show more, but the org has accepted other records since.
    let (second, _) = pending_record(&app, "second").await;
    until_record(&app, &second, "accepted", |r| r["state"] == "WRITTEN").await;
    // An attempt that is under way puts the record off when it ends, so that it is made due again.
    for _ in 0..20 {
        make_all_due(&app).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        if app.get(&hopeless).await.body["salesforceRecord"]["state"] == "FAILED" {
            break;
        }
    }
    let record = until_record(&app, &hopeless, "a dead letter", |r| r["state"] == "FAILED").await;
    assert!(
        record["lastError"]
            .as_str()
            .expect("why")
            .contains("SERVER_UNAVAILABLE"),
        "{record}"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn dead_letter_is_found_in_call_with_accepted_records() {
    let mut app = app().await;
    reject_every_call(&app);
    let (hopeless, leg) = pending_record(&app, "hopeless").await;
    let (other, _) = pending_record(&app, "other").await;
    add_refusals(&mut app, 40).await;
    app.salesforce().clear_faults();
    reject_always(&app, &leg);
    app.restart().await;
    until_record(&app, &other, "accepted", |r| r["state"] == "WRITTEN").await;
    until_record(&app, &hopeless, "a dead letter", |r| r["state"] == "FAILED").await;
    app.assert_invariants().await;
}

/// The same record while the org accepts nothing: then the fault is the org's, however often the record is refused.
#[tokio::test]
async fn dead_letter_is_not_made_while_org_accepts_nothing() {
    let mut app = app().await;
    reject_every_call(&app);
    let (id, leg) = pending_record(&app, "waits").await;
    add_refusals(&mut app, 60).await;
    app.restart().await;
    let tried = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE attempts > 3";
    for _ in 0..1000 {
        if sql(&app.store_path(), tried).await.expect("read") == [["1"]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let record = app.get(&id).await.body["salesforceRecord"].clone();
    assert_eq!(record["state"], "PENDING", "{record}");
    app.salesforce().clear_faults();
    until_record(&app, &id, "accepted", |r| r["state"] == "WRITTEN").await;
    app.record(&leg);
    app.assert_invariants().await;
}

/// Refusals during an outage do not count: counting starts with the first refusal that is the record's own fault.
#[tokio::test]
async fn dead_letter_count_excludes_outages() {
    let app = app().await;
    reject_every_call(&app);
    let (id, leg) = pending_record(&app, "waits").await;
    until_record(&app, &id, "tried", |r| r["attempts"].as_u64() >= Some(4)).await;
    let (other, _) = pending_record(&app, "other").await;
    app.salesforce().clear_faults();
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 403, "INSUFFICIENT_ACCESS");
        fault.matching = Some(leg.clone());
        app.salesforce().fault(fault);
    }
    until_record(&app, &other, "accepted", |r| r["state"] == "WRITTEN").await;
    until_record(&app, &id, "accepted", |r| r["state"] == "WRITTEN").await;
    app.assert_invariants().await;
}

/// Faults of the org that its description does not show: full storage, or a trigger that fails for every record.
#[tokio::test]
async fn dead_letter_is_not_made_by_fault_of_every_record() {
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
            ids.push(pending_record(&app, supervisor).await.0);
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
            let record = app.get(id).await.body["salesforceRecord"].clone();
            assert_eq!(record["state"], "PENDING", "{code}: {record}");
        }
        app.assert_invariants().await;
    }
}

/// One bad record alone in an idle org: the cause is unknown, and the next record must not wait for it.
#[tokio::test]
async fn refused_record_alone_does_not_delay_others() {
    let app = app().await;
    let refused = Fault::error("upsert", 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY").times(1000);
    app.salesforce().fault(refused);
    let (bad, leg) = pending_record(&app, "bad").await;
    until_record(&app, &bad, "refused", |r| r["attempts"].as_u64() >= Some(1)).await;
    app.salesforce().clear_faults();
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY").times(1000);
        fault.matching = Some(leg.clone());
        app.salesforce().fault(fault);
    }
    let paused = app.call("GET", "/v1/deliveries").key(READER).send().await.body["paused"].clone();
    assert!(paused.is_null(), "{paused}");
    // Other records are accepted beside it for half an hour, which shows that the fault is its own.
    until_dead_in_half_an_hour(&app, &bad).await;
    app.assert_invariants().await;
}

/// Lets other records be accepted and ten minutes pass, again and again, until the record is a dead letter.
async fn until_dead_in_half_an_hour(app: &TestApp, bad: &str) {
    // An attempt that began before the ten minutes passed does not count, so there may be more rounds than four.
    for i in 0..10 {
        let (id, _) = pending_record(app, &format!("good-{i}")).await;
        until_record(app, &id, "accepted", |r| r["state"] == "WRITTEN").await;
        if app.get(bad).await.body["salesforceRecord"]["state"] == "FAILED" {
            assert!(i >= 3, "half an hour has not passed: {i}");
            return;
        }
        let attempts = app.get(bad).await.body["salesforceRecord"]["attempts"].as_u64();
        pass_ten_minutes(&app.store_path()).await;
        until_record(app, bad, "tried", |r| {
            r["state"] == "FAILED" || r["attempts"].as_u64() > attempts
        })
        .await;
    }
    panic!("no dead letter: {:#}", app.get(bad).await.body["salesforceRecord"]);
}

/// Codes that say nothing against a record: while others are accepted, many attempts in a short time do not make it a dead letter.
#[tokio::test]
async fn dead_letter_needs_other_records_and_time() {
    let codes = [
        "SOME_CODE_OF_NEXT_YEAR",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "APEX_ERROR",
        "LIMIT_EXCEEDED",
        "FUNCTIONALITY_NOT_ENABLED",
        "QUERY_TIMEOUT",
        "REQUEST_RUNNING_TOO_LONG",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    ];
    let app = app().await;
    reject_every_call(&app);
    let mut refused = Vec::new();
    for code in codes {
        let (id, leg) = pending_record(&app, code).await;
        refused.push((id, leg, code));
    }
    let (good, _) = pending_record(&app, "good").await;
    app.salesforce().clear_faults();
    for (_, leg, code) in &refused {
        for operation in ["upsert", "item"] {
            let fault = Fault::error(operation, 400, code).saying("Salesforce's own sentence");
            app.salesforce().fault(fault.times(1000).matching(leg));
        }
    }
    until_record(&app, &good, "accepted", |r| r["state"] == "WRITTEN").await;
    for round in 0..6 {
        let (id, _) = pending_record(&app, &format!("more-{round}")).await;
        make_all_due(&app).await;
        until_record(&app, &id, "accepted", |r| r["state"] == "WRITTEN").await;
    }
    for (id, _, code) in &refused {
        let record = until_record(&app, id, "tried", |r| r["attempts"].as_u64() >= Some(4)).await;
        assert_eq!(record["state"], "PENDING", "{code}: {record}");
        let error = record["lastError"].as_str().expect("why");
        assert!(
            error.contains(code) && error.contains("Salesforce's own sentence"),
            "{error}"
        );
    }
    // The org is repaired.
    app.salesforce().clear_faults();
    make_all_due(&app).await;
    for (id, leg, _) in &refused {
        until_record(&app, id, "accepted", |r| r["state"] == "WRITTEN").await;
        app.record(leg);
    }
    app.assert_invariants().await;
}

/// Codes about the whole org, its user or its app: deliveries pause, the reason has Salesforce's sentence and a remedy, and no record is
/// given up.
#[tokio::test]
async fn dead_letter_is_not_made_by_code_about_the_org() {
    for code in [
        "TOO_MANY_APEX_REQUESTS",
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "ORG_LOCKED",
        "TRIAL_EXPIRED",
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        "CLIENT_NOT_ACCESSIBLE_FOR_USER",
    ] {
        let app = app().await;
        let fault = Fault::error("upsert", 403, code).saying("Salesforce's own sentence");
        app.salesforce().fault(fault.times(1000));
        let (id, _) = pending_record(&app, "waits").await;
        let record = until_record(&app, &id, "tried", |r| !r["lastError"].is_null()).await;
        assert_eq!(record["state"], "PENDING", "{code}: {record}");
        let error = record["lastError"].as_str().expect("why");
        let begin = format!("{code}: Salesforce's own sentence; ");
        assert!(error.starts_with(&begin) && error.len() > begin.len(), "{error}");
        app.assert_invariants().await;
    }
}

/// A flow that waits for a lock in vain for as long as a nightly job takes.
#[tokio::test]
async fn lost_lock_of_a_flow_is_retried() {
    let app = app().await;
    let lost = "The record couldn't be saved because it failed to trigger a flow. UNABLE_TO_LOCK_ROW: unable to obtain exclusive access";
    for operation in ["upsert", "item"] {
        let mut fault = Fault::error(operation, 400, "CANNOT_EXECUTE_FLOW_TRIGGER").times(1000);
        fault.for_ms = Some(7_000);
        app.salesforce().fault(fault.saying(lost));
    }
    let (id, leg) = pending_record(&app, "locked").await;
    until_record(&app, &id, "tried", |r| r["attempts"].as_u64() >= Some(5)).await;
    until_record(&app, &id, "accepted", |r| r["state"] == "WRITTEN").await;
    app.record(&leg);
    app.assert_invariants().await;
}
