//! Rows on their way to Salesforce: every fault has its end, and none is lost.

use serde_json::{Value, json};
use sidedoor_fakes::{Fault, salesforce::Object};

use crate::support::app::{TestApp, start};
use crate::support::sql;

async fn left(app: &TestApp, supervisor: &str) -> (String, String) {
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
async fn faults_that_pass_are_tried_again() {
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
        let (id, leg) = left(&app, "supervisor-1").await;
        app.until_recorded(&id).await;
        assert_eq!(app.salesforce().faults(), [], "no call met {fault:?}");
        app.row(&leg);
    }
    app.finish().await;
}

#[tokio::test]
async fn an_expired_session_is_renewed_once_for_all() {
    let app = TestApp::start().await;
    let (id, _) = left(&app, "supervisor-1").await;
    app.until_recorded(&id).await;
    assert_eq!(app.salesforce().logins(), 1);
    app.salesforce().revoke_tokens();
    let (id, _) = left(&app, "supervisor-1").await;
    app.until_recorded(&id).await;
    assert_eq!(app.salesforce().logins(), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_short_supervision_costs_one_upsert() {
    let app = TestApp::start().await;
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
    app.until_recorded(&started.id()).await;
    let writes = app.salesforce().written();
    assert!(writes.len() <= 2, "{writes:#?}");
    assert!(writes.last().expect("one").body.contains_key("Disconnected_At__c"));
    app.finish().await;
}

#[tokio::test]
async fn a_row_that_needs_a_person_is_kept_with_the_answer() {
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
            .expect("told")
            .contains("X__c")
    );
    let kept = sql(&app.journal_path(), "SELECT last_answer FROM deliveries")
        .await
        .expect("read");
    assert!(
        kept[0][0].contains("REQUIRED_FIELD_MISSING"),
        "the answer is kept: {kept:?}"
    );
    // A newer version of the row gets a chance of its own.
    app.salesforce().clear_faults();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    app.until_recorded(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn a_refused_lookup_is_left_out_and_marked() {
    let app = TestApp::build()
        .fakes(|f| f.salesforce.strict_lookups = true)
        .start()
        .await;
    let call = app.connect().create_call();
    let mut body = start(&call, "supervisor-1");
    body["voiceCallId"] = json!("0LQ000000000404AAA");
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    let recorded = app.until_recorded(&started.id()).await;
    assert!(
        recorded["salesforceRecord"]["lastError"]
            .as_str()
            .expect("marked")
            .contains("without its VoiceCall")
    );
    assert_eq!(
        app.row(started.body["legContactId"].as_str().expect("a leg"))
            .get("Voice_Call__c"),
        None
    );
    app.finish().await;
}

#[tokio::test]
async fn a_fault_of_the_whole_org_parks_and_dead_letters_nothing() {
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
            .expect("told")
            .contains("salesforce.object"),
        "the remedy is named: {parked:#}"
    );
    assert_eq!(parked["state"], "MONITORING", "listening does not depend on Salesforce");
    app.rules_hold().await;
}

#[tokio::test]
async fn limits_park_the_whole_org() {
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
    assert_eq!(app.salesforce().api_calls(), calls, "a parked org is left alone");
    app.rules_hold().await;
}

#[tokio::test]
async fn auto_takes_the_standard_name_if_the_org_has_it() {
    let mut app = TestApp::start().await;
    // There before the service looks.
    app.crash();
    app.salesforce().put_object(Object::participant("VoiceCallParticipant"));
    app.restart().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let recorded = app.until_recorded(&id).await;
    assert_eq!(recorded["salesforceRecord"]["objectName"], "VoiceCallParticipant");
    app.finish().await;
}

#[tokio::test]
async fn rows_survive_a_crash_and_an_outage() {
    let mut app = TestApp::start().await;
    app.salesforce()
        .fault(Fault::error("upsert", 503, "SERVER_UNAVAILABLE").times(1000));
    let (id, leg) = left(&app, "supervisor-1").await;
    app.until(&id, "an attempt", |s| {
        s["salesforceRecord"]["attempts"].as_u64() > Some(0)
    })
    .await;
    app.crash();
    app.salesforce().clear_faults();
    app.restart().await;
    app.until_recorded(&id).await;
    assert_eq!(app.row(&leg)["Disconnect_Reason__c"], "SUPERVISOR");
    app.finish().await;
}

#[tokio::test]
async fn wrong_credentials_are_told_without_being_shown() {
    let app = TestApp::build()
        .set("SALESFORCE__CLIENT_SECRET", "a-wrong-secret-to-hide")
        .start()
        .await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let parked = app
        .until(&id, "an error", |s| !s["salesforceRecord"]["lastError"].is_null())
        .await;
    let told = parked["salesforceRecord"]["lastError"].as_str().expect("told");
    assert!(
        told.contains("salesforce_login_rejected") && !told.contains("a-wrong-secret-to-hide"),
        "{told}"
    );
    assert_ne!(parked["salesforceRecord"]["state"], Value::from("FAILED"));
    app.rules_hold().await;
}

#[tokio::test]
async fn delivery_can_be_switched_off() {
    let app = TestApp::build().set("SALESFORCE__ENABLED", "false").start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    assert_eq!(app.salesforce().api_calls(), 0);
    app.rules_hold().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_no_other_up() {
    let mut app = TestApp::start().await;
    let call = app.connect().create_call();
    let first = app.joined(&call, "supervisor-1").await;
    let second = app.joined(&call, "supervisor-2").await;
    let id = |s: &Value| s["id"].as_str().expect("an id").to_owned();
    for s in [&first, &second] {
        app.until_recorded(&id(s)).await;
    }
    app.crash();
    // As a fault of the disk, or a newer version's hand, would leave it; both are due.
    let spoilt = "UPDATE supervisions SET doc = '{}' WHERE connect_user_id = 'supervisor-1'";
    sql(&app.journal_path(), spoilt).await.expect("spoilt");
    let due = "UPDATE deliveries SET state = 'PENDING', version = version + 1, due_at = 0";
    sql(&app.journal_path(), due).await.expect("due");
    let writes = app.salesforce().written().len();
    app.restart().await;
    app.until_recorded(&id(&second)).await;
    assert_eq!(app.salesforce().written().len(), writes + 1);
    app.crash();
}
