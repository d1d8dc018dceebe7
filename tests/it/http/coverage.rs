//! `GET /v1/reports/coverage`: the contacts that agents had, counted from contact events, and how many of them were supervised.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sidedoor_fakes::{ForgedEvent, connect::NewContact};

use crate::support::app::{BACK_END, OPERATOR, READER, SUPERVISOR_1, TestApp};
use crate::support::sql;

const PATH: &str = "/v1/reports/coverage";

async fn report(app: &TestApp, query: &str) -> Value {
    let answer = app.call("GET", &format!("{PATH}{query}")).key(READER).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

/// Waits for at most 20 s until the items of a report fit.
async fn until(app: &TestApp, query: &str, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    for _ in 0..200 {
        let items = report(app, query).await["items"].as_array().cloned().expect("items");
        if fits(&items) {
            return items;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the report never shows {what}: {:#}", report(app, query).await);
}

fn total(items: &[Value]) -> (u64, u64) {
    let sum = |member: &str| items.iter().filter_map(|item| item[member].as_u64()).sum();
    (sum("contacts"), sum("supervised"))
}

/// A contact of an agent that ended at this moment.
fn ended(contact: &str, at: Timestamp) -> ForgedEvent {
    ForgedEvent {
        contact_id: contact.into(),
        initiation_method: Some("INBOUND".into()),
        user_id: Some("agent-7".into()),
        connected_at: Some(at),
        disconnected_at: Some(at),
        ..ForgedEvent::default()
    }
}

#[tokio::test]
async fn coverage_counts_calls_and_chats_by_queue_and_agent() {
    let app = TestApp::start().await;
    let connect = app.connect();
    let mut contacts = Vec::new();
    for (channel, agent, queue) in [
        ("VOICE", "agent-1", Some("sales")),
        ("VOICE", "agent-2", Some("sales")),
        ("VOICE", "agent-1", Some("support")),
        ("CHAT", "agent-2", None),
    ] {
        contacts.push(connect.create_contact(NewContact {
            channel: channel.into(),
            agent_id: agent.into(),
            queue_id: queue.map(str::to_owned),
            ..NewContact::default()
        }));
    }
    let id = app.joined(&contacts[0], "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // A second supervisor of the same call, and a start that fails, count nothing.
    app.joined(&contacts[0], "supervisor-2").await;
    app.listen("no-such-contact", "supervisor-3").await;
    app.leave(&id, "supervisor-1").await;
    for contact in &contacts {
        connect.hang_up(contact, "AGENT").expect("hung up");
    }
    let items = until(&app, "?goalPercent=34", "four contacts", |items| total(items) == (4, 1)).await;
    let row = |channel: &str| items.iter().find(|i| i["channel"] == channel).expect("a row");
    let voice = row("VOICE");
    assert_eq!(
        (
            &voice["contacts"],
            &voice["supervised"],
            &voice["percent"],
            &voice["meetsGoal"]
        ),
        (&json!(3), &json!(1), &json!(33.3), &json!(false)),
        "{voice:#}"
    );
    assert_eq!(
        (&row("CHAT")["percent"], &row("CHAT")["queueId"]),
        (&json!(0.0), &json!(null))
    );
    let goal = report(&app, "?goalPercent=33").await;
    assert_eq!(goal["goalPercent"], 33);
    assert!(
        goal["items"]
            .as_array()
            .expect("items")
            .iter()
            .any(|i| i["meetsGoal"] == true),
        "{goal:#}"
    );

    let by_queue = until(&app, "?byQueue=true", "queues", |items| items.len() == 3).await;
    let sales = by_queue.iter().find(|i| i["queueId"] == "sales").expect("a row");
    assert_eq!(
        (&sales["contacts"], &sales["supervised"], &sales["agentUserId"]),
        (&json!(2), &json!(1), &json!(null))
    );
    let named = |items: &[Value]| {
        items
            .iter()
            .all(|i| i["agentUsername"] == format!("{}@example", i["agentUserId"].as_str().unwrap_or_default()))
    };
    let by_agent = until(&app, "?byAgent=true", "agents with names", |items| {
        items.len() == 3 && named(items)
    })
    .await;
    let of = |agent: &str, channel: &str| {
        by_agent
            .iter()
            .find(|i| i["agentUserId"] == agent && i["channel"] == channel)
    };
    assert_eq!(of("agent-1", "VOICE").expect("a row")["contacts"], 2);

    let request = app
        .http
        .get(format!("{}{PATH}?byQueue=true", app.url))
        .bearer_auth(OPERATOR);
    let answer = request.header("accept", "text/csv").send().await.expect("answered");
    assert_eq!(answer.headers()["content-type"], "text/csv");
    let text = answer.text().await.expect("whole");
    assert_eq!(text.lines().count(), 4);
    assert!(text.starts_with(
        "week,instance,channel,queueId,queue,agentUserId,agentUsername,contacts,supervised,percent,meetsGoal"
    ));
    for none in [
        "?since=2026-02-01&until=2026-01-01",
        "?until=2020-01-01&since=0001-01-01",
        "?since=9999-12-31&until=9999-12-31",
    ] {
        assert_eq!(report(&app, none).await["items"], json!([]), "{none}");
    }
    for key in [BACK_END, SUPERVISOR_1] {
        let refused = app.call("GET", PATH).key(key).send().await;
        assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    }
    for wrong in ["?since=yesterday", "?byQueue=perhaps", "?goalPercent=101"] {
        let refused = app.call("GET", &format!("{PATH}{wrong}")).key(READER).send().await;
        assert_eq!((refused.status, refused.code()), (400, "request_invalid"), "{wrong}");
    }
    app.finish().await;
}

#[tokio::test]
async fn coverage_counts_repeated_events_once_before_and_after_two_days() {
    let app = TestApp::start().await;
    let now = Timestamp::now();
    let two_days_ago = now - SignedDuration::from_hours(48) + SignedDuration::from_millis(1500);
    let mut events = Vec::new();
    for (contact, at) in [
        ("new", now),
        ("old", two_days_ago),
        ("too-old", now - SignedDuration::from_hours(49)),
    ] {
        events.push(app.connect().forge_event(&ended(contact, at)));
    }
    // Without an agent there was nobody to supervise.
    let nobody = ForgedEvent {
        user_id: None,
        connected_at: None,
        ..ended("abandoned", now)
    };
    events.push(app.connect().forge_event(&nobody));
    for _ in 0..2 {
        for event in &events {
            app.send_event(event).await;
        }
    }
    let items = until(&app, "", "two contacts", |items| total(items).0 == 2).await;
    assert_eq!(total(&items), (2, 0));
    for _ in 0..200 {
        let left = sql(&app.store_path(), "SELECT contact_id FROM handled_contacts")
            .await
            .expect("read");
        if left == [["new"]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left = sql(&app.store_path(), "SELECT contact_id FROM handled_contacts")
        .await
        .expect("read");
    assert_eq!(left, [["new"]], "only two days are kept by contact");
    for event in &events {
        app.send_event(event).await;
    }
    assert_eq!(total(&until(&app, "", "the counters", |_| true).await), (2, 0));
    app.finish().await;
}
