//! Checks of the token issuers: can their public keys be read?

use std::time::Duration;

use serde_json::Value;

use super::Parts;
use super::report::{self, Report};
use crate::http::KeysFrom;

/// The timeout of a request for a key set.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest key set that is read, bytes.
const MAX_KEY_SET: usize = 256 * 1024;

pub(super) async fn check(report: &mut Report, parts: &Parts) {
    for issuer in &parts.config.auth.issuers {
        let about = Some(issuer.issuer.as_str());
        let found = match &issuer.keys {
            KeysFrom::File(path) => in_file(path),
            KeysFrom::Url { url, .. } => behind(url).await,
        };
        match found {
            Ok(keys) => report.ok(report::ISSUERS, about, format!("{keys} keys")),
            Err(why) => {
                let remedy = "Set public_key_file to a PEM file of the issuer's signing certificate, or jwks_url to its JWK set, \
                              and allow this machine to reach it";
                report.fail(report::ISSUERS, about, why, remedy);
            }
        }
    }
}

fn in_file(path: &std::path::Path) -> Result<usize, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{shown}: {e}"))?;
    if text.contains("PRIVATE KEY") {
        return Err(format!(
            "{shown} contains a private key, which only the issuer may have"
        ));
    }
    let keys = [
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN RSA PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
    ]
    .iter()
    .map(|begin| text.matches(begin).count())
    .sum();
    if keys == 0 {
        Err(format!("{shown} contains no public key"))
    } else {
        Ok(keys)
    }
}

async fn behind(url: &str) -> Result<usize, String> {
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(|_| "cannot create a TLS client".to_owned())?;
    let unreachable = |_| format!("{url} cannot be reached");
    let mut answer = client.get(url).send().await.map_err(unreachable)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("{url} answered {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_KEY_SET {
            return Err(format!("{url} answered more than {MAX_KEY_SET} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let set: Value = serde_json::from_slice(&body).map_err(|_| format!("{url} did not answer JSON"))?;
    match set["keys"].as_array().map_or(0, Vec::len) {
        0 => Err(format!("{url} answered a set without keys")),
        keys => Ok(keys),
    }
}
