//! The audit: every act of a caller leaves a line, what acts on a vendor leaves one before and one after, nothing can be changed,
//! and all of it can be read and exported.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sidedoor::http::{ROUTES, Verb};
use sidedoor::store::sqlite::SqliteStore;
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{Answer, BACK_END, EVENTS, OPERATOR, READER, TestApp};

async fn lines(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app
        .call("GET", &format!("/v1/audit?pageSize=200&{query}"))
        .key(READER)
        .send()
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.body["items"].as_array().expect("items").clone()
}

fn texts<'v>(lines: &'v [Value], name: &str) -> Vec<&'v str> {
    lines.iter().map(|l| l[name].as_str().unwrap_or_default()).collect()
}

/// One act by every route that changes something: what it answered, and the caller's name.
async fn act(app: &TestApp, route: &str) -> (Option<Answer>, &'static str) {
    let (answer, actor) = answered(app, route).await;
    assert!((200..300).contains(&answer.status), "{route}: {}", answer.text);
    (Some(answer).filter(|_| actor != "sidedoor"), actor)
}

async fn answered(app: &TestApp, route: &str) -> (Answer, &'static str) {
    let connect = app.connect();
    let listening = |supervisor: &'static str| async move {
        let call = connect.create_call();
        app.joined(&call, supervisor).await
    };
    let id = |s: &Value| s["id"].as_str().expect("an id").to_owned();
    let post = |path: String| app.call("POST", &path);
    match route {
        "/v1/supervisions" => {
            let call = connect.create_call();
            let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}});
            (post(route.into()).json(&body).send().await, "back-end")
        }
        "/v1/supervisions/{supervisionId}/disconnect" => {
            let s = listening("supervisor-2").await;
            let path = format!("/v1/supervisions/{}/disconnect", id(&s));
            (post(path).key(OPERATOR).send().await, "operator")
        }
        "/v1/supervisions/{supervisionId}/mode" => {
            connect.set_ccp_open("barger", true);
            let call = connect.create_call();
            let body = json!({"contactId": call, "supervisor": {"connectUserId": "barger"}, "mode": "BARGE"});
            let s = post("/v1/supervisions".into()).json(&body).send().await;
            app.until(&s.id(), "joined", |s| !s["joinedAt"].is_null()).await;
            let path = format!("/v1/supervisions/{}/mode", s.id());
            (post(path).json(&json!({"mode": "BARGE"})).send().await, "back-end")
        }
        "/v1/supervisions/{supervisionId}/acknowledgements" => {
            let s = listening("supervisor-3").await;
            let asked = app.disconnect(&id(&s)).await;
            let body = json!({"directiveId": asked.body["nextAction"]["directiveId"], "outcome": "FAILED"});
            let path = format!("/v1/supervisions/{}/acknowledgements", id(&s));
            (post(path).json(&body).send().await, "back-end")
        }
        "/v1/supervisors/{connectUserId}/disconnect" => {
            listening("supervisor-4").await;
            (
                post("/v1/supervisors/supervisor-4/disconnect".into()).send().await,
                "back-end",
            )
        }
        "/v1/supervisors/{connectUserId}/tickets" => (
            post("/v1/supervisors/supervisor-1/tickets".into()).send().await,
            "back-end",
        ),
        // What vendors tell is audited as what it changes, by the service itself.
        "/v1/events/connect" => {
            let call = connect.create_call();
            connect.set_ccp_open("by-hand", true);
            connect.begin_leg_by_hand(&call, "by-hand").expect("begins");
            let observed = app.found("origin=OBSERVED&connectUserId=by-hand").await;
            (app.get(&id(&observed)).await, "sidedoor")
        }
        "/v1/events/partners/{vendor}" => {
            let body = json!({"legId": "leg-1", "event": "CONNECTED", "at": jiff::Timestamp::now().to_string()});
            let path = "/v1/events/partners/acme".to_owned();
            (post(path).key(EVENTS).json(&body).send().await, "sidedoor")
        }
        "/v1/vendors/{vendor}/probes" => {
            let path = "/v1/vendors/amazon-connect/probes".to_owned();
            (
                post(path).key(OPERATOR).json(&json!({"count": 1})).send().await,
                "operator",
            )
        }
        "/v1/deliveries/replay" => {
            // It was sent once more just now, in vain.
            for _ in 0..500 {
                let page = app.call("GET", "/v1/deliveries?state=FAILED").key(READER).send().await;
                if !page.body["items"][0].is_null() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            app.salesforce().clear_faults();
            let body =
                json!({"begunSince": "2020-01-01T00:00:00Z", "begunBefore": "2100-01-01T00:00:00Z", "dryRun": false});
            (post(route.into()).key(OPERATOR).json(&body).send().await, "operator")
        }
        "/v1/deliveries/{deliveryId}/replay" => {
            app.salesforce()
                .fault(Fault::error("*", 400, "REQUIRED_FIELD_MISSING").times(1000));
            listening("replayed").await;
            let dead = loop {
                let page = app.call("GET", "/v1/deliveries?state=FAILED").key(READER).send().await;
                if let Some(id) = page.body["items"][0]["deliveryId"].as_str() {
                    break id.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let path = format!("/v1/deliveries/{dead}/replay");
            (post(path).key(OPERATOR).send().await, "operator")
        }
        other => panic!("{other} changes something: say here how to act by it"),
    }
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_a_line() {
    let mut app = TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .start()
        .await;
    app.connect().set_ccp_open("replayed", true);
    let mut acting: Vec<&str> = ROUTES
        .iter()
        .filter(|route| route.verb == Verb::Post)
        .map(|route| route.path)
        .collect();
    // A row must be dead before a span of them can be replayed.
    acting.sort_by_key(|route| (route.contains("/replay"), !route.contains("{deliveryId}")));
    for route in acting {
        let before: i64 = lines(&app, "")
            .await
            .first()
            .and_then(|l| l["entryId"].as_str())
            .map_or(0, |n| n.parse().expect("a number"));
        let (answer, actor) = act(&app, route).await;
        let new: Vec<Value> = lines(&app, &format!("actor={actor}"))
            .await
            .into_iter()
            .filter(|l| {
                l["entryId"]
                    .as_str()
                    .is_some_and(|n| n.parse::<i64>().expect("a number") > before)
            })
            .collect();
        assert!(!new.is_empty(), "{route} left no line of {actor}");
        if actor == "sidedoor" {
            // What the event taught, and of which supervision: not just anything that the service did meanwhile.
            let observed: Vec<&Value> = new.iter().filter(|l| l["action"] == "supervision.observed").collect();
            assert_eq!(observed.len(), 1, "{route}: {new:#?}");
        }
        if let Some(answer) = answer {
            let id = answer.headers["x-request-id"].to_str().expect("text");
            assert!(texts(&new, "requestId").contains(&id), "{route}: {new:#?}");
        }
    }
    app.crash();
}

#[tokio::test]
async fn an_act_on_a_vendor_is_on_disk_before_it_happens_and_completed_after() {
    let app = TestApp::start().await;
    app.connect().fault(Fault::late("MonitorContact", 1500));
    let chat = app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let listen = app.listen(&chat, "supervisor-1");
    let look = async {
        for _ in 0..100 {
            let begun = lines(&app, "phase=BEGUN").await;
            if !begun.is_empty() {
                assert_eq!(app.connect().calls("MonitorContact"), 0, "it is not answered yet");
                return begun;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing was begun");
    };
    let (answer, begun) = tokio::join!(listen, look);
    let id = answer.id();
    assert_eq!(texts(&begun, "operation"), [format!("monitor_contact/{id}")]);
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    app.disconnect(&id).await;
    app.until_left(&id).await;
    app.until_recorded(&id).await;
    let all = lines(&app, &format!("supervisionId={id}")).await;
    for operation in [format!("monitor_contact/{id}"), format!("stop_contact/{id}")] {
        let phases: Vec<&str> = all
            .iter()
            .rev()
            .filter(|l| l["operation"] == operation.as_str())
            .map(|l| l["phase"].as_str().expect("a phase"))
            .collect();
        assert_eq!(phases, ["BEGUN", "DONE"], "{operation}: {all:#?}");
    }
    app.finish().await;
}

#[tokio::test]
async fn what_was_begun_and_lost_is_swept_once() {
    let mut app = TestApp::start().await;
    app.crash();
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let open = || async {
        for _ in 0..200 {
            if let Ok(store) = SqliteStore::open(&format!("sqlite://{}", app.journal_path().display())).await {
                return store;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the store does not open");
    };
    let store = open().await;
    for (at, operation) in [
        (old, "stop_contact/lost"),
        (jiff::Timestamp::now(), "stop_contact/fresh"),
        (old, "stop_contact/done"),
    ] {
        let begun = AuditEntry::done(at, "sidedoor", AuditAction::LegStopBegun, "StopContact")
            .in_phase(Phase::Begun, operation);
        let mut audit = vec![begun.clone()];
        if operation.ends_with("done") {
            audit.push(begun.in_phase(Phase::Done, operation));
        }
        let change = Transaction {
            audit,
            ..Transaction::default()
        };
        store.transact(change).await.expect("written");
    }
    store.close().await;
    drop(store);
    app.restart().await;
    tokio::time::sleep(Duration::from_millis(1700)).await;
    let swept = lines(&app, "phase=ABANDONED").await;
    assert_eq!(texts(&swept, "operation"), ["stop_contact/lost"], "{swept:#?}");
    app.finish().await;
}

#[tokio::test]
async fn the_audit_is_filtered_paged_and_exported_whole() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    let body = json!({"reason": "a shift ended"});
    let path = format!("/v1/supervisions/{id}/disconnect");
    let asked = app.call("POST", &path).key(OPERATOR).json(&body).send().await;
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    app.until_recorded(&id).await;

    let operators = lines(&app, "actor=operator").await;
    assert_eq!(texts(&operators, "action"), ["disconnect.requested"]);
    assert_eq!(texts(&operators, "why"), ["a shift ended"]);
    let request = asked.headers["x-request-id"].to_str().expect("text");
    assert_eq!(lines(&app, &format!("requestId={request}")).await, operators);
    assert!(lines(&app, "since=2100-01-01T00:00:00Z").await.is_empty());
    assert_eq!(
        lines(&app, &format!("action=supervision.left&supervisionId={id}"))
            .await
            .len(),
        1
    );

    let whole = lines(&app, "").await;
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .call("GET", &format!("/v1/audit?pageSize=2{cursor}"))
            .key(OPERATOR)
            .send()
            .await
            .body;
        paged.extend(page["items"].as_array().expect("items").clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, whole);
    let export = app
        .http
        .get(format!("{}/v1/audit", app.url))
        .bearer_auth(READER)
        .header("accept", "application/x-ndjson")
        .send()
        .await
        .expect("answered");
    assert_eq!(export.headers()["content-type"], "application/x-ndjson");
    let text = export.text().await.expect("whole");
    let mut exported: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    exported.reverse();
    assert_eq!(exported, whole);

    for key in [BACK_END, EVENTS] {
        let refused = app.call("GET", "/v1/audit").key(key).send().await;
        assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    }
    for bad in [
        "phase=X",
        "cursor=0",
        "pageSize=201",
        "since=yesterday",
        "supervisionId=1",
        "colour=red",
    ] {
        let refused = app.call("GET", &format!("/v1/audit?{bad}")).key(READER).send().await;
        assert_eq!((refused.status, refused.code()), (400, "request_invalid"), "{bad}");
    }
    let actions: BTreeSet<&str> = texts(&whole, "action").into_iter().collect();
    assert!(
        actions.contains("leg.asked_for") && actions.contains("leg.given"),
        "{actions:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn each_try_of_a_vendor_that_refuses_has_its_own_end() {
    let app = TestApp::start().await;
    let chat = app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let s = app.joined(&chat, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.connect()
        .fault(Fault::error("StopContact", 500, "InternalServiceException"));
    app.disconnect(&id).await;
    app.until_left(&id).await;
    app.until_recorded(&id).await;
    let operation = format!("stop_contact/{id}");
    let all = lines(&app, &format!("supervisionId={id}")).await;
    let tries: Vec<&Value> = all
        .iter()
        .rev()
        .filter(|l| l["operation"] == operation.as_str())
        .collect();
    let phases: Vec<&str> = tries.iter().map(|l| l["phase"].as_str().expect("a phase")).collect();
    assert_eq!(phases, ["BEGUN", "FAILED", "BEGUN", "DONE"], "{all:#?}");
    assert!(
        tries[1]["outcome"].as_str().expect("text").contains("connect_internal"),
        "{tries:#?}"
    );
    app.finish().await;
}
