//! The audit of refusals and of reads: who was refused where, who read the supervisions of others, and that neither can fill the store.

use std::time::Duration;

use serde_json::Value;

use crate::support::app::{AUDITOR, BACK_END, EVENTS, OPERATOR, READER, SUPERVISOR_1, TestApp};

/// The audit's entries with this action, oldest first, once there are so many.
async fn entries(app: &TestApp, action: &str, at_least: usize) -> Vec<Value> {
    for _ in 0..200 {
        let path = format!("/v1/audit?pageSize=200&action={action}");
        let page = app.call("GET", &path).key(AUDITOR).send().await;
        let mut items = page.body["items"].as_array().expect("items").clone();
        if items.len() >= at_least {
            items.reverse();
            return items;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("fewer than {at_least} entries with {action}");
}

#[tokio::test]
async fn access_refusals_are_audited_with_caller_credential_peer_and_route() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-2").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let forbidden = app.call("GET", "/v1/audit").key(READER).send().await;
    assert_eq!(forbidden.status, 403);
    let hidden = app
        .call("GET", &format!("/v1/supervisions/{id}"))
        .key(SUPERVISOR_1)
        .send()
        .await;
    assert_eq!((hidden.status, hidden.code()), (404, "supervision_not_found"));
    let unknown = app.call("GET", "/v1/vendors").key("a-key-that-nobody-has").send().await;
    assert_eq!(unknown.status, 401);
    // What does not exist is no refusal, and neither is a request without a credential.
    let missing = format!("/v1/supervisions/{}", uuid::Uuid::now_v7());
    assert_eq!(app.call("GET", &missing).key(SUPERVISOR_1).send().await.status, 404);
    let anonymous = app
        .http
        .get(format!("{}/v1/vendors", app.url))
        .send()
        .await
        .expect("answered");
    assert_eq!(anonymous.status(), 401);

    let found = entries(&app, "access.refused", 3).await;
    let told: Vec<_> = found
        .iter()
        .map(|e| {
            let text = |name: &str| e[name].as_str().unwrap_or("-").to_owned();
            [
                text("actor"),
                text("credential"),
                text("peer"),
                text("route"),
                text("outcome"),
            ]
        })
        .collect();
    let expected = [
        ["reader", "key reader", "127.0.0.1", "GET /v1/audit", "action_forbidden"],
        [
            "supervisor-1",
            "key supervisor-1",
            "127.0.0.1",
            "GET /v1/supervisions/{supervisionId}",
            "the supervision is not visible to this credential",
        ],
        [
            "(unauthenticated)",
            "-",
            "127.0.0.1",
            "GET /v1/vendors",
            "credential_invalid",
        ],
    ];
    assert_eq!(told, expected.map(|row| row.map(str::to_owned)));
    let ids: Vec<&Value> = found.iter().map(|e| &e["requestId"]).collect();
    for (answer, id) in [&forbidden, &hidden, &unknown].into_iter().zip(ids) {
        assert_eq!(*id, answer.headers["x-request-id"].to_str().expect("text"));
    }
    assert_eq!(found[1]["supervisionId"], id.as_str());
    app.finish().await;
}

#[tokio::test]
async fn access_refusals_of_one_caller_are_few_lines_and_a_count() {
    let mut app = TestApp::start().await;
    for _ in 0..40 {
        let refused = app.call("GET", "/v1/audit").key(READER).send().await;
        assert_eq!(refused.status, 403);
    }
    // Another caller still has lines of its own.
    app.call("GET", "/v1/audit").key(OPERATOR).send().await;
    entries(&app, "access.refused", 11).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let found = entries(&app, "access.refused", 11).await;
    let of = |actor: &str| found.iter().filter(|e| e["actor"] == actor).count();
    assert_eq!((of("reader"), of("operator")), (10, 1));
    // A clean stop writes the count without waiting for the end of the minute.
    app.stop().await;
    app.restart().await;
    let found = entries(&app, "access.refused", 12).await;
    let counts: Vec<&Value> = found.iter().map(|e| &e["times"]).filter(|n| !n.is_null()).collect();
    assert_eq!(counts, [30]);
    app.finish().await;
}

#[tokio::test]
async fn access_to_supervisions_of_others_and_exports_are_audited() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/supervisions/{id}");
    // One's own supervision is no news, however it is read.
    let own = app.call("GET", &path).key(SUPERVISOR_1).send().await;
    assert_eq!(own.status, 200);
    app.call("GET", "/v1/supervisions").key(SUPERVISOR_1).send().await;
    for _ in 0..3 {
        app.call("GET", &path).key(READER).send().await;
    }
    app.call("GET", "/v1/supervisions").key(OPERATOR).send().await;
    app.call("GET", "/v1/reports/supervision").key(OPERATOR).send().await;
    for (path, media, key) in [
        ("/v1/reports/supervision", "text/csv", READER),
        ("/v1/audit", "application/x-ndjson", AUDITOR),
    ] {
        let request = app.http.get(format!("{}{path}", app.url)).bearer_auth(key);
        let answer = request.header("accept", media).send().await.expect("answered");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("whole");
    }
    let exports = [("report.exported", "reader"), ("audit.exported", "auditor")];
    for (action, actor) in exports {
        assert_eq!(entries(&app, action, 1).await[0]["actor"], actor);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let reads = entries(&app, "supervision.read", 3).await;
    let of = |actor: &str| {
        let of = reads.iter().filter(|e| e["actor"] == actor);
        of.map(|e| (e["supervisionId"].as_str(), e["outcome"].as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("supervisor-1"), []);
    assert_eq!(
        of("reader"),
        [(Some(id.as_str()), "the supervision")],
        "the repeated reads are counted"
    );
    let pages = [
        (None, "a page of supervisions: 1 of other supervisors"),
        (None, "a page of the report: 1 of other supervisors"),
    ];
    assert_eq!(of("operator"), pages);
    // The test itself reads with the back end's key.
    assert_eq!(of("back-end").len(), 1);
    let timeline = app.call("GET", &format!("{path}/timeline")).send().await;
    assert!(!timeline.text.contains("supervision.read"), "{}", timeline.text);
    app.finish().await;
}

#[tokio::test]
async fn access_request_id_is_ours_and_the_clients_stands_beside_it() {
    let app = TestApp::start().await;
    let send = async |given: &str, key: &str| {
        let request = app.http.get(format!("{}/v1/audit", app.url)).bearer_auth(key);
        request.header("x-request-id", given).send().await.expect("answered")
    };
    let header = |answer: &reqwest::Response, name: &str| {
        answer.headers().get(name).map(|v| v.to_str().expect("text").to_owned())
    };
    let (first, second) = (send("mine-1", BACK_END).await, send("mine-1", EVENTS).await);
    let ids = [&first, &second].map(|a| header(a, "x-request-id").expect("an id"));
    assert_ne!(ids[0], ids[1], "two requests never share an id");
    for id in &ids {
        assert_eq!(uuid::Uuid::parse_str(id).expect("a UUID").get_version_num(), 7);
    }
    assert_eq!(header(&first, "x-client-request-id").as_deref(), Some("mine-1"));
    let body: Value = first.json().await.expect("JSON");
    assert_eq!(
        (&body["requestId"], &body["clientRequestId"]),
        (&ids[0].as_str().into(), &"mine-1".into())
    );
    let long = "x".repeat(65);
    for invalid in ["with space", "a/b", long.as_str()] {
        let answer = send(invalid, OPERATOR).await;
        assert_eq!(header(&answer, "x-client-request-id"), None, "{invalid}");
    }
    let found = entries(&app, "access.refused", 2).await;
    assert_eq!(
        (&found[0]["requestId"], &found[0]["clientRequestId"]),
        (&ids[0].as_str().into(), &"mine-1".into())
    );
    app.finish().await;
}
