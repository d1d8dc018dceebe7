//! Tokens of a configured issuer: which are rejected, and what a valid one allows.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, start};
use crate::support::issuer::{Answers, KeyServer, Signer, claims, now};

/// An app that accepts tokens of one RSA and one EC key, and those keys.
async fn app() -> (TestApp, KeyServer, Signer, Signer) {
    let (rsa, ec) = (Signer::rsa("rsa-1"), Signer::ec("ec-1"));
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk(), ec.jwk()])).await;
    let app = TestApp::build().issuer("JWKS_URL", &server.url).start().await;
    (app, server, rsa, ec)
}

async fn list(app: &TestApp, token: &str) -> Answer {
    app.call("GET", "/v1/supervisions").key(token).send().await
}

/// Asserts 401 with the general text, which does not give the cause.
async fn refused(app: &TestApp, token: &str, what: &str) {
    let answer = list(app, token).await;
    assert_eq!((answer.status, answer.code()), (401, "credential_invalid"), "{what}");
    assert_eq!(
        answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"",
        "{what}"
    );
    let detail = answer.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("Send a valid API key or token"), "{what}: {detail}");
}

fn with(name: &str, value: Value) -> Value {
    let mut changed = claims("supervisor-1");
    changed[name] = value;
    changed
}

fn without(name: &str) -> Value {
    let mut changed = claims("supervisor-1");
    changed.as_object_mut().expect("an object").remove(name);
    changed
}

#[tokio::test]
async fn token_of_either_algorithm_is_accepted_as_supervisor() {
    let (app, server, rsa, ec) = app().await;
    for token in [rsa.token("supervisor-1"), ec.token("supervisor-1")] {
        assert_eq!(list(&app, &token).await.status, 200);
    }
    for audience in [json!(["other", "sidedoor-test"]), json!("sidedoor-test")] {
        assert_eq!(list(&app, &rsa.sign(&with("aud", audience))).await.status, 200);
    }
    assert_eq!(server.asked(), 1, "the keys are cached");
    app.finish().await;
}

#[tokio::test]
async fn token_with_invalid_claims_is_rejected() {
    let (app, _server, rsa, _) = app().await;
    let late = now() - 40;
    for (what, claims) in [
        ("join_timeout", with("exp", json!(late))),
        ("no time", with("exp", json!("tomorrow"))),
        ("without an end", without("exp")),
        ("not good yet", with("nbf", json!(now() + 60))),
        ("nbf is no time", with("nbf", json!("now"))),
        ("another audience", with("aud", json!("other"))),
        ("an audience that begins so", with("aud", json!("sidedoor-test-2"))),
        ("without an audience", without("aud")),
        ("another issuer", with("iss", json!("https://evil.example"))),
        (
            "an issuer that begins so",
            with("iss", json!("https://idp.example.evil.example")),
        ),
        (
            "several issuers",
            with("iss", json!(["https://idp.example", "https://evil.example"])),
        ),
        ("without an issuer", without("iss")),
        ("without a subject", without("sub")),
        ("an empty subject", with("sub", json!(""))),
        ("a number as subject", with("sub", json!(7))),
        (
            "a subject of two lines",
            with("sub", json!("supervisor-1\nsupervisor-2")),
        ),
        (
            "a subject that reads backwards",
            with("sub", json!("supervisor-1\u{202e}2")),
        ),
        ("an endless subject", with("sub", json!("s".repeat(129)))),
        ("issued in the future", with("iat", json!(now() + 60))),
        ("too old", with("iat", json!(now() - 86_500))),
        ("good for too long", with("exp", json!(now() + 86_460))),
        ("iat is no time", with("iat", json!("now"))),
    ] {
        refused(&app, &rsa.sign(&claims), what).await;
    }
    // Small clock differences are tolerated.
    assert_eq!(list(&app, &rsa.sign(&with("exp", json!(now() - 5)))).await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn token_algorithm_and_key_must_be_the_issuers() {
    let (app, server, rsa, ec) = app().await;
    let good = claims("supervisor-1");
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", ""] {
        let bare = format!("{}.{}.", part(&json!({"alg": alg, "typ": "JWT"})), part(&good));
        refused(&app, &bare, "unsigned").await;
    }
    // The public key used as the secret of a symmetric algorithm must not verify, because everyone knows it.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("rsa-1".into());
    for secret in [
        rsa.public_pem.clone(),
        rsa.jwk()["n"].as_str().expect("a modulus").to_owned(),
    ] {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let forged = jsonwebtoken::encode(&header, &good, &key).expect("signed");
        refused(&app, &forged, "signed with a public key").await;
    }
    // The `kid` of a key of another type, and an algorithm that is not allowed.
    let mut crossed = Header::new(Algorithm::ES256);
    crossed.kid = Some("rsa-1".into());
    refused(
        &app,
        &ec.sign_with(&crossed, &good),
        "an EC signature under an RSA key's name",
    )
    .await;
    let mut longer = Header::new(Algorithm::RS512);
    longer.kid = Some("rsa-1".into());
    refused(&app, &rsa.sign_with(&longer, &good), "an algorithm that is not allowed").await;
    // Another party's key with a known `kid`, or embedded in the token.
    let mallory = Signer::rsa("rsa-1");
    refused(&app, &mallory.sign(&good), "another's signature").await;
    let evil = KeyServer::start(Answers::Keys(vec![mallory.jwk()])).await;
    for header in [
        json!({"alg": "RS256", "kid": "rsa-1", "jwk": mallory.jwk()}),
        json!({"alg": "RS256", "kid": "rsa-1", "jku": evil.url}),
        json!({"alg": "RS256", "kid": "rsa-1", "x5u": evil.url}),
        json!({"alg": "RS256", "kid": evil.url}),
        json!({"alg": "RS256", "kid": "../../../../dev/null"}),
        json!({"alg": "RS256", "kid": "' OR 1=1 --"}),
    ] {
        refused(&app, &mallory.sign_raw(&header, &good), "a key brought along").await;
    }
    assert_eq!(evil.asked(), 0, "no URL in a token is fetched");
    assert!(server.asked() <= 3, "unknown keys are fetched rarely");
    app.finish().await;
}

#[tokio::test]
async fn token_of_another_shape_is_rejected() {
    let (app, _server, rsa, _) = app().await;
    let good = claims("supervisor-1");
    let token = rsa.token("supervisor-1");
    let cut = &token[..token.len() - 4];
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let mut other = signature.to_owned();
    other.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    for (what, token) in [
        (
            "of another type",
            rsa.sign_raw(&json!({"alg": "RS256", "kid": "rsa-1", "typ": "logout+jwt"}), &good),
        ),
        (
            "critical and not understood",
            rsa.sign_raw(
                &json!({"alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": false}),
                &good,
            ),
        ),
        (
            "compressed",
            rsa.sign_raw(&json!({"alg": "RS256", "kid": "rsa-1", "zip": "DEF"}), &good),
        ),
        (
            "nested",
            rsa.sign_raw(&json!({"alg": "RS256", "kid": "rsa-1", "cty": "JWT"}), &good),
        ),
        ("cut", cut.to_owned()),
        ("signed otherwise", format!("{head}.{other}")),
        ("without a signature", format!("{head}.")),
        ("nonsense", "a.b.c".to_owned()),
        ("dots", "..".to_owned()),
        ("too long", rsa.sign(&with("more", json!("x".repeat(8000))))),
        ("in two parts", head.to_owned()),
    ] {
        refused(&app, &token, what).await;
    }
    // A token without `kid` is accepted if only one key has its algorithm. A token in X-API-Key is rejected, because tokens are read
    // from Authorization only.
    let mut nameless = Header::new(Algorithm::RS256);
    nameless.kid = None;
    assert_eq!(
        list(&app, &rsa.sign_with(&nameless, &good)).await.status,
        200,
        "one RSA key"
    );
    let asked = app
        .http
        .get(format!("{}/v1/supervisions", app.url))
        .header("X-API-Key", rsa.token("supervisor-1"));
    assert_eq!(
        asked.send().await.expect("an answer").status(),
        401,
        "X-API-Key takes keys only"
    );
    app.finish().await;
}

#[tokio::test]
async fn token_acts_only_as_its_supervisor() {
    let (app, _server, rsa, _) = app().await;
    let (one, two) = (rsa.token("supervisor-1"), rsa.token("supervisor-2"));
    let call = app.connect().create_call();
    let as_another = app
        .call("POST", "/v1/supervisions")
        .key(&one)
        .json(&start(&call, "supervisor-2"));
    let as_another = as_another.send().await;
    assert_eq!(
        (as_another.status, as_another.code()),
        (403, "action_forbidden"),
        "{}",
        as_another.text
    );
    // The token names the supervisor.
    let begun = app
        .call("POST", "/v1/supervisions")
        .key(&one)
        .json(&json!({"contactId": call}))
        .send()
        .await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    assert_eq!(begun.body["supervisor"]["connectUserId"], "supervisor-1");
    let id = begun.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let path = format!("/v1/supervisions/{id}");
    assert_eq!(app.call("GET", &path).key(&two).send().await.status, 404);
    let list = app.call("GET", "/v1/supervisions").key(&two).send().await;
    assert_eq!(list.body["items"], json!([]));
    for (method, path, status) in [
        ("POST", "/v1/supervisors/supervisor-1/disconnect", 403),
        ("POST", "/v1/supervisors/supervisor-1/tickets", 403),
        ("GET", "/v1/supervisors/supervisor-1/directives", 403),
        ("POST", "/v1/supervisors/me/disconnect", 404),
        ("GET", "/v1/supervisors/me/directives", 200),
    ] {
        let answer = app.call(method, path).key(&two).send().await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    let ticket = app.call("POST", "/v1/supervisors/me/tickets").key(&one).send().await;
    assert_eq!(
        (ticket.status, &ticket.body["connectUserId"]),
        (201, &json!("supervisor-1"))
    );
    let asked = app.call("POST", "/v1/supervisors/me/disconnect").key(&one).send().await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let told = app.call("GET", "/v1/supervisors/me/directives").key(&one).send().await;
    assert_eq!(told.body["items"][0]["supervisionId"], json!(id), "{}", told.text);
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    app.finish().await;
}

/// How long a stream lasts, at most 15 s.
async fn stream_lasts(app: &TestApp, path: &str, token: Option<&str>) -> Duration {
    let mut request = app
        .http
        .get(format!("{}{path}", app.url))
        .header("Accept", "text/event-stream");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let begun = Instant::now();
    let stream = request.send().await.expect("an answer");
    assert_eq!(stream.status(), 200, "{path}");
    let ended = tokio::time::timeout(Duration::from_secs(15), stream.text()).await;
    assert!(ended.is_ok_and(|text| text.is_ok()), "{path} ends in order");
    begun.elapsed()
}

#[tokio::test]
async fn stream_ends_with_the_token_that_opened_it() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__LEEWAY_S", "0")
        .set("AUTH__ISSUERS__0__SCOPES", "supervise,board")
        .start()
        .await;
    let token = || rsa.sign(&with("exp", json!(now() + 4)));
    let (issued_for, directives) = (token(), "/v1/supervisors/me/directives");
    let ticket = app
        .call("POST", "/v1/supervisors/me/tickets")
        .key(&issued_for)
        .send()
        .await;
    let ticket = format!(
        "/v1/supervisors/supervisor-1/directives?ticket={}",
        ticket.body["ticket"].as_str().expect("a ticket")
    );
    let (one, other) = (token(), token());
    let lasted = futures::join!(
        stream_lasts(&app, directives, Some(&one)),
        stream_lasts(&app, &ticket, None),
        stream_lasts(&app, "/v1/agents", Some(&other)),
    );
    for lasted in [lasted.0, lasted.1, lasted.2] {
        assert!(
            lasted < Duration::from_secs(6) && lasted > Duration::from_secs(1),
            "{lasted:?}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn token_scopes_come_from_issuer_configuration() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let app = TestApp::build()
        .issuer("JWKS_URL", &server.url)
        .set("AUTH__ISSUERS__0__SCOPES", "read")
        .start()
        .await;
    let mut claims = claims("anybody");
    claims["scope"] = json!("operate supervise:any events");
    claims["scopes"] = json!(["operate"]);
    let token = rsa.sign(&claims);
    assert_eq!(list(&app, &token).await.status, 200);
    let call = app.connect().create_call();
    let begin = app
        .call("POST", "/v1/supervisions")
        .key(&token)
        .json(&start(&call, "supervisor-1"));
    assert_eq!(begin.send().await.status, 403);
    let me = app
        .call("POST", "/v1/supervisors/me/disconnect")
        .key(&token)
        .send()
        .await;
    assert_eq!(
        (me.status, me.code()),
        (403, "action_forbidden"),
        "it names no supervisor"
    );
    app.finish().await;
}

#[tokio::test]
async fn token_issuer_alone_requires_a_credential() {
    let rsa = Signer::rsa("a");
    let server = KeyServer::start(Answers::Keys(vec![rsa.jwk()])).await;
    let mut built = TestApp::build().issuer("JWKS_URL", &server.url);
    for i in 0..10 {
        for key in ["NAME", "SECRET", "SCOPES", "SUPERVISOR", "VENDOR", "INSTANCES"] {
            built = built.unset(&format!("AUTH__API_KEYS__{i}__{key}"));
        }
    }
    let app = built.start().await;
    let nobody = app.call("GET", "/v1/supervisions").anonymous().send().await;
    assert_eq!((nobody.status, nobody.code()), (401, "credential_invalid"));
    assert_eq!(list(&app, &rsa.token("supervisor-1")).await.status, 200);
    app.finish().await;
}
