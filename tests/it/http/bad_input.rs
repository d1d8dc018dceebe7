//! Invalid input is answered 4xx with a stable code, and nothing is written.

use serde_json::{Value, json};

use crate::support::app::{EVENTS, OPERATOR, READER, SUPERVISOR_1, TestApp, start};
use crate::support::sql;

/// Every table's row count: what "nothing written" means.
async fn count(app: &TestApp) -> Vec<Vec<String>> {
    let all =
        "SELECT CAST((SELECT COUNT(*) FROM supervisions) AS TEXT), CAST((SELECT COUNT(*) FROM deliveries) AS TEXT),
        CAST((SELECT COUNT(*) FROM evidence) AS TEXT), CAST((SELECT COUNT(*) FROM unexplained_legs) AS TEXT),
        CAST((SELECT COUNT(*) FROM seen_events) AS TEXT), CAST((SELECT COUNT(*) FROM idempotency_keys) AS TEXT),
        CAST((SELECT COUNT(*) FROM audit) AS TEXT)";
    sql(&app.store_path(), all).await.expect("counted")
}

/// The row counts when the service itself writes nothing more about a leg that has just joined.
async fn count_at_rest(app: &TestApp) -> Vec<Vec<String>> {
    let mut last = count(app).await;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = count(app).await;
        if now == last {
            return now;
        }
        last = now;
    }
}

async fn refused(app: &TestApp, status: u16, code: &str, answer: crate::support::app::Answer, before: &[Vec<String>]) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
    assert_eq!(count(app).await, before, "{code} wrote something");
}

#[tokio::test]
async fn start_with_invalid_body_is_400_and_writes_nothing() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.events_delivered().await;
    let before = count(&app).await;
    let good = start(&call, "supervisor-1");
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for body in [
        json!([]),
        json!("text"),
        json!({}),
        with("contactId", json!(7)),
        with("contactId", json!("")),
        with("contactId", json!("a b")),
        with("contactId", json!("../x")),
        with("contactId", json!("x".repeat(257))),
        with("supervisor", json!("supervisor-1")),
        with("supervisor", json!({})),
        with("supervisor", json!({"connectUserId": "x", "more": 1})),
        with("mode", json!("LOUD")),
        with("salesforceUserId", json!("short")),
        with("voiceCallId", json!("0LQ-00000000001AAA")),
        with("instance", json!("no such/name")),
        with("leaveCurent", json!(true)),
    ] {
        let answer = app.call("POST", "/v1/supervisions").json(&body).send().await;
        refused(&app, 400, "request_invalid", answer, &before).await;
    }
    let both = app
        .call("POST", "/v1/supervisions")
        .json(&json!({"mode": "LOUD", "x": 1}))
        .send()
        .await;
    let pointers: Vec<&str> = both.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|e| e["pointer"].as_str())
        .collect();
    assert_eq!(
        pointers,
        ["/contactId", "/supervisor", "/mode", "/x"],
        "every bad place at once"
    );

    for raw in [&b"{"[..], b"", b"\xff\xfe", b"{\"contactId\":\"a\"} x"] {
        let answer = app.call("POST", "/v1/supervisions").raw(raw).send().await;
        refused(&app, 400, "request_invalid", answer, &before).await;
    }
    let unsupported = app
        .call("POST", "/v1/supervisions")
        .json(&with("mode", json!("WHISPER")))
        .send()
        .await;
    assert!(
        unsupported.body["detail"]
            .as_str()
            .expect("detail")
            .contains("SILENT and BARGE")
    );
    refused(&app, 422, "mode_unsupported", unsupported, &before).await;
    let unknown = app
        .call("POST", "/v1/supervisions")
        .json(&with("instance", json!("other")))
        .send()
        .await;
    assert_eq!(
        unknown.body["detail"],
        "Unknown Connect instance `other`; expected main."
    );
    refused(&app, 422, "instance_not_found", unknown, &before).await;
    let form = app
        .call("POST", "/v1/supervisions")
        .raw(b"contactId=1")
        .media("application/x-www-form-urlencoded")
        .send()
        .await;
    refused(&app, 415, "media_type_unsupported", form, &before).await;
    let large = app
        .call("POST", "/v1/supervisions")
        .raw(&vec![b' '; 70_000])
        .send()
        .await;
    refused(&app, 413, "body_too_large", large, &before).await;
    for key in ["", "with space", &"k".repeat(256)] {
        let answer = app
            .call("POST", "/v1/supervisions")
            .json(&good)
            .idempotency(key)
            .send()
            .await;
        refused(&app, 400, "request_invalid", answer, &before).await;
    }
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn start_without_scope_is_refused_and_writes_nothing() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-2").await.id();
    app.until_written(&id).await;
    app.events_delivered().await;
    let before = count_at_rest(&app).await;
    let begin = start(&call, "supervisor-1");
    let anonymous = app
        .call("POST", "/v1/supervisions")
        .anonymous()
        .json(&begin)
        .send()
        .await;
    assert_eq!(anonymous.headers["www-authenticate"], "Bearer");
    refused(&app, 401, "credential_invalid", anonymous, &before).await;
    let wrong = app.call("GET", "/v1/supervisions").key("not-a-key-at-all").send().await;
    refused(&app, 401, "credential_invalid", wrong, &before).await;
    for key in [READER, EVENTS, OPERATOR] {
        let answer = app.call("POST", "/v1/supervisions").key(key).json(&begin).send().await;
        refused(&app, 403, "action_forbidden", answer, &before).await;
    }
    let as_another = app
        .call("POST", "/v1/supervisions")
        .key(SUPERVISOR_1)
        .json(&start(&call, "supervisor-2"))
        .send()
        .await;
    refused(&app, 403, "action_forbidden", as_another, &before).await;
    let disconnect = format!("/v1/supervisions/{id}/disconnect");
    let anothers = app.call("POST", &disconnect).key(SUPERVISOR_1).send().await;
    refused(&app, 404, "supervision_not_found", anothers, &before).await;
    let reader = app.call("POST", &disconnect).key(READER).send().await;
    refused(&app, 403, "action_forbidden", reader, &before).await;
    let hidden = app
        .call("GET", &format!("/v1/supervisions/{id}"))
        .key(SUPERVISOR_1)
        .send()
        .await;
    refused(&app, 404, "supervision_not_found", hidden, &before).await;
    let event = app
        .call("POST", "/v1/events/connect")
        .key(READER)
        .json(&json!({"detail-type": "x"}))
        .send()
        .await;
    refused(&app, 403, "action_forbidden", event, &before).await;
    assert_eq!(app.get(&id).await.state(), "MONITORING");
    app.finish().await;
}

#[tokio::test]
async fn unknown_ids_paths_methods_and_queries_are_refused() {
    let app = TestApp::start().await;
    let before = count(&app).await;
    for id in [
        "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1",
        "nonsense",
        "%00",
        "%ff",
        "..%2f..",
    ] {
        for (method, path) in [("GET", ""), ("POST", "/disconnect")] {
            let answer = app.call(method, &format!("/v1/supervisions/{id}{path}")).send().await;
            refused(&app, 404, "supervision_not_found", answer, &before).await;
        }
    }
    let nowhere = app.call("GET", "/v2/anything").send().await;
    refused(&app, 404, "route_not_found", nowhere, &before).await;
    let method = app.call("PUT", "/v1/supervisions").send().await;
    assert!(method.headers.contains_key("allow"));
    refused(&app, 405, "method_unsupported", method, &before).await;
    for query in [
        "state=GONE",
        "pageSize=0",
        "pageSize=201",
        "pageSize=x",
        "cursor=x",
        "contactId=a%20b",
        "sort=up",
    ] {
        let answer = app.call("GET", &format!("/v1/supervisions?{query}")).send().await;
        refused(&app, 400, "request_invalid", answer, &before).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn invalid_acknowledgements_and_events_are_refused() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.events_delivered().await;
    let stood = app.get(&id).await.body;
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    let directive = &action["directiveId"];
    for body in [
        json!({}),
        json!({"directiveId": directive, "outcome": "MAYBE"}),
        json!({"directiveId": "x", "outcome": "DONE"}),
        json!({"directiveId": directive, "outcome": "DONE", "at": "yesterday"}),
        json!({"directiveId": directive, "outcome": "DONE", "detail": "x".repeat(501)}),
        json!({"directiveId": directive, "outcome": "DONE", "detail": "a\nb"}),
    ] {
        let answer = app.call("POST", &path).json(&body).send().await;
        assert_eq!((answer.status, answer.code()), (400, "request_invalid"), "{body}");
    }
    let other = json!({"directiveId": "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1", "outcome": "DONE"});
    let answer = app.call("POST", &path).json(&other).send().await;
    assert_eq!((answer.status, answer.code()), (404, "directive_not_found"));
    for event in [
        json!([]),
        json!({}),
        json!({"detail-type": "Amazon Connect Contact Event", "source": "aws.connect"}),
        json!({"detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": {"eventType": "DISCONNECTED"}}),
    ] {
        let answer = app
            .call("POST", "/v1/events/connect")
            .key(EVENTS)
            .json(&event)
            .send()
            .await;
        assert_eq!((answer.status, answer.code()), (400, "request_invalid"), "{event}");
    }
    let other = json!({"detail-type": "Scheduled Event"});
    let answer = app
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .json(&other)
        .send()
        .await;
    assert_eq!(answer.body, json!({"accepted": false, "duplicate": false}));
    assert_eq!(app.get(&id).await.body["nextAction"], stood["nextAction"]);
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    app.finish().await;
}
