//! Events from partner carriers: about their own legs, and as additional evidence about Connect's legs.

use serde_json::{Value, json};

use crate::clocks::calibration::{calibration, clock, depart};
use crate::support::app::{Answer, CARRIER, TestApp};

/// Posts an event of the carrier `acme`.
pub async fn partner(app: &TestApp, body: &Value) -> Answer {
    app.call("POST", "/v1/events/partners/acme")
        .key(CARRIER)
        .json(body)
        .send()
        .await
}

#[tokio::test]
async fn carrier_leg_becomes_supervision_with_record() {
    let app = TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .start()
        .await;
    let body = |event: &str, id: &str| {
        json!({"eventId": id, "legId": "trunk 7/call 91", "event": event, "at": "2026-11-21T10:00:00.250Z",
               "connectUserId": "supervisor-1"})
    };
    assert_eq!(
        partner(&app, &body("CONNECTED", "e1")).await.body,
        json!({"accepted": true, "duplicate": false})
    );
    assert_eq!(partner(&app, &body("DISCONNECTED", "e2")).await.status, 200);
    assert_eq!(partner(&app, &body("DISCONNECTED", "e2")).await.body["duplicate"], true);
    let list = app.call("GET", "/v1/supervisions").send().await.body;
    let [one] = list["items"].as_array().expect("a list").as_slice() else {
        panic!("{list:#}")
    };
    assert_eq!(
        (&one["vendor"], &one["origin"], &one["state"]),
        (&json!("acme"), &json!("OBSERVED"), &json!("LEFT"))
    );
    assert_eq!(one["departure"]["source"], "PARTNER_EVENT");
    // Every writer derives the same leg id, because it is a UUIDv5 of carrier, instance and leg.
    let leg = one["legContactId"].as_str().expect("a key");
    assert_eq!(leg.as_bytes()[14], b'5');
    app.until_written(one["id"].as_str().expect("an id")).await;
    assert_eq!(app.record(leg)["Disconnect_Source__c"], "PARTNER_EVENT");
    app.finish().await;
}

#[tokio::test]
async fn carrier_stamp_on_connect_leg_is_evidence_with_own_clock() {
    let app = TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .start()
        .await;
    let (left, _) = depart(&app, "supervisor-1").await;
    let leg = left["legContactId"].clone();
    let event = json!({"legContactId": leg, "event": "DISCONNECTED", "at": "2026-11-21T10:00:00.250Z"});
    assert_eq!(partner(&app, &event).await.body["accepted"], true);
    let of = |vendor: &str| {
        let vendor = vendor.to_owned();
        let app = &app;
        async move { calibration(app, &vendor).await }
    };
    assert_eq!(clock(&of("acme").await, "PARTNER_EVENT", "disconnected")["samples"], 1);
    // The carrier's event made no second record and did not change the departure.
    app.until_written(left["id"].as_str().expect("an id")).await;
    assert_eq!(
        app.record(leg.as_str().expect("a leg"))["Disconnect_Source__c"],
        left["departure"]["source"]
    );
    app.finish().await;
}
