//! `Idempotency-Key`: the stored answer, 422 for another request, 409 while the first runs, nothing stored for our faults.

use serde_json::json;
use sidedoor::fakes::Fault;

use crate::support::house::{House, SUPERVISOR_1, start};

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
