//! API keys are rotated without downtime, and an operator sees when the old secret is out of use.

use crate::support::app::{EVENTS, OPERATOR, READER, TestApp};

const OLDER: &str = "the-readers-key-before-1";

fn last_used(text: &str, caller: &str, which: &str) -> i64 {
    let name = "sidedoor_api_key_last_used_timestamp_seconds";
    let line = format!("{name}{{caller=\"{caller}\",which=\"{which}\"}} ");
    let found = text.lines().find_map(|l| l.strip_prefix(line.as_str()));
    found
        .unwrap_or_else(|| panic!("{line} is not in:\n{text}"))
        .parse()
        .expect("a number")
}

#[tokio::test]
async fn api_key_has_two_valid_secrets_and_usage_metrics() {
    let app = TestApp::build()
        .set("AUTH__API_KEYS__3__PREVIOUS_SECRET", OLDER)
        .start()
        .await;
    let metrics = || async { app.call("GET", "/metrics").key(OPERATOR).send().await.text };
    let told = metrics().await;
    assert_eq!(
        (
            last_used(&told, "reader", "current"),
            last_used(&told, "reader", "previous")
        ),
        (0, 0)
    );
    let since = jiff::Timestamp::now().as_second();
    let list = |key: &'static str| app.call("GET", "/v1/supervisions").key(key).send();
    assert_eq!(list(READER).await.status, 200);
    let told = metrics().await;
    assert!(last_used(&told, "reader", "current") >= since - 1);
    assert_eq!(
        last_used(&told, "reader", "previous"),
        0,
        "the previous secret is unused"
    );
    assert_eq!(list(OLDER).await.status, 200);
    let told = metrics().await;
    assert!(
        last_used(&told, "reader", "previous") >= since - 1,
        "the previous secret is in use"
    );
    assert!(!told.contains(OLDER) && !told.contains(READER));
    // Both secrets belong to the same caller, so the previous one grants no other scope.
    let event = app
        .call("POST", "/v1/events/connect")
        .key(OLDER)
        .json(&serde_json::json!({}));
    assert_eq!(event.send().await.status, 403);
    assert!(
        told.contains("sidedoor_unauthorized_total{why=\"unknown_key\"} 0"),
        "{told}"
    );
    assert_eq!(list("no-such-key-anywhere").await.status, 401);
    assert_eq!(app.call("GET", "/v1/supervisions").anonymous().send().await.status, 401);
    let told = metrics().await;
    for why in ["unknown_key", "no_credential"] {
        assert!(
            told.contains(&format!("sidedoor_unauthorized_total{{why=\"{why}\"}} 1")),
            "{told}"
        );
    }
    assert_eq!(
        list(EVENTS).await.status,
        403,
        "a key for events cannot read supervisions"
    );
    app.finish().await;
}

#[tokio::test]
async fn api_key_previous_secret_is_invalid_once_removed() {
    let app = TestApp::start().await;
    let answer = app.call("GET", "/v1/supervisions").key(OLDER).send().await;
    assert_eq!((answer.status, answer.code()), (401, "credential_invalid"));
    app.finish().await;
}
