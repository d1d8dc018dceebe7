//! Requests that name a supervisor by Connect user name: the name is resolved once and cached, and a caller learns nothing
//! about other users.

use serde_json::json;
use sidedoor_fakes::Fault;

use crate::support::app::{Answer, BACK_END, READER, SUPERVISOR_1, TestApp};

async fn listen(app: &TestApp, contact: &str, name: &str, key: &str) -> Answer {
    let body = json!({"contactId": contact, "supervisor": {"username": name}});
    app.call("POST", "/v1/supervisions").key(key).json(&body).send().await
}

#[tokio::test]
async fn user_name_is_resolved_once_and_cached() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let first = listen(&app, &call, "Supervisor-1@Example", BACK_END).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.body["supervisor"]["connectUserId"], "supervisor-1");
    assert_eq!(first.body["supervisor"]["username"], "Supervisor-1@Example");
    let again = listen(&app, &call, "supervisor-1@example", SUPERVISOR_1).await;
    assert_eq!(
        (again.status, again.id()),
        (200, first.id()),
        "the same supervisor on the same contact"
    );
    assert_eq!(
        app.connect().calls("SearchUsers"),
        1,
        "the second request uses the cache"
    );
    let left = app.disconnect(&first.id()).await;
    app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    app.until_left(&first.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn user_name_errors_are_hidden_from_other_supervisors() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    for user in ["twin-1", "twin-2"] {
        app.connect().name_user(user, "twin@example");
    }
    for (name, key, status, code) in [
        ("nobody@example", BACK_END, 404, "supervisor_not_found"),
        ("twin@example", BACK_END, 409, "supervisor_ambiguous"),
        ("nobody@example", SUPERVISOR_1, 403, "action_forbidden"),
        ("twin@example", SUPERVISOR_1, 403, "action_forbidden"),
        ("supervisor-2@example", SUPERVISOR_1, 403, "action_forbidden"),
        ("supervisor-1@example", READER, 403, "action_forbidden"),
    ] {
        let answer = listen(&app, &call, name, key).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{name} {key}");
        assert_eq!(answer.text.contains(name), status != 403, "{}", answer.text);
    }
    for supervisor in [
        json!({}),
        json!({"connectUserId": "supervisor-1", "username": "supervisor-1@example"}),
        json!({"username": ""}),
    ] {
        let body = json!({"contactId": call, "supervisor": supervisor});
        let answer = app.call("POST", "/v1/supervisions").json(&body).send().await;
        assert_eq!((answer.status, answer.code()), (400, "request_invalid"), "{supervisor}");
    }
    assert_eq!(app.connect().calls("MonitorContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn user_name_lookup_failure_is_reported() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    app.connect()
        .fault(Fault::error("SearchUsers", 429, "ThrottlingException"));
    let answer = listen(&app, &call, "supervisor-1@example", BACK_END).await;
    assert_eq!(
        (answer.status, answer.code()),
        (502, "connect_rate_limit_reached"),
        "{}",
        answer.text
    );
    let again = listen(&app, &call, "supervisor-1@example", BACK_END).await;
    assert_eq!(again.status, 201, "{}", again.text);
    let left = app.disconnect(&again.id()).await;
    app.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    app.until_left(&again.id()).await;
    app.finish().await;
}
