//! The agent event stream beside contact events: a snapshot of a supervisor is evidence about their leg.

use serde_json::{Value, json};
use sidedoor_fakes::connect::{INSTANCE, REGION};

use crate::support::app::{EVENTS, READER, TestApp};

async fn only_agent_events() -> TestApp {
    TestApp::build()
        .fakes(|f| (f.events.agent_events, f.events.contact_events) = (true, false))
        .start()
        .await
}

/// An agent event about one leg, as a Pipe with an input template would forward it.
fn snapshot(user: &str, leg: &str, state: &str, since: &str, before: &[&str]) -> Value {
    let arn = format!("arn:aws:connect:{REGION}:111122223333:instance/{INSTANCE}");
    let contact = |id: &str, state: &str| {
        json!({"ContactId": id, "Channel": "VOICE", "InitiationMethod": "MONITOR", "State": state,
            "StateStartTimestamp": since})
    };
    let now: Vec<Value> = if leg.is_empty() {
        Vec::new()
    } else {
        vec![contact(leg, state)]
    };
    let then: Vec<Value> = before.iter().map(|id| contact(id, "CONNECTED")).collect();
    json!({"AgentARN": format!("{arn}/agent/{user}"), "InstanceARN": arn, "EventId": format!("e-{since}-{state}"),
        "EventType": "STATE_CHANGE", "CurrentAgentSnapshot": {"Contacts": now}, "PreviousAgentSnapshot": {"Contacts": then}})
}

async fn deliver(app: &TestApp, event: &Value) -> Value {
    let answer = app
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .json(event)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

#[tokio::test]
async fn agent_event_alone_gives_departure() {
    let app = only_agent_events().await;
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-1").await;
    let id = joined["id"].as_str().expect("an id");
    let left = app.leave(id, "supervisor-1").await;
    assert_eq!(left["departure"]["source"], "AGENT_EVENT");
    let leg = app
        .connect()
        .contact(left["legContactId"].as_str().expect("a leg"))
        .expect("known");
    let truth = leg.true_disconnect_at.expect("ended");
    let bound = |name: &str| {
        left["departure"][name]
            .as_str()
            .expect("a time")
            .parse::<jiff::Timestamp>()
            .expect("a time")
    };
    assert!(bound("earliest") <= truth && truth <= bound("latest"), "{left:#}");
    app.until_written(id).await;
    app.finish().await;
}

#[tokio::test]
async fn agent_event_shows_barge_made_in_ccp() {
    let app = only_agent_events().await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    let joined = app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let leg = joined["legContactId"].as_str().expect("a leg");
    app.connect()
        .change_mode_in_ccp("supervisor-1", leg, "BARGE")
        .expect("barged in");
    app.until(&id, "BARGE", |s| s["mode"] == "BARGE" && s["hasBarged"] == true)
        .await;
    app.connect()
        .change_mode_in_ccp("supervisor-1", leg, "SILENT_MONITOR")
        .expect("silent");
    app.connect().hang_up(&call, "CUSTOMER").expect("over");
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn agent_event_duplicates_and_heartbeats_add_nothing() {
    let app = TestApp::build()
        .fakes(|f| f.events.contact_events = false)
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .start()
        .await;
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-1").await;
    let id = joined["id"].as_str().expect("an id").to_owned();
    let leg = joined["legContactId"].as_str().expect("a leg");
    let beat = snapshot("supervisor-1", leg, "CONNECTED", "2026-08-04T17:43:47.412Z", &[]);
    for _ in 0..5 {
        assert_eq!(deliver(&app, &json!([beat, beat])).await["accepted"], true);
    }
    let timeline = app
        .call("GET", &format!("/v1/supervisions/{id}/timeline"))
        .key(READER)
        .send()
        .await
        .body;
    let by_agent = timeline["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|m| m["actor"] == "AGENT_EVENT")
        .count();
    assert_eq!(by_agent, 2, "one entry for the leg and one for its join: {timeline:#}");
    // An event of another instance and records that are no agent events are passed over. A delivery of none is refused.
    let text = beat
        .to_string()
        .replace(INSTANCE, "99999999-0000-4000-8000-000000000000");
    let foreign: Value = serde_json::from_str(&text).expect("json");
    assert_eq!(deliver(&app, &foreign).await["accepted"], false);
    for bad in [
        json!([{"AgentARN": "x"}]),
        json!([1]),
        json!({"data": "!", "partitionKey": "p"}),
    ] {
        assert_eq!(deliver(&app, &bad).await["accepted"], false, "{bad}");
    }
    let refused = app
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .json(&json!([]))
        .send()
        .await;
    assert_eq!((refused.status, refused.code()), (400, "request_invalid"));
    let refused = app
        .call("POST", "/v1/events/connect")
        .key(READER)
        .json(&beat)
        .send()
        .await;
    assert_eq!(refused.status, 403);
    app.connect().hang_up(&call, "AGENT").expect("over");
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn agent_event_without_leg_triggers_describe_contact() {
    let app = TestApp::build()
        .fakes(|f| f.events.contact_events = false)
        .set("SUPERVISION__IDLE_POLL_S", "3600")
        .start()
        .await;
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-1").await;
    let id = joined["id"].as_str().expect("an id").to_owned();
    let leg = joined["legContactId"].as_str().expect("a leg");
    app.connect().end_leg_in_ccp("supervisor-1", leg).expect("ended");
    deliver(
        &app,
        &snapshot("supervisor-1", "", "", "2026-08-04T17:43:47.412Z", &[leg]),
    )
    .await;
    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["source"], "DESCRIBE_CONTACT");
    app.finish().await;
}

#[tokio::test]
async fn agent_event_of_unknown_leg_makes_supervision() {
    let app = only_agent_events().await;
    let call = app.connect().create_call();
    let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let found = app.found("origin=OBSERVED&connectUserId=supervisor-1").await;
    assert_eq!(found["legContactId"], leg.as_str());
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    app.until_left(found["id"].as_str().expect("an id")).await;
    app.finish().await;
}
