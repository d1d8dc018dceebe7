//! Several tabs of one supervisor poll for directives: one tab acts, and another takes over when it stops polling.

use serde_json::{Value, json};

use crate::support::app::{SUPERVISOR_1, TestApp};

const DIRECTIVES: &str = "/v1/supervisors/me/directives?after=0&acts=true";

async fn poll(app: &TestApp, tab: &str) -> Value {
    let path = format!("{DIRECTIVES}&tab={tab}");
    let answer = app.call("GET", &path).key(SUPERVISOR_1).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"][0].clone()
}

#[tokio::test]
async fn tabs_that_poll_share_one_active_tab_with_takeover() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for tab in ["older", "newer_1-2"] {
        assert_eq!(poll(&app, tab).await, Value::Null, "there is no directive yet");
    }
    let asked = app.disconnect(&id).await;
    assert_eq!(asked.body["nextAction"]["controllerAttached"], true);
    // The older tab does not act, even if it polls first; the newer one does.
    let acts = |directive: &Value| directive["act"].clone();
    assert_eq!(acts(&poll(&app, "older").await), json!(false));
    let newer = poll(&app, "newer_1-2").await;
    assert_eq!(acts(&newer), json!(true), "{newer}");
    assert_eq!(acts(&poll(&app, "older").await), json!(false));
    // The newer tab stops polling, so the older one becomes the active tab.
    let mut waited = 0;
    let taken = loop {
        let directive = poll(&app, "older").await;
        if directive["act"] == true {
            break directive;
        }
        waited += 1;
        assert!(waited < 100, "the older tab never becomes active: {directive}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(waited > 10, "the takeover waits for a while: {waited}");
    app.browser("supervisor-1").obey(&taken).await;
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn tab_name_must_be_short_and_alphanumeric() {
    let app = TestApp::start().await;
    for bad in ["", "%20", "a.b", "t%C3%A4b", "a%0Ab", &"t".repeat(65)] {
        let path = format!("{DIRECTIVES}&tab={bad}");
        let answer = app.call("GET", &path).key(SUPERVISOR_1).send().await;
        assert_eq!((answer.status, answer.code()), (400, "request_invalid"), "{bad}");
    }
    poll(&app, &"t".repeat(64)).await;
    app.finish().await;
}
