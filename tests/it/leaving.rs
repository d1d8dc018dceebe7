//! Leaving has one clear outcome, whoever asks, however often, and in whatever state; and one can leave without knowing the
//! supervision's id.

use serde_json::json;
use sidedoor_fakes::Manners;

use crate::support::house::{Answer, House, OPERATOR, READER, SUPERVISOR_1};

async fn leave(house: &House, supervisor: &str, key: &str) -> Answer {
    let path = format!("/v1/supervisors/{supervisor}/disconnect");
    house.call("POST", &path).key(key).send().await
}

fn outcome(answer: &Answer) -> &str {
    answer.body["leaveOutcome"].as_str().unwrap_or("(none)")
}

#[tokio::test]
async fn a_supervisor_leaves_without_knowing_the_supervision() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    assert_eq!(outcome(&house.get(&id).await), "(none)");
    let asked = leave(&house, "me", SUPERVISOR_1).await;
    assert_eq!(
        (asked.status, asked.id(), outcome(&asked)),
        (202, id.clone(), "LEAVING")
    );
    let again = leave(&house, "supervisor-1", SUPERVISOR_1).await;
    assert_eq!(
        again.body["nextAction"]["directiveId"], asked.body["nextAction"]["directiveId"],
        "one directive"
    );
    house.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    house.until_left(&id).await;
    assert_eq!(outcome(&house.get(&id).await), "LEFT");
    let after = leave(&house, "me", SUPERVISOR_1).await;
    assert_eq!((after.status, after.id(), outcome(&after)), (200, id, "ALREADY_LEFT"));
    house.finish().await;
}

#[tokio::test]
async fn nobody_leaves_for_somebody_else() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-2").await.id();
    for (supervisor, key, status, code) in [
        ("supervisor-2", SUPERVISOR_1, 403, "forbidden"),
        ("supervisor-2", READER, 403, "forbidden"),
        ("me", OPERATOR, 403, "forbidden"),
        ("supervisor-3", OPERATOR, 404, "not_found"),
        ("%FF", OPERATOR, 404, "not_found"),
    ] {
        let answer = leave(&house, supervisor, key).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{supervisor} {key}");
    }
    let unknown = house
        .call("POST", "/v1/supervisors/supervisor-2/disconnect")
        .json(&json!({"instance": "other"}))
        .send();
    assert_eq!(unknown.await.code(), "unknown_instance");
    let odd = house
        .call("POST", "/v1/supervisors/supervisor-2/disconnect")
        .json(&json!({"legId": "x"}))
        .send()
        .await;
    assert_eq!((odd.status, odd.code()), (400, "invalid_request"));
    assert_eq!(house.get(&id).await.state(), "MONITORING", "none of these did anything");
    let by_operator = leave(&house, "supervisor-2", OPERATOR).await;
    assert_eq!(by_operator.status, 202);
    house
        .browser("supervisor-2")
        .obey(&by_operator.body["nextAction"])
        .await;
    let left = house.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    house.finish().await;
}

#[tokio::test]
async fn a_key_on_a_supervisors_leave_gives_the_same_answer_again() {
    let house = House::start().await;
    let call = house.connect().create_call();
    house.listen(&call, "supervisor-1").await;
    let ask = || {
        house
            .call("POST", "/v1/supervisors/supervisor-1/disconnect")
            .idempotency("leave-1")
            .send()
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    house.browser("supervisor-1").obey(&first.body["nextAction"]).await;
    house.until_left(&first.id()).await;
    house.finish().await;
}

/// The first anchor's complaint: a leave that does not leave is never called one.
#[tokio::test]
async fn a_leave_that_does_not_leave_is_overdue_until_it_does() {
    let house = House::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let asked = house.disconnect(&id).await;
    let lies = Manners {
        lies: true,
        delay_ms: 10,
        ..Manners::default()
    };
    house
        .browser("supervisor-1")
        .with(lies)
        .obey(&asked.body["nextAction"])
        .await;
    house.until(&id, "overdue", |s| s["leaveOutcome"] == "OVERDUE").await;
    let again = leave(&house, "supervisor-1", OPERATOR).await;
    assert_eq!((again.status, outcome(&again)), (202, "OVERDUE"));
    house.browser("supervisor-1").obey(&again.body["nextAction"]).await;
    house.until(&id, "left", |s| s["leaveOutcome"] == "LEFT").await;
    house.finish().await;
}

/// A double drop: the customer hangs up while the supervisor leaves; one departure, and it says why.
#[tokio::test]
async fn a_leave_after_the_customer_hung_up_ended_with_the_contact() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    house
        .until(&id, "ended", |s| s["leaveOutcome"] == "ENDED_WITH_CONTACT")
        .await;
    let asked = leave(&house, "supervisor-1", OPERATOR).await;
    assert_eq!((asked.status, outcome(&asked)), (200, "ENDED_WITH_CONTACT"));
    house.finish().await;
}

#[tokio::test]
async fn a_leave_asked_before_a_crash_is_carried_out_after_it() {
    let mut house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let asked = leave(&house, "supervisor-1", OPERATOR).await;
    house.crash_and_restart().await;
    let after = leave(&house, "supervisor-1", OPERATOR).await;
    assert_eq!((after.status, outcome(&after)), (202, "LEAVING"));
    assert_eq!(
        after.body["nextAction"]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    house.browser("supervisor-1").obey(&after.body["nextAction"]).await;
    house.until(&id, "left", |s| s["leaveOutcome"] == "LEFT").await;
    house.finish().await;
}
