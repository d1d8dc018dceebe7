//! An issuer of tokens: its keys, the tokens it signs, and a server of its JWK set that can rotate keys, fail, be slow or send invalid answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::app::TestAppBuilder;

pub const ISSUER: &str = "https://idp.example";
pub const AUDIENCE: &str = "sidedoor-test";

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|c| std::str::from_utf8(c).expect("text"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// One key pair of an issuer.
pub struct Signer {
    pub kid: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    private_pem: String,
    pub public_pem: String,
}

impl Signer {
    pub fn rsa(kid: &str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("der");
        let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
        let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public).expect("der");
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Self {
            kid: kid.into(),
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_pem(private_pem.as_bytes()).expect("a key"),
            private_pem,
            public_pem: pem("PUBLIC KEY", public.as_ref()),
        }
    }

    pub fn ec(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let private_pem = pair.serialize_pem();
        Self {
            kid: kid.into(),
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_pem(private_pem.as_bytes()).expect("a key"),
            private_pem,
            public_pem: pair.public_key_pem(),
        }
    }

    /// The public key as a member of a JWK set.
    pub fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a JWK");
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).expect("JSON")
    }

    /// A self-signed certificate, as Salesforce makes them.
    pub fn certificate(&self) -> String {
        let pair = rcgen::KeyPair::from_pem(&self.private_pem).expect("a key");
        let names = vec!["named-credential.example".to_owned()];
        let params = rcgen::CertificateParams::new(names).expect("names");
        params.self_signed(&pair).expect("signed").pem()
    }

    /// A token with these claims; its header names this key.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        self.sign_with(&header, claims)
    }

    pub fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).expect("signed")
    }

    /// A validly signed token with any header.
    pub fn sign_raw(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).expect("signed");
        format!("{message}.{signature}")
    }

    /// A valid token for this subject.
    pub fn token(&self, subject: &str) -> String {
        self.sign(&claims(subject))
    }
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Valid claims.
pub fn claims(subject: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now(), "nbf": now() - 1, "exp": now() + 120})
}

/// What the server answers.
#[derive(Clone)]
pub enum Answers {
    Keys(Vec<Value>),
    Status(u16),
    Text(String),
    Slow(Duration),
    SlowKeys(Duration, Vec<Value>),
    Redirect(String),
}

struct Inner {
    answers: Mutex<Answers>,
    asked: AtomicUsize,
}

/// A server of a JWK set.
pub struct KeyServer {
    pub url: String,
    inner: Arc<Inner>,
}

impl KeyServer {
    pub async fn start(answers: Answers) -> Self {
        Self::start_at("/keys", answers).await
    }

    /// Starts a server that has the keys at this path only.
    pub async fn start_at(path: &'static str, answers: Answers) -> Self {
        let inner = Arc::new(Inner {
            answers: Mutex::new(answers),
            asked: AtomicUsize::new(0),
        });
        let router = Router::new().route(path, get(answer)).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}{path}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    pub fn now(&self, answers: Answers) {
        *self.inner.answers.lock().expect("unpoisoned") = answers;
    }

    pub fn asked(&self) -> usize {
        self.inner.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(inner): State<Arc<Inner>>) -> Response {
    inner.asked.fetch_add(1, Ordering::SeqCst);
    let answers = inner.answers.lock().expect("unpoisoned").clone();
    match answers {
        Answers::Keys(keys) => axum::Json(json!({"keys": keys})).into_response(),
        Answers::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answers::Text(text) => text.into_response(),
        Answers::Slow(wait) => {
            tokio::time::sleep(wait).await;
            axum::Json(json!({"keys": []})).into_response()
        }
        Answers::SlowKeys(wait, keys) => {
            tokio::time::sleep(wait).await;
            axum::Json(json!({"keys": keys})).into_response()
        }
        Answers::Redirect(to) => Redirect::temporary(&to).into_response(),
    }
}

impl TestAppBuilder {
    /// Configures [`ISSUER`] with one setting for the source of its keys.
    pub fn issuer(self, keys: &str, at: &str) -> Self {
        self.set("AUTH__ISSUERS__0__ISSUER", ISSUER)
            .set("AUTH__ISSUERS__0__AUDIENCE", AUDIENCE)
            .set("AUTH__ISSUERS__0__JWKS_COOLDOWN_S", "1")
            .set(&format!("AUTH__ISSUERS__0__{keys}"), at)
    }
}
