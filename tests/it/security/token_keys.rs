//! The sources of an issuer's keys: a URL that rotates keys, fails, is slow or sends invalid answers, and a file that changes.

use std::time::{Duration, Instant};

use crate::support::app::TestApp;
use crate::support::issuer::{Answers, KeyServer, Signer};

async fn status(app: &TestApp, token: &str) -> u16 {
    let answer = app.call("GET", "/v1/supervisions").key(token).send().await;
    match answer.status {
        401 => assert_eq!(answer.code(), "credential_invalid"),
        503 => {
            assert_eq!(answer.code(), "issuer_keys_unavailable");
            assert!(answer.headers.contains_key("retry-after"));
        }
        _ => {}
    }
    answer.status
}

/// Waits up to 15 s until a request with this token is answered with this status.
async fn until(app: &TestApp, token: &str, wanted: u16) {
    let mut last = 0;
    for _ in 0..150 {
        last = status(app, token).await;
        if last == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("timeout waiting for status {wanted}; the last was {last}");
}

#[tokio::test]
async fn issuer_keys_rotate_and_unknown_ids_are_fetched_rarely() {
    let (old, new) = (Signer::rsa("old"), Signer::ec("new"));
    let server = KeyServer::start(Answers::Keys(vec![old.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__JWKS_REFRESH_S", "2")
        .start()
        .await;
    assert_eq!(server.asked(), 0, "nobody asked");
    assert_eq!(status(&app, &old.token("supervisor-1")).await, 200);
    // An unknown key id triggers a fetch, but many of them trigger at most one a second.
    let begun = Instant::now();
    for n in 0..60 {
        let unknown = Signer::ec(&format!("unknown-{n}"));
        assert_eq!(status(&app, &unknown.token("supervisor-1")).await, 401);
    }
    let most = 2 + usize::try_from(begun.elapsed().as_secs()).expect("small");
    assert!(server.asked() <= most, "{} fetches", server.asked());
    // Both keys are valid while the set has both, then only the new one.
    server.now(Answers::Keys(vec![old.jwk(), new.jwk()]));
    until(&app, &new.token("supervisor-1"), 200).await;
    assert_eq!(status(&app, &old.token("supervisor-1")).await, 200);
    server.now(Answers::Keys(vec![new.jwk()]));
    until(&app, &old.token("supervisor-1"), 401).await;
    assert_eq!(status(&app, &new.token("supervisor-1")).await, 200);
    app.finish().await;
}

#[tokio::test]
async fn issuer_keys_are_fetched_once_for_concurrent_requests() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let app = TestApp::build().issuer("JWKS_URL", &server.url).start().await;
    let token = rsa.token("supervisor-1");
    let all = futures::future::join_all((0..20).map(|_| status(&app, &token))).await;
    assert!(all.iter().all(|s| *s == 200), "{all:?}");
    assert_eq!(server.asked(), 1);
    app.finish().await;
}

#[tokio::test]
async fn issuer_that_fails_keeps_old_keys_and_is_not_retried_at_once() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__JWKS_REFRESH_S", "1")
        .start()
        .await;
    let token = rsa.token("supervisor-1");
    assert_eq!(status(&app, &token).await, 200);
    server.now(Answers::Status(500));
    let before = server.asked();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        assert_eq!(status(&app, &token).await, 200, "the old keys stay valid");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = server.asked() - before;
    assert!((1..=3).contains(&asked), "the backoff doubles: {asked} fetches in 6 s");
    // Whether an unknown key is the issuer's cannot be checked now.
    assert_eq!(status(&app, &Signer::ec("b").token("supervisor-1")).await, 503);
    app.finish().await;
}

#[tokio::test]
async fn issuer_answer_that_is_invalid_gives_no_keys() {
    let rsa = Signer::rsa("a");
    let elsewhere = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let good = serde_json::json!({"keys": [rsa.jwk()]}).to_string();
    for (what, answers) in [
        ("down", Answers::Status(503)),
        ("nothing", Answers::Status(204)),
        ("not JSON", Answers::Text("<html>".into())),
        ("no set", Answers::Text("[]".into())),
        ("oversize", Answers::Text(format!("{good}{}", " ".repeat(300 * 1024)))),
        ("elsewhere", Answers::Redirect(elsewhere.url.clone())),
    ] {
        let server = KeyServer::start(answers).await;
        let app = TestApp::build().issuer("JWKS_URL", &server.url).start().await;
        let token = rsa.token("supervisor-1");
        assert_eq!(status(&app, &token).await, 503, "{what}");
        assert_eq!(status(&app, &token).await, 503, "{what}");
        assert_eq!(server.asked(), 1, "{what}: not fetched again at once");
        // It recovers by itself.
        server.now(Answers::Keys(vec![rsa.jwk()]));
        until(&app, &token, 200).await;
        app.finish().await;
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect is followed");
}

#[tokio::test]
async fn issuer_that_is_slow_delays_requests_briefly() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Slow(Duration::from_secs(60))).await;
    let app = TestApp::build().issuer("JWKS_URL", &server.url).start().await;
    let begun = Instant::now();
    assert_eq!(status(&app, &rsa.token("supervisor-1")).await, 503);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let with_a_key = app.call("GET", "/v1/supervisions").send().await;
    assert_eq!(with_a_key.status, 200, "keys need no issuer");
    app.finish().await;
}

#[tokio::test]
async fn key_file_holds_keys_or_certificates_and_is_reread() {
    let (first, second, third) = (Signer::rsa("ignored"), Signer::ec("ignored"), Signer::rsa("x"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("issuer.pem");
    std::fs::write(&file, first.certificate()).expect("written");
    let app = TestApp::build()
        .issuer("PUBLIC_KEY_FILE", file.to_str().expect("text"))
        .start()
        .await;
    let token = |signer: &Signer| signer.token("supervisor-1");
    assert_eq!(
        status(&app, &token(&first)).await,
        200,
        "a certificate, whatever the kid"
    );
    assert_eq!(status(&app, &token(&second)).await, 401);
    // During a rotation the file has both certificates.
    std::fs::write(&file, format!("{}{}", first.certificate(), second.certificate())).expect("written");
    until(&app, &token(&second), 200).await;
    assert_eq!(status(&app, &token(&first)).await, 200);
    // A file that cannot be used, or is gone, leaves the keys as they are.
    for broken in [Some("nonsense"), None] {
        match broken {
            Some(text) => std::fs::write(&file, text).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        tokio::time::sleep(Duration::from_millis(1200)).await;
        for _ in 0..2 {
            assert_eq!(status(&app, &token(&second)).await, 200, "{broken:?}");
        }
    }
    // The file may also hold a bare public key, and a key removed from the file is rejected.
    std::fs::write(&file, &third.public_pem).expect("written");
    until(&app, &token(&third), 200).await;
    assert_eq!(status(&app, &token(&first)).await, 401);
    app.finish().await;
}

#[tokio::test]
async fn key_file_that_is_invalid_stops_the_start() {
    use sidedoor::app::{self, Overrides};
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("issuer.pem");
    let fakes = sidedoor_fakes::start(sidedoor_fakes::FakesConfig::default())
        .await
        .expect("the fakes start");
    let settings = |(key, value): (&str, &str)| (format!("SIDEDOOR__{key}"), value.to_owned());
    let store = format!("sqlite://{}", folder.path().join("store.db").display());
    let config = sidedoor::config::Config::load(
        None,
        [
            ("STORE__URL", store.as_str()),
            (
                "CONNECT__INSTANCES__MAIN__INSTANCE_ID",
                sidedoor_fakes::connect::INSTANCE,
            ),
            ("CONNECT__INSTANCES__MAIN__REGION", "us-west-2"),
            ("CONNECT__INSTANCES__MAIN__ENDPOINT_URL", fakes.connect_url()),
            ("SALESFORCE__ENABLED", "false"),
            ("AUTH__ISSUERS__0__ISSUER", "https://idp.example"),
            ("AUTH__ISSUERS__0__AUDIENCE", "sidedoor"),
            ("AUTH__ISSUERS__0__PUBLIC_KEY_FILE", file.to_str().expect("text")),
        ]
        .map(settings),
    )
    .expect("the settings are good");
    for (text, why) in [
        (None, "cannot be read"),
        (Some(pem::encode(&pem::Pem::new("PRIVATE KEY", [0; 3]))), "private key"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).expect("written");
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let refused = app::start(config.clone(), listener, Overrides::default())
            .await
            .err()
            .expect("refused");
        let told = refused.to_string();
        assert!(told.contains(why) && told.contains("issuer.pem"), "{told}");
        assert!(!told.contains("AAAA"), "{told}");
    }
}

/// Keys are refreshed when tokens arrive. The first token after an idle time must not be verified with the outdated set, because the
/// issuer may have withdrawn the key meanwhile.
#[tokio::test]
async fn issuer_key_withdrawn_while_idle_is_rejected() {
    let (old, new) = (Signer::rsa("old"), Signer::ec("new"));
    let server = KeyServer::start(Answers::Keys(vec![old.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__JWKS_REFRESH_S", "1")
        .start()
        .await;
    assert_eq!(status(&app, &old.token("supervisor-1")).await, 200);
    server.now(Answers::Keys(vec![new.jwk()]));
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert_eq!(status(&app, &old.token("supervisor-1")).await, 401);
    assert_eq!(status(&app, &new.token("supervisor-1")).await, 200);
    app.finish().await;
}

/// A set without a key for signatures means that the issuer has none, so the last known key is withdrawn.
#[tokio::test]
async fn issuer_can_withdraw_its_last_key() {
    let rsa = Signer::rsa("a");
    let mut encryption = rsa.jwk();
    encryption["use"] = "enc".into();
    for (what, empty) in [("no keys", Vec::new()), ("for encryption", vec![encryption])] {
        let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
        let app = TestApp::build()
            .issuer("JWKS_URL", &server.url)
            .set("AUTH__ISSUERS__0__JWKS_REFRESH_S", "1")
            .start()
            .await;
        let token = rsa.token("supervisor-1");
        assert_eq!(status(&app, &token).await, 200, "{what}");
        server.now(Answers::Keys(empty));
        until(&app, &token, 401).await;
        // The issuer publishes a key again.
        server.now(Answers::Keys(vec![rsa.jwk()]));
        until(&app, &token, 200).await;
        app.finish().await;
    }
}

/// The only certificate is removed from the file, which is then empty or holds no usable key.
#[tokio::test]
async fn key_file_can_withdraw_its_last_key() {
    let only = Signer::rsa("ignored");
    let token = only.token("supervisor-1");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("issuer.pem");
    std::fs::write(&file, only.certificate()).expect("written");
    let app = TestApp::build()
        .issuer("PUBLIC_KEY_FILE", file.to_str().expect("text"))
        .start()
        .await;
    let unusable = pem::encode(&pem::Pem::new("CERTIFICATE", [0; 3]));
    let private = pem::encode(&pem::Pem::new("PRIVATE KEY", [0; 3]));
    for without in ["", "\n \n", &unusable, &private] {
        assert_eq!(status(&app, &token).await, 200);
        std::fs::write(&file, without).expect("written");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(status(&app, &token).await, 401, "{without:?}");
        std::fs::write(&file, only.certificate()).expect("written");
        until(&app, &token, 200).await;
    }
    app.finish().await;
}

/// A trailing slash is kept, because it makes another path.
#[tokio::test]
async fn issuer_jwks_url_is_requested_unchanged() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start_at("/jwks/", Answers::Keys(vec![rsa.jwk()])).await;
    let app = TestApp::build().issuer("JWKS_URL", &server.url).start().await;
    assert_eq!(status(&app, &rsa.token("supervisor-1")).await, 200);
    app.finish().await;
}
