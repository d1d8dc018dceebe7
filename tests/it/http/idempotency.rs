//! `Idempotency-Key`: a repeat gets the stored answer, another request 422, a repeat during the first 409; our own errors are not stored.

use serde_json::json;
use sidedoor_fakes::Fault;

use crate::support::app::{AUDITOR, BACK_END, OPERATOR, SUPERVISOR_1, TestApp, start};
use crate::support::sql;

#[tokio::test]
async fn idempotency_same_key_and_body_return_same_answer() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let ask = || {
        app.call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k-1")
    };
    let first = ask().send().await;
    let again = ask().send().await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    // This also holds after the supervision's state has changed.
    let leave = || {
        app.call("POST", &format!("/v1/supervisions/{}/disconnect", first.id()))
            .idempotency("k-2")
    };
    let left = leave().send().await;
    app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    app.until_left(&first.id()).await;
    assert_eq!(leave().send().await.text, left.text);
    assert_eq!(ask().send().await.text, first.text);
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    app.finish().await;
}

#[tokio::test]
async fn idempotency_key_with_another_request_is_refused() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.call("POST", "/v1/supervisions")
        .json(&start(&call, "supervisor-1"))
        .idempotency("k")
        .send()
        .await;
    let other = app
        .call("POST", "/v1/supervisions")
        .json(&start(&call, "supervisor-2"))
        .idempotency("k")
        .send()
        .await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_invalid"));
    let another_caller = app
        .call("POST", "/v1/supervisions")
        .key(SUPERVISOR_1)
        .json(&start(&call, "supervisor-1"));
    let theirs = another_caller.idempotency("k").send().await;
    assert_eq!(theirs.status, 200, "a key is scoped to its caller");
    app.finish().await;
}

#[tokio::test]
async fn idempotency_key_in_use_answers_409() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::late("MonitorContact", 700));
    let ask = || {
        app.call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k")
            .send()
    };
    let (first, second) = tokio::join!(ask(), async {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        ask().await
    });
    assert_eq!(first.status, 201);
    assert_eq!((second.status, second.code()), (409, "idempotency_key_conflict"));
    assert_eq!(ask().await.text, first.text);
    app.finish().await;
}

#[tokio::test]
async fn idempotency_replays_vendor_refusals_not_our_errors() {
    let app = TestApp::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let call = app.connect().create_call();
    let ask = |key: &'static str| {
        app.call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency(key)
            .send()
    };
    app.connect()
        .fault(Fault::error("MonitorContact", 402, "ServiceQuotaExceededException"));
    let refused = ask("k-1").await;
    assert_eq!((refused.status, refused.code()), (409, "connect_quota_limit_reached"));
    assert_eq!(ask("k-1").await.text, refused.text);
    app.connect()
        .fault(Fault::error("MonitorContact", 403, "AccessDeniedException"));
    let fault = ask("k-2").await;
    assert_eq!((fault.status, fault.code()), (502, "connect_access_forbidden"));
    let started = ask("k-2").await;
    assert_eq!(started.status, 201, "a 5xx is not replayed");
    app.finish().await;
}

#[tokio::test]
async fn idempotency_key_survives_crash_with_final_answer() {
    let mut app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "5000").start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault {
        after_effect: true,
        ..Fault::late("MonitorContact", 1500)
    });
    let (url, http) = (app.url.clone(), app.http.clone());
    let body = start(&call, "supervisor-1");
    let asked = body.clone();
    let lost = tokio::spawn(async move {
        let key = crate::support::app::BACK_END;
        http.post(format!("{url}/v1/supervisions"))
            .bearer_auth(key)
            .header("Idempotency-Key", "k")
            .json(&asked)
            .send()
            .await
    });
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    app.crash_and_restart().await;
    let _ = lost.await;
    let again = app
        .call("POST", "/v1/supervisions")
        .raw(body.to_string().as_bytes())
        .idempotency("k")
        .send()
        .await;
    assert!(matches!(again.status, 200 | 202), "{}", again.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    app.until(&again.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(app.connect().legs(&call).len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn idempotency_acknowledgement_can_be_repeated() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    let ack = json!({"directiveId": action["directiveId"], "outcome": "FAILED", "detail": "no agent connection"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    let first = app.call("POST", &path).json(&ack).idempotency("a").send().await;
    let again = app.call("POST", &path).json(&ack).idempotency("a").send().await;
    assert_eq!((first.status, first.text.clone()), (200, again.text));
    assert_eq!(first.body["nextAction"]["acknowledged"], "FAILED");
    assert_eq!(
        first.state(),
        "LEAVING",
        "an acknowledgement does not prove that the leg ended"
    );
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    app.finish().await;
}

/// "Nothing to do" is stored under its key like every other answer, so that a repeat starts nothing.
#[tokio::test]
async fn idempotency_stores_answer_that_nothing_was_to_do() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let by_id = |tail: &str| format!("/v1/supervisions/{id}{tail}");
    let acts = [
        (
            "/v1/supervisions".to_owned(),
            Some(start(&call, "supervisor-1")),
            "start",
            200,
        ),
        (by_id("/mode"), Some(json!({"mode": "SILENT"})), "mode", 200),
    ];
    let ask = async |(path, body, key, _): &(String, Option<serde_json::Value>, &str, u16)| {
        let mut call = app.call("POST", path).idempotency(key);
        if let Some(body) = body {
            call = call.json(body);
        }
        call.send().await
    };
    let mut first = Vec::new();
    for act in &acts {
        let answer = ask(act).await;
        assert_eq!(answer.status, act.3, "{}", answer.text);
        assert!(!answer.headers.contains_key("idempotent-replayed"));
        first.push(answer.text);
    }
    // A disconnect that is in progress or finished also stores one answer for its key.
    let asked = app.disconnect(&id).await;
    let leaves = [
        (by_id("/disconnect"), None, "leave", 202),
        (
            "/v1/supervisors/supervisor-1/disconnect".to_owned(),
            None,
            "leave-all",
            202,
        ),
    ];
    let ack = json!({"directiveId": asked.body["nextAction"]["directiveId"], "outcome": "FAILED"});
    let acknowledge = (by_id("/acknowledgements"), Some(ack), "acknowledge", 200);
    app.call("POST", &acknowledge.0)
        .json(acknowledge.1.as_ref().expect("a body"))
        .send()
        .await;
    for act in leaves.iter().chain([&acknowledge]) {
        let answer = ask(act).await;
        assert_eq!(answer.status, act.3, "{}", answer.text);
        first.push(answer.text);
    }
    app.browser("supervisor-1")
        .obey(&app.get(&id).await.body["nextAction"])
        .await;
    app.until_left(&id).await;
    let over = [
        (by_id("/disconnect"), Some(json!({})), "over", 200),
        (
            "/v1/supervisors/supervisor-1/disconnect".to_owned(),
            Some(json!({})),
            "over-all",
            200,
        ),
    ];
    for act in &over {
        first.push(ask(act).await.text);
    }
    for (act, text) in acts
        .iter()
        .chain(&leaves)
        .chain([&acknowledge])
        .chain(&over)
        .zip(&first)
    {
        let again = ask(act).await;
        assert_eq!((again.status, &again.text), (act.3, text), "{}", act.2);
        assert_eq!(again.headers["idempotent-replayed"], "true", "{}", act.2);
    }
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    let other = app.call("POST", "/v1/supervisions").json(&start(&call, "supervisor-2"));
    let other = other.idempotency("start").send().await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_invalid"));
    app.finish().await;
}

/// A client that disconnects before the answer and repeats the request with the same key gets that answer. It does not get the error
/// "the first request is still running" for a day.
#[tokio::test]
async fn idempotency_stores_answer_after_client_disconnects() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::late("MonitorContact", 700));
    let body = start(&call, "supervisor-1");
    let lost = app.http.post(format!("{}/v1/supervisions", app.url));
    let lost = lost
        .bearer_auth(BACK_END)
        .header("Idempotency-Key", "k")
        .header("Content-Type", "application/json")
        .body(body.to_string())
        .timeout(std::time::Duration::from_millis(200));
    assert!(lost.send().await.is_err(), "the client does not wait for the answer");
    let ask = || app.call("POST", "/v1/supervisions").json(&body).idempotency("k").send();
    assert_eq!(ask().await.status, 409, "the first request is still running");
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let again = ask().await;
    assert_eq!(again.status, 201, "{}", again.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    app.leave(&again.id(), "supervisor-1").await;
    app.finish().await;
}

/// The first request was answered, a repeat meets an error of ours, and the next repeat still gets the first answer.
#[tokio::test]
async fn idempotency_error_on_repeat_keeps_first_answer() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let ask = || {
        app.call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k")
            .send()
    };
    let first = ask().await;
    assert_eq!(first.status, 201);
    assert_eq!(ask().await.text, first.text, "the first answer is stored");
    // By SQL, because this is a damaged store.
    let spoil = "UPDATE idempotency_keys SET supervision_id = 'x' || supervision_id";
    sql(&app.store_path(), spoil).await.expect("spoilt");
    let fault = ask().await;
    assert_eq!((fault.status, fault.code()), (500, "internal"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let mend = "UPDATE idempotency_keys SET supervision_id = substr(supervision_id, 2)";
    sql(&app.store_path(), mend).await.expect("mended");
    let third = ask().await;
    assert_eq!((third.status, &third.text), (201, &first.text));
    assert_eq!(third.headers["idempotent-replayed"], "true");
    app.leave(&first.id(), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn idempotency_covers_delivery_replays_and_probes() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.leave(&id, "supervisor-1").await;
    app.until_written(&id).await;
    let rows = app.call("GET", "/v1/deliveries").key(OPERATOR).send().await.body;
    let row = rows["items"][0]["deliveryId"].as_str().expect("an id").to_owned();
    let range = json!({"state": "WRITTEN", "begunSince": "2020-01-01T00:00:00Z",
        "begunBefore": "2100-01-01T00:00:00Z", "dryRun": false});
    let lines = async |action: &'static str| {
        let path = format!("/v1/audit?action={action}");
        let page = app.call("GET", &path).key(AUDITOR).send().await.body;
        page["items"].as_array().expect("lines").len()
    };
    for (path, body, other, action, written) in [
        (
            format!("/v1/deliveries/{row}/replay"),
            json!({"dryRun": false}),
            json!({"dryRun": true}),
            "delivery.replayed",
            1,
        ),
        (
            "/v1/deliveries/replay".to_owned(),
            range.clone(),
            json!({"begunSince": "2020-01-01T00:00:00Z", "begunBefore": "2100-01-01T00:00:00Z"}),
            "delivery.replayed",
            2,
        ),
        (
            "/v1/vendors/amazon-connect/probes".to_owned(),
            json!({"count": 1}),
            json!({"count": 2}),
            "vendor.probed",
            2,
        ),
    ] {
        let ask = |body: &serde_json::Value| {
            let call = app.call("POST", &path).key(OPERATOR).json(body);
            call.idempotency(&format!("key-of-{path}")).send()
        };
        let first = ask(&body).await;
        assert_eq!(first.status, 200, "{path}: {}", first.text);
        let again = ask(&body).await;
        assert_eq!((again.status, &again.text), (200, &first.text), "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true", "{path}");
        assert_eq!(lines(action).await, written, "{path}: executed once");
        let reused = ask(&other).await;
        assert_eq!(
            (reused.status, reused.code()),
            (422, "idempotency_key_invalid"),
            "{path}"
        );
        app.until_written(&id).await;
    }
    // A dry run stores its result under its key.
    let look = json!({"begunSince": "2020-01-01T00:00:00Z", "begunBefore": "2100-01-01T00:00:00Z"});
    for replayed in [false, true] {
        let call = app.call("POST", "/v1/deliveries/replay").key(OPERATOR).json(&look);
        let answer = call.idempotency("look").send().await;
        assert_eq!((answer.status, &answer.body["dryRun"]), (200, &json!(true)));
        assert_eq!(answer.headers.contains_key("idempotent-replayed"), replayed);
    }
    app.finish().await;
}
