//! A write that timed out here and is committed minutes later there, after a newer version was written.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::Value;
use sidedoor_fakes::Fault;

use crate::support::app::TestApp;
use crate::support::stored_states::age_unanswered_writes;

const COMMITTED_AFTER: Duration = Duration::from_secs(12);

/// The first version of a record times out and is committed late, after the supervisor has left. Returns the supervision's id and leg.
async fn late_commit(app: &TestApp) -> (String, String) {
    let ms = u64::try_from(COMMITTED_AFTER.as_millis()).expect("short");
    app.salesforce().fault(Fault::late_commit("upsert", ms));
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let text = |name: &str| s[name].as_str().expect("a text").to_owned();
    let (id, leg) = (text("id"), text("legContactId"));
    while app.salesforce().faults().iter().any(|f| f.commit_after_ms.is_some()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent = Instant::now();
    app.leave(&id, "supervisor-1").await;
    app.until_written(&id).await;
    assert!(app.record(&leg)["Disconnected_At__c"].is_string());
    assert!(sent.elapsed() < COMMITTED_AFTER, "the newer version is written before");
    tokio::time::sleep(COMMITTED_AFTER.saturating_sub(sent.elapsed()) + Duration::from_secs(1)).await;
    (id, leg)
}

async fn app(keeps_newer: bool) -> TestApp {
    TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__REQUEST_TIMEOUT_MS", "500")
        .fakes(move |f| f.salesforce.keep_newer_versions = keeps_newer)
        .start()
        .await
}

#[tokio::test]
async fn late_commit_is_refused_by_the_shipped_rule() {
    let app = app(true).await;
    let (_, leg) = late_commit(&app).await;
    assert!(
        app.record(&leg)["Disconnected_At__c"].is_string(),
        "the newer version stays"
    );
    app.finish().await;
}

/// Without the rule the older version overwrites the newer one, until the record is sent once more. A restart does not forget that.
#[tokio::test]
async fn late_commit_is_repaired_by_sending_the_record_once_more() {
    let mut app = app(false).await;
    let (id, leg) = late_commit(&app).await;
    assert_eq!(
        app.record(&leg)["Disconnected_At__c"],
        Value::Null,
        "the older version was committed"
    );
    let writes = app.salesforce().written().len();
    app.crash();
    age_unanswered_writes(&app.store_path(), &id, SignedDuration::from_mins(11)).await;
    app.restart().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        app.salesforce().written().len(),
        writes,
        "not before Salesforce's own limit"
    );
    app.crash();
    age_unanswered_writes(&app.store_path(), &id, SignedDuration::from_mins(1)).await;
    app.restart().await;
    for _ in 0..500 {
        if app.record(&leg)["Disconnected_At__c"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(app.record(&leg)["Disconnected_At__c"].is_string(), "repaired");
    app.until_written(&id).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(app.salesforce().written().len(), writes + 1, "sent once");
    app.finish().await;
}

/// The org has a newer version than the service, as after a restored backup: not an error that a person must correct.
#[tokio::test]
async fn newer_version_in_the_org_is_no_dead_letter() {
    let app = app(true).await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let text = |name: &str| s[name].as_str().expect("a text").to_owned();
    let (id, leg) = (text("id"), text("legContactId"));
    app.until_written(&id).await;
    let mut record = app.record(&leg);
    record.insert("Row_Version__c".into(), 99.into());
    app.salesforce().put_row("VoiceCallParticipant__c", record);
    app.leave(&id, "supervisor-1").await;
    let after = app
        .until(&id, "an error about the newer version", |s| {
            let error = s["salesforceRecord"]["lastError"].as_str();
            error.is_some_and(|e| e.contains("newer version"))
        })
        .await;
    assert_ne!(after["salesforceRecord"]["state"], "FAILED");
    app.assert_invariants().await;
}
