//! MONITOR legs that supervisors start in Omni Supervisor or the CCP. Each becomes a supervision with `origin` OBSERVED.

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::{INSTANCE, LinkField};

use crate::support::app::{EVENTS, TestApp};

async fn observed(app: &TestApp) -> Value {
    for _ in 0..500 {
        let all = app.call("GET", "/v1/supervisions").send().await.body;
        if let Some(found) = all["items"]
            .as_array()
            .expect("items")
            .iter()
            .find(|s| s["origin"] == "OBSERVED")
        {
            return found.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no leg was observed");
}

#[tokio::test]
async fn observed_leg_becomes_supervision_with_record() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let found = observed(&app).await;
    assert_eq!(
        (&found["state"], &found["requestedAt"]),
        (&json!("MONITORING"), &Value::Null)
    );
    assert_eq!(
        (&found["contactId"], &found["legContactId"]),
        (&json!(call), &json!(leg))
    );
    assert_eq!(found["supervisor"]["connectUserId"], "supervisor-1");
    let id = found["id"].as_str().expect("an id");
    app.until(id, "joined", |s| !s["joinedAt"].is_null()).await;
    // The supervisor can leave it through the API.
    let action = app.disconnect(id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(id).await;
    let recorded = app.until_written(id).await;
    assert_eq!(recorded["departure"]["customerCallContinued"], true);
    assert_eq!(app.record(&leg)["Origin__c"], "OBSERVED");
    app.finish().await;
}

#[tokio::test]
async fn observed_leg_found_after_its_end_has_no_uncertainty() {
    let app = TestApp::build()
        .fakes(|f| (f.events.delay_min_ms, f.events.delay_max_ms) = (300, 310))
        .start()
        .await;
    let call = app.connect().create_call();
    let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let found = observed(&app).await;
    let left = app.until_left(found["id"].as_str().expect("an id")).await;
    assert_eq!(
        (&left["departure"]["uncertaintyMs"], &left["departure"]["earliest"]),
        (&Value::Null, &Value::Null)
    );
    assert_ne!(
        left["departure"]["vendorTimestamp"],
        Value::Null,
        "the vendor's timestamp is stored but not used"
    );
    app.finish().await;
}

#[tokio::test]
async fn observed_leg_is_found_by_every_contact_link() {
    for (link, legs_in_tree) in [
        (LinkField::InitialContactId, false),
        (LinkField::PreviousContactId, false),
        (LinkField::None, true),
        (LinkField::None, false),
    ] {
        let app = TestApp::build()
            .fakes(|f| (f.connect.link_field, f.connect.legs_in_tree) = (link, legs_in_tree))
            .start()
            .await;
        let call = app.connect().create_call();
        let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
        let found = observed(&app).await;
        let is_linked = link != LinkField::None || legs_in_tree;
        assert_eq!(found["contactId"], if is_linked { json!(call) } else { Value::Null });
        let asked = app.connect().calls("ListAssociatedContacts");
        assert_eq!(asked, usize::from(link == LinkField::None), "only if no field names it");
        app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
        app.until_left(found["id"].as_str().expect("an id")).await;
        app.finish().await;
    }
}

/// After a transfer the tree has two customer's contacts; the leg listens to the later contact.
#[tokio::test]
async fn observed_leg_without_a_link_is_on_the_contact_that_goes_on() {
    let app = TestApp::build()
        .fakes(|f| {
            f.connect.link_field = LinkField::None;
            // In whole seconds both contacts may have gone on when the leg began, and then the leg is not linked.
            f.connect.clock.granularity_ms = 1;
        })
        .start()
        .await;
    let call = app.connect().create_call();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let next = app.connect().transfer(&call, "agent-2").expect("transferred");
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    app.connect().begin_leg_by_hand(&next, "supervisor-1").expect("a leg");
    let found = observed(&app).await;
    assert_eq!(found["contactId"], next.as_str());
    app.leave(found["id"].as_str().expect("an id"), "supervisor-1").await;
    app.finish().await;
}

/// Without the permission, or without an answer, the leg is adopted without a contact.
#[tokio::test]
async fn observed_leg_without_a_link_is_adopted_if_the_tree_is_denied() {
    let app = TestApp::build()
        .fakes(|f| {
            f.connect.link_field = LinkField::None;
            f.connect.denied_operations.push("ListAssociatedContacts".into());
        })
        .start()
        .await;
    let call = app.connect().create_call();
    app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let found = observed(&app).await;
    assert_eq!(found["contactId"], Value::Null);
    app.leave(found["id"].as_str().expect("an id"), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn observed_leg_event_before_answer_makes_no_duplicate() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    // The leg exists and its events arrive, but MonitorContact's answer is slow.
    app.connect().fault(Fault {
        after_effect: true,
        ..Fault::late("MonitorContact", 10)
    });
    app.connect().fault(Fault {
        after_effect: true,
        ..Fault::late("MonitorContact", 10)
    });
    app.connect().fault(Fault::lost_answer("MonitorContact"));
    let started = app.listen(&call, "supervisor-1").await;
    assert_eq!(started.status, 201);
    app.until(&started.id(), "joined", |s| !s["joinedAt"].is_null()).await;
    app.events_delivered().await;
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let all = app.call("GET", "/v1/supervisions").send().await.body;
    assert_eq!(all["items"].as_array().expect("items").len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn observed_leg_from_forged_event_is_not_adopted() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.events_delivered().await;
    let event = |contact: &str, id: &str| {
        json!({"id": id, "detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "account": "111122223333",
            "region": "us-west-2", "detail": {
            "eventType": "DISCONNECTED", "contactId": contact, "initiationMethod": "MONITOR", "channel": "VOICE",
            "instanceArn": format!("arn:aws:connect:us-west-2:111122223333:instance/{INSTANCE}"),
            "disconnectTimestamp": "2026-08-04T17:43:47.000Z"}})
    };
    // One forged event calls the customer's own contact a MONITOR leg, the other names a contact that does not exist.
    for (contact, id) in [(call.as_str(), "forged-1"), ("no-such-contact", "forged-2")] {
        let answer = app
            .call("POST", "/v1/events/connect")
            .key(EVENTS)
            .json(&event(contact, id))
            .send()
            .await;
        assert_eq!(answer.body, json!({"accepted": true, "duplicate": false}));
        let again = app
            .call("POST", "/v1/events/connect")
            .key(EVENTS)
            .json(&event(contact, id))
            .send()
            .await;
        assert_eq!(again.body["duplicate"], true);
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let all = app.call("GET", "/v1/supervisions").send().await.body;
    assert_eq!(all["items"], json!([]), "an event alone does not create a supervision");
    let other = json!({"detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": {"eventType": "INITIATED", "contactId": "x",
        "initiationMethod": "MONITOR", "instanceArn": "arn:aws:connect:x:1:instance/another"}});
    let answer = app
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .json(&other)
        .send()
        .await;
    assert_eq!(
        answer.body["accepted"], false,
        "an event of another instance is ignored"
    );
    // The service keeps looking for the unknown contact for a while; all other work is finished.
    app.assert_invariants().await;
}

/// Connect names no method in the leg's events, and GetCurrentUserData does not list the leg.
#[tokio::test]
async fn observed_leg_is_found_by_an_event_without_method() {
    let app = TestApp::build()
        .fakes(|f| (f.connect.initiation_method_null, f.connect.list_monitor_legs) = (true, false))
        .start()
        .await;
    let call = app.connect().create_call();
    let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let found = observed(&app).await;
    assert_eq!(found["legContactId"], json!(leg));
    let id = found["id"].as_str().expect("an id");
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    app.until_left(id).await;
    app.until_written(id).await;
    app.finish().await;
}
