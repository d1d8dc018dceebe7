//! `Idempotency-Key`: the stored answer, 422 for another request, 409 while the first runs, nothing stored for our faults.

use serde_json::json;
use sidedoor_fakes::Fault;

use crate::support::house::{BACK_END, House, OPERATOR, SUPERVISOR_1, start};
use crate::support::sql;

#[tokio::test]
async fn the_same_key_and_body_get_the_same_answer() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let ask = || {
        house
            .call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k-1")
    };
    let first = ask().send().await;
    let again = ask().send().await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    // Also after the supervision has moved on.
    let leave = || {
        house
            .call("POST", &format!("/v1/supervisions/{}/disconnect", first.id()))
            .idempotency("k-2")
    };
    let left = leave().send().await;
    house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    house.until_left(&first.id()).await;
    assert_eq!(leave().send().await.text, left.text);
    assert_eq!(ask().send().await.text, first.text);
    assert_eq!(house.connect().calls("MonitorContact"), 1);
    house.finish().await;
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let house = House::start().await;
    let call = house.connect().create_call();
    house
        .call("POST", "/v1/supervisions")
        .json(&start(&call, "supervisor-1"))
        .idempotency("k")
        .send()
        .await;
    let other = house
        .call("POST", "/v1/supervisions")
        .json(&start(&call, "supervisor-2"))
        .idempotency("k")
        .send()
        .await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    let another_caller = house
        .call("POST", "/v1/supervisions")
        .key(SUPERVISOR_1)
        .json(&start(&call, "supervisor-1"));
    let theirs = another_caller.idempotency("k").send().await;
    assert_eq!(theirs.status, 200, "a key belongs to its caller");
    house.finish().await;
}

#[tokio::test]
async fn a_first_request_still_running_is_said_to_be() {
    let house = House::start().await;
    let call = house.connect().create_call();
    house.connect().fault(Fault::late("MonitorContact", 700));
    let ask = || {
        house
            .call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k")
            .send()
    };
    let (first, second) = tokio::join!(ask(), async {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        ask().await
    });
    assert_eq!(first.status, 201);
    assert_eq!((second.status, second.code()), (409, "request_in_progress"));
    assert_eq!(ask().await.text, first.text);
    house.finish().await;
}

#[tokio::test]
async fn a_refusal_of_the_vendor_is_replayed_but_a_fault_of_ours_is_not() {
    let house = House::build().set("SUPERVISION__JOIN_TTL_S", "1").start().await;
    let call = house.connect().create_call();
    let ask = |key: &'static str| {
        house
            .call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency(key)
            .send()
    };
    house
        .connect()
        .fault(Fault::error("MonitorContact", 402, "ServiceQuotaExceededException"));
    let refused = ask("k-1").await;
    assert_eq!((refused.status, refused.code()), (409, "connect_quota_exceeded"));
    assert_eq!(ask("k-1").await.text, refused.text);
    house
        .connect()
        .fault(Fault::error("MonitorContact", 403, "AccessDeniedException"));
    let fault = ask("k-2").await;
    assert_eq!((fault.status, fault.code()), (502, "connect_access_denied"));
    let started = ask("k-2").await;
    assert_eq!(started.status, 201, "a 5xx is never replayed");
    house.finish().await;
}

#[tokio::test]
async fn a_key_taken_before_a_crash_is_answered_with_what_became_of_it() {
    let mut house = House::build().set("HTTP__ANSWER_WITHIN_MS", "5000").start().await;
    let call = house.connect().create_call();
    house.connect().fault(Fault {
        after_effect: true,
        ..Fault::late("MonitorContact", 1500)
    });
    let (url, http) = (house.url.clone(), house.http.clone());
    let body = start(&call, "supervisor-1");
    let asked = body.clone();
    let lost = tokio::spawn(async move {
        let key = crate::support::house::BACK_END;
        http.post(format!("{url}/v1/supervisions"))
            .bearer_auth(key)
            .header("Idempotency-Key", "k")
            .json(&asked)
            .send()
            .await
    });
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    house.crash_and_restart().await;
    let _ = lost.await;
    let again = house
        .call("POST", "/v1/supervisions")
        .raw(body.to_string().as_bytes())
        .idempotency("k")
        .send()
        .await;
    assert!(matches!(again.status, 200 | 202), "{}", again.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    house
        .until(&again.id(), "MONITORING", |s| s["state"] == "MONITORING")
        .await;
    assert_eq!(house.connect().legs(&call).len(), 1);
    house.finish().await;
}

#[tokio::test]
async fn acknowledgements_repeat_without_harm() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    let ack = json!({"directiveId": action["directiveId"], "outcome": "FAILED", "detail": "no agent connection"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    let first = house.call("POST", &path).json(&ack).idempotency("a").send().await;
    let again = house.call("POST", &path).json(&ack).idempotency("a").send().await;
    assert_eq!((first.status, first.text.clone()), (200, again.text));
    assert_eq!(first.body["nextAction"]["acknowledged"], "FAILED");
    assert_eq!(first.state(), "LEAVING", "an answer is no proof of the drop");
    house.browser("supervisor-1").obey(&action).await;
    house.until_left(&id).await;
    house.finish().await;
}

/// An answer that nothing is to be done is an answer: what the same key gets after its loss is that, and nothing is begun.
#[tokio::test]
async fn a_key_keeps_also_the_answer_that_nothing_is_to_be_done() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.joined(&call, "supervisor-1").await["id"]
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
        let mut call = house.call("POST", path).idempotency(key);
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
    // A leave that is under way, or over, is none the less one answer.
    let asked = house.disconnect(&id).await;
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
    let told = (by_id("/acknowledgements"), Some(ack), "told", 200);
    house
        .call("POST", &told.0)
        .json(told.1.as_ref().expect("a body"))
        .send()
        .await;
    for act in leaves.iter().chain([&told]) {
        let answer = ask(act).await;
        assert_eq!(answer.status, act.3, "{}", answer.text);
        first.push(answer.text);
    }
    house
        .browser("supervisor-1")
        .obey(&house.get(&id).await.body["nextAction"])
        .await;
    house.until_left(&id).await;
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
    for (act, text) in acts.iter().chain(&leaves).chain([&told]).chain(&over).zip(&first) {
        let again = ask(act).await;
        assert_eq!((again.status, &again.text), (act.3, text), "{}", act.2);
        assert_eq!(again.headers["idempotent-replayed"], "true", "{}", act.2);
    }
    assert_eq!(house.connect().calls("MonitorContact"), 1);
    let other = house
        .call("POST", "/v1/supervisions")
        .json(&start(&call, "supervisor-2"));
    let other = other.idempotency("start").send().await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    house.finish().await;
}

/// The client hangs up before the answer, and asks again with its key: it gets that answer, and is not told for a day that the
/// first request still runs.
#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_kept() {
    let house = House::start().await;
    let call = house.connect().create_call();
    house.connect().fault(Fault::late("MonitorContact", 700));
    let body = start(&call, "supervisor-1");
    let lost = house.http.post(format!("{}/v1/supervisions", house.url));
    let lost = lost
        .bearer_auth(BACK_END)
        .header("Idempotency-Key", "k")
        .header("Content-Type", "application/json")
        .body(body.to_string())
        .timeout(std::time::Duration::from_millis(200));
    assert!(lost.send().await.is_err(), "it did not wait");
    let ask = || {
        house
            .call("POST", "/v1/supervisions")
            .json(&body)
            .idempotency("k")
            .send()
    };
    assert_eq!(ask().await.status, 409, "it runs");
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let again = ask().await;
    assert_eq!(again.status, 201, "{}", again.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(house.connect().calls("MonitorContact"), 1);
    house.leave(&again.id(), "supervisor-1").await;
    house.finish().await;
}

/// The first request was answered; a repeat meets a fault of ours; the next one gets the first answer all the same.
#[tokio::test]
async fn a_fault_on_a_repeat_takes_nothing_from_the_first_answer() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let ask = || {
        house
            .call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k")
            .send()
    };
    let first = ask().await;
    assert_eq!(first.status, 201);
    assert_eq!(ask().await.text, first.text, "its answer is stored");
    let spoil = "UPDATE idempotency_keys SET supervision_id = 'x' || supervision_id";
    sql(&house.journal_path(), spoil).await.expect("spoilt");
    let fault = ask().await;
    assert_eq!((fault.status, fault.code()), (500, "internal"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let mend = "UPDATE idempotency_keys SET supervision_id = substr(supervision_id, 2)";
    sql(&house.journal_path(), mend).await.expect("mended");
    let third = ask().await;
    assert_eq!((third.status, &third.text), (201, &first.text));
    assert_eq!(third.headers["idempotent-replayed"], "true");
    house.leave(&first.id(), "supervisor-1").await;
    house.finish().await;
}

#[tokio::test]
async fn replays_of_rows_and_probes_take_a_key_too() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    house.leave(&id, "supervisor-1").await;
    house.until_recorded(&id).await;
    let rows = house.call("GET", "/v1/deliveries").key(OPERATOR).send().await.body;
    let row = rows["items"][0]["deliveryId"].as_str().expect("an id").to_owned();
    let range = json!({"state": "RECORDED", "begunSince": "2020-01-01T00:00:00Z",
        "begunBefore": "2100-01-01T00:00:00Z", "dryRun": false});
    let lines = async |action: &'static str| {
        let path = format!("/v1/audit?action={action}");
        let told = house.call("GET", &path).key(OPERATOR).send().await.body;
        told["items"].as_array().expect("lines").len()
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
            let call = house.call("POST", &path).key(OPERATOR).json(body);
            call.idempotency(&format!("key-of-{path}")).send()
        };
        let first = ask(&body).await;
        assert_eq!(first.status, 200, "{path}: {}", first.text);
        let again = ask(&body).await;
        assert_eq!((again.status, &again.text), (200, &first.text), "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true", "{path}");
        assert_eq!(lines(action).await, written, "{path}: done once");
        let reused = ask(&other).await;
        assert_eq!(
            (reused.status, reused.code()),
            (422, "idempotency_key_reused"),
            "{path}"
        );
        house.until_recorded(&id).await;
    }
    // One that only looks keeps what it saw.
    let look = json!({"begunSince": "2020-01-01T00:00:00Z", "begunBefore": "2100-01-01T00:00:00Z"});
    for replayed in [false, true] {
        let call = house.call("POST", "/v1/deliveries/replay").key(OPERATOR).json(&look);
        let answer = call.idempotency("look").send().await;
        assert_eq!((answer.status, &answer.body["dryRun"]), (200, &json!(true)));
        assert_eq!(answer.headers.contains_key("idempotent-replayed"), replayed);
    }
    house.finish().await;
}
