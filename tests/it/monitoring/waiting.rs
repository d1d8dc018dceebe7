//! A start waits for the end of the supervisor's own leg if that end was requested or is claimed.

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn start_waits_for_leave_that_is_underway() {
    let app = TestApp::start().await;
    let (first, second) = (app.connect().create_call(), app.connect().create_call());
    let s = app.joined(&first, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    let refused = app.listen(&second, "supervisor-1").await;
    assert_eq!((refused.status, refused.code()), (409, "supervisor_conflict"));
    assert_eq!(refused.body["conflictsWith"], s["id"]);
    assert_eq!(
        refused.body["current"],
        json!({"supervisionId": s["id"], "contactId": s["contactId"], "channel": "VOICE", "state": s["state"]})
    );
    assert!(refused.body["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0));
    assert!(
        refused.body["detail"].as_str().expect("text").contains(&first),
        "{}",
        refused.text
    );

    let action = app.disconnect(id).await.body["nextAction"].clone();
    let browser = app.browser("supervisor-1");
    let (started, _) = tokio::join!(app.listen(&second, "supervisor-1"), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        browser.obey(&action).await
    });
    assert_eq!(
        (started.status, started.state()),
        (201, "MONITORING"),
        "{}",
        started.text
    );
    assert_eq!(app.connect().live_legs(&first).len(), 0);
    app.finish().await;
}

#[tokio::test]
async fn start_that_waits_can_be_cancelled() {
    let app = TestApp::build().set("HTTP__ANSWER_WITHIN_MS", "500").start().await;
    let (first, second) = (app.connect().create_call(), app.connect().create_call());
    let s = app.joined(&first, "supervisor-1").await;
    app.disconnect(s["id"].as_str().expect("an id")).await;
    let waiting = app.listen(&second, "supervisor-1").await;
    assert_eq!(
        (waiting.status, waiting.state()),
        (202, "REQUESTED"),
        "{}",
        waiting.text
    );
    assert_eq!(waiting.body["waitsFor"], s["id"]);
    let cancelled = app.disconnect(&waiting.id()).await;
    assert_eq!((cancelled.status, cancelled.state()), (200, "FAILED"));
    assert_eq!(cancelled.body["failure"]["code"], json!("join_cancelled"));
    assert_eq!(app.connect().legs(&second).len(), 0);
}

#[tokio::test]
async fn start_takes_as_many_voice_legs_as_configured() {
    let app = TestApp::build()
        .set("SUPERVISION__MAX_VOICE_LEGS", "2")
        .fakes(|f| f.connect.voice_legs_per_user = 2)
        .start()
        .await;
    let calls: Vec<String> = (0..4).map(|_| app.connect().create_call()).collect();
    let first = app.listen(&calls[0], "supervisor-1").await;
    let second = app.listen(&calls[1], "supervisor-1").await;
    assert_eq!((first.status, second.status), (201, 201), "{}", second.text);
    let third = app.listen(&calls[2], "supervisor-1").await;
    assert_eq!((third.status, third.code()), (409, "supervisor_conflict"));
    assert_eq!(third.body["conflictsWith"], first.body["id"], "the oldest");
    app.leave(&second.id(), "supervisor-1").await;
    app.until_left(&second.id()).await;
    assert_eq!(app.listen(&calls[2], "supervisor-1").await.status, 201);
    assert_eq!(app.listen(&calls[3], "supervisor-1").await.status, 409);
}
