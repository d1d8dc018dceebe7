//! `/readyz` shows strangers whether the service is ready, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::app::{BACK_END, BOARD, EVENTS, OPERATOR, READER, SUPERVISOR_1, TestApp};

fn names(body: &Value) -> BTreeSet<String> {
    let checks = body["checks"].as_array().expect("checks");
    checks
        .iter()
        .map(|check| check["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn readiness_names_no_internal_task_to_strangers() {
    let app = TestApp::start().await;
    let generic: BTreeSet<String> = ["not stopping", "store", "tasks"].map(ToOwned::to_owned).into();
    let stranger = app.call("GET", "/readyz").anonymous().send().await;
    assert_eq!(
        (stranger.status, stranger.body["status"].as_str()),
        (200, Some("ready"))
    );
    assert_eq!(names(&stranger.body), generic);
    for key in [BACK_END, EVENTS, SUPERVISOR_1, BOARD] {
        let answer = app.call("GET", "/readyz").key(key).send().await;
        assert_eq!(names(&answer.body), generic, "{key}");
    }
    for key in [READER, OPERATOR] {
        let answer = app.call("GET", "/readyz").key(key).send().await;
        let named = names(&answer.body);
        assert!(named.contains("serving") && named.contains("reconciling"), "{named:?}");
    }
    app.finish().await;
}

/// Otherwise it would be the one place where a guess costs nothing.
#[tokio::test]
async fn readiness_counts_guessed_credentials() {
    let app = TestApp::build()
        .set("HTTP__AUTH_FAILURES_PER_MINUTE", "3")
        .start()
        .await;
    let mut answers = Vec::new();
    for n in 0..6 {
        let guess = format!("a-guess-at-a-key-{n}");
        let answer = app.call("GET", "/readyz").key(&guess).send().await;
        answers.push((answer.status, answer.code().to_owned()));
    }
    assert_eq!(answers[0], (401, "credential_invalid".to_owned()));
    assert_eq!(answers[5], (429, "rate_limit_reached".to_owned()));
    assert_eq!(app.call("GET", "/readyz").anonymous().send().await.status, 200);
    assert_eq!(app.call("GET", "/readyz").key(READER).send().await.status, 200);
    app.finish().await;
}
