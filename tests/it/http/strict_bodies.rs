//! Bodies that two readers could read differently: members that are given twice, and broken chunks.

use crate::support::app::{BACK_END, EVENTS, TestApp};
use crate::support::raw::{raw, status_and_code};

#[tokio::test]
async fn body_with_duplicate_members_is_refused() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    for (body, pointers) in [
        (
            format!(r#"{{"contactId":"other","contactId":"{call}","supervisor":{{"connectUserId":"supervisor-1"}}}}"#),
            vec!["/contactId"],
        ),
        (
            format!(
                r#"{{"contactId":"{call}","supervisor":{{"connectUserId":"supervisor-2","\u0063onnectUserId":"supervisor-1"}}}}"#
            ),
            vec!["/supervisor/connectUserId"],
        ),
        (
            format!(r#"{{"contactId":"{call}","contactId":"{call}","mode":"SILENT","mode":"BARGE","mode":"SILENT"}}"#),
            vec!["/contactId", "/mode"],
        ),
    ] {
        let answer = app.call("POST", "/v1/supervisions").raw(body.as_bytes()).send().await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "request_invalid"),
            "{}",
            answer.text
        );
        let errors = answer.body["errors"].as_array().expect("errors");
        let named: Vec<&str> = errors.iter().filter_map(|e| e["pointer"].as_str()).collect();
        assert_eq!(named, pointers, "{body}");
        assert!(
            errors.iter().all(|e| e["detail"] == "is given more than once"),
            "{errors:?}"
        );
    }
    assert_eq!(app.connect().legs(&call).len(), 0, "no supervisor joined");
    app.finish().await;
}

#[tokio::test]
async fn event_with_duplicate_members_is_unreadable() {
    let app = TestApp::start().await;
    let event = br#"{"detail-type":"Scheduled Event","source":"a","source":"aws.connect"}"#;
    let answer = app
        .call("POST", "/v1/events/connect")
        .key(EVENTS)
        .raw(event)
        .send()
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (400, "request_invalid"),
        "{}",
        answer.text
    );
    assert_eq!(answer.body["errors"][0]["pointer"], "/source");
    let metrics = app
        .call("GET", "/metrics")
        .key(crate::support::app::OPERATOR)
        .send()
        .await;
    assert!(
        metrics
            .text
            .contains("sidedoor_events_unusable_total{kind=\"unreadable\"} 1"),
        "{}",
        metrics.text
    );
    app.finish().await;
}

#[tokio::test]
async fn malformed_chunks_are_400() {
    let app = TestApp::start().await;
    let head = format!(
        "POST /v1/supervisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BACK_END}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}x",
        "-1\r\n",
        "\r\n\r\n",
        "fffffffffffffffff\r\n{}",
    ] {
        let answer = raw(&app, format!("{head}{chunks}").as_bytes()).await;
        assert_eq!(
            status_and_code(&answer),
            (400, "request_invalid".to_owned()),
            "{chunks:?}: {answer}"
        );
        assert!(answer.contains("could not be read"), "{answer}");
    }
    app.finish().await;
}
