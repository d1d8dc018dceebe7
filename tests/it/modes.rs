//! From listening to speaking and back, and the guard before one who has barged in leaves.

use serde_json::{Value, json};

use crate::support::house::{Answer, House, OPERATOR, READER, SUPERVISOR_1};
use crate::support::sql;

async fn listen(house: &House, call: &str, supervisor: &str, mode: &str) -> String {
    let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor}, "mode": mode});
    let started = house.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(started.status, 201, "{}", started.text);
    let id = started.id();
    house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    id
}

async fn change(house: &House, id: &str, mode: &str, key: &str) -> Answer {
    let path = format!("/v1/supervisions/{id}/mode");
    house
        .call("POST", &path)
        .key(key)
        .json(&json!({"mode": mode}))
        .send()
        .await
}

async fn barged_in(house: &House, call: &str, supervisor: &str) -> String {
    let id = listen(house, call, supervisor, "BARGE").await;
    let asked = change(house, &id, "BARGE", SUPERVISOR_1).await;
    house.browser(supervisor).obey(&asked.body["nextAction"]).await;
    house.until(&id, "BARGE", |s| s["mode"] == "BARGE").await;
    id
}

#[tokio::test]
async fn a_mode_is_changed_by_the_browser_and_confirmed_by_evidence() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = listen(&house, &call, "supervisor-1", "BARGE").await;
    let seen = house.get(&id).await.body;
    assert_eq!((&seen["mode"], &seen["hasBarged"]), (&json!("SILENT"), &json!(false)));

    let asked = change(&house, &id, "BARGE", SUPERVISOR_1).await;
    assert_eq!(asked.status, 202);
    let action = &asked.body["nextAction"];
    assert_eq!(
        (&action["kind"], &action["mode"]),
        (&json!("CHANGE_MODE_IN_CCP"), &json!("BARGE"))
    );
    assert_eq!(asked.body["mode"], "SILENT", "accepted is not confirmed");
    let again = change(&house, &id, "BARGE", SUPERVISOR_1).await;
    assert_eq!(
        again.body["nextAction"]["directiveId"], action["directiveId"],
        "one directive"
    );
    // The browser's word alone confirms nothing.
    let ack = json!({"directiveId": action["directiveId"], "outcome": "FAILED"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    let told = house.call("POST", &path).json(&ack).send().await;
    assert_eq!(
        (&told.body["mode"], &told.body["modeChange"]["confirmedAt"]),
        (&json!("SILENT"), &Value::Null)
    );

    let action = change(&house, &id, "BARGE", SUPERVISOR_1).await.body["nextAction"].clone();
    assert_eq!(house.browser("supervisor-1").obey(&action).await, "DONE");
    let barged = house.until(&id, "BARGE", |s| s["mode"] == "BARGE").await;
    assert!(
        !barged["modeChange"]["confirmedAt"].is_null() && barged["nextAction"].is_null(),
        "{barged:#}"
    );
    let already = change(&house, &id, "BARGE", SUPERVISOR_1).await;
    assert_eq!((already.status, &already.body["nextAction"]), (200, &Value::Null));

    let back = change(&house, &id, "SILENT", OPERATOR).await;
    assert_eq!(back.status, 202);
    house.browser("supervisor-1").obey(&back.body["nextAction"]).await;
    house.until(&id, "SILENT", |s| s["mode"] == "SILENT").await;
    house.leave(&id, "supervisor-1").await;
    let left = house.until_recorded(&id).await;
    let leg = left["legContactId"].as_str().expect("a leg");
    assert_eq!(
        house.row(leg)["Mode__c"],
        "BARGE",
        "whoever spoke and then listened again has spoken"
    );
    house.finish().await;
}

#[tokio::test]
async fn modes_that_cannot_be_are_refused_and_change_nothing() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = listen(&house, &call, "supervisor-1", "SILENT").await;
    for (mode, key, status, code) in [
        ("BARGE", SUPERVISOR_1, 409, "mode_not_allowed"),
        ("WHISPER", SUPERVISOR_1, 422, "mode_unsupported"),
        ("LOUD", SUPERVISOR_1, 400, "invalid_request"),
        ("BARGE", OPERATOR, 403, "forbidden"),
        ("SILENT", READER, 403, "forbidden"),
    ] {
        let refused = change(&house, &id, mode, key).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{mode} {key}");
    }
    let seen = house.get(&id).await.body;
    assert_eq!((&seen["modeChange"], &seen["nextAction"]), (&Value::Null, &Value::Null));
    let whisper = change(&house, &id, "WHISPER", SUPERVISOR_1).await;
    assert!(
        whisper.body["detail"]
            .as_str()
            .expect("text")
            .contains("SILENT and BARGE"),
        "what is possible"
    );
    house.leave(&id, "supervisor-1").await;
    let late = change(&house, &id, "SILENT", SUPERVISOR_1).await;
    assert_eq!((late.status, late.code()), (409, "not_monitoring"));
    let task = house.connect().create_contact(sidedoor_fakes::connect::NewContact {
        channel: "TASK".into(),
        ..Default::default()
    });
    let watching = listen(&house, &task, "supervisor-1", "BARGE").await;
    let refused = change(&house, &watching, "BARGE", SUPERVISOR_1).await;
    assert_eq!((refused.status, refused.code()), (422, "mode_unsupported"));
    house.connect().hang_up(&task, "AGENT").expect("over");
    house.finish().await;
}

#[tokio::test]
async fn a_key_on_a_change_of_mode_gives_the_same_answer_again() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = listen(&house, &call, "supervisor-1", "BARGE").await;
    let path = format!("/v1/supervisions/{id}/mode");
    let body = json!({"mode": "BARGE"});
    let ask = || house.call("POST", &path).json(&body).idempotency("barge-1").send();
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    house.leave(&id, "supervisor-1").await;
    house.finish().await;
}

#[tokio::test]
async fn one_who_has_barged_in_may_leave_while_the_agent_is_there() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = barged_in(&house, &call, "supervisor-1").await;
    house.leave(&id, "supervisor-1").await;
    assert!(!house.connect().contact(&call).expect("there").ended);
    house.finish().await;
}

/// The anchors' barged supervisor who drops the customer: the guard, checked before, and by the browser again.
#[tokio::test]
async fn one_of_the_last_two_on_the_call_does_not_leave() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = barged_in(&house, &call, "supervisor-1").await;
    house.connect().agent_leaves(&call).expect("gone");
    for path in [
        format!("/v1/supervisions/{id}/disconnect"),
        "/v1/supervisors/supervisor-1/disconnect".to_owned(),
    ] {
        for key in [SUPERVISOR_1, OPERATOR] {
            let refused = house.call("POST", &path).key(key).send().await;
            assert_eq!(
                (refused.status, refused.code()),
                (409, "would_end_customer_call"),
                "{path}"
            );
        }
    }
    // A switch is a leave too, and is refused before anything is written.
    let next = house.connect().create_call();
    let body = json!({"contactId": next, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": true});
    let switch = house.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!((switch.status, switch.code()), (409, "would_end_customer_call"));
    assert_eq!(house.get(&id).await.state(), "MONITORING");
    // Only an operator may take it on themselves, and only with a reason.
    let path = format!("/v1/supervisions/{id}/disconnect");
    let accept = json!({"customerCallMayEnd": true, "reason": "the customer asked for it"});
    for (key, body, status) in [
        (SUPERVISOR_1, &accept, 403),
        (OPERATOR, &json!({"customerCallMayEnd": true}), 403),
        (OPERATOR, &json!({"customerCallMayEnd": "yes", "reason": "x"}), 400),
    ] {
        let refused = house.call("POST", &path).key(key).json(body).send().await;
        assert_eq!(refused.status, status, "{}", refused.text);
    }
    let refusals = "SELECT actor FROM audit WHERE action = 'disconnect.refused'";
    let told = sql(&house.journal_path(), refusals).await.expect("read");
    assert_eq!(told.len(), 5, "every refusal is on record, the switch's too: {told:?}");
    let metrics = house.call("GET", "/metrics").key(READER).send().await.text;
    assert!(metrics.contains("sidedoor_leaves_refused_total 5"), "{metrics}");

    let accepted = house.call("POST", &path).key(OPERATOR).json(&accept).send().await;
    assert_eq!(accepted.status, 202);
    let mut action = accepted.body["nextAction"].clone();
    assert_eq!(action["customerCallMayEnd"], true);
    // A browser that is not told so refuses by itself.
    action["customerCallMayEnd"] = json!(false);
    assert_eq!(house.browser("supervisor-1").obey(&action).await, "REFUSED");
    // The customer hangs up, so that nobody has to end their call here.
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    house.until_left(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn what_cannot_be_confirmed_is_refused() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = barged_in(&house, &call, "supervisor-1").await;
    house.quiet().await;
    for operation in ["GetCurrentUserData", "DescribeContact"] {
        let fault = sidedoor_fakes::Fault::error(operation, 500, "InternalServiceException").times(20);
        house.connect().fault(fault);
        let refused = house.disconnect(&id).await;
        assert_eq!(
            (refused.status, refused.code()),
            (409, "would_end_customer_call"),
            "{operation}"
        );
        assert!(refused.text.contains("could not be asked"), "{}", refused.text);
        house.connect().clear_faults();
    }
    house.leave(&id, "supervisor-1").await;
    house.finish().await;
}

#[tokio::test]
async fn a_barge_in_by_hand_is_found_before_the_leave() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = listen(&house, &call, "supervisor-1", "BARGE").await;
    house.quiet().await;
    let leg = house.get(&id).await.body["legContactId"]
        .as_str()
        .expect("a leg")
        .to_owned();
    house
        .connect()
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged in");
    house.connect().agent_leaves(&call).expect("gone");
    let refused = house.disconnect(&id).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "would_end_customer_call"),
        "{}",
        refused.text
    );
    assert_eq!(house.get(&id).await.body["mode"], "BARGE", "it was learnt on the way");
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    house.until_left(&id).await;
    house.finish().await;
}

/// Nobody granted an observed leg anything that we know of: the vendor is asked.
#[tokio::test]
async fn an_observed_leg_is_guarded_too() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let leg = house.connect().begin_leg_by_hand(&call, "supervisor-1").expect("begun");
    let id = house.found("origin=OBSERVED").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let seen = house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    assert_eq!(seen["allowedModes"], Value::Null);
    house
        .connect()
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged in");
    house.connect().agent_leaves(&call).expect("gone");
    let refused = house
        .call("POST", "/v1/supervisors/me/disconnect")
        .key(SUPERVISOR_1)
        .send()
        .await;
    assert_eq!((refused.status, refused.code()), (409, "would_end_customer_call"));
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    house.until_left(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn a_change_of_mode_survives_a_crash_and_a_leave_overtakes_it() {
    let mut house = House::start().await;
    let call = house.connect().create_call();
    let id = listen(&house, &call, "supervisor-1", "BARGE").await;
    let asked = change(&house, &id, "BARGE", SUPERVISOR_1).await;
    house.crash_and_restart().await;
    let after = house.get(&id).await.body;
    assert_eq!(
        after["nextAction"]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    let left = house.disconnect(&id).await;
    assert_eq!(
        (left.status, &left.body["nextAction"]["kind"]),
        (202, &json!("END_LEG_IN_CCP"))
    );
    let path = "/v1/supervisors/supervisor-1/directives?after=0";
    let told = house.call("GET", path).send().await.body;
    let of = |id: &Value| {
        let items = told["items"].as_array().expect("items");
        items.iter().find(|i| i["directiveId"] == *id).expect("told")["status"].clone()
    };
    assert_eq!(of(&asked.body["nextAction"]["directiveId"]), "WITHDRAWN");
    assert_eq!(of(&left.body["nextAction"]["directiveId"]), "OPEN");
    house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    house.until_left(&id).await;
    house.finish().await;
}

/// What the guard cannot look at it does not take for good: a barge-in by hand, and a vendor that does not answer.
#[tokio::test]
async fn a_barge_in_by_hand_is_not_missed_when_the_leg_cannot_be_seen() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = listen(&house, &call, "supervisor-1", "BARGE").await;
    house.quiet().await;
    let leg = house.get(&id).await.body["legContactId"]
        .as_str()
        .expect("a leg")
        .to_owned();
    house
        .connect()
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged in");
    house.connect().agent_leaves(&call).expect("gone");
    house
        .connect()
        .fault(sidedoor_fakes::Fault::error("DescribeContact", 429, "ThrottlingException").times(1));
    let refused = house.disconnect(&id).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "would_end_customer_call"),
        "{}",
        refused.text
    );
    // Nor does asking to be silent make one who may be speaking harmless.
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    house.until_left(&id).await;
    house.finish().await;
}
