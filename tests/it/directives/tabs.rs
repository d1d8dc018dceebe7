//! Several tabs of one supervisor that poll: one of them acts, and another takes over when it falls silent.

use serde_json::{Value, json};

use crate::support::app::{SUPERVISOR_1, TestApp};

const DIRECTIVES: &str = "/v1/supervisors/me/directives?after=0&acts=true";

async fn told(app: &TestApp, tab: &str) -> Value {
    let path = format!("{DIRECTIVES}&tab={tab}");
    let answer = app.call("GET", &path).key(SUPERVISOR_1).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"][0].clone()
}

#[tokio::test]
async fn of_several_tabs_that_poll_one_acts_and_another_takes_over() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for tab in ["older", "newer_1-2"] {
        assert_eq!(told(&app, tab).await, Value::Null, "nothing is to be done");
    }
    let asked = app.disconnect(&id).await;
    assert_eq!(asked.body["nextAction"]["controllerAttached"], true);
    // Whoever asks first: the older one does not act, the newer one does.
    let acts = |directive: &Value| directive["act"].clone();
    assert_eq!(acts(&told(&app, "older").await), json!(false));
    let newer = told(&app, "newer_1-2").await;
    assert_eq!(acts(&newer), json!(true), "{newer}");
    assert_eq!(acts(&told(&app, "older").await), json!(false));
    // The newer one says nothing any more: the older one has its turn.
    let mut waited = 0;
    let taken = loop {
        let directive = told(&app, "older").await;
        if directive["act"] == true {
            break directive;
        }
        waited += 1;
        assert!(waited < 100, "its turn never comes: {directive}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(waited > 10, "not at once: {waited}");
    app.browser("supervisor-1").obey(&taken).await;
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn the_name_of_a_tab_is_a_short_plain_word() {
    let app = TestApp::start().await;
    for bad in ["", "%20", "a.b", "t%C3%A4b", "a%0Ab", &"t".repeat(65)] {
        let path = format!("{DIRECTIVES}&tab={bad}");
        let answer = app.call("GET", &path).key(SUPERVISOR_1).send().await;
        assert_eq!((answer.status, answer.code()), (400, "request_invalid"), "{bad}");
    }
    told(&app, &"t".repeat(64)).await;
    app.finish().await;
}
