//! What one caller has in progress uses up its own share of the requests and connections, and never what others need to leave.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{BACK_END, EVENTS, OPERATOR, READER, SUPERVISOR_1, TestApp, start};
use crate::support::raw::{connect, rest_within};

/// Sends the head of a POST and the first byte of its body.
async fn half_sent(app: &TestApp, key: &str, path: &str) -> TcpStream {
    let mut stream = connect(app).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

async fn status(app: &TestApp, path: &str, key: &str) -> (u16, String) {
    let answer = app.call("GET", path).key(key).send().await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn body_of_a_caller_without_the_scope_is_not_awaited() {
    let app = TestApp::start().await;
    for (key, path) in [
        (READER, "/v1/supervisions"),
        (SUPERVISOR_1, "/v1/events/connect"),
        (READER, "/v1/supervisors/supervisor-1/disconnect"),
        (READER, "/v1/supervisors/supervisor-1/tickets"),
    ] {
        let begun = Instant::now();
        let mut stream = half_sent(&app, key, path).await;
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        let read = read.expect("an answer at once").expect("read");
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
        assert!(answer.contains("action_forbidden"), "{path}: {answer}");
        assert!(
            begun.elapsed() < Duration::from_millis(1500),
            "{path}: {:?}",
            begun.elapsed()
        );
    }
    app.assert_invariants().await;
}

#[tokio::test]
async fn half_sent_bodies_of_one_supervisor_block_nobody_else() {
    let app = TestApp::build()
        .set("HTTP__MAX_IN_FLIGHT", "8")
        .set("HTTP__MAX_IN_FLIGHT_PER_SUPERVISOR", "2")
        .start()
        .await;
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-2").await;
    let mut hanging = Vec::new();
    for _ in 0..40 {
        hanging.push(half_sent(&app, SUPERVISOR_1, "/v1/supervisions").await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(status(&app, "/v1/supervisions", READER).await.0, 200);
    assert_eq!(status(&app, "/healthz", READER).await.0, 200);
    assert_eq!(
        status(&app, "/v1/supervisions", SUPERVISOR_1).await,
        (429, "rate_limit_reached".into()),
        "the share of the sender is used up"
    );
    // What the sender needs to leave is still answered, and so is another's disconnect.
    assert_eq!(status(&app, "/v1/supervisors/me/directives", SUPERVISOR_1).await.0, 200);
    let left = app.disconnect(joined["id"].as_str().expect("an id")).await;
    assert!(matches!(left.status, 200 | 202), "{}", left.text);
    // A body without a byte for two seconds is given up.
    let begun = Instant::now();
    let answer = rest_within(&mut hanging[0], Duration::from_secs(8))
        .await
        .expect("closed");
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"),
        "{answer}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(status(&app, "/v1/supervisions", SUPERVISOR_1).await.0, 200);
    let told = app.call("GET", "/metrics").key(OPERATOR).send().await.text;
    assert!(told.contains("sidedoor_rate_limited_total{limit=\"share\"}"), "{told}");
    app.assert_invariants().await;
}

#[tokio::test]
async fn bulkhead_that_is_full_keeps_out_no_health_leave_or_event() {
    let app = TestApp::build()
        .set("HTTP__MAX_IN_FLIGHT", "3")
        .set("HTTP__MAX_IN_FLIGHT_PER_CALLER", "3")
        .start()
        .await;
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-4").await;
    app.connect().fault(Fault::late("MonitorContact", 3000).times(3));
    let calls: Vec<String> = (1..=3).map(|_| app.connect().create_call()).collect();
    let (app, others) = (&app, async {
        tokio::time::sleep(Duration::from_millis(700)).await;
    });
    let starts = calls
        .iter()
        .zip(1..)
        .map(|(call, n)| async move { app.listen(call, &format!("supervisor-{n}")).await.status });
    let starts = futures::future::join_all(starts);
    let checks = async {
        others.await;
        assert_eq!(
            status(app, "/v1/supervisions", READER).await,
            (503, "service_unavailable".into())
        );
        assert_eq!(status(app, "/healthz", READER).await.0, 200);
        assert_eq!(status(app, "/readyz", READER).await.0, 200);
        assert_eq!(status(app, "/metrics", READER).await.0, 200);
        let event = json!({"detail-type": "Scheduled Event"});
        let told = app
            .call("POST", "/v1/events/connect")
            .key(EVENTS)
            .json(&event)
            .send()
            .await;
        assert_eq!(told.status, 200, "{}", told.text);
        let left = app.disconnect(joined["id"].as_str().expect("an id")).await;
        assert!(matches!(left.status, 200 | 202), "{}", left.text);
    };
    let (started, ()) = futures::future::join(starts, checks).await;
    assert_eq!(started, [201; 3]);
    assert_eq!(
        status(app, "/v1/supervisions", READER).await.0,
        200,
        "a place is free again"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn starts_that_hang_use_up_the_share_of_their_supervisor_only() {
    let app = TestApp::build()
        .set("HTTP__MAX_IN_FLIGHT", "40")
        .set("HTTP__MAX_IN_FLIGHT_PER_SUPERVISOR", "4")
        .start()
        .await;
    app.connect().fault(Fault::late("MonitorContact", 2500).times(1000));
    let app = &app;
    let starts = (0..60).map(|n| async move {
        let contact = format!("contact-{n}");
        let call = app.call("POST", "/v1/supervisions").key(SUPERVISOR_1);
        call.json(&start(&contact, "supervisor-1")).send().await.status
    });
    let honest = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for _ in 0..10 {
            assert_eq!(status(app, "/v1/supervisions", BACK_END).await.0, 200);
            assert_eq!(status(app, "/healthz", READER).await.0, 200);
            let leave = app
                .call("POST", "/v1/supervisors/supervisor-1/disconnect")
                .key(SUPERVISOR_1);
            assert!(!matches!(leave.send().await.status, 429 | 503));
        }
    };
    let (answers, ()) = futures::future::join(futures::future::join_all(starts), honest).await;
    let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    // A start beside one that hangs is a conflict (409), which is answered at once and frees its place for another, so that the number of
    // those that find no place (429) depends on the machine.
    assert!(count(429) >= 20 && count(503) == 0, "{answers:?}");
    app.assert_invariants().await;
}

/// A stream of the directives of a supervisor, once its head has arrived.
async fn stream_of(app: &TestApp, supervisor: &str) -> TcpStream {
    let mut stream = connect(app).await;
    let request = format!(
        "GET /v1/supervisors/{supervisor}/directives HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BACK_END}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = vec![0; 1024];
    let read = stream.read(&mut head).await.expect("read");
    assert!(
        head[..read].starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&head[..read])
    );
    stream
}

#[tokio::test]
async fn connection_limit_closes_idle_ones_first() {
    let app = TestApp::build()
        .set("HTTP__MAX_CONNECTIONS", "5")
        .set("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "5")
        .set("HTTP__MAX_STREAMS", "4")
        .set("HTTP__HEADER_TIMEOUT_S", "300")
        .start()
        .await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(connect(&app).await);
    }
    assert_eq!(
        status(&app, "/healthz", READER).await.0,
        200,
        "idle connections keep nobody out"
    );
    assert_eq!(
        rest_within(&mut idle[0], Duration::from_secs(5)).await.as_deref(),
        Some(""),
        "the one that was idle for longest is closed"
    );
    drop(idle);
    let mut busy = Vec::new();
    for n in 0..4 {
        busy.push(stream_of(&app, &format!("supervisor-{n}")).await);
    }
    busy.push(half_sent(&app, BACK_END, "/v1/supervisions").await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = rest_within(&mut connect(&app).await, Duration::from_secs(5))
        .await
        .expect("closed");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    assert_eq!(body["code"], "service_unavailable");
    drop(busy);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = app.call("GET", "/metrics").key(OPERATOR).send().await;
    assert_eq!(told.status, 200);
    assert!(
        told.text.contains("sidedoor_connections_refused_total 1"),
        "{}",
        told.text
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn connections_of_one_address_are_limited_to_their_share() {
    let app = TestApp::build()
        .set("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "3")
        .set("HTTP__HEADER_TIMEOUT_S", "300")
        .start()
        .await;
    let mut busy = Vec::new();
    for n in 0..3 {
        busy.push(stream_of(&app, &format!("supervisor-{n}")).await);
    }
    let answer = rest_within(&mut connect(&app).await, Duration::from_secs(5))
        .await
        .expect("closed");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    busy.pop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(status(&app, "/healthz", READER).await.0, 200);
    app.assert_invariants().await;
}
