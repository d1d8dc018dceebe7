//! The envelopes of contact events, COMPLETED events, and forged events.

use serde_json::{Value, json};
use sidedoor_fakes::ForgedEvent;
use sidedoor_fakes::connect::{ACCOUNT, DetailType, INSTANCE, REGION};

use super::support::{Events, connected_leg, start, wait_ms};

#[tokio::test]
async fn event_envelope_has_what_eventbridge_sends() {
    let fakes = start().await;
    let connect = fakes.connect();
    let events = Events::receive(connect).await;
    let call = connect.create_call();
    let first = events.wait_for(&call, "INITIATED").await;
    let instance = format!("arn:aws:connect:{REGION}:{ACCOUNT}:instance/{INSTANCE}");
    for (field, value) in [
        ("version", json!("0")),
        ("detail-type", json!("Amazon Connect Contact Event")),
        ("source", json!("aws.connect")),
        ("account", json!("111122223333")),
        ("region", json!("us-west-2")),
        ("resources", json!([instance, format!("{instance}/contact/{call}")])),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert!(
        first["time"]
            .as_str()
            .is_some_and(|t| t.len() == "2026-08-04T17:43:48Z".len())
    );
    let second = events.wait_for(&call, "CONNECTED_TO_AGENT").await;
    assert_ne!(first["id"], second["id"]);
    for (setting, text) in [
        (
            DetailType::AmazonConnectCustomer,
            "Amazon Connect Customer Contact Event",
        ),
        (DetailType::ConnectCustomer, "Connect Customer Contact Event"),
    ] {
        connect.change(|s| s.detail_type = setting);
        let call = connect.create_call();
        assert_eq!(events.wait_for(&call, "INITIATED").await["detail-type"], text);
    }
}

#[tokio::test]
async fn completed_event_has_the_data_of_disconnected() {
    let fakes = start().await;
    let connect = fakes.connect();
    let events = Events::receive(connect).await;
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    events.wait_for(&leg, "DISCONNECTED").await;
    connect.change(|s| s.completed_events = true);
    connect.hang_up(&call, "CUSTOMER").expect("hung up");
    let mut completed = events.wait_for(&call, "COMPLETED").await["detail"].clone();
    assert!(completed["disconnectTimestamp"].is_string());
    completed["eventType"] = json!("DISCONNECTED");
    assert_eq!(completed, events.wait_for(&call, "DISCONNECTED").await["detail"]);
    assert!(events.of(&leg, "COMPLETED").is_empty(), "off by default");
}

#[tokio::test]
async fn forged_event_is_sent_as_given_and_changes_nothing() {
    let fakes = start().await;
    let connect = fakes.connect();
    let events = Events::receive(connect).await;
    // Forged events are not subject to the losses of others.
    connect.change_events(|e| e.loss = 1.0);
    let call = connect.create_call();
    let forged = ForgedEvent {
        contact_id: call.clone(),
        instance_id: Some("99999999-2222-4333-8444-555555555555".into()),
        account: Some("999900001111".into()),
        region: Some("eu-west-2".into()),
        id: Some("event-1".into()),
        user_id: Some("supervisor-1".into()),
        connected_at: "2026-08-04T17:00:00.5Z".parse().ok(),
        disconnected_at: "2026-08-04T17:43:47Z".parse().ok(),
        time: "2026-08-04T17:43:48Z".parse().ok(),
        ..ForgedEvent::default()
    };
    let returned = connect.send_forged_event(&forged);
    let sent = events.wait_for(&call, "DISCONNECTED").await;
    assert_eq!(sent, returned);
    assert_eq!(sent, connect.forge_event(&forged));
    let instance = "arn:aws:connect:eu-west-2:999900001111:instance/99999999-2222-4333-8444-555555555555";
    for (pointer, value) in [
        ("/id", "event-1"),
        ("/account", "999900001111"),
        ("/region", "eu-west-2"),
        ("/source", "aws.connect"),
        ("/time", "2026-08-04T17:43:48Z"),
        ("/detail/instanceArn", instance),
        ("/detail/agentInfo/agentArn", &format!("{instance}/agent/supervisor-1")),
        (
            "/detail/agentInfo/connectedToAgentTimestamp",
            "2026-08-04T17:00:00.500Z",
        ),
        ("/detail/disconnectTimestamp", "2026-08-04T17:43:47.000Z"),
        ("/detail/initiationMethod", "MONITOR"),
    ] {
        assert_eq!(sent.pointer(pointer).and_then(Value::as_str), Some(value), "{pointer}");
    }
    assert!(connect.contact(&call).is_some_and(|c| !c.ended));
    assert!(connect.ledger().ended.is_empty());
    wait_ms(100).await;
    assert_eq!(events.all().len(), 1, "exactly once");
}
