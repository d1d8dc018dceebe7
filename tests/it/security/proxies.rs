//! Failed credentials count against the client's address: that of the connection, or what a trusted proxy says.

use crate::support::app::TestApp;

async fn guess(app: &TestApp, header: &str, clients: &str) -> u16 {
    let request = app.http.get(format!("{}/v1/supervisions", app.url));
    let request = request.bearer_auth("a-guess-at-a-key-1234").header(header, clients);
    request.send().await.expect("answered").status().as_u16()
}

#[tokio::test]
async fn failures_are_counted_by_client_behind_trusted_proxies() {
    let app = TestApp::build()
        .set("HTTP__AUTH_FAILURES_PER_MINUTE", "3")
        .set("HTTP__TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")
        .start()
        .await;
    let header = "X-Forwarded-For";
    for n in 0..6 {
        // The client wrote the part to the left of its address itself.
        let status = guess(&app, header, &format!("6.6.6.{n}, 198.51.100.7, 10.0.0.1")).await;
        assert_eq!(status, if n < 3 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(guess(&app, header, "198.51.100.8").await, 401, "another client");
    assert_eq!(guess(&app, header, "2001:db8:0:7::1").await, 401, "another client");
    // The other header counts as if it were not there: this is the proxy's own address.
    assert_eq!(guess(&app, "Forwarded", "for=198.51.100.7").await, 401);
    app.finish().await;
}

#[tokio::test]
async fn forwarded_addresses_of_strangers_are_ignored() {
    let app = TestApp::build()
        .set("HTTP__AUTH_FAILURES_PER_MINUTE", "3")
        .set("HTTP__TRUSTED_PROXIES", "10.0.0.0/8")
        .start()
        .await;
    let mut answers = Vec::new();
    for n in 0..6 {
        answers.push(guess(&app, "X-Forwarded-For", &format!("198.51.100.{n}")).await);
    }
    assert_eq!(answers, [401, 401, 401, 429, 429, 429]);
    app.finish().await;
}

#[tokio::test]
async fn forwarded_header_of_rfc_7239_is_read_if_configured() {
    let app = TestApp::build()
        .set("HTTP__AUTH_FAILURES_PER_MINUTE", "3")
        .set("HTTP__TRUSTED_PROXIES", "127.0.0.1")
        .set("HTTP__FORWARDED_HEADER", "forwarded")
        .start()
        .await;
    for n in 0..5 {
        let status = guess(
            &app,
            "Forwarded",
            "for=6.6.6.6, for=\"[2001:db8:0:7::1]:99\";proto=https",
        )
        .await;
        assert_eq!(status, if n < 3 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(guess(&app, "Forwarded", "for=198.51.100.8").await, 401);
    app.finish().await;
}
