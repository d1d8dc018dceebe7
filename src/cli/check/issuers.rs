//! The issuers whose tokens are taken: can their keys be had?

use std::time::Duration;

use serde_json::Value;

use super::Parts;
use super::report::{self, Report};
use crate::config::IssuerKeysConfig;

/// How long a key set may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 * 1024;

pub(super) async fn check(report: &mut Report, parts: &Parts) {
    for issuer in &parts.config.auth.issuers {
        let about = Some(issuer.issuer.as_str());
        let found = match &issuer.keys {
            IssuerKeysConfig::File(path) => in_file(path),
            IssuerKeysConfig::Url { url, .. } => behind(url).await,
        };
        match found {
            Ok(keys) => report.ok(report::ISSUERS, about, format!("{keys} keys")),
            Err(why) => {
                let remedy = "give the PEM of the certificate that the issuer signs with, or the address of its JWK set, and let this \
                              machine reach it";
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
            "{shown} holds a private key, which belongs to the issuer alone"
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
        Err(format!("{shown} holds no public key"))
    } else {
        Ok(keys)
    }
}

async fn behind(url: &str) -> Result<usize, String> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(|_| "no TLS client can be made".to_owned())?;
    let unreachable = |_| format!("{url} cannot be reached");
    let mut answer = client.get(url).send().await.map_err(unreachable)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("{url} answers {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("{url} answers more than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let set: Value = serde_json::from_slice(&body).map_err(|_| format!("{url} answers no JSON"))?;
    match set["keys"].as_array().map_or(0, Vec::len) {
        0 => Err(format!("{url} answers no keys")),
        keys => Ok(keys),
    }
}
