//! What a client can do to a TLS port before its first request: talk plain HTTP, talk slowly, or talk too much.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::support::app::{READER, TestApp, TestAppBuilder};
use crate::support::certificates::{Authority, CertificateFiles};
use crate::support::raw::{connect, raw, rest, rest_within, status_and_code};

fn with_tls(files: &CertificateFiles) -> TestAppBuilder {
    let settings = files.settings();
    settings
        .iter()
        .fold(TestApp::build(), |app, (name, value)| app.set(name, value))
}

#[tokio::test]
async fn tls_port_answers_plain_http_with_tls_required() {
    let authority = Authority::new("one");
    let files = CertificateFiles::new(&authority.sign(30));
    let app = with_tls(&files).start().await;
    let request = format!("GET /v1/supervisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READER}\r\n\r\n");
    let answer = raw(&app, request.as_bytes()).await;
    assert_eq!(status_and_code(&answer), (400, "tls_required".to_owned()), "{answer}");
    // Neither plain HTTP nor TLS.
    let answer = raw(
        &app,
        b"\x16\x03\x01\xff\xffnonsense, and more of it than a record may have",
    )
    .await;
    assert!(!answer.starts_with("HTTP/"), "{answer:?}");
    app.assert_invariants().await;
}

#[tokio::test]
async fn tls_slow_handshake_loses_its_connection() {
    let authority = Authority::new("one");
    let files = CertificateFiles::new(&authority.sign(30));
    let mut app = with_tls(&files).set("HTTP__HEADER_TIMEOUT_S", "1").start().await;
    let begun = Instant::now();
    let mut silent = connect(&app).await;
    let mut slow = connect(&app).await;
    // The head of a record, whose body never comes whole.
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").await.expect("sent");
    assert!(rest(&mut silent).await.is_empty());
    rest(&mut slow).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    app.http = authority.client().build().expect("a client");
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    assert!(
        metrics.contains("sidedoor_tls_handshakes_failed_total 2\n"),
        "{metrics}"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn tls_handshakes_count_as_connections() {
    let authority = Authority::new("one");
    let files = CertificateFiles::new(&authority.sign(30));
    let mut app = with_tls(&files)
        .set("HTTP__MAX_CONNECTIONS", "3")
        .set("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "3")
        .set("HTTP__MAX_STREAMS", "2")
        .set("HTTP__HEADER_TIMEOUT_S", "300")
        .start()
        .await;
    app.http = authority.client().build().expect("a client");
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(connect(&app).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = app.call("GET", "/v1/supervisions").key(READER).send().await;
    assert_eq!(
        answer.status, 200,
        "an unfinished handshake is closed to make room: {}",
        answer.text
    );
    assert_eq!(rest(&mut open[0]).await, "", "the oldest is closed");
    let newest = rest_within(&mut open[2], Duration::from_millis(300)).await;
    assert_eq!(newest, None, "the others stay open");
    app.assert_invariants().await;
}
