//! What the board and the list of a contact's supervisors show to which credential.

use serde_json::{Value, json};
use sidedoor_fakes::connect::{NewContact, UserChange};

use crate::support::app::{BACK_END, BOARD, PRESENCE, READER, SUPERVISOR_1, TestApp};

/// A key of supervisor-1 that also sees the board and who is on a contact.
const OWN_BOARD: &str = "key-of-supervisor-1-b";

async fn app_with_limits(limits: &[(&str, &str)]) -> TestApp {
    let mut built = TestApp::build();
    for (setting, value) in limits {
        // The key `board` is the sixth after the first.
        built = built.set(&format!("AUTH__API_KEYS__6__{setting}"), value);
    }
    for (setting, value) in [
        ("NAME", "supervisor-1-board"),
        ("SECRET", OWN_BOARD),
        ("SCOPES", "supervise,board,presence"),
        ("SUPERVISOR", "supervisor-1"),
    ] {
        built = built.set(&format!("AUTH__API_KEYS__10__{setting}"), value);
    }
    let app = built.start().await;
    for (agent, queue, group) in [("agent-1", "sales", "north"), ("agent-2", "support", "south")] {
        let hierarchy_group_ids = Some(vec!["all".into(), group.into()]);
        app.connect().change_user(
            agent,
            UserChange {
                hierarchy_group_ids,
                ..UserChange::default()
            },
        );
        app.connect().create_contact(NewContact {
            agent_id: agent.into(),
            queue_id: Some(queue.into()),
            ..NewContact::default()
        });
    }
    app
}

async fn agents(app: &TestApp, key: &str) -> Vec<Value> {
    let answer = app.call("GET", "/v1/agents?withContacts=true").key(key).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"].as_array().expect("items").clone()
}

fn ids(agents: &[Value]) -> Vec<&str> {
    agents
        .iter()
        .map(|a| a["agentUserId"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn board_is_limited_to_queues_of_the_credential() {
    let app = app_with_limits(&[("BOARD_QUEUES", "sales,billing")]).await;
    assert_eq!(ids(&agents(&app, BOARD).await), ["agent-1"]);
    assert_eq!(ids(&agents(&app, READER).await), ["agent-1", "agent-2"]);
    // The chat of another queue is hidden, although the agent is shown.
    app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        queue_id: Some("support".into()),
        ..NewContact::default()
    });
    let second = app_with_limits(&[("BOARD_QUEUES", "sales")]).await;
    second.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        queue_id: Some("support".into()),
        ..NewContact::default()
    });
    let shown = agents(&second, BOARD).await;
    assert_eq!(shown[0]["contacts"].as_array().map(Vec::len), Some(1), "{shown:#?}");
    app.finish().await;
    second.finish().await;
}

#[tokio::test]
async fn board_is_limited_to_hierarchy_groups_of_the_credential() {
    let app = app_with_limits(&[("BOARD_HIERARCHY_GROUPS", "south")]).await;
    assert_eq!(ids(&agents(&app, BOARD).await), ["agent-2"]);
    app.finish().await;
}

#[tokio::test]
async fn board_names_supervisors_only_to_those_who_may_read_them() {
    let app = app_with_limits(&[]).await;
    let call = agents(&app, READER).await[0]["contacts"][0]["contactId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let other = app.joined(&call, "supervisor-2").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for id in [&id, &other] {
        let is_known = |s: &Value| !s["supervisor"]["username"].is_null();
        app.until(id, "the supervisor's name", is_known).await;
    }
    let on_call = async |key| agents(&app, key).await[0]["contacts"][0]["supervisions"].clone();
    let view = |id: Option<&str>, user: Option<&str>, is_yours: bool| {
        let username = user.map(|user| format!("{user}@example"));
        json!({"mode": "SILENT", "state": "MONITORING", "isYours": is_yours, "supervisionId": id,
            "connectUserId": user, "username": username})
    };
    let (first, second) = (
        view(Some(&id), Some("supervisor-1"), false),
        view(Some(&other), Some("supervisor-2"), false),
    );
    for key in [READER, BACK_END] {
        assert_eq!(on_call(key).await, json!([first, second]));
    }
    let hidden = view(None, None, false);
    assert_eq!(on_call(BOARD).await, json!([hidden, hidden]));
    let own = view(Some(&id), Some("supervisor-1"), true);
    assert_eq!(on_call(OWN_BOARD).await, json!([own, hidden]));
    let me = app
        .call("GET", "/v1/agents?name=supervisor-1")
        .key(OWN_BOARD)
        .send()
        .await
        .body;
    assert_eq!(me["items"][0]["isYou"], true, "{me:#}");
    for key in [SUPERVISOR_1, PRESENCE] {
        let refused = app.call("GET", "/v1/agents").key(key).send().await;
        assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    }
    app.leave(&id, "supervisor-1").await;
    app.leave(&other, "supervisor-2").await;
    app.finish().await;
}

#[tokio::test]
async fn presence_shows_who_is_on_a_contact_and_no_more() {
    let app = app_with_limits(&[]).await;
    let call = app.connect().create_call();
    let over = app.joined(&call, "supervisor-3").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.leave(&over, "supervisor-3").await;
    let id = app.joined(&call, "supervisor-2").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.disconnect(&id).await;
    for key in [PRESENCE, OWN_BOARD] {
        let list = async |query: &str| {
            app.call("GET", &format!("/v1/supervisions{query}"))
                .key(key)
                .send()
                .await
        };
        let found = list(&format!("?contactId={call}")).await;
        let items = found.body["items"].as_array().expect("items").clone();
        assert_eq!(items.len(), 1, "only who is on it now: {}", found.text);
        assert_eq!(items[0]["supervisor"]["connectUserId"], "supervisor-2");
        assert_eq!(
            items[0]["nextAction"],
            Value::Null,
            "a directive is for its own supervisor"
        );
        let ended = list(&format!("?contactId={call}&state=LEFT")).await;
        assert_eq!(ended.body["items"], json!([]));
        let alone = app.call("GET", &format!("/v1/supervisions/{id}")).key(key).send().await;
        assert_eq!((alone.status, alone.code()), (404, "supervision_not_found"));
    }
    // One's own departure is shown beside the others who are still there.
    let own = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.leave(&own, "supervisor-1").await;
    let path = format!("/v1/supervisions?contactId={call}");
    let list = app.call("GET", &path).key(OWN_BOARD).send().await.body;
    let items = list["items"].as_array().expect("items").iter();
    let shown: Vec<_> = items.map(|s| (&s["id"], &s["state"])).collect();
    assert_eq!(shown, [(&json!(own), &json!("LEFT")), (&json!(id), &json!("LEAVING"))]);
    let refused = app.call("GET", "/v1/supervisions").key(PRESENCE).send().await;
    assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    let list = app.call("GET", &path).key(SUPERVISOR_1).send().await.body;
    let items = list["items"].as_array().expect("items").iter();
    let shown: Vec<_> = items.map(|s| &s["id"]).collect();
    assert_eq!(shown, [&json!(own)], "without the scope only one's own");
    app.leave(&id, "supervisor-2").await;
    app.finish().await;
}
