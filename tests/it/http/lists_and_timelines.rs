//! Lists of supervisions with filters and pages, and the timeline of one supervision.

use sidedoor_fakes::connect::NewContact;

use crate::support::app::{READER, SUPERVISOR_1, TestApp};

async fn ids(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app
        .call("GET", &format!("/v1/supervisions?{query}"))
        .key(READER)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let items = answer.body["items"].as_array().expect("items").clone();
    items
        .iter()
        .map(|s| s["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn list_filters_by_supervisor_agent_time_and_state() {
    let app = TestApp::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = |agent: &str| {
        app.connect().create_contact(NewContact {
            agent_id: agent.into(),
            ..NewContact::default()
        })
    };
    let (calm, busy) = (call("agent-1"), call("agent-2"));
    let body = serde_json::json!({"contactId": calm, "supervisor": {"connectUserId": "supervisor-1"},
        "agentUserId": "agent-1"});
    let first = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let between = jiff::Timestamp::now();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = app.listen(&busy, "supervisor-2").await.id();
    let asked = app.disconnect(&second).await;
    app.until(&second, "overdue", |s| s["overdue"] == true).await;
    let moment = between.to_string();
    for (query, expected) in [
        ("agentUserId=agent-1".to_owned(), vec![&first]),
        ("agentUserId=agent-2".to_owned(), vec![]),
        ("connectUserId=supervisor-2".to_owned(), vec![&second]),
        ("overdue=true".to_owned(), vec![&second]),
        ("overdue=false".to_owned(), vec![&first]),
        (format!("begunSince={moment}"), vec![&second]),
        (format!("begunBefore={moment}"), vec![&first]),
        ("origin=API&instance=main".to_owned(), vec![&second, &first]),
        ("origin=OBSERVED".to_owned(), vec![]),
        ("instance=other".to_owned(), vec![]),
        ("state=MONITORING,LEAVING&pageSize=1".to_owned(), vec![&second]),
        (format!("cursor={second}"), vec![&first]),
    ] {
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        assert_eq!(ids(&app, &query).await, expected, "{query}");
    }
    for bad in [
        "overdue=maybe",
        "origin=MINE",
        "begunSince=yesterday",
        "agentUserId=a%20b",
        "instance=%2F",
        "state=MONITORING&state=LEFT",
        "pageSize=201",
        "color=red",
    ] {
        let refused = app.call("GET", &format!("/v1/supervisions?{bad}")).send().await;
        assert_eq!((refused.status, refused.code()), (400, "request_invalid"), "{bad}");
    }
    app.browser("supervisor-2").obey(&asked.body["nextAction"]).await;
    app.until_left(&second).await;
    // The agent is known at the latest after the supervisor has left.
    app.until(&second, "its agent", |s| s["agentUserId"] == "agent-2").await;
    assert_eq!(ids(&app, "agentUserId=agent-2").await, [second]);
    app.connect().hang_up(&calm, "AGENT").expect("over");
    app.until_left(&first).await;
    app.finish().await;
}

#[tokio::test]
async fn timeline_has_events_of_one_supervision_in_order() {
    // The event of the connection must not overtake the answer of MonitorContact, so that there is one right order.
    let app = TestApp::build()
        .fakes(|f| f.connect.connect_delay_ms = 500)
        .start()
        .await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let path = format!("/v1/supervisions/{id}/disconnect");
    let why = serde_json::json!({"reason": "lunch"});
    let asked = app.call("POST", &path).json(&why).send().await;
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    app.events_delivered().await;
    let timeline = app
        .call("GET", &format!("/v1/supervisions/{id}/timeline"))
        .key(SUPERVISOR_1)
        .send()
        .await
        .body;
    let moments = timeline["items"].as_array().expect("items");
    let at = |what: &str| {
        let place = moments.iter().position(|m| m["what"] == what);
        place.unwrap_or_else(|| panic!("no {what} in {timeline:#}"))
    };
    let order = [
        "supervision.requested",
        "leg.given",
        "evidence.joined",
        "disconnect.requested",
        "directive.given",
        "evidence.dropped",
        "supervision.left",
        "row.recorded",
    ];
    let places: Vec<usize> = order.iter().map(|what| at(what)).collect();
    assert!(places.is_sorted(), "{places:?} {timeline:#}");
    let by = |what: &str| moments[at(what)]["actor"].clone();
    assert_eq!(
        (by("disconnect.requested"), by("directive.answered")),
        ("back-end".into(), "browser".into())
    );
    assert!(
        moments[at("disconnect.requested")]["detail"]
            .as_str()
            .expect("text")
            .contains("lunch")
    );
    // On a slow machine a poll may notice the end before the event does, and a poll has no timestamp.
    let mut drops = moments.iter().filter(|m| m["what"] == "evidence.dropped");
    assert!(drops.any(|m| !m["vendorTimestamp"].is_null()), "{timeline:#}");
    assert!(moments.iter().map(|m| m["at"].as_str()).is_sorted());
    let other = app.listen(&app.connect().create_call(), "supervisor-2").await.id();
    let hidden = app
        .call("GET", &format!("/v1/supervisions/{other}/timeline"))
        .key(SUPERVISOR_1)
        .send()
        .await;
    assert_eq!(hidden.status, 404, "another supervisor's timeline is hidden");
    app.leave(&other, "supervisor-2").await;
    app.finish().await;
}

#[tokio::test]
async fn list_keeps_two_instances_apart() {
    let mut second = sidedoor_fakes::FakesConfig::default();
    second.connect.instance_id = "22222222-3333-4444-8555-666666666666".into();
    second.connect.connect_delay_ms = 10;
    (second.events.delay_min_ms, second.events.delay_max_ms) = (10, 40);
    let east = sidedoor_fakes::start(second).await.expect("started");
    let app = TestApp::build()
        .set(
            "CONNECT__INSTANCES__EAST__INSTANCE_ID",
            "22222222-3333-4444-8555-666666666666",
        )
        // The fakes know one Region.
        .set("CONNECT__INSTANCES__EAST__REGION", "us-west-2")
        .set("CONNECT__INSTANCES__EAST__ENDPOINT_URL", east.connect_url())
        .start()
        .await;
    let target = format!("{}/v1/events/connect", app.url);
    east.connect()
        .change_events(|e| (e.target, e.api_key) = (Some(target), Some(crate::support::app::EVENTS.into())));
    let (here, there) = (app.connect().create_call(), east.connect().create_call());
    let start = |call: &str, instance: Option<&str>| {
        let body = serde_json::json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"},
            "instance": instance});
        app.call("POST", "/v1/supervisions").json(&body).send()
    };
    let unnamed = start(&here, None).await;
    assert_eq!(
        (unnamed.status, unnamed.code()),
        (422, "instance_not_found"),
        "with two instances the request must name one"
    );
    // The same user id in two instances means two supervisors, each with a voice slot of their own.
    let (first, other) = (start(&here, Some("main")).await, start(&there, Some("east")).await);
    assert_eq!(
        (first.status, other.status),
        (201, 201),
        "{} {}",
        first.text,
        other.text
    );
    let asked = app
        .call("POST", "/v1/supervisors/supervisor-1/disconnect")
        .json(&serde_json::json!({"instance": "east"}))
        .send()
        .await;
    assert_eq!(asked.id(), other.id());
    let leg = asked.body["legContactId"].as_str().expect("a leg");
    east.connect().end_leg_in_ccp("supervisor-1", leg).expect("ended");
    app.until_left(&other.id()).await;
    assert_eq!(app.get(&first.id()).await.state(), "MONITORING");
    assert_eq!(ids(&app, "instance=east").await, [other.id()]);
    app.connect().hang_up(&here, "AGENT").expect("over");
    app.until_left(&first.id()).await;
    assert!(east.connect().customer_contacts_we_ended().is_empty());
    app.finish().await;
}
