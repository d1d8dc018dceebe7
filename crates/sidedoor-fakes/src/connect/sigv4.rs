//! Verifies AWS Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, Mac};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use sha2::{Digest, Sha256};

use super::state::ApiError;
use super::{ACCESS_KEY, SECRET_KEY};

/// What a signature is checked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignatureRules {
    /// With `false`, only the form of the header is checked.
    pub(super) verify: bool,
    /// The vendor's time now, and how far the signature's time may be from it; `None`: not checked.
    pub(super) age: Option<(Timestamp, SignedDuration)>,
}

/// Accepts a request that is signed with [`ACCESS_KEY`].
pub(super) fn check(
    service: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    rules: SignatureRules,
) -> Result<(), ApiError> {
    let denied = |code: &str, message: &str| ApiError::new(403, code, message);
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let Some(authorization) = header("authorization") else {
        return Err(denied(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    let incomplete = || {
        denied(
            "IncompleteSignatureException",
            "Authorization header requires Credential, SignedHeaders and Signature",
        )
    };
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(incomplete)?;
    let part = |name: &str| {
        rest.split(',')
            .find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(credential), Some(signed), Some(signature)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        return Err(incomplete());
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [key, date, region, signed_for, "aws4_request"] = scope.as_slice() else {
        return Err(incomplete());
    };
    if *signed_for != service {
        return Err(incomplete());
    }
    let amz_date = header("x-amz-date").ok_or_else(incomplete)?;
    if !signed.split(';').any(|h| h == "host") || !amz_date.starts_with(date) || signature.len() != 64 {
        return Err(incomplete());
    }
    if !rules.verify {
        return Ok(());
    }
    if let Some(message) = rules.age.and_then(|(now, most)| wrong_time(amz_date, now, most)) {
        return Err(denied("InvalidSignatureException", &message));
    }
    if *key != ACCESS_KEY {
        return Err(denied(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    let mut canonical = format!("{method}\n{}\n{}\n", canonical_path(uri), canonical_query(uri));
    for name in signed.split(';') {
        let value = header(name)
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{signed}\n{}", hex::encode(Sha256::digest(body))));
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let mut hash = hmac(format!("AWS4{SECRET_KEY}").as_bytes(), date);
    for step in [*region, service, "aws4_request", to_sign.as_str()] {
        hash = hmac(&hash, step);
    }
    if hex::encode(hash) == signature {
        Ok(())
    } else {
        let message = "The request signature we calculated does not match the signature you provided.";
        Err(denied("InvalidSignatureException", message))
    }
}

/// AWS's words for a signature whose time is too far from its own.
fn wrong_time(amz_date: &str, now: Timestamp, most: SignedDuration) -> Option<String> {
    const FORM: &str = "%Y%m%dT%H%M%SZ";
    let signed = civil::DateTime::strptime(FORM, amz_date).ok()?;
    let signed = signed.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let (oldest, newest) = (now.checked_sub(most).ok()?, now.checked_add(most).ok()?);
    let minutes = most.as_mins();
    let (shown, now) = (signed.strftime(FORM), now.strftime(FORM));
    if signed < oldest {
        let oldest = oldest.strftime(FORM);
        Some(format!(
            "Signature expired: {shown} is now earlier than {oldest} ({now} - {minutes} min.)"
        ))
    } else if signed > newest {
        let newest = newest.strftime(FORM);
        Some(format!(
            "Signature not yet current: {shown} is still later than {newest} ({now} + {minutes} min.)"
        ))
    } else {
        None
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // Cannot fail, because HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The path as sent, percent-encoded once more, because AWS requires this for every service except S3.
fn canonical_path(uri: &Uri) -> String {
    let encode = |segment: &str| {
        segment
            .bytes()
            .map(|b| match b {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
                _ => format!("%{b:02X}"),
            })
            .collect::<String>()
    };
    uri.path().split('/').map(encode).collect::<Vec<_>>().join("/")
}

fn canonical_query(uri: &Uri) -> String {
    let mut pairs: Vec<String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| if p.contains('=') { p.to_owned() } else { format!("{p}=") })
        .collect();
    pairs.sort();
    pairs.join("&")
}
