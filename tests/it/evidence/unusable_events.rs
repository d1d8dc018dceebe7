//! Events that cannot be used: they change nothing, are answered so that their sender does not send them for ever, and are counted.

use serde_json::{Value, json};
use sidedoor_fakes::connect::{ACCOUNT, INSTANCE, REGION};

use crate::support::app::{EVENTS, READER, TestApp};
use crate::support::sql;

fn arn(region: &str, account: &str, instance: &str) -> String {
    format!("arn:aws:connect:{region}:{account}:instance/{instance}")
}

/// The end of a leg, as EventBridge reports it.
fn end(leg: &str, method: &Value) -> Value {
    json!({"id": format!("end-of-{leg}"), "detail-type": "Amazon Connect Contact Event", "source": "aws.connect",
        "account": ACCOUNT, "region": REGION, "detail": {"eventType": "DISCONNECTED", "contactId": leg,
            "initiationMethod": method, "channel": "VOICE", "instanceArn": arn(REGION, ACCOUNT, INSTANCE),
            "disconnectTimestamp": jiff::Timestamp::now().to_string()}})
}

fn with(mut event: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        *event.pointer_mut(pointer).expect("a member") = value.clone();
    }
    event
}

fn snapshot(arn: &str, contacts: &Value) -> Value {
    json!({"AgentARN": format!("{arn}/agent/supervisor-1"), "InstanceARN": arn, "EventId": "e-1",
        "EventType": "STATE_CHANGE", "CurrentAgentSnapshot": {"Contacts": contacts}})
}

async fn deliver(app: &TestApp, event: &Value) -> Value {
    let call = app.call("POST", "/v1/events/connect").key(EVENTS);
    let answer = call.json(event).send().await;
    assert_eq!(answer.status, 200, "{event}: {}", answer.text);
    answer.body
}

async fn counted(app: &TestApp, kind: &str) -> u64 {
    let told = app.call("GET", "/metrics").key(READER).send().await.text;
    let name = format!("sidedoor_events_unusable_total{{kind=\"{kind}\"}} ");
    let count = told.lines().find_map(|line| line.strip_prefix(&name));
    count.map_or(0, |n| n.parse().expect("a number"))
}

#[tokio::test]
async fn unusable_events_change_nothing_and_are_counted_by_kind() {
    let app = TestApp::start().await;
    let good = end("leg-1", &json!("MONITOR"));
    let elsewhere = |region, account, instance| json!(arn(region, account, instance));
    let here = arn(REGION, ACCOUNT, INSTANCE);
    let leg = json!({"ContactId": "leg-1", "InitiationMethod": "MONITOR", "State": "CONNECTED"});
    let many: Vec<Value> = (0..31)
        .map(|i| with(leg.clone(), &[("/ContactId", json!(format!("leg-{i}")))]))
        .collect();
    let contact_record = json!({"AWSContactTraceRecordFormatVersion": "2017-03-10", "ContactId": "leg-1",
        "InitiationMethod": "MONITOR", "DisconnectTimestamp": "2026-08-04T17:43:47Z"});
    let other_account = arn(REGION, "444455556666", INSTANCE);
    for (kind, event) in [
        (
            "wrong_source",
            with(good.clone(), &[("/source", json!("custom.connect"))]),
        ),
        (
            "other_kind",
            json!({"detail-type": "Scheduled Event", "source": "aws.connect", "detail": {}}),
        ),
        (
            "wrong_account",
            with(good.clone(), &[("/account", json!("444455556666"))]),
        ),
        (
            "wrong_account",
            with(good.clone(), &[("/detail/instanceArn", json!(other_account))]),
        ),
        ("wrong_account", snapshot(&other_account, &json!([leg]))),
        ("wrong_region", with(good.clone(), &[("/region", json!("eu-west-2"))])),
        (
            "wrong_region",
            with(
                good.clone(),
                &[("/detail/instanceArn", elsewhere("eu-west-2", ACCOUNT, INSTANCE))],
            ),
        ),
        (
            "unknown_instance",
            with(
                good.clone(),
                &[("/detail/instanceArn", elsewhere(REGION, ACCOUNT, "another"))],
            ),
        ),
        ("impossible", snapshot(&here, &json!(many))),
        ("impossible", json!([snapshot(&here, &json!([leg, leg]))])),
        ("contact_record", contact_record.clone()),
        ("contact_record", json!([contact_record])),
        ("unreadable", json!([{"partitionKey": "p", "data": "!"}])),
    ] {
        let before = counted(&app, kind).await;
        assert_eq!(
            deliver(&app, &event).await,
            json!({"accepted": false, "duplicate": false}),
            "{kind}: {event}"
        );
        assert_eq!(counted(&app, kind).await, before + 1, "{kind}: {event}");
    }
    let bad = json!({"detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": {}});
    let refused = app
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .json(&bad)
        .send()
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(counted(&app, "unreadable").await, 2);
    let kept = "SELECT leg_id FROM evidence UNION ALL SELECT leg_id FROM unexplained_legs UNION ALL SELECT id FROM seen_events";
    assert_eq!(
        sql(&app.store_path(), kept).await.expect("read"),
        Vec::<Vec<String>>::new()
    );
    app.finish().await;
}

#[tokio::test]
async fn event_account_is_not_compared_unless_configured() {
    let app = TestApp::build()
        .unset("CONNECT__INSTANCES__MAIN__ACCOUNT_ID")
        .start()
        .await;
    let account = "444455556666";
    let changes = [
        ("/account", json!(account)),
        ("/detail/instanceArn", json!(arn(REGION, account, INSTANCE))),
    ];
    let event = with(end("leg-1", &json!("MONITOR")), &changes);
    assert_eq!(deliver(&app, &event).await["accepted"], true);
    let contradictory = with(event, &[("/account", json!(ACCOUNT)), ("/id", json!("another"))]);
    assert_eq!(deliver(&app, &contradictory).await["accepted"], false);
    app.assert_invariants().await;
}

#[tokio::test]
async fn event_without_initiation_method_counts_for_a_known_leg() {
    for as_agent_event in [false, true] {
        let app = TestApp::build()
            .fakes(|f| (f.events.contact_events, f.events.agent_events) = (false, false))
            .set("SUPERVISION__IDLE_POLL_S", "3600")
            .start()
            .await;
        let call = app.connect().create_call();
        let id = app.joined(&call, "supervisor-1").await["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let leg = app.get(&id).await.body["legContactId"]
            .as_str()
            .expect("a leg")
            .to_owned();
        app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
        let ended = |leg: &str| {
            if !as_agent_event {
                return end(leg, &Value::Null);
            }
            let contact = json!({"ContactId": leg, "InitiationMethod": null, "State": "ENDED", "Channel": "VOICE",
                "StateStartTimestamp": jiff::Timestamp::now().to_string()});
            snapshot(&arn(REGION, ACCOUNT, INSTANCE), &json!([contact]))
        };
        assert_eq!(deliver(&app, &ended("no-leg-of-ours")).await["accepted"], false);
        assert_eq!(deliver(&app, &ended(&leg)).await["accepted"], true);
        app.until_left(&id).await;
        app.finish().await;
    }
}
