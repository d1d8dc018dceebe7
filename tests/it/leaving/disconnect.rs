//! A disconnect has one outcome for every caller, repetition and state, and a supervisor can leave without knowing the
//! supervision's id.

use serde_json::json;
use sidedoor_fakes::Manners;

use crate::support::app::{Answer, OPERATOR, READER, SUPERVISOR_1, TestApp};

async fn leave(app: &TestApp, supervisor: &str, key: &str) -> Answer {
    let path = format!("/v1/supervisors/{supervisor}/disconnect");
    app.call("POST", &path).key(key).send().await
}

fn outcome(answer: &Answer) -> &str {
    answer.body["leaveOutcome"].as_str().unwrap_or("(none)")
}

#[tokio::test]
async fn disconnect_by_supervisor_needs_no_supervision_id() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    assert_eq!(outcome(&app.get(&id).await), "(none)");
    let asked = leave(&app, "me", SUPERVISOR_1).await;
    assert_eq!(
        (asked.status, asked.id(), outcome(&asked)),
        (202, id.clone(), "LEAVING")
    );
    let again = leave(&app, "supervisor-1", SUPERVISOR_1).await;
    assert_eq!(
        again.body["nextAction"]["directiveId"], asked.body["nextAction"]["directiveId"],
        "both requests return the same directive"
    );
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    assert_eq!(outcome(&app.get(&id).await), "LEFT");
    let after = leave(&app, "me", SUPERVISOR_1).await;
    assert_eq!((after.status, after.id(), outcome(&after)), (200, id, "ALREADY_LEFT"));
    app.finish().await;
}

#[tokio::test]
async fn disconnect_of_another_supervisor_is_refused() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-2").await.id();
    for (supervisor, key, status, code) in [
        ("supervisor-2", SUPERVISOR_1, 403, "action_forbidden"),
        ("supervisor-2", READER, 403, "action_forbidden"),
        ("me", OPERATOR, 403, "action_forbidden"),
        ("supervisor-3", OPERATOR, 404, "supervision_not_found"),
        ("%FF", OPERATOR, 404, "supervision_not_found"),
    ] {
        let answer = leave(&app, supervisor, key).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{supervisor} {key}");
    }
    let unknown = app
        .call("POST", "/v1/supervisors/supervisor-2/disconnect")
        .json(&json!({"instance": "other"}))
        .send();
    assert_eq!(unknown.await.code(), "instance_not_found");
    let odd = app
        .call("POST", "/v1/supervisors/supervisor-2/disconnect")
        .json(&json!({"legId": "x"}))
        .send()
        .await;
    assert_eq!((odd.status, odd.code()), (400, "request_invalid"));
    assert_eq!(
        app.get(&id).await.state(),
        "MONITORING",
        "no refused request changed the supervision"
    );
    let by_operator = leave(&app, "supervisor-2", OPERATOR).await;
    assert_eq!(by_operator.status, 202);
    app.browser("supervisor-2").obey(&by_operator.body["nextAction"]).await;
    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    app.finish().await;
}

#[tokio::test]
async fn disconnect_with_same_key_returns_same_answer() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.listen(&call, "supervisor-1").await;
    let ask = || {
        app.call("POST", "/v1/supervisors/supervisor-1/disconnect")
            .idempotency("leave-1")
            .send()
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(second.headers["idempotent-replayed"], "true");
    app.browser("supervisor-1").obey(&first.body["nextAction"]).await;
    app.until_left(&first.id()).await;
    app.finish().await;
}

/// Users of other products report leaves that do not leave; such a leave must be reported as overdue, not as done.
#[tokio::test]
async fn disconnect_without_effect_is_overdue_until_leg_ends() {
    let app = TestApp::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let asked = app.disconnect(&id).await;
    let lies = Manners {
        lies: true,
        delay_ms: 10,
        ..Manners::default()
    };
    app.browser("supervisor-1")
        .with(lies)
        .obey(&asked.body["nextAction"])
        .await;
    app.until(&id, "overdue", |s| s["leaveOutcome"] == "OVERDUE").await;
    let again = leave(&app, "supervisor-1", OPERATOR).await;
    assert_eq!((again.status, outcome(&again)), (202, "OVERDUE"));
    app.browser("supervisor-1").obey(&again.body["nextAction"]).await;
    let left = app.until(&id, "left", |s| s["leaveOutcome"] == "LEFT").await;
    app.until_written(&id).await;
    let record = app.record(left["legContactId"].as_str().expect("a leg"));
    assert_eq!(
        (&left["overdue"], &record["Left_Overdue__c"]),
        (&json!(false), &json!(true)),
        "the state forgets it, the record does not"
    );
    app.finish().await;
}

/// The customer hangs up while the supervisor leaves: one departure, whose reason is the end of the contact.
#[tokio::test]
async fn disconnect_after_hangup_ends_with_contact() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    app.until(&id, "ended", |s| s["leaveOutcome"] == "ENDED_WITH_CONTACT")
        .await;
    let asked = leave(&app, "supervisor-1", OPERATOR).await;
    assert_eq!((asked.status, outcome(&asked)), (200, "ENDED_WITH_CONTACT"));
    app.finish().await;
}

#[tokio::test]
async fn disconnect_before_crash_completes_after_restart() {
    let mut app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let asked = leave(&app, "supervisor-1", OPERATOR).await;
    app.crash_and_restart().await;
    let after = leave(&app, "supervisor-1", OPERATOR).await;
    assert_eq!((after.status, outcome(&after)), (202, "LEAVING"));
    assert_eq!(
        after.body["nextAction"]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    app.browser("supervisor-1").obey(&after.body["nextAction"]).await;
    app.until(&id, "left", |s| s["leaveOutcome"] == "LEFT").await;
    app.finish().await;
}
