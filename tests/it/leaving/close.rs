//! An operator closes a supervision whose leg Amazon Connect no longer knows, and a disconnect of a departed supervisor asks again.

use serde_json::{Value, json};
use sidedoor_fakes::{Fault, ForgedEvent};

use crate::support::app::{OPERATOR, TestApp};

async fn close(app: &TestApp, id: &str) -> crate::support::app::Answer {
    app.call("POST", &format!("/v1/supervisions/{id}/close"))
        .key(OPERATOR)
        .json(&json!({"reason": "Connect does not know the leg"}))
        .send()
        .await
}

#[tokio::test]
async fn close_is_refused_while_connect_knows_the_leg() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    let refused = close(&app, id).await;
    assert_eq!((refused.status, refused.code()), (409, "supervision_state_conflict"));
    assert_eq!(app.get(id).await.body["state"], "MONITORING");

    let leg = s["legContactId"].as_str().expect("a leg");
    app.connect().fault(Fault::not_found_for("DescribeContact", leg, 3000));
    let closed = close(&app, id).await;
    assert_eq!((closed.status, closed.state()), (200, "LEFT"), "{}", closed.text);
    let departure = &closed.body["departure"];
    assert_eq!(
        (
            &closed.body["confirmation"],
            &departure["source"],
            &departure["uncertaintyMs"]
        ),
        (&json!("NONE"), &json!("OPERATOR"), &Value::Null)
    );
    app.until_written(id).await;
    assert_eq!(app.record(leg)["Confirmation__c"], "NONE");
    // The voice slot is free.
    let other = app.connect().create_call();
    assert_eq!(close(&app, id).await.status, 200, "closing twice changes nothing");
    app.connect().end_leg_in_ccp("supervisor-1", leg).expect("it lives");
    assert_eq!(app.listen(&other, "supervisor-1").await.status, 201);
    app.finish().await;
}

/// Both senders were false: the browser said DONE and had done nothing, and the event was forged.
#[tokio::test]
async fn disconnect_after_false_departure_reopens_and_ends_the_leg() {
    let app = TestApp::build()
        .set("SUPERVISION__DESCRIBE_STALENESS_MS", "100")
        .start()
        .await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let (id, leg) = (
        s["id"].as_str().expect("an id"),
        s["legContactId"].as_str().expect("a leg"),
    );
    let action = app.disconnect(id).await.body["nextAction"].clone();
    let forged = ForgedEvent {
        event_type: "DISCONNECTED".into(),
        contact_id: leg.to_owned(),
        ..ForgedEvent::default()
    };
    app.connect().send_forged_event(&forged);
    let body = json!({"directiveId": action["directiveId"], "outcome": "DONE"});
    app.call("POST", &format!("/v1/supervisions/{id}/acknowledgements"))
        .json(&body)
        .send()
        .await;
    let reopened = |s: &Value| s["state"] == "LEAVING" && s["nextAction"]["directiveId"] != action["directiveId"];
    let again = app.until(id, "reopened", reopened).await;
    app.browser("supervisor-1").obey(&again["nextAction"]).await;
    let left = app
        .until(id, "confirmed", |s| s["confirmation"] == "VENDOR_ASKED")
        .await;
    let truth = app
        .connect()
        .contact(leg)
        .and_then(|c| c.true_disconnect_at)
        .expect("ended");
    let at = |name: &str| {
        left["departure"][name]
            .as_str()
            .expect("a time")
            .parse::<jiff::Timestamp>()
            .expect("RFC 3339")
    };
    assert!(at("earliest") <= truth && truth <= at("latest"), "{left:#} {truth}");
    app.finish().await;
}
