//! Bad input gets a 4xx with a stable code, and nothing is written.

use serde_json::{Value, json};

use crate::support::house::{EVENTS, House, OPERATOR, READER, SUPERVISOR_1, start};
use crate::support::sql;

/// Every table's row count: what "nothing written" means.
async fn count(house: &House) -> Vec<Vec<String>> {
    let all =
        "SELECT CAST((SELECT COUNT(*) FROM supervisions) AS TEXT), CAST((SELECT COUNT(*) FROM deliveries) AS TEXT),
        CAST((SELECT COUNT(*) FROM evidence) AS TEXT), CAST((SELECT COUNT(*) FROM unexplained_legs) AS TEXT),
        CAST((SELECT COUNT(*) FROM seen_events) AS TEXT), CAST((SELECT COUNT(*) FROM idempotency_keys) AS TEXT),
        CAST((SELECT COUNT(*) FROM audit) AS TEXT)";
    sql(&house.journal_path(), all).await.expect("counted")
}

async fn refused(
    house: &House,
    status: u16,
    code: &str,
    answer: crate::support::house::Answer,
    before: &[Vec<String>],
) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
    assert_eq!(count(house).await, before, "{code} wrote something");
}

#[tokio::test]
async fn every_bad_start_is_refused_and_writes_nothing() {
    let house = House::start().await;
    let call = house.connect().create_call();
    house.quiet().await;
    let before = count(&house).await;
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
        let answer = house.call("POST", "/v1/supervisions").json(&body).send().await;
        refused(&house, 400, "invalid_request", answer, &before).await;
    }
    let both = house
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
        let answer = house.call("POST", "/v1/supervisions").raw(raw).send().await;
        refused(&house, 400, "invalid_request", answer, &before).await;
    }
    let unsupported = house
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
    refused(&house, 422, "mode_unsupported", unsupported, &before).await;
    let unknown = house
        .call("POST", "/v1/supervisions")
        .json(&with("instance", json!("other")))
        .send()
        .await;
    refused(&house, 422, "unknown_instance", unknown, &before).await;
    let form = house
        .call("POST", "/v1/supervisions")
        .raw(b"contactId=1")
        .media("application/x-www-form-urlencoded")
        .send()
        .await;
    refused(&house, 415, "unsupported_media_type", form, &before).await;
    let large = house
        .call("POST", "/v1/supervisions")
        .raw(&vec![b' '; 70_000])
        .send()
        .await;
    refused(&house, 413, "body_too_large", large, &before).await;
    for key in ["", "with space", &"k".repeat(256)] {
        let answer = house
            .call("POST", "/v1/supervisions")
            .json(&good)
            .idempotency(key)
            .send()
            .await;
        refused(&house, 400, "invalid_request", answer, &before).await;
    }
    assert_eq!(house.connect().calls("MonitorContact"), 0);
    house.finish().await;
}

#[tokio::test]
async fn wrong_callers_are_refused_and_write_nothing() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-2").await.id();
    house.until_recorded(&id).await;
    house.quiet().await;
    let before = count(&house).await;
    let begin = start(&call, "supervisor-1");
    let anonymous = house
        .call("POST", "/v1/supervisions")
        .anonymous()
        .json(&begin)
        .send()
        .await;
    assert_eq!(anonymous.headers["www-authenticate"], "Bearer");
    refused(&house, 401, "unauthorized", anonymous, &before).await;
    let wrong = house
        .call("GET", "/v1/supervisions")
        .key("not-a-key-at-all")
        .send()
        .await;
    refused(&house, 401, "unauthorized", wrong, &before).await;
    for key in [READER, EVENTS, OPERATOR] {
        let answer = house
            .call("POST", "/v1/supervisions")
            .key(key)
            .json(&begin)
            .send()
            .await;
        refused(&house, 403, "forbidden", answer, &before).await;
    }
    let as_another = house
        .call("POST", "/v1/supervisions")
        .key(SUPERVISOR_1)
        .json(&start(&call, "supervisor-2"))
        .send()
        .await;
    refused(&house, 403, "forbidden", as_another, &before).await;
    let disconnect = format!("/v1/supervisions/{id}/disconnect");
    let anothers = house.call("POST", &disconnect).key(SUPERVISOR_1).send().await;
    refused(&house, 404, "not_found", anothers, &before).await;
    let reader = house.call("POST", &disconnect).key(READER).send().await;
    refused(&house, 403, "forbidden", reader, &before).await;
    let hidden = house
        .call("GET", &format!("/v1/supervisions/{id}"))
        .key(SUPERVISOR_1)
        .send()
        .await;
    refused(&house, 404, "not_found", hidden, &before).await;
    let event = house
        .call("POST", "/v1/events/connect")
        .key(READER)
        .json(&json!({"detail-type": "x"}))
        .send()
        .await;
    refused(&house, 403, "forbidden", event, &before).await;
    assert_eq!(house.get(&id).await.state(), "MONITORING");
    house.finish().await;
}

#[tokio::test]
async fn unknown_ids_paths_methods_and_queries_are_refused() {
    let house = House::start().await;
    let before = count(&house).await;
    for id in [
        "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1",
        "nonsense",
        "%00",
        "%ff",
        "..%2f..",
    ] {
        for (method, path) in [("GET", ""), ("POST", "/disconnect")] {
            let answer = house.call(method, &format!("/v1/supervisions/{id}{path}")).send().await;
            refused(&house, 404, "not_found", answer, &before).await;
        }
    }
    let nowhere = house.call("GET", "/v2/anything").send().await;
    refused(&house, 404, "not_found", nowhere, &before).await;
    let method = house.call("PUT", "/v1/supervisions").send().await;
    assert!(method.headers.contains_key("allow"));
    refused(&house, 405, "method_not_allowed", method, &before).await;
    for query in [
        "state=GONE",
        "pageSize=0",
        "pageSize=201",
        "pageSize=x",
        "cursor=x",
        "contactId=a%20b",
        "sort=up",
    ] {
        let answer = house.call("GET", &format!("/v1/supervisions?{query}")).send().await;
        refused(&house, 400, "invalid_request", answer, &before).await;
    }
    house.finish().await;
}

#[tokio::test]
async fn bad_acknowledgements_and_events_are_refused() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    house.quiet().await;
    let stood = house.get(&id).await.body;
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
        let answer = house.call("POST", &path).json(&body).send().await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{body}");
    }
    let other = json!({"directiveId": "0197f0aa-5d1e-7c3a-8a44-3a52b2a4c7f1", "outcome": "DONE"});
    let answer = house.call("POST", &path).json(&other).send().await;
    assert_eq!((answer.status, answer.code()), (404, "directive_not_found"));
    for event in [
        json!([]),
        json!({}),
        json!({"detail-type": "Amazon Connect Contact Event"}),
        json!({"detail-type": "Amazon Connect Contact Event", "detail": {"eventType": "DISCONNECTED"}}),
    ] {
        let answer = house
            .call("POST", "/v1/events/connect")
            .key(EVENTS)
            .json(&event)
            .send()
            .await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{event}");
    }
    let other = json!({"detail-type": "Scheduled Event"});
    let answer = house
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .json(&other)
        .send()
        .await;
    assert_eq!(answer.body, json!({"accepted": false, "duplicate": false}));
    assert_eq!(house.get(&id).await.body["nextAction"], stood["nextAction"]);
    house.browser("supervisor-1").obey(&action).await;
    house.until_left(&id).await;
    house.finish().await;
}
