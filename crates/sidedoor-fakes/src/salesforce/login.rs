//! `POST /services/oauth2/token`: client credentials (HTTP Basic or form fields) and JWT bearer (RS256; iss, sub, aud, and
//! an exp at most three minutes ahead). As in Salesforce, the answer has neither `expires_in` nor a refresh token.

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SalesforceFake;
use crate::clock::real_now;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The latest accepted `exp`, in seconds from now: three minutes, and one second because some clients round up.
const MAX_EXPIRY_S: i64 = 181;

pub(super) fn router(fake: SalesforceFake) -> Router {
    Router::new()
        .route("/services/oauth2/token", post(token))
        .with_state(fake)
}

#[derive(Deserialize)]
struct TokenRequest {
    #[serde(default)]
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    assertion: Option<String>,
}

async fn token(State(fake): State<SalesforceFake>, headers: HeaderMap, Form(request): Form<TokenRequest>) -> Response {
    let fault = fake.org().faults.take_matching("token", &request.grant_type);
    let Some(fault) = fault else {
        return log_in(&fake, &headers, &request);
    };
    tokio::time::sleep(fault.delay()).await;
    let scripted = fault
        .status
        .map(|status| token_error(status, &fault.code, &fault.message));
    let answer = match scripted {
        Some(error) => error,
        None if fault.prevents_effect() => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        None => log_in(&fake, &headers, &request),
    };
    fault.distort(answer).await
}

fn log_in(fake: &SalesforceFake, headers: &HeaderMap, request: &TokenRequest) -> Response {
    fake.org().logins += 1;
    let granted = match request.grant_type.as_str() {
        "client_credentials" => client_credentials(fake, headers, request),
        JWT_BEARER => jwt_bearer(fake, request.assertion.as_deref().unwrap_or_default()),
        _ => Err((400, "unsupported_grant_type", "grant type not supported".to_owned())),
    };
    if let Err((status, error, description)) = granted {
        return token_error(status, error, &description);
    }
    let token = format!("00Dfake!{}", uuid::Uuid::new_v4().simple());
    let scopes = fake.org().settings.token_scopes.clone();
    fake.org().tokens.insert(token.clone());
    Json(
        json!({"access_token": token, "instance_url": fake.instance_url(), "token_type": "Bearer", "scope": scopes,
        "id": format!("{}/id/00Dfake/005fake", fake.url()), "issued_at": real_now().as_millisecond().to_string(),
        "signature": "fake"}),
    )
    .into_response()
}

type TokenError = (u16, &'static str, String);

fn client_credentials(fake: &SalesforceFake, headers: &HeaderMap, request: &TokenRequest) -> Result<(), TokenError> {
    let basic = headers
        .get("authorization")
        .and_then(|v| v.to_str().ok()?.strip_prefix("Basic "));
    let pair = match basic {
        Some(encoded) => {
            let text = STANDARD
                .decode(encoded)
                .ok()
                .and_then(|b| String::from_utf8(b).ok())
                .unwrap_or_default();
            // RFC 6749 2.3.1: the id and the secret are form-encoded before they are joined.
            let decode = |s: &str| percent_encoding::percent_decode_str(s).decode_utf8_lossy().into_owned();
            text.split_once(':').map(|(id, secret)| (decode(id), decode(secret)))
        }
        None => request.client_id.clone().zip(request.client_secret.clone()),
    };
    let settings = fake.org().settings.clone();
    match pair {
        Some((id, _)) if id != settings.client_id => {
            Err((400, "invalid_client_id", "client identifier invalid".into()))
        }
        Some((_, secret)) if secret == settings.client_secret => Ok(()),
        Some(_) => Err((400, "invalid_client", "invalid client credentials".into())),
        None => Err((400, "invalid_client", "client credentials are missing".into())),
    }
}

fn jwt_bearer(fake: &SalesforceFake, assertion: &str) -> Result<(), TokenError> {
    let bad = |why: &str| (400, "invalid_grant", why.to_owned());
    let mut parts = assertion.split('.');
    let mut part = || -> Option<Value> {
        let bytes = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let (header, claims) = part().zip(part()).ok_or_else(|| bad("invalid assertion"))?;
    if header.get("alg") != Some(&json!("RS256")) {
        return Err(bad("invalid assertion: alg must be RS256"));
    }
    let settings = fake.org().settings.clone();
    if claims.get("iss").and_then(Value::as_str) != Some(settings.client_id.as_str()) {
        return Err((400, "invalid_client_id", "client identifier invalid".into()));
    }
    if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(bad("user hasn't approved this consumer"));
    }
    let audiences = [
        "https://login.salesforce.com",
        "https://test.salesforce.com",
        fake.url(),
    ];
    if !claims
        .get("aud")
        .and_then(Value::as_str)
        .is_some_and(|aud| audiences.contains(&aud))
    {
        return Err(bad("audience is invalid"));
    }
    let left = claims
        .get("exp")
        // Some clients, such as simple-salesforce, send `exp` as a string.
        .and_then(|exp| exp.as_i64().or_else(|| exp.as_str()?.parse().ok()))
        .map(|exp| exp - real_now().as_second());
    if !left.is_some_and(|left| (0..=MAX_EXPIRY_S).contains(&left)) {
        return Err(bad("expired authorization code"));
    }
    let Some(pem) = settings.jwt_public_key else {
        return Ok(());
    };
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(pem.as_bytes())
        .map_err(|_| bad("the setting jwtPublicKey is not a public key in PEM"))?;
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    // Only the signature is checked here, because the library rejects an `exp` that is a string. The claims are checked above.
    rules.validate_aud = false;
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    jsonwebtoken::decode::<Value>(assertion, &key, &rules)
        .map(|_| ())
        .map_err(|_| bad("invalid assertion"))
}

fn token_error(status: u16, error: &str, description: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(json!({"error": error, "error_description": description}))).into_response()
}
