//! TLS of the listener: both versions, streams, certificates that are replaced while it runs, and certificates of clients.

use std::time::Duration;

use crate::support::app::{BACK_END, OPERATOR, READER, TestApp, TestAppBuilder};
use crate::support::certificates::{Authority, CertificateFiles, put};

fn with_tls(files: &CertificateFiles) -> TestAppBuilder {
    let settings = files.settings();
    settings
        .iter()
        .fold(TestApp::build(), |app, (name, value)| app.set(name, value))
}

async fn started(files: &CertificateFiles, authority: &Authority) -> TestApp {
    let mut app = with_tls(files).start().await;
    app.http = authority.client().build().expect("a client");
    app
}

/// Waits until the service answers clients of this authority, for at most 20 s.
async fn until_trusted(app: &mut TestApp, authority: &Authority) {
    app.http = authority.client().build().expect("a client");
    for _ in 0..200 {
        if app.http.get(format!("{}/healthz", app.url)).send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the new certificate is not used");
}

async fn metric(app: &TestApp, name: &str) -> i64 {
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name}: {metrics}"));
    value.trim().parse().expect("a number")
}

#[tokio::test]
async fn tls_serves_both_versions_with_hsts() {
    let authority = Authority::new("one");
    let files = CertificateFiles::new(&authority.sign(30));
    let mut app = with_tls(&files).start().await;
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = authority.client().tls_version_min(version).tls_version_max(version);
        app.http = client.build().expect("a client");
        let answer = app.call("GET", "/v1/supervisions").key(READER).send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["strict-transport-security"], "max-age=31536000");
        let refused = app.call("GET", "/v1/supervisions").anonymous().send().await;
        assert_eq!(refused.status, 401);
        assert!(refused.headers.contains_key("strict-transport-security"));
    }
    let begun = app.listen(&app.connect().create_call(), "supervisor-1").await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    app.assert_invariants().await;
}

#[tokio::test]
async fn tls_certificate_is_replaced_without_ending_streams() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let files = CertificateFiles::new(&one.sign(30));
    let mut app = started(&files, &one).await;
    let begun = app.listen(&app.connect().create_call(), "supervisor-1").await;
    let path = "/v1/supervisors/supervisor-1/directives";
    let stream = app.http.get(format!("{}{path}", app.url)).bearer_auth(BACK_END);
    let mut stream = stream
        .header("Accept", "text/event-stream")
        .send()
        .await
        .expect("a stream");
    assert_eq!(stream.status(), 200);
    let first = metric(&app, "sidedoor_tls_certificate_expiry_timestamp_seconds").await;

    files.replace(&two.sign(60));
    until_trusted(&mut app, &two).await;
    let old = one.client().build().expect("a client");
    assert!(old.get(format!("{}/healthz", app.url)).send().await.is_err());
    let second = metric(&app, "sidedoor_tls_certificate_expiry_timestamp_seconds").await;
    assert_eq!(second - first, 30 * 24 * 3600);

    // The stream from before the change still works.
    app.disconnect(&begun.id()).await;
    let mut heard = String::new();
    while !heard.contains("END_LEG_IN_CCP") {
        let chunk = tokio::time::timeout(Duration::from_secs(10), stream.chunk()).await;
        let chunk = chunk.expect("in time").expect("readable").expect("not ended");
        heard.push_str(&String::from_utf8_lossy(&chunk));
    }
    app.assert_invariants().await;
}

#[tokio::test]
async fn tls_unusable_new_files_keep_the_old_certificate() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let files = CertificateFiles::new(&one.sign(30));
    let mut app = started(&files, &one).await;
    let new = two.sign(30);
    let steps: [(&str, &dyn Fn()); 4] = [
        ("the key of another certificate", &|| {
            put(&files.certificate(), &new.certificate)
        }),
        ("broken PEM", &|| {
            put(&files.certificate(), "-----BEGIN CERTIFICATE-----")
        }),
        ("a missing file", &|| {
            std::fs::remove_file(files.key()).expect("removed")
        }),
        ("an expired certificate", &|| files.replace(&two.sign(-1))),
    ];
    for (what, step) in steps {
        step();
        // Two looks at the files.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let answer = app.http.get(format!("{}/healthz", app.url)).send().await;
        assert!(answer.is_ok(), "{what}: {answer:?}");
    }
    files.replace(&new);
    until_trusted(&mut app, &two).await;
    app.assert_invariants().await;
}

#[tokio::test]
async fn tls_client_certificate_is_required_and_checked() {
    let (ours, clients, strangers) = (
        Authority::new("ours"),
        Authority::new("clients"),
        Authority::new("strangers"),
    );
    let files = CertificateFiles::new(&ours.sign(30));
    let authorities = files.beside("clients.pem", &clients.pem());
    let mut app = with_tls(&files)
        .set("HTTP__TLS__CLIENT_CA_FILE", &authorities.display().to_string())
        .start()
        .await;
    let url = format!("{}/healthz", app.url);
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = || ours.client().tls_version_max(version);
        for (who, client) in [
            ("no certificate", client()),
            ("of another authority", client().identity(strangers.sign(30).identity())),
            ("expired", client().identity(clients.sign(-1).identity())),
        ] {
            let answer = client.build().expect("a client").get(&url).send().await;
            assert!(answer.is_err(), "{who}: {answer:?}");
        }
        app.http = client()
            .identity(clients.sign(30).identity())
            .build()
            .expect("a client");
        // The certificate opens the connection only; the request still needs its own credential.
        assert_eq!(app.call("GET", "/v1/supervisions").anonymous().send().await.status, 401);
        assert_eq!(
            app.call("GET", "/v1/supervisions").key(OPERATOR).send().await.status,
            200
        );
    }
    assert_eq!(metric(&app, "sidedoor_tls_handshakes_failed_total").await, 6);
    // An authority that is replaced is no longer trusted, also by a client that could resume its session.
    let client = app.http.clone();
    put(&authorities, &strangers.pem());
    for _ in 0..200 {
        if client.get(&url).send().await.is_err() {
            app.assert_invariants().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a client of the former authority is still accepted");
}

#[tokio::test]
async fn tls_key_of_another_certificate_stops_the_start() {
    let authority = Authority::new("one");
    let files = CertificateFiles::new(&authority.sign(30));
    let mut app = started(&files, &authority).await;
    put(&files.key(), &authority.sign(30).key);
    app.change_setting("HTTP__LISTEN", "127.0.0.1:0");
    let output = app.command(&["serve"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("http.tls: ") && said.contains("is not the key of the certificate"),
        "{said}"
    );
    assert!(!said.contains("PRIVATE"), "{said}");
}
