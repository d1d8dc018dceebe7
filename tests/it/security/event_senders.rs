//! Who may send which event: a credential for events belongs to one vendor and names instances.

use serde_json::{Value, json};
use sidedoor_fakes::connect::{INSTANCE, REGION};

use crate::support::app::{Answer, CARRIER, EVENTS, TestApp, TestAppBuilder};
use crate::support::sql;

/// An instance beside `main`, in the same account.
const EAST: &str = "22222222-3333-4444-8555-666666666666";

/// An app with a carrier and two instances, whose senders of events may speak about `main` only.
fn two_instances() -> TestAppBuilder {
    TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .set("CONNECT__INSTANCES__EAST__INSTANCE_ID", EAST)
        .set("CONNECT__INSTANCES__EAST__REGION", REGION)
        .set("CONNECT__INSTANCES__EAST__ENDPOINT_URL", "http://127.0.0.1:9")
        .set("CONNECT__DEFAULT_INSTANCE", "main")
        .set("AUTH__API_KEYS__1__INSTANCES", "main")
        .set("AUTH__API_KEYS__10__INSTANCES", "main")
}

fn arn(instance: &str) -> String {
    format!("arn:aws:connect:{REGION}:111122223333:instance/{instance}")
}

/// The end of a leg, as EventBridge reports it.
fn contact_event(instance: &str, id: &str) -> Value {
    json!({"id": id, "detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "account": "111122223333",
        "region": REGION, "detail": {"eventType": "DISCONNECTED", "contactId": "leg-1", "initiationMethod": "MONITOR",
            "channel": "VOICE", "instanceArn": arn(instance), "disconnectTimestamp": "2026-08-04T17:43:47.000Z"}})
}

fn agent_event(instance: &str) -> Value {
    json!({"AgentARN": format!("{}/agent/supervisor-1", arn(instance)), "InstanceARN": arn(instance), "EventId": "e-1",
        "EventType": "STATE_CHANGE", "CurrentAgentSnapshot": {"Contacts": [{"ContactId": "leg-2", "Channel": "VOICE",
            "InitiationMethod": "MONITOR", "State": "CONNECTED"}]}})
}

async fn post(app: &TestApp, path: &str, key: &str, body: &Value) -> Answer {
    app.call("POST", path).key(key).json(body).send().await
}

/// What a refused event must not change.
async fn stored(app: &TestApp) -> Vec<Vec<String>> {
    let all = "SELECT 'event', CAST(COUNT(*) AS TEXT) FROM seen_events
               UNION ALL SELECT 'evidence', CAST(COUNT(*) AS TEXT) FROM evidence
               UNION ALL SELECT 'leg', CAST(COUNT(*) AS TEXT) FROM unexplained_legs
               UNION ALL SELECT 'supervision', CAST(COUNT(*) AS TEXT) FROM supervisions";
    sql(&app.store_path(), all).await.expect("read")
}

#[tokio::test]
async fn event_of_another_vendor_is_refused_and_changes_nothing() {
    let app = two_instances().start().await;
    let before = stored(&app).await;
    let of_carrier = json!({"legContactId": "leg-1", "event": "DISCONNECTED", "eventId": "e1"});
    for (path, key, body) in [
        ("/v1/events/connect", CARRIER, contact_event(INSTANCE, "e1")),
        ("/v1/events/connect", CARRIER, agent_event(INSTANCE)),
        ("/v1/events/partners/acme", EVENTS, of_carrier.clone()),
        ("/v1/events/partners/other", CARRIER, of_carrier.clone()),
        ("/v1/events/partners/%ff", CARRIER, of_carrier.clone()),
    ] {
        let answer = post(&app, path, key, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "action_forbidden"),
            "{path}: {}",
            answer.text
        );
    }
    assert_eq!(stored(&app).await, before);
    let own = post(&app, "/v1/events/partners/acme", CARRIER, &of_carrier).await;
    assert_eq!((own.status, &own.body["accepted"]), (200, &json!(true)));
    app.assert_invariants().await;
}

#[tokio::test]
async fn event_about_an_instance_not_named_is_refused() {
    let app = two_instances().start().await;
    let before = stored(&app).await;
    let of_carrier = json!({"legContactId": "leg-1", "event": "DISCONNECTED", "instance": "east"});
    for (path, key, body) in [
        ("/v1/events/connect", EVENTS, contact_event(EAST, "e1")),
        ("/v1/events/connect", EVENTS, agent_event(EAST)),
        // One event of a batch is enough: the request changes all or nothing.
        (
            "/v1/events/connect",
            EVENTS,
            json!([agent_event(INSTANCE), agent_event(EAST)]),
        ),
        ("/v1/events/partners/acme", CARRIER, of_carrier),
    ] {
        let answer = post(&app, path, key, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "action_forbidden"),
            "{path}: {}",
            answer.text
        );
    }
    assert_eq!(stored(&app).await, before);
    let named = post(&app, "/v1/events/connect", EVENTS, &contact_event(INSTANCE, "e1")).await;
    assert_eq!((named.status, &named.body["accepted"]), (200, &json!(true)));
    app.assert_invariants().await;
}

#[tokio::test]
async fn event_id_of_one_vendor_is_free_for_another() {
    let app = two_instances().start().await;
    let of_carrier = json!({"legContactId": "leg-1", "event": "DISCONNECTED", "eventId": "e1"});
    let first = post(&app, "/v1/events/partners/acme", CARRIER, &of_carrier).await;
    assert_eq!(first.body, json!({"accepted": true, "duplicate": false}));
    // The ids as they are stored, or would be without Connect's own prefix.
    for id in ["e1", "acme/e1"] {
        let event = contact_event(INSTANCE, id);
        let answer = post(&app, "/v1/events/connect", EVENTS, &event).await;
        assert_eq!(answer.body, json!({"accepted": true, "duplicate": false}), "{id}");
        let again = post(&app, "/v1/events/connect", EVENTS, &event).await;
        assert_eq!(again.body["duplicate"], true, "{id}");
    }
    app.assert_invariants().await;
}
