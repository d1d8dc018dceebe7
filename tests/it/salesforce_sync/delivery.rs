//! Delivery of single records to Salesforce: each fault is retried, paused or made a dead letter, and no record is lost.

use serde_json::{Value, json};
use sidedoor::usecases::UseCaseIntervals;
use sidedoor_fakes::Fault;
use sidedoor_fakes::salesforce::Object;

use crate::support::app::{TestApp, start};
use crate::support::sql;
use crate::support::stored_states::{damage_document, make_record_due};
use crate::support::supervision_steps::fast_intervals;

async fn start_and_leave(app: &TestApp, supervisor: &str) -> (String, String) {
    let call = app.connect().create_call();
    let started = app.listen(&call, supervisor).await;
    let action = app.disconnect(&started.id()).await.body["nextAction"].clone();
    app.browser(supervisor).obey(&action).await;
    app.until_left(&started.id()).await;
    (
        started.id(),
        started.body["legContactId"].as_str().expect("a leg").to_owned(),
    )
}

#[tokio::test]
async fn delivery_retries_temporary_faults() {
    let app = TestApp::start().await;
    for fault in [
        Fault::error("upsert", 400, "UNABLE_TO_LOCK_ROW"),
        Fault::error("upsert", 503, "SERVER_UNAVAILABLE"),
        Fault::error("upsert", 500, "UNKNOWN_EXCEPTION"),
        Fault::error("upsert", 400, "DUPLICATE_VALUE"),
        Fault::lost_answer("upsert"),
        Fault {
            drop_connection: true,
            status: None,
            ..Fault::error("upsert", 500, "")
        },
    ] {
        app.salesforce().fault(fault.clone());
        let (id, leg) = start_and_leave(&app, "supervisor-1").await;
        app.until_written(&id).await;
        assert_eq!(app.salesforce().faults(), [], "no call met {fault:?}");
        app.record(&leg);
    }
    app.finish().await;
}

#[tokio::test]
async fn delivery_renews_expired_session_once() {
    let app = TestApp::start().await;
    let (id, _) = start_and_leave(&app, "supervisor-1").await;
    app.until_written(&id).await;
    assert_eq!(app.salesforce().logins(), 1);
    app.salesforce().revoke_tokens();
    let (id, _) = start_and_leave(&app, "supervisor-1").await;
    app.until_written(&id).await;
    assert_eq!(app.salesforce().logins(), 2);
    app.finish().await;
}

#[tokio::test]
async fn delivery_of_short_supervision_takes_one_upsert() {
    // The waits of production, because a busy machine needs more than the tests' short ones for the steps in between.
    let app = TestApp::build()
        .intervals(UseCaseIntervals {
            join_row: UseCaseIntervals::default().join_row,
            after_again: UseCaseIntervals::default().after_again,
            ..fast_intervals()
        })
        .set("SUPERVISION__AFTER_CHECK_GRACE_MS", "1000")
        .start()
        .await;
    let call = app.connect().create_call();
    let started = app.listen(&call, "supervisor-1").await;
    let action = app.disconnect(&started.id()).await.body["nextAction"].clone();
    app.browser("supervisor-1")
        .with(sidedoor_fakes::Manners {
            delay_ms: 0,
            ..Default::default()
        })
        .obey(&action)
        .await;
    app.until_left(&started.id()).await;
    app.until_written(&started.id()).await;
    let writes = app.salesforce().written();
    assert!(writes.len() <= 2, "{writes:#?}");
    assert!(writes.last().expect("one").body.contains_key("Disconnected_At__c"));
    app.finish().await;
}

#[tokio::test]
async fn delivery_dead_letter_keeps_answer_of_org() {
    let app = TestApp::start().await;
    app.salesforce().fault(
        Fault::error("upsert", 400, "REQUIRED_FIELD_MISSING")
            .saying("Required fields are missing: [X__c]")
            .times(9),
    );
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let dead = app
        .until(&id, "FAILED", |s| s["salesforceRecord"]["state"] == "FAILED")
        .await;
    assert!(
        dead["salesforceRecord"]["lastError"]
            .as_str()
            .expect("a text")
            .contains("X__c")
    );
    let kept = sql(&app.store_path(), "SELECT last_answer FROM deliveries")
        .await
        .expect("read");
    assert!(
        kept[0][0].contains("REQUIRED_FIELD_MISSING"),
        "the org's answer is stored: {kept:?}"
    );
    // A newer version of the record is tried again.
    app.salesforce().clear_faults();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn delivery_omits_refused_lookup_and_says_so() {
    let app = TestApp::build()
        .fakes(|f| f.salesforce.strict_lookups = true)
        .start()
        .await;
    let call = app.connect().create_call();
    let mut body = start(&call, "supervisor-1");
    body["voiceCallId"] = json!("0LQ000000000404AAA");
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    let recorded = app.until_written(&started.id()).await;
    assert!(
        recorded["salesforceRecord"]["lastError"]
            .as_str()
            .expect("marked")
            .contains("without its VoiceCall")
    );
    assert_eq!(
        app.record(started.body["legContactId"].as_str().expect("a leg"))
            .get("Voice_Call__c"),
        None
    );
    app.finish().await;
}

#[tokio::test]
async fn delivery_pauses_on_org_fault_without_dead_letters() {
    let app = TestApp::start().await;
    app.salesforce().remove_object("VoiceCallParticipant__c");
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let parked = app
        .until(&id, "an error", |s| !s["salesforceRecord"]["lastError"].is_null())
        .await;
    assert_eq!(parked["salesforceRecord"]["state"], "PENDING");
    assert!(
        parked["salesforceRecord"]["lastError"]
            .as_str()
            .expect("a text")
            .contains("salesforce.object"),
        "the state names the remedy: {parked:#}"
    );
    assert_eq!(parked["state"], "MONITORING", "listening does not depend on Salesforce");
    app.assert_invariants().await;
}

#[tokio::test]
async fn delivery_pauses_when_org_limit_is_reached() {
    let app = TestApp::start().await;
    app.salesforce()
        .fault(Fault::error("upsert", 403, "REQUEST_LIMIT_EXCEEDED"));
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    app.until(&id, "parked", |s| {
        s["salesforceRecord"]["lastError"]
            .as_str()
            .is_some_and(|e| e.contains("REQUEST_LIMIT_EXCEEDED"))
    })
    .await;
    let calls = app.salesforce().api_calls();
    let other = app.connect().create_call();
    app.listen(&other, "supervisor-2").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(
        app.salesforce().api_calls(),
        calls,
        "no call is made while delivery is paused"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn delivery_auto_uses_standard_object_if_present() {
    let mut app = TestApp::start().await;
    // The object exists before the service describes the org.
    app.crash();
    app.salesforce().put_object(Object::participant("VoiceCallParticipant"));
    app.restart().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let recorded = app.until_written(&id).await;
    assert_eq!(recorded["salesforceRecord"]["objectName"], "VoiceCallParticipant");
    app.finish().await;
}

#[tokio::test]
async fn delivery_survives_crash_and_outage() {
    let mut app = TestApp::start().await;
    app.salesforce()
        .fault(Fault::error("upsert", 503, "SERVER_UNAVAILABLE").times(1000));
    let (id, leg) = start_and_leave(&app, "supervisor-1").await;
    app.until(&id, "an attempt", |s| {
        s["salesforceRecord"]["attempts"].as_u64() > Some(0)
    })
    .await;
    app.crash();
    app.salesforce().clear_faults();
    app.restart().await;
    app.until_written(&id).await;
    assert_eq!(app.record(&leg)["Disconnect_Reason__c"], "SUPERVISOR");
    app.finish().await;
}

#[tokio::test]
async fn delivery_reports_rejected_login_without_secret() {
    let app = TestApp::build()
        .set("SALESFORCE__CLIENT_SECRET", "a-wrong-secret-to-hide")
        .start()
        .await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let parked = app
        .until(&id, "an error", |s| !s["salesforceRecord"]["lastError"].is_null())
        .await;
    let error = parked["salesforceRecord"]["lastError"].as_str().expect("a text");
    assert!(
        error.contains("salesforce_login_rejected") && !error.contains("a-wrong-secret-to-hide"),
        "{error}"
    );
    assert_ne!(parked["salesforceRecord"]["state"], Value::from("FAILED"));
    app.assert_invariants().await;
}

#[tokio::test]
async fn delivery_can_be_disabled() {
    let app = TestApp::build().set("SALESFORCE__ENABLED", "false").start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    assert_eq!(app.salesforce().api_calls(), 0);
    app.assert_invariants().await;
}

#[tokio::test]
async fn delivery_skips_record_that_cannot_be_read() {
    let mut app = TestApp::start().await;
    let call = app.connect().create_call();
    let first = app.joined(&call, "supervisor-1").await;
    let second = app.joined(&call, "supervisor-2").await;
    let id = |s: &Value| s["id"].as_str().expect("an id").to_owned();
    for s in [&first, &second] {
        app.until_written(&id(s)).await;
    }
    app.crash();
    for s in [&first, &second] {
        make_record_due(&app.store_path(), &id(s)).await;
    }
    damage_document(&app.store_path(), &id(&first)).await;
    let writes = app.salesforce().written().len();
    app.restart().await;
    app.until_written(&id(&second)).await;
    assert_eq!(app.salesforce().written().len(), writes + 1);
    app.crash();
}
