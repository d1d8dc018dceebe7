//! Rows on their way to Salesforce: every fault has its end, and none is lost.

use serde_json::{Value, json};
use sidedoor::fakes::{Fault, salesforce::Object};

use crate::support::house::{House, start};
use crate::support::sql;

async fn left(house: &House, supervisor: &str) -> (String, String) {
    let call = house.connect().create_call();
    let started = house.listen(&call, supervisor).await;
    let action = house.disconnect(&started.id()).await.body["nextAction"].clone();
    house.browser(supervisor).obey(&action).await;
    house.until_left(&started.id()).await;
    (
        started.id(),
        started.body["legContactId"].as_str().expect("a leg").to_owned(),
    )
}

#[tokio::test]
async fn faults_that_pass_are_tried_again() {
    let house = House::start().await;
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
        house.salesforce().fault(fault.clone());
        let (id, leg) = left(&house, "supervisor-1").await;
        house.until_recorded(&id).await;
        assert_eq!(house.salesforce().faults(), [], "no call met {fault:?}");
        house.row(&leg);
    }
    house.finish().await;
}

#[tokio::test]
async fn an_expired_session_is_renewed_once_for_all() {
    let house = House::start().await;
    let (id, _) = left(&house, "supervisor-1").await;
    house.until_recorded(&id).await;
    assert_eq!(house.salesforce().logins(), 1);
    house.salesforce().revoke_tokens();
    let (id, _) = left(&house, "supervisor-1").await;
    house.until_recorded(&id).await;
    assert_eq!(house.salesforce().logins(), 2);
    house.finish().await;
}

#[tokio::test]
async fn a_short_supervision_costs_one_upsert() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let started = house.listen(&call, "supervisor-1").await;
    let action = house.disconnect(&started.id()).await.body["nextAction"].clone();
    house
        .browser("supervisor-1")
        .with(sidedoor::fakes::Manners {
            delay_ms: 0,
            ..Default::default()
        })
        .obey(&action)
        .await;
    house.until_left(&started.id()).await;
    house.until_recorded(&started.id()).await;
    let writes = house.salesforce().written();
    assert!(writes.len() <= 2, "{writes:#?}");
    assert!(writes.last().expect("one").body.contains_key("Disconnected_At__c"));
    house.finish().await;
}

#[tokio::test]
async fn a_row_that_needs_a_person_is_kept_with_the_answer() {
    let house = House::start().await;
    house.salesforce().fault(
        Fault::error("upsert", 400, "REQUIRED_FIELD_MISSING")
            .saying("Required fields are missing: [X__c]")
            .times(9),
    );
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let dead = house.until(&id, "DEAD", |s| s["recording"]["state"] == "DEAD").await;
    assert!(dead["recording"]["lastError"].as_str().expect("told").contains("X__c"));
    let kept = sql(&house.journal_path(), "SELECT last_answer FROM deliveries")
        .await
        .expect("read");
    assert!(
        kept[0][0].contains("REQUIRED_FIELD_MISSING"),
        "the answer is kept: {kept:?}"
    );
    // A newer version of the row gets a chance of its own.
    house.salesforce().clear_faults();
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&action).await;
    house.until_left(&id).await;
    house.until_recorded(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn a_refused_lookup_is_left_out_and_marked() {
    let house = House::build()
        .fakes(|f| f.salesforce.strict_lookups = true)
        .start()
        .await;
    let call = house.connect().create_call();
    let mut body = start(&call, "supervisor-1");
    body["voiceCallId"] = json!("0LQ000000000404AAA");
    let started = house.call("POST", "/v1/supervisions").json(&body).send().await;
    let recorded = house.until_recorded(&started.id()).await;
    assert!(
        recorded["recording"]["lastError"]
            .as_str()
            .expect("marked")
            .contains("without its VoiceCall")
    );
    assert_eq!(
        house
            .row(started.body["legContactId"].as_str().expect("a leg"))
            .get("Voice_Call__c"),
        None
    );
    house.finish().await;
}

#[tokio::test]
async fn a_fault_of_the_whole_org_parks_and_dead_letters_nothing() {
    let house = House::start().await;
    house.salesforce().remove_object("VoiceCallParticipant__c");
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let parked = house
        .until(&id, "an error", |s| !s["recording"]["lastError"].is_null())
        .await;
    assert_eq!(parked["recording"]["state"], "PENDING");
    assert!(
        parked["recording"]["lastError"]
            .as_str()
            .expect("told")
            .contains("salesforce.object"),
        "the remedy is named: {parked:#}"
    );
    assert_eq!(parked["state"], "MONITORING", "listening does not depend on Salesforce");
    house.rules_hold().await;
}

#[tokio::test]
async fn limits_park_the_whole_org() {
    let house = House::start().await;
    house
        .salesforce()
        .fault(Fault::error("upsert", 403, "REQUEST_LIMIT_EXCEEDED"));
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    house
        .until(&id, "parked", |s| {
            s["recording"]["lastError"]
                .as_str()
                .is_some_and(|e| e.contains("REQUEST_LIMIT_EXCEEDED"))
        })
        .await;
    let calls = house.salesforce().api_calls();
    let other = house.connect().create_call();
    house.listen(&other, "supervisor-2").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(house.salesforce().api_calls(), calls, "a parked org is left alone");
    house.rules_hold().await;
}

#[tokio::test]
async fn auto_takes_the_standard_name_if_the_org_has_it() {
    let mut house = House::start().await;
    // There before the service looks.
    house.crash();
    house
        .salesforce()
        .put_object(Object::participant("VoiceCallParticipant"));
    house.restart().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let recorded = house.until_recorded(&id).await;
    assert_eq!(recorded["recording"]["objectName"], "VoiceCallParticipant");
    house.finish().await;
}

#[tokio::test]
async fn rows_survive_a_crash_and_an_outage() {
    let mut house = House::start().await;
    house
        .salesforce()
        .fault(Fault::error("upsert", 503, "SERVER_UNAVAILABLE").times(1000));
    let (id, leg) = left(&house, "supervisor-1").await;
    house
        .until(&id, "an attempt", |s| s["recording"]["attempts"].as_u64() > Some(0))
        .await;
    house.crash();
    house.salesforce().clear_faults();
    house.restart().await;
    house.until_recorded(&id).await;
    assert_eq!(house.row(&leg)["Disconnect_Reason__c"], "SUPERVISOR");
    house.finish().await;
}

#[tokio::test]
async fn wrong_credentials_are_told_without_being_shown() {
    let house = House::build()
        .set("SALESFORCE__CLIENT_SECRET", "a-wrong-secret-to-hide")
        .start()
        .await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let parked = house
        .until(&id, "an error", |s| !s["recording"]["lastError"].is_null())
        .await;
    let told = parked["recording"]["lastError"].as_str().expect("told");
    assert!(
        told.contains("salesforce_login_refused") && !told.contains("a-wrong-secret-to-hide"),
        "{told}"
    );
    assert_ne!(parked["recording"]["state"], Value::from("DEAD"));
    house.rules_hold().await;
}

#[tokio::test]
async fn delivery_can_be_switched_off() {
    let house = House::build().set("SALESFORCE__ENABLED", "false").start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&action).await;
    house.until_left(&id).await;
    assert_eq!(house.salesforce().api_calls(), 0);
    house.rules_hold().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_no_other_up() {
    let mut house = House::start().await;
    let call = house.connect().create_call();
    let first = house.joined(&call, "supervisor-1").await;
    let second = house.joined(&call, "supervisor-2").await;
    let id = |s: &Value| s["id"].as_str().expect("an id").to_owned();
    for s in [&first, &second] {
        house.until_recorded(&id(s)).await;
    }
    house.crash();
    // As a fault of the disk, or a newer version's hand, would leave it; both are due.
    let spoilt = "UPDATE supervisions SET doc = '{}' WHERE connect_user_id = 'supervisor-1'";
    sql(&house.journal_path(), spoilt).await.expect("spoilt");
    let due = "UPDATE deliveries SET state = 'PENDING', version = version + 1, due_at = 0";
    sql(&house.journal_path(), due).await.expect("due");
    let writes = house.salesforce().written().len();
    house.restart().await;
    house.until_recorded(&id(&second)).await;
    assert_eq!(house.salesforce().written().len(), writes + 1);
    house.crash();
}
