//! Starts that name an agent instead of a contact, and the reason of a start.

use serde_json::{Value, json};
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{AUDITOR, BOARD, SUPERVISOR_1, TestApp};

/// A key of supervisor-1 that also sees the contacts of one queue.
const SALES_1: &str = "key-of-supervisor-1-q";

async fn app() -> TestApp {
    let mut built = TestApp::build();
    for (setting, value) in [
        ("NAME", "supervisor-1-sales"),
        ("SECRET", SALES_1),
        ("SCOPES", "supervise,board"),
        ("SUPERVISOR", "supervisor-1"),
        ("BOARD_QUEUES", "sales"),
    ] {
        built = built.set(&format!("AUTH__API_KEYS__10__{setting}"), value);
    }
    built.start().await
}

fn contact(agent: &str, channel: &str, queue: &str) -> NewContact {
    NewContact {
        channel: channel.into(),
        agent_id: agent.into(),
        queue_id: Some(queue.into()),
        ..NewContact::default()
    }
}

#[tokio::test]
async fn start_on_an_agent_joins_their_only_contact() {
    let app = app().await;
    let call = app.connect().create_contact(contact("agent-1", "VOICE", "sales"));
    // Another supervisor's leg on that call is no contact to listen to. A contact that has ended is none, too.
    let other = app.joined(&call, "supervisor-2").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let ended = app.connect().create_contact(contact("agent-1", "CHAT", "sales"));
    app.connect().hang_up(&ended, "CUSTOMER").expect("over");
    let body = json!({"agentUserId": "agent-1", "reason": "coaching, week 2"});
    let ask = || {
        app.call("POST", "/v1/supervisions")
            .key(SALES_1)
            .json(&body)
            .idempotency("agent-1")
            .send()
    };
    let started = ask().await;
    assert_eq!(started.status, 201, "{}", started.text);
    assert_eq!(
        (&started.body["contactId"], &started.body["agentUserId"]),
        (&json!(call), &json!("agent-1"))
    );
    assert_eq!(started.body["requestReason"], "coaching, week 2");
    let id = started.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    app.until_written(&id).await;
    let leg = app.get(&id).await.body["legContactId"]
        .as_str()
        .expect("a leg")
        .to_owned();
    assert_eq!(app.record(&leg)["Request_Reason__c"], "coaching, week 2");
    let audit = app
        .call("GET", "/v1/audit?action=supervision.requested")
        .key(AUDITOR)
        .send()
        .await
        .body;
    assert_eq!(audit["items"][0]["why"], "coaching, week 2", "{audit:#}");
    // After the call's end a repeat gets the same answer, although the agent is on no contact any more.
    app.leave(&id, "supervisor-1").await;
    app.leave(&other, "supervisor-2").await;
    app.connect().hang_up(&call, "CUSTOMER").expect("over");
    let again = ask().await;
    assert_eq!((again.status, &again.text), (201, &started.text));
    app.finish().await;
}

#[tokio::test]
async fn start_on_an_agent_without_one_contact_is_refused() {
    let app = app().await;
    let start = async |key: &str, body: Value| app.call("POST", "/v1/supervisions").key(key).json(&body).send().await;
    let none = start(SALES_1, json!({"agentUserId": "agent-1"})).await;
    assert_eq!(
        (none.status, none.code()),
        (404, "agent_contact_not_found"),
        "{}",
        none.text
    );
    let call = app.connect().create_contact(contact("agent-1", "VOICE", "sales"));
    let chat = app.connect().create_contact(contact("agent-1", "CHAT", "sales"));
    let several = start(SALES_1, json!({"agentUserId": "agent-1"})).await;
    assert_eq!(
        (several.status, several.code()),
        (409, "agent_contact_ambiguous"),
        "{}",
        several.text
    );
    let listed = several.body["contacts"].as_array().expect("contacts");
    let mut ids: Vec<_> = listed
        .iter()
        .map(|c| c["contactId"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    let mut both = vec![call.clone(), chat.clone()];
    both.sort();
    assert_eq!(ids, both);
    assert!(
        listed
            .iter()
            .all(|c| c["queueId"] == "sales" && c["connectedAt"].is_string())
    );
    // The limits of the credential hide a contact of another queue, so that it is not found.
    let other = app.connect().create_contact(contact("agent-2", "VOICE", "support"));
    let hidden = start(SALES_1, json!({"agentUserId": "agent-2"})).await;
    assert_eq!((hidden.status, hidden.code()), (404, "agent_contact_not_found"));
    for (key, body, status, code) in [
        (SUPERVISOR_1, json!({"agentUserId": "agent-2"}), 403, "action_forbidden"),
        (
            BOARD,
            json!({"agentUserId": "agent-1", "supervisor": {"connectUserId": "supervisor-1"}}),
            403,
            "action_forbidden",
        ),
        (SALES_1, json!({}), 400, "request_invalid"),
        (
            SALES_1,
            json!({"contactId": other, "reason": "x".repeat(256)}),
            400,
            "request_invalid",
        ),
        (
            SALES_1,
            json!({"contactId": other, "reason": "two\nlines"}),
            400,
            "request_invalid",
        ),
    ] {
        let refused = start(key, body.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (status, code),
            "{body}: {}",
            refused.text
        );
    }
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    app.finish().await;
}
