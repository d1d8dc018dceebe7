//! Changing between listening and speaking, and the barge safety check before a supervisor who has barged in leaves.

use serde_json::{Value, json};

use crate::support::app::{Answer, OPERATOR, READER, SPEAKER_1, SUPERVISOR_1, TestApp};
use crate::support::sql;

async fn listen(app: &TestApp, call: &str, supervisor: &str, mode: &str) -> String {
    let body = json!({"contactId": call, "supervisor": {"connectUserId": supervisor}, "mode": mode});
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(started.status, 201, "{}", started.text);
    let id = started.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    id
}

async fn change(app: &TestApp, id: &str, mode: &str, key: &str) -> Answer {
    let path = format!("/v1/supervisions/{id}/mode");
    app.call("POST", &path)
        .key(key)
        .json(&json!({"mode": mode}))
        .send()
        .await
}

async fn barged_in(app: &TestApp, call: &str, supervisor: &str) -> String {
    let id = listen(app, call, supervisor, "BARGE").await;
    let asked = change(app, &id, "BARGE", SPEAKER_1).await;
    app.browser(supervisor).obey(&asked.body["nextAction"]).await;
    app.until(&id, "BARGE", |s| s["mode"] == "BARGE").await;
    id
}

#[tokio::test]
async fn mode_change_is_made_by_browser_confirmed_by_evidence() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = listen(&app, &call, "supervisor-1", "BARGE").await;
    let seen = app.get(&id).await.body;
    assert_eq!((&seen["mode"], &seen["hasBarged"]), (&json!("SILENT"), &json!(false)));

    let asked = change(&app, &id, "BARGE", SPEAKER_1).await;
    assert_eq!(asked.status, 202);
    let action = &asked.body["nextAction"];
    assert_eq!(
        (&action["kind"], &action["mode"]),
        (&json!("CHANGE_MODE_IN_CCP"), &json!("BARGE"))
    );
    assert_eq!(
        asked.body["mode"], "SILENT",
        "an accepted mode change is not yet confirmed"
    );
    let again = change(&app, &id, "BARGE", SPEAKER_1).await;
    assert_eq!(
        again.body["nextAction"]["directiveId"], action["directiveId"],
        "both requests return the same directive"
    );
    // An acknowledgement by the browser alone does not confirm the change.
    let ack = json!({"directiveId": action["directiveId"], "outcome": "FAILED"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    let answer = app.call("POST", &path).json(&ack).send().await;
    assert_eq!(
        (&answer.body["mode"], &answer.body["modeChange"]["confirmedAt"]),
        (&json!("SILENT"), &Value::Null)
    );

    let action = change(&app, &id, "BARGE", SPEAKER_1).await.body["nextAction"].clone();
    assert_eq!(app.browser("supervisor-1").obey(&action).await, "DONE");
    let barged = app.until(&id, "BARGE", |s| s["mode"] == "BARGE").await;
    assert!(
        !barged["modeChange"]["confirmedAt"].is_null() && barged["nextAction"].is_null(),
        "{barged:#}"
    );
    let already = change(&app, &id, "BARGE", SPEAKER_1).await;
    assert_eq!((already.status, &already.body["nextAction"]), (200, &Value::Null));

    let back = change(&app, &id, "SILENT", OPERATOR).await;
    assert_eq!(back.status, 202);
    app.browser("supervisor-1").obey(&back.body["nextAction"]).await;
    app.until(&id, "SILENT", |s| s["mode"] == "SILENT").await;
    app.leave(&id, "supervisor-1").await;
    let left = app.until_written(&id).await;
    let leg = left["legContactId"].as_str().expect("a leg");
    assert_eq!(
        app.record(leg)["Mode__c"],
        "BARGE",
        "hasBarged stays true after the return to SILENT"
    );
    app.finish().await;
}

#[tokio::test]
async fn mode_not_allowed_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = listen(&app, &call, "supervisor-1", "SILENT").await;
    for (mode, key, status, code) in [
        ("BARGE", SPEAKER_1, 409, "mode_forbidden"),
        ("BARGE", SUPERVISOR_1, 403, "action_forbidden"),
        ("WHISPER", SUPERVISOR_1, 422, "mode_unsupported"),
        ("LOUD", SUPERVISOR_1, 400, "request_invalid"),
        ("BARGE", OPERATOR, 403, "action_forbidden"),
        ("SILENT", READER, 403, "action_forbidden"),
    ] {
        let refused = change(&app, &id, mode, key).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{mode} {key}");
    }
    let seen = app.get(&id).await.body;
    assert_eq!((&seen["modeChange"], &seen["nextAction"]), (&Value::Null, &Value::Null));
    let whisper = change(&app, &id, "WHISPER", SUPERVISOR_1).await;
    assert!(
        whisper.body["detail"]
            .as_str()
            .expect("text")
            .contains("SILENT and BARGE"),
        "the error lists the allowed modes"
    );
    app.leave(&id, "supervisor-1").await;
    let late = change(&app, &id, "SILENT", SUPERVISOR_1).await;
    assert_eq!((late.status, late.code()), (409, "supervision_state_conflict"));
    let task = app.connect().create_contact(sidedoor_fakes::connect::NewContact {
        channel: "TASK".into(),
        ..Default::default()
    });
    let watching = listen(&app, &task, "supervisor-1", "BARGE").await;
    let refused = change(&app, &watching, "BARGE", SPEAKER_1).await;
    assert_eq!((refused.status, refused.code()), (422, "mode_unsupported"));
    app.connect().hang_up(&task, "AGENT").expect("over");
    app.finish().await;
}

#[tokio::test]
async fn mode_barge_needs_the_scope_barge() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "mode": "BARGE"});
    let ask = async |key| app.call("POST", "/v1/supervisions").key(key).json(&body).send().await;
    let refused = ask(SUPERVISOR_1).await;
    assert_eq!(
        (refused.status, refused.code()),
        (403, "action_forbidden"),
        "{}",
        refused.text
    );
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    let granted = ask(SPEAKER_1).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    let id = granted.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    // A supervision that may speak, asked by a credential that may only listen.
    let refused = change(&app, &id, "BARGE", SUPERVISOR_1).await;
    assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    assert_eq!(app.get(&id).await.body["modeChange"], Value::Null);
    assert_eq!(change(&app, &id, "BARGE", SPEAKER_1).await.status, 202);
    app.leave(&id, "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn mode_change_with_same_key_returns_same_answer() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = listen(&app, &call, "supervisor-1", "BARGE").await;
    let path = format!("/v1/supervisions/{id}/mode");
    let body = json!({"mode": "BARGE"});
    let ask = || app.call("POST", &path).json(&body).idempotency("barge-1").send();
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    app.leave(&id, "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn barge_check_allows_leave_while_agent_is_connected() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = barged_in(&app, &call, "supervisor-1").await;
    app.leave(&id, "supervisor-1").await;
    assert!(!app.connect().contact(&call).expect("there").ended);
    app.finish().await;
}

/// A supervisor who has barged in and drops the customer: the server runs the barge safety check, then the browser repeats it.
#[tokio::test]
async fn barge_check_refuses_leave_of_one_of_last_two() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = barged_in(&app, &call, "supervisor-1").await;
    app.connect().agent_leaves(&call).expect("gone");
    for path in [
        format!("/v1/supervisions/{id}/disconnect"),
        "/v1/supervisors/supervisor-1/disconnect".to_owned(),
    ] {
        for key in [SUPERVISOR_1, OPERATOR] {
            let refused = app.call("POST", &path).key(key).send().await;
            assert_eq!(
                (refused.status, refused.code()),
                (409, "barge_safety_conflict"),
                "{path}"
            );
        }
    }
    // A switch includes a leave, so it is refused too, before any write.
    let next = app.connect().create_call();
    let body = json!({"contactId": next, "supervisor": {"connectUserId": "supervisor-1"}, "leaveCurrent": true});
    let switch = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!((switch.status, switch.code()), (409, "barge_safety_conflict"));
    assert_eq!(app.get(&id).await.state(), "MONITORING");
    // Only an operator may override the check, and only with a reason.
    let path = format!("/v1/supervisions/{id}/disconnect");
    let accept = json!({"customerCallMayEnd": true, "reason": "the customer asked for it"});
    for (key, body, status) in [
        (SUPERVISOR_1, &accept, 403),
        (OPERATOR, &json!({"customerCallMayEnd": true}), 403),
        (OPERATOR, &json!({"customerCallMayEnd": "yes", "reason": "x"}), 400),
    ] {
        let refused = app.call("POST", &path).key(key).json(body).send().await;
        assert_eq!(refused.status, status, "{}", refused.text);
    }
    let refusals = "SELECT actor FROM audit WHERE action = 'disconnect.refused'";
    let audited = sql(&app.store_path(), refusals).await.expect("read");
    assert_eq!(
        audited.len(),
        5,
        "the audit has every refusal, including the switch: {audited:?}"
    );
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    assert!(metrics.contains("sidedoor_leaves_refused_total 5"), "{metrics}");

    let accepted = app.call("POST", &path).key(OPERATOR).json(&accept).send().await;
    assert_eq!(accepted.status, 202);
    let mut action = accepted.body["nextAction"].clone();
    assert_eq!(action["customerCallMayEnd"], true);
    // A browser that does not get the override refuses on its own check.
    action["customerCallMayEnd"] = json!(false);
    assert_eq!(app.browser("supervisor-1").obey(&action).await, "REFUSED");
    // The customer hangs up, so that this test does not have to end their call.
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn barge_check_refuses_when_agent_state_is_unknown() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = barged_in(&app, &call, "supervisor-1").await;
    app.events_delivered().await;
    for operation in ["GetCurrentUserData", "DescribeContact"] {
        let fault = sidedoor_fakes::Fault::error(operation, 500, "InternalServiceException").times(20);
        app.connect().fault(fault);
        let refused = app.disconnect(&id).await;
        assert_eq!(
            (refused.status, refused.code()),
            (409, "barge_safety_conflict"),
            "{operation}"
        );
        assert!(refused.text.contains("could not be asked"), "{}", refused.text);
        app.connect().clear_faults();
    }
    app.leave(&id, "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn barge_check_finds_barge_made_in_ccp() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = listen(&app, &call, "supervisor-1", "BARGE").await;
    app.events_delivered().await;
    let leg = app.get(&id).await.body["legContactId"]
        .as_str()
        .expect("a leg")
        .to_owned();
    app.connect()
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged in");
    app.connect().agent_leaves(&call).expect("gone");
    let refused = app.disconnect(&id).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "barge_safety_conflict"),
        "{}",
        refused.text
    );
    assert_eq!(app.get(&id).await.body["mode"], "BARGE", "the check updated the mode");
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    app.until_left(&id).await;
    app.finish().await;
}

/// The store has no granted modes for an observed leg, so the service asks Connect for its current mode.
#[tokio::test]
async fn barge_check_covers_observed_leg() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let id = app.found("origin=OBSERVED").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let seen = app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    assert_eq!(seen["allowedModes"], Value::Null);
    app.connect()
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged in");
    app.connect().agent_leaves(&call).expect("gone");
    let refused = app
        .call("POST", "/v1/supervisors/me/disconnect")
        .key(SUPERVISOR_1)
        .send()
        .await;
    assert_eq!((refused.status, refused.code()), (409, "barge_safety_conflict"));
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn mode_change_survives_crash_and_leave_withdraws_it() {
    let mut app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = listen(&app, &call, "supervisor-1", "BARGE").await;
    let asked = change(&app, &id, "BARGE", SPEAKER_1).await;
    app.crash_and_restart().await;
    let after = app.get(&id).await.body;
    assert_eq!(
        after["nextAction"]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    let left = app.disconnect(&id).await;
    assert_eq!(
        (left.status, &left.body["nextAction"]["kind"]),
        (202, &json!("END_LEG_IN_CCP"))
    );
    let path = "/v1/supervisors/supervisor-1/directives?after=0";
    let page = app.call("GET", path).send().await.body;
    let of = |id: &Value| {
        let items = page["items"].as_array().expect("items");
        items.iter().find(|i| i["directiveId"] == *id).expect("a directive")["status"].clone()
    };
    assert_eq!(of(&asked.body["nextAction"]["directiveId"]), "WITHDRAWN");
    assert_eq!(of(&left.body["nextAction"]["directiveId"]), "OPEN");
    app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    app.until_left(&id).await;
    app.finish().await;
}

/// If Connect does not answer, the check refuses, because the supervisor may have barged in by hand.
#[tokio::test]
async fn barge_check_refuses_when_leg_mode_is_unknown() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = listen(&app, &call, "supervisor-1", "BARGE").await;
    app.events_delivered().await;
    let leg = app.get(&id).await.body["legContactId"]
        .as_str()
        .expect("a leg")
        .to_owned();
    app.connect()
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged in");
    app.connect().agent_leaves(&call).expect("gone");
    app.connect()
        .fault(sidedoor_fakes::Fault::error("DescribeContact", 429, "ThrottlingException").times(1));
    let refused = app.disconnect(&id).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "barge_safety_conflict"),
        "{}",
        refused.text
    );
    // A request for SILENT does not help either: the supervisor may still be speaking until it is confirmed.
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    app.until_left(&id).await;
    app.finish().await;
}
