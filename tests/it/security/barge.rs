//! The right to speak, attacked with every credential: by a start, by a change of the mode, on one's own call and on another's.

use serde_json::{Value, json};

use crate::support::app::{
    AUDITOR, BACK_END, BOARD, ONLY_BARGE, OPERATOR, PRESENCE, READER, SPEAKER_1, SUPERVISOR_1, TestApp, start,
};

#[tokio::test]
async fn only_a_credential_with_barge_lets_a_supervisor_speak() {
    let app = TestApp::start().await;
    let calls = [(); 2].map(|()| app.connect().create_call());
    let mut granted = Vec::new();
    for (call, user) in calls.iter().zip(["supervisor-1", "supervisor-2"]) {
        let mut body = start(call, user);
        body["mode"] = json!("BARGE");
        let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
        assert_eq!(started.status, 201, "{}", started.text);
        let id = started.id();
        app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
        granted.push(id);
    }
    let third = app.connect().create_call();
    for (key, starts, own, others) in [
        (SUPERVISOR_1, 403, 403, 404),
        (ONLY_BARGE, 403, 404, 404),
        (BOARD, 403, 404, 404),
        (PRESENCE, 403, 404, 404),
        (AUDITOR, 403, 404, 404),
        (READER, 403, 403, 403),
        // An operator may end what others do, and not let anybody speak.
        (OPERATOR, 403, 403, 403),
    ] {
        let mut body = start(&third, "supervisor-1");
        body["mode"] = json!("BARGE");
        let started = app.call("POST", "/v1/supervisions").key(key).json(&body).send().await;
        assert_eq!(started.status, starts, "{key}: {}", started.text);
        for (id, status) in granted.iter().zip([own, others]) {
            let path = format!("/v1/supervisions/{id}/mode");
            let body = json!({"mode": "BARGE"});
            let answer = app.call("POST", &path).key(key).json(&body).send().await;
            assert_eq!(answer.status, status, "{key}: {}", answer.text);
        }
    }
    // Nobody was directed to speak.
    for id in &granted {
        let s: Value = app.get(id).await.body;
        assert!(s["mode"] == "SILENT" && s["modeChange"].is_null(), "{s:#}");
    }
    let change = async |key: &str, id: &str| {
        let path = format!("/v1/supervisions/{id}/mode");
        app.call("POST", &path)
            .key(key)
            .json(&json!({"mode": "BARGE"}))
            .send()
            .await
            .status
    };
    assert_eq!(change(SPEAKER_1, &granted[1]).await, 404, "another's");
    assert_eq!(change(SPEAKER_1, &granted[0]).await, 202);
    assert_eq!(change(BACK_END, &granted[1]).await, 202);
    for call in &calls {
        app.connect().hang_up(call, "AGENT").expect("hung up");
    }
    app.assert_invariants().await;
}
