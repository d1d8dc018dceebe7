//! The vendors' behaviour that the independent clients in tests/clients do not check: signatures, clocks, the ledger,
//! collections, and the control API.

use serde_json::{Value, json};
use sidedoor_fakes::clock::VendorClock;
use sidedoor_fakes::connect::NewContact;
use sidedoor_fakes::{Fakes, FakesConfig, Fault};

async fn token(fakes: &Fakes) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "fake-client-id"),
        ("client_secret", "fake-client-secret"),
    ];
    let url = format!("{}/services/oauth2/token", fakes.salesforce_url());
    let answer: Value = client()
        .post(url)
        .form(&form)
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    answer["access_token"].as_str().expect("a token").to_owned()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().build().expect("a client")
}

#[tokio::test]
async fn unsigned_calls_are_rejected() {
    let fakes = sidedoor_fakes::start(FakesConfig::default()).await.expect("started");
    let answer = client()
        .post(format!("{}/contact/stop", fakes.connect_url()))
        .body("{}")
        .send()
        .await
        .expect("answered");
    assert_eq!(answer.status(), 403);
    assert!(
        answer.headers()["x-amzn-errortype"]
            .to_str()
            .expect("text")
            .starts_with("MissingAuthenticationTokenException:")
    );
}

#[test]
fn vendor_clock_applies_offset_drift_and_granularity() {
    let at = |ms: i64| jiff::Timestamp::from_millisecond(1_790_000_000_000 + ms).expect("in range");
    let cut = VendorClock {
        skew_ms: 1370,
        ..VendorClock::default()
    };
    assert_eq!(cut.stamp(at(0), at(0)), at(1000));
    let rounded = VendorClock {
        skew_ms: 1570,
        rounding: true,
        ..VendorClock::default()
    };
    assert_eq!(rounded.stamp(at(0), at(0)), at(2000));
    let drifting = VendorClock {
        drift_ppm: 100.0,
        granularity_ms: 1,
        ..VendorClock::default()
    };
    assert_eq!(drifting.stamp(at(10_000_000), at(0)), at(10_001_000));
}

#[tokio::test]
async fn ledger_names_who_ended_a_contact_and_its_legs() {
    let fakes = sidedoor_fakes::start(FakesConfig::default()).await.expect("started");
    let connect = fakes.connect();
    let call = connect.create_contact(NewContact::default());
    let leg = connect.begin_leg_by_hand(&call, "supervisor-1").expect("begun");
    assert!(
        connect.end_leg_in_ccp("supervisor-2", &leg).is_err(),
        "the leg belongs to another supervisor"
    );
    assert!(
        connect.end_leg_in_ccp("agent-1", &call).is_err(),
        "not a MONITOR contact"
    );
    connect.hang_up(&call, "AGENT").expect("hung up");
    assert!(connect.contact(&leg).expect("there").ended);
    let ended = connect.ledger().ended;
    let by: Vec<&str> = ended.iter().map(|e| e.by.as_str()).collect();
    assert_eq!(by, ["AGENT", "CONTACT_ENDED"]);
    assert!(connect.customer_contacts_we_ended().is_empty());
}

#[tokio::test]
async fn collections_answer_each_record_by_itself() {
    let fakes = sidedoor_fakes::start(FakesConfig::default()).await.expect("started");
    let token = token(&fakes).await;
    let record = |key: &str, more: Value| {
        let mut record = json!({"attributes": {"type": "VoiceCallParticipant__c"}, "Leg_Key__c": key});
        record
            .as_object_mut()
            .expect("object")
            .extend(more.as_object().expect("object").clone());
        record
    };
    let url = format!(
        "{}/services/data/v68.0/composite/sobjects/VoiceCallParticipant__c/Leg_Key__c",
        fakes.salesforce_url()
    );
    fakes.salesforce().fault(Fault {
        matching: Some("third".into()),
        ..Fault::error("item", 400, "UNABLE_TO_LOCK_ROW")
    });
    let body = json!({"records": [record("first", json!({"Mode__c": "SILENT"})), record("second", json!({"No_Such__c": 1})), record("third", json!({}))]});
    let answer = client()
        .patch(&url)
        .bearer_auth(&token)
        .json(&body)
        .send()
        .await
        .expect("answered");
    assert_eq!(answer.status(), 200);
    assert!(
        answer.headers()["sforce-limit-info"]
            .to_str()
            .expect("text")
            .starts_with("api-usage=")
    );
    let results: Value = answer.json().await.expect("JSON");
    assert_eq!(results[0]["created"], true);
    assert_eq!(results[1]["errors"][0]["statusCode"], "INVALID_FIELD");
    assert_eq!(results[2]["errors"][0]["statusCode"], "UNABLE_TO_LOCK_ROW");
    // With `allOrNone`, one failed record rolls back the others.
    let all =
        json!({"allOrNone": true, "records": [record("fourth", json!({})), record("fifth", json!({"No_Such__c": 1}))]});
    let answer = client()
        .patch(&url)
        .bearer_auth(&token)
        .json(&all)
        .send()
        .await
        .expect("answered");
    let results: Value = answer.json().await.expect("JSON");
    let code = |i: usize| results[i]["errors"][0]["statusCode"].clone();
    assert_eq!(
        (code(0), code(1)),
        (json!("ALL_OR_NONE_OPERATION_ROLLED_BACK"), json!("INVALID_FIELD"))
    );
    assert_eq!(
        fakes.salesforce().rows("VoiceCallParticipant__c").len(),
        1,
        "only the first record was written"
    );
    assert_eq!(fakes.salesforce().written().len(), 1);
    let many = json!({"records": vec![record("x", json!({})); 201]});
    assert_eq!(
        client()
            .patch(&url)
            .bearer_auth(&token)
            .json(&many)
            .send()
            .await
            .expect("answered")
            .status(),
        400
    );
}

#[tokio::test]
async fn control_api_has_the_same_effects_over_http() {
    let fakes = sidedoor_fakes::start(FakesConfig::default()).await.expect("started");
    let (http, url) = (client(), fakes.connect_url().to_owned());
    let made: Value = http
        .post(format!("{url}/_fake/contacts"))
        .json(&json!({"channel": "CHAT"}))
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    let contact = made["contactId"].as_str().expect("an id");
    let leg: Value = http
        .post(format!("{url}/_fake/legs"))
        .json(&json!({"contactId": contact, "userId": "supervisor-1"}))
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    let end = http
        .post(format!("{url}/_fake/ccp/supervisor-1/end-leg"))
        .json(&leg)
        .send()
        .await
        .expect("answered");
    assert_eq!(end.status(), 204);
    let ledger: Value = http
        .get(format!("{url}/_fake/ledger"))
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        (&ledger["ended"][0]["by"], &ledger["customerContactsWeEnded"]),
        (&json!("CCP"), &json!([]))
    );
    let changed: Value = http
        .patch(format!("{url}/_fake/settings"))
        .json(&json!({"clock": {"skewMs": 5}}))
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        (&changed["clock"]["skewMs"], &changed["connectDelayMs"]),
        (&json!(5), &json!(50))
    );
    let wrong = http
        .patch(format!("{url}/_fake/settings"))
        .json(&json!({"clok": 1}))
        .send()
        .await
        .expect("answered");
    assert_eq!(wrong.status(), 400);
}
