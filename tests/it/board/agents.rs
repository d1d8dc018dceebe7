//! `GET /v1/agents`: what it shows, how it changes, and what it costs.

use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::connect::{NewContact, UserChange};

use crate::support::app::{BOARD, READER, TestApp, TestAppBuilder};

/// An app whose board is polled every second.
fn built() -> TestAppBuilder {
    TestApp::build().set("BOARD__POLL_S", "1")
}

async fn board(app: &TestApp, query: &str, key: &str) -> Value {
    let answer = app.call("GET", &format!("/v1/agents{query}")).key(key).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

fn agent<'b>(board: &'b Value, id: &str) -> Option<&'b Value> {
    let agents = board["items"].as_array().expect("items");
    agents.iter().find(|agent| agent["agentUserId"] == id)
}

/// Looks at the board until it looks right.
async fn until_shown(app: &TestApp, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..100 {
        let board = board(app, "", READER).await;
        if good(&board) {
            return board;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the board never shows {what}")
}

fn chat(agent: &str, queue: &str) -> NewContact {
    NewContact {
        channel: "CHAT".into(),
        agent_id: agent.into(),
        queue_id: Some(queue.into()),
        ..NewContact::default()
    }
}

#[tokio::test]
async fn board_shows_agents_their_contacts_and_who_supervises() {
    let app = built().start().await;
    let change = UserChange {
        username: Some("ana.diaz".into()),
        hierarchy_group_ids: Some(vec!["all".into(), "north".into()]),
        status: Some("Lunch".into()),
        ..UserChange::default()
    };
    app.connect().change_user("agent-2", change);
    let call = app.connect().create_call();
    let chat = app.connect().create_contact(chat("agent-2", "sales"));
    let first = board(&app, "", READER).await;
    assert_eq!(first["isComplete"], true);
    assert!(
        first["asOf"].is_string(),
        "the first look waits for an answer: {first:#}"
    );
    let ana = agent(&first, "agent-2").expect("agent-2");
    assert_eq!(
        (&ana["username"], &ana["status"], &ana["hierarchyGroupIds"]),
        (&json!("ana.diaz"), &json!("Lunch"), &json!(["all", "north"]))
    );
    assert!(ana["statusSince"].is_string() && ana["routingProfileId"].is_string());
    let shown = &ana["contacts"][0];
    assert_eq!(
        (
            &shown["contactId"],
            &shown["channel"],
            &shown["queueId"],
            &shown["state"]
        ),
        (&json!(chat), &json!("CHAT"), &json!("sales"), &json!("CONNECTED"))
    );
    assert!(shown["connectedAt"].is_string() && shown["stateSince"].is_string());
    assert_eq!(shown["supervisions"], json!([]));
    assert_eq!(
        agent(&first, "supervisor-1").expect("they are users, too")["contacts"],
        json!([])
    );

    let id = app.joined(&call, "supervisor-1").await["id"].clone();
    let second = board(&app, "", READER).await;
    let supervised = &agent(&second, "agent-1").expect("agent-1")["contacts"][0];
    let mut supervisions = supervised["supervisions"].clone();
    // The user name is looked up after the join.
    supervisions[0]["username"] = Value::Null;
    assert_eq!(
        supervisions,
        json!([{"mode": "SILENT", "state": "MONITORING", "isYours": false, "supervisionId": id,
            "connectUserId": "supervisor-1", "username": null}]),
        "supervisions are those of now, not of the last round"
    );
    until_shown(&app, "the queue's name", |board| {
        agent(board, "agent-2").is_some_and(|a| a["contacts"][0]["queue"] == "Queue sales")
    })
    .await;
    let legs = until_shown(&app, "a round after the join", |board| board["asOf"] != first["asOf"]).await;
    let supervisor = agent(&legs, "supervisor-1").expect("listed");
    assert_eq!(supervisor["contacts"], json!([]), "a leg is no contact to listen to");

    app.connect().hang_up(&chat, "CUSTOMER").expect("over");
    until_shown(&app, "the end of the chat", |board| {
        agent(board, "agent-2").is_some_and(|a| a["contacts"] == json!([]))
    })
    .await;
    let signed_out = UserChange {
        status: Some(String::new()),
        ..UserChange::default()
    };
    app.connect().change_user("agent-2", signed_out);
    until_shown(&app, "that agent-2 signed out", |board| {
        agent(board, "agent-2").is_none()
    })
    .await;
    app.leave(id.as_str().expect("an id"), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn board_filters_and_pages() {
    let app = built().start().await;
    let change = |group: &str, profile: &str| UserChange {
        hierarchy_group_ids: Some(vec![group.into()]),
        routing_profile_id: Some(profile.into()),
        ..UserChange::default()
    };
    for i in 10..20 {
        let (id, group) = (format!("agent-{i}"), if i < 15 { "north" } else { "south" });
        app.connect()
            .change_user(&id, change(group, if i % 2 == 0 { "even" } else { "odd" }));
    }
    app.connect().create_contact(chat("agent-12", "sales"));
    app.connect().create_contact(chat("agent-17", "support"));
    let ids = async |query: &str| {
        let board = board(&app, query, READER).await;
        let items = board["items"].as_array().expect("items").clone();
        let ids = items
            .iter()
            .map(|a| a["agentUserId"].as_str().expect("an id").to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(
        ids("?hierarchyGroupId=north").await,
        ["agent-10", "agent-11", "agent-12", "agent-13", "agent-14"]
    );
    assert_eq!(
        ids("?hierarchyGroupId=north&routingProfileId=odd").await,
        ["agent-11", "agent-13"]
    );
    assert_eq!(ids("?queueId=support").await, ["agent-17"]);
    assert_eq!(ids("?withContacts=true").await, ["agent-12", "agent-17"]);
    assert_eq!(ids("?name=AGENT-13").await, ["agent-13"]);
    assert_eq!(ids("?name=nothing").await, [""; 0]);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = board(&app, &format!("?pageSize=3{cursor}"), READER).await;
        let items = page["items"].as_array().expect("items");
        paged.extend(
            items
                .iter()
                .map(|a| a["agentUserId"].as_str().expect("an id").to_owned()),
        );
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, ids("?pageSize=200").await);
    for bad in ["?pageSize=0", "?queueId=", "?withContacts=perhaps", "?colour=red"] {
        let refused = app.call("GET", &format!("/v1/agents{bad}")).key(READER).send().await;
        assert_eq!((refused.status, refused.code()), (400, "request_invalid"), "{bad}");
    }
    let refused = app.call("GET", "/v1/agents?instance=west").key(READER).send().await;
    assert_eq!((refused.status, refused.code()), (422, "instance_not_found"));
    app.finish().await;
}

/// The board's round is the idle round: a supervisor's leg in its answer is not asked about again, and its absence is noticed.
#[tokio::test]
async fn board_costs_the_same_for_one_viewer_and_for_thirty() {
    let app = built().fakes(|f| f.events.loss = 1.0).start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let calls = |app: &TestApp| app.connect().calls("GetCurrentUserData");
    let before = calls(&app);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(calls(&app), before, "without viewers agents are not polled");
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let views = (0..30).map(|_| board(&app, "", READER));
        futures::future::join_all(views).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = calls(&app) - before;
    assert!(
        (3..=6).contains(&asked),
        "about one call a second for all viewers: {asked}"
    );
    assert_eq!(app.connect().calls("SearchUsers"), 1, "the users are listed once");
    let leg = app.get(&id).await.body["legContactId"]
        .as_str()
        .expect("a leg")
        .to_owned();
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    for _ in 0..60 {
        board(&app, "", READER).await;
        if app.get(&id).await.state() == "LEFT" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        app.get(&id).await.state(),
        "LEFT",
        "the board's round notices a leg that is gone"
    );
    app.finish().await;
}

#[tokio::test]
async fn board_says_why_connect_refuses_it() {
    let app = built()
        .fakes(|f| f.connect.denied_operations = vec!["SearchUsers".into()])
        .start()
        .await;
    let refused = app.call("GET", "/v1/agents").key(READER).send().await;
    assert_eq!(
        (refused.status, refused.code()),
        (502, "connect_access_forbidden"),
        "{}",
        refused.text
    );
    // Rounds that cannot list the users do not ask for them each time, because leaves look supervisors up by the same operation.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        app.call("GET", "/v1/agents").key(READER).send().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(app.connect().calls("SearchUsers"), 1);
    app.finish().await;
}

/// The data of the stream's next event.
async fn next_event(stream: &mut reqwest::Response, text: &mut String) -> Value {
    loop {
        if let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data:")) {
                assert!(event.contains("event: agents"), "{event}");
                return serde_json::from_str(data.trim()).expect("JSON");
            }
            continue;
        }
        let chunk = tokio::time::timeout(Duration::from_secs(15), stream.chunk()).await;
        let chunk = chunk.expect("an event in time").expect("bytes").expect("not the end");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
}

#[tokio::test]
async fn board_streams_what_changes() {
    let app = built().start().await;
    let call = app.connect().create_call();
    let url = format!("{}/v1/agents?withContacts=true", app.url);
    let request = app
        .http
        .get(url)
        .bearer_auth(BOARD)
        .header("accept", "text/event-stream");
    let answer = request.send().await.expect("answered");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut stream, mut text) = (answer, String::new());
    let first = next_event(&mut stream, &mut text).await;
    assert_eq!(first["changed"][0]["agentUserId"], "agent-1", "{first:#}");
    assert_eq!(
        (first["changed"].as_array().map(Vec::len), &first["gone"]),
        (Some(1), &json!([]))
    );
    let chat = app.connect().create_contact(chat("agent-2", "sales"));
    let second = next_event(&mut stream, &mut text).await;
    assert_eq!(
        second["changed"][0]["agentUserId"], "agent-2",
        "only what changed: {second:#}"
    );
    assert_eq!(second["changed"].as_array().map(Vec::len), Some(1));
    app.connect().hang_up(&chat, "CUSTOMER").expect("over");
    loop {
        // Before it, the name of the queue may become known.
        let event = next_event(&mut stream, &mut text).await;
        if event["gone"] == json!(["agent-2"]) {
            break;
        }
    }
    drop(stream);
    app.connect().hang_up(&call, "AGENT").expect("over");
    app.finish().await;
}
