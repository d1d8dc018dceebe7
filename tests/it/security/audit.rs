//! The audit: every action of a caller is recorded, an action on a vendor before and after it, entries cannot be changed,
//! and all entries can be read and exported.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sidedoor::http::{ROUTES, Verb};
use sidedoor::store::sqlite::SqliteStore;
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{AUDITOR, Answer, BACK_END, CARRIER, EVENTS, OPERATOR, READER, TestApp};

async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app
        .call("GET", &format!("/v1/audit?pageSize=200&{query}"))
        .key(AUDITOR)
        .send()
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.body["items"].as_array().expect("items").clone()
}

fn texts<'v>(lines: &'v [Value], name: &str) -> Vec<&'v str> {
    lines.iter().map(|l| l[name].as_str().unwrap_or_default()).collect()
}

/// Makes one request to a route that changes state. Returns the answer (none if the service itself is the actor) and the actor.
async fn request_to(app: &TestApp, route: &str) -> (Option<Answer>, &'static str) {
    let (answer, actor) = answer_of(app, route).await;
    assert!((200..300).contains(&answer.status), "{route}: {}", answer.text);
    (Some(answer).filter(|_| actor != "sidedoor"), actor)
}

async fn answer_of(app: &TestApp, route: &str) -> (Answer, &'static str) {
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
        "/v1/supervisions/{supervisionId}/close" => {
            connect.set_ccp_open("closed-supervisor", true);
            let s = listening("closed-supervisor").await;
            let leg = s["legContactId"].as_str().expect("a leg");
            connect.fault(Fault::not_found_for("DescribeContact", leg, 30_000));
            let path = format!("/v1/supervisions/{}/close", id(&s));
            let body = json!({"reason": "Connect does not know the leg"});
            (post(path).key(OPERATOR).json(&body).send().await, "operator")
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
        // A vendor's event is audited as the change that it causes, with the service as the actor.
        "/v1/events/connect" => {
            let call = connect.create_call();
            connect.set_ccp_open("by-hand", true);
            connect.begin_leg_by_hand(&call, "by-hand").expect("begins");
            let observed = app.found("origin=OBSERVED&connectUserId=by-hand").await;
            (app.get(&id(&observed)).await, "sidedoor")
        }
        "/v1/events/partners/{vendor}" => {
            let body = json!({"legId": "leg-1", "event": "CONNECTED", "at": jiff::Timestamp::now().to_string(),
                "connectUserId": "supervisor-1"});
            let path = "/v1/events/partners/acme".to_owned();
            (post(path).key(CARRIER).json(&body).send().await, "sidedoor")
        }
        "/v1/vendors/{vendor}/probes" => {
            let path = "/v1/vendors/amazon-connect/probes".to_owned();
            (
                post(path).key(OPERATOR).json(&json!({"count": 1})).send().await,
                "operator",
            )
        }
        "/v1/deliveries/replay" => {
            // The delivery was just sent again and failed again.
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
        "/v1/deliveries/{deliveryId}/discard" => {
            let fault = Fault::error("upsert", 400, "REQUIRED_FIELD_MISSING").times(1000);
            app.salesforce().fault(fault);
            connect.set_ccp_open("discarded", true);
            listening("discarded").await;
            let dead = loop {
                let page = app.call("GET", "/v1/deliveries?state=FAILED").key(READER).send().await;
                if let Some(id) = page.body["items"][0]["deliveryId"].as_str() {
                    break id.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            app.salesforce().clear_faults();
            let path = format!("/v1/deliveries/{dead}/discard");
            let body = json!({"reason": "the call was a test"});
            (post(path).key(OPERATOR).json(&body).send().await, "operator")
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
        other => panic!("{other} changes state: add a request for it here"),
    }
}

#[tokio::test]
async fn audit_records_every_route_that_changes_state() {
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
    // A record must be a dead letter before a time range can be replayed.
    acting.sort_by_key(|route| (route.contains("/replay"), !route.contains("{deliveryId}")));
    for route in acting {
        let before: i64 = entries(&app, "")
            .await
            .first()
            .and_then(|l| l["entryId"].as_str())
            .map_or(0, |n| n.parse().expect("a number"));
        let (answer, actor) = request_to(&app, route).await;
        let new: Vec<Value> = entries(&app, &format!("actor={actor}"))
            .await
            .into_iter()
            .filter(|l| {
                l["entryId"]
                    .as_str()
                    .is_some_and(|n| n.parse::<i64>().expect("a number") > before)
            })
            .collect();
        assert!(!new.is_empty(), "{route} left no audit entry by {actor}");
        if actor == "sidedoor" {
            // The entry must be about the event's own supervision, not about other work of the service at that time.
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
async fn audit_of_vendor_call_is_stored_before_and_after_it() {
    let app = TestApp::start().await;
    app.connect().fault(Fault::late("MonitorContact", 1500));
    let chat = app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let listen = app.listen(&chat, "supervisor-1");
    let look = async {
        for _ in 0..100 {
            let begun = entries(&app, "phase=BEGUN").await;
            if !begun.is_empty() {
                assert_eq!(app.connect().calls("MonitorContact"), 0, "Connect has not answered yet");
                return begun;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the entry before the vendor call is missing");
    };
    let (answer, begun) = tokio::join!(listen, look);
    let id = answer.id();
    assert_eq!(texts(&begun, "operation"), [format!("monitor_contact/{id}")]);
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    app.disconnect(&id).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    let all = entries(&app, &format!("supervisionId={id}")).await;
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
async fn audit_marks_lost_vendor_call_abandoned_once() {
    let mut app = TestApp::start().await;
    app.crash();
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let open = || async {
        for _ in 0..200 {
            if let Ok(store) = SqliteStore::open(&format!("sqlite://{}", app.store_path().display()), 1).await {
                return store;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("timeout opening the store");
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
    let swept = entries(&app, "phase=ABANDONED").await;
    assert_eq!(texts(&swept, "operation"), ["stop_contact/lost"], "{swept:#?}");
    app.finish().await;
}

#[tokio::test]
async fn audit_is_filtered_paged_and_exported() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    let body = json!({"reason": "a shift ended"});
    let path = format!("/v1/supervisions/{id}/disconnect");
    let asked = app.call("POST", &path).key(OPERATOR).json(&body).send().await;
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    app.until_written(&id).await;

    let operators = entries(&app, "actor=operator").await;
    assert_eq!(texts(&operators, "action"), ["disconnect.requested"]);
    assert_eq!(texts(&operators, "why"), ["a shift ended"]);
    let request = asked.headers["x-request-id"].to_str().expect("text");
    assert_eq!(entries(&app, &format!("requestId={request}")).await, operators);
    assert!(entries(&app, "since=2100-01-01T00:00:00Z").await.is_empty());
    assert_eq!(
        entries(&app, &format!("action=supervision.left&supervisionId={id}"))
            .await
            .len(),
        1
    );

    // Reads are written a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let whole = entries(&app, "").await;
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .call("GET", &format!("/v1/audit?pageSize=2{cursor}"))
            .key(AUDITOR)
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
        .bearer_auth(AUDITOR)
        .header("accept", "application/x-ndjson")
        .send()
        .await
        .expect("answered");
    assert_eq!(export.headers()["content-type"], "application/x-ndjson");
    let text = export.text().await.expect("whole");
    let mut exported: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    exported.reverse();
    assert_eq!(exported, whole);

    for key in [BACK_END, EVENTS, READER, OPERATOR] {
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
        let refused = app.call("GET", &format!("/v1/audit?{bad}")).key(AUDITOR).send().await;
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
async fn audit_records_outcome_of_each_vendor_attempt() {
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
    app.until_written(&id).await;
    let operation = format!("stop_contact/{id}");
    let all = entries(&app, &format!("supervisionId={id}")).await;
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
