//! Settings for what AWS does not document about GetCurrentUserData, DescribeContact, client tokens and timestamps.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{Aws, Events, chat, connected_leg, start, until, wait_ms};

#[tokio::test]
async fn user_data_can_be_stale_and_go_back() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    wait_ms(500).await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    assert_eq!(aws.contacts_of("supervisor-1").await, json!([]), "fresh by default");
    connect.change(|s| s.poll_staleness_ms = 1_000);
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push(aws.contacts_of("supervisor-1").await != json!([]));
        wait_ms(5).await;
    }
    assert!(seen.contains(&true), "some answers show a leg that has ended");
    let goes_back = seen.windows(2).any(|pair| pair == [false, true]);
    assert!(goes_back, "a later answer shows an older state: {seen:?}");
    wait_ms(1_000).await;
    assert_eq!(aws.contacts_of("supervisor-1").await, json!([]), "older than the bound");
}

#[tokio::test]
async fn stale_user_data_shows_holds_and_connections_of_then() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    wait_ms(300).await;
    connect.hold(&call, true).expect("held");
    connect.change(|s| s.poll_staleness_ms = 250);
    let mut states = BTreeSet::new();
    for _ in 0..60 {
        states.insert(aws.contacts_of("agent-1").await[0]["AgentContactState"].to_string());
    }
    let both = ["\"CONNECTED\"", "\"CONNECTED_ONHOLD\""].map(ToOwned::to_owned);
    assert_eq!(states, both.into());
}

#[tokio::test]
async fn ended_contact_lingers_in_user_data() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    connect.change(|s| s.ended_lingers_ms = 300);
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    let listed = aws.contacts_of("supervisor-1").await;
    assert_eq!(
        (&listed[0]["ContactId"], &listed[0]["AgentContactState"]),
        (&json!(leg), &json!("ENDED"))
    );
    wait_ms(320).await;
    assert_eq!(aws.contacts_of("supervisor-1").await, json!([]));
}

#[tokio::test]
async fn user_data_can_hide_legs_and_idle_users() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    connected_leg(connect, &call, "supervisor-1").await;
    connect.change(|s| s.list_monitor_legs = false);
    assert_eq!(aws.contacts_of("supervisor-1").await, json!([]));
    assert_eq!(aws.contacts_of("agent-1").await[0]["ContactId"], json!(call));
    connect.change(|s| s.omit_idle_users = true);
    let users = aws.users(&["supervisor-1", "agent-1", "agent-2"]).await;
    let ids: Vec<&Value> = users
        .as_array()
        .expect("a list")
        .iter()
        .map(|u| &u["User"]["Id"])
        .collect();
    assert_eq!(ids, ["agent-1"]);
}

#[tokio::test]
async fn initiation_method_of_a_leg_can_be_null() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let events = Events::receive(connect).await;
    connect.change(|s| s.initiation_method_null = true);
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    assert!(
        aws.contacts_of("supervisor-1").await[0]
            .get("InitiationMethod")
            .is_none()
    );
    assert_eq!(aws.contacts_of("agent-1").await[0]["InitiationMethod"], "INBOUND");
    let event = events.wait_for(&leg, "CONNECTED_TO_AGENT").await;
    assert_eq!(event["detail"].get("initiationMethod"), Some(&Value::Null));
    until("an agent event", || !events.snapshot_contacts().is_empty()).await;
    assert_eq!(
        events.snapshot_contacts()[0].get("InitiationMethod"),
        Some(&Value::Null)
    );
    let event = events.wait_for(&call, "INITIATED").await;
    assert_eq!(event["detail"]["initiationMethod"], "INBOUND");
    assert_eq!(aws.describe(&leg).await.1["InitiationMethod"], "MONITOR");
}

#[tokio::test]
async fn describe_contact_shows_changes_late() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    wait_ms(10).await;
    connect.change(|s| s.describe_lag_ms = 400);
    assert_eq!(aws.describe(&leg).await.0, 404, "the contact is younger than the lag");
    wait_ms(450).await;
    connect
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged");
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    let (_, before) = aws.describe(&leg).await;
    let transitions = |seen: &Value| seen["AgentInfo"]["StateTransitions"].as_array().map_or(0, Vec::len);
    assert_eq!((transitions(&before), before.get("DisconnectTimestamp")), (1, None));
    wait_ms(450).await;
    let (_, after) = aws.describe(&leg).await;
    assert_eq!(transitions(&after), 2);
    assert!(after.get("DisconnectTimestamp").is_some());
}

#[tokio::test]
async fn connection_of_a_leg_can_be_without_evidence() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let events = Events::receive(connect).await;
    connect.change(|s| s.connected_evidence = false);
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    let (_, seen) = aws.describe(&leg).await;
    assert_eq!(seen["AgentInfo"], json!({"Id": "supervisor-1"}));
    let listed = aws.contacts_of("supervisor-1").await[0].clone();
    assert_eq!(listed["AgentContactState"], "CONNECTED");
    assert!(listed.get("StateStartTimestamp").is_none() && listed.get("ConnectedToAgentTimestamp").is_none());
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    let end = events.wait_for(&leg, "DISCONNECTED").await;
    assert!(end["detail"]["agentInfo"]["agentArn"].is_string());
    assert!(end["detail"]["agentInfo"].get("connectedToAgentTimestamp").is_none());
    assert!(events.of(&leg, "CONNECTED_TO_AGENT").is_empty());
    events.wait_for(&call, "CONNECTED_TO_AGENT").await;
}

#[tokio::test]
async fn client_token_is_forgotten_after_its_time() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let chat = chat(connect);
    let leg = |answer: (u16, Value)| answer.1["ContactId"].as_str().expect("a leg").to_owned();
    let first = leg(aws.monitor(&chat, "supervisor-1", "token-1").await);
    assert_eq!(leg(aws.monitor(&chat, "supervisor-1", "token-1").await), first);
    connect.change(|s| s.token_ttl_s = 1);
    wait_ms(1_050).await;
    let second = leg(aws.monitor(&chat, "supervisor-1", "token-1").await);
    assert_ne!(second, first, "the token is unknown again");
    assert_eq!(leg(aws.monitor(&chat, "supervisor-1", "token-1").await), second);
}

#[tokio::test]
async fn timestamps_of_events_and_descriptions_have_their_own_granularity() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let events = Events::receive(connect).await;
    connect.change(|s| {
        s.clock.granularity_ms = 1;
        s.event_granularity_ms = Some(1000);
        s.describe_granularity_ms = Some(60_000);
    });
    // At a fraction of a second, so that cutting shows.
    let (call, began) = loop {
        let call = connect.create_call();
        let began = connect.contact(&call).expect("there").true_begun_at.as_millisecond();
        if began % 1000 > 100 {
            break (call, began);
        }
        wait_ms(50).await;
    };
    let event = events.wait_for(&call, "INITIATED").await;
    let sent: jiff::Timestamp = event["detail"]["initiationTimestamp"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("a timestamp");
    assert_eq!(sent.as_millisecond(), began - began % 1000);
    let described = aws.describe(&call).await.1["InitiationTimestamp"].as_i64();
    assert_eq!(described, Some((began - began % 60_000) / 1000));
    let polled = aws.contacts_of("agent-1").await[0]["StateStartTimestamp"].as_f64();
    assert!(
        polled.is_some_and(|at| at.fract() > 0.0),
        "as fine as the clock: {polled:?}"
    );
}

#[tokio::test]
async fn settings_out_of_bounds_are_rejected() {
    let fakes = start().await;
    let http = reqwest::Client::builder().build().expect("a client");
    for (change, name) in [
        (json!({"pollStalenessMs": 5_001}), "pollStalenessMs"),
        (json!({"describeLagMs": 3_600_001}), "describeLagMs"),
        (json!({"tokenTtlS": 604_801}), "tokenTtlS"),
        (json!({"eventGranularityMs": 0}), "eventGranularityMs"),
    ] {
        let url = format!("{}/_fake/settings", fakes.connect_url());
        let answer = http.patch(url).json(&change).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{change}");
        let answer: Value = answer.json().await.expect("JSON");
        assert!(answer["message"].as_str().is_some_and(|m| m.contains(name)), "{answer}");
    }
    fakes.connect().change(|s| s.poll_staleness_ms = u64::MAX);
    let url = format!("{}/_fake/settings", fakes.connect_url());
    let kept: Value = http
        .get(url)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(kept["pollStalenessMs"], 5_000);
}
