//! Tokens: JWTs that a configured issuer has signed (RFC 7519, and what RFC 8725 advises).
//!
//! The algorithm must be on the issuer's list and fit the key; the key comes from the configuration and never
//! from the token; `iss`, `aud` and `exp` are required and verified, `nbf` and `iat` are verified if present, and no token lives longer
//! than configured. The supervisor's claim binds the caller to one supervisor.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use sidedoor_domain::authority::{BoardLimits, Claim, ClaimKind, EventSource, Scope};
use sidedoor_domain::ids::InstanceName;

use super::Denied;
use super::jwks::Jwks;
use super::key_file::{BadKeyFile, KeyFile};
use super::public_key::PublicKey;

/// The longest token in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// The longest value of a supervisor's claim.
const MAX_CLAIM: usize = 128;

/// Where an issuer's keys are.
#[derive(Debug, Clone)]
pub enum KeysFrom {
    /// A JWK set behind a URL.
    Url {
        /// https, or loopback.
        url: String,
        /// The keys are refreshed after this long.
        refresh: Duration,
        /// The least time between two fetches.
        cooldown: Duration,
    },
    /// A PEM file of public keys or certificates.
    File(PathBuf),
}

/// One issuer, and what its tokens may do.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// The expected `iss`.
    pub issuer: String,
    /// The expected `aud`.
    pub audience: String,
    /// Its keys.
    pub keys: KeysFrom,
    /// Which claim names the supervisor.
    pub supervisor_claim: String,
    /// What kind of name the claim holds.
    pub supervisor_claim_kind: ClaimKind,
    /// The Connect instance of a user name.
    pub instance: Option<InstanceName>,
    /// The scopes of its tokens.
    pub scopes: Vec<Scope>,
    /// Whose events its tokens may deliver, with the scope `events`.
    pub event_source: Option<EventSource>,
    /// What its tokens show on the board, with the scope `board`.
    pub board: BoardLimits,
    /// The names of the accepted algorithms.
    pub algorithms: Vec<String>,
    /// The largest accepted difference between its clock and ours.
    pub leeway: Duration,
    /// The greatest age of its tokens, and the longest time for which they are good.
    pub max_age: Duration,
}

#[derive(Debug)]
enum Source {
    Url(Jwks),
    File(KeyFile),
}

#[derive(Debug)]
struct Issuer {
    settings: IssuerSettings,
    algorithms: Vec<Algorithm>,
    source: Source,
}

/// All issuers.
#[derive(Debug)]
pub(super) struct Issuers(Vec<Issuer>);

/// A valid token.
#[derive(Debug)]
pub(super) struct Verified {
    /// Issuer and subject, for the audit.
    pub(super) name: String,
    /// Its scopes.
    pub(super) scopes: Vec<Scope>,
    /// Whose events it may deliver.
    pub(super) event_source: Option<EventSource>,
    /// What it shows on the board.
    pub(super) board: BoardLimits,
    /// The claim that names the supervisor.
    pub(super) claim: Claim,
    /// When it ends, with the leeway of its issuer.
    pub(super) expires_at: Timestamp,
}

/// Whether a bearer credential has the three parts of a signed token.
pub(super) fn looks_like_one(credential: &[u8]) -> bool {
    credential.iter().filter(|b| **b == b'.').count() == 2
}

/// The caller's name that the audit would get, from a token whose signature and times are not verified; for fuzzing.
pub(in crate::http) fn unproven(token: &[u8]) -> Option<String> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    check_header(&header).ok()?;
    let claims: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    any_issuer()
        .names(&claims, Timestamp::UNIX_EPOCH)
        .ok()
        .map(|verified| verified.name)
}

/// Settings that are good for no token.
fn any_issuer() -> IssuerSettings {
    IssuerSettings {
        issuer: "https://issuer.example".into(),
        audience: "sidedoor".into(),
        keys: KeysFrom::File(PathBuf::new()),
        supervisor_claim: "sub".into(),
        supervisor_claim_kind: ClaimKind::ConnectUserId,
        instance: None,
        scopes: vec![Scope::Supervise],
        event_source: None,
        board: BoardLimits::default(),
        algorithms: Vec::new(),
        leeway: Duration::ZERO,
        max_age: Duration::ZERO,
    }
}

/// The number of keys in bytes that are read as a JWK and as PEM; for fuzzing.
pub(in crate::http) fn keys_in(bytes: &[u8]) -> usize {
    let jwk = serde_json::from_slice::<Value>(bytes).ok();
    let one = jwk.as_ref().and_then(PublicKey::from_jwk).map_or(0, |_| 1);
    one + PublicKey::all_from_pem(bytes).map_or(0, |held| held.keys.len())
}

/// The claims of a token that is not verified yet.
#[derive(Deserialize)]
struct Says {
    iss: String,
}

impl Issuers {
    pub(super) fn new(settings: Vec<IssuerSettings>) -> Result<Self, BadKeyFile> {
        let issuers = settings.into_iter().map(Issuer::new).collect::<Result<_, _>>()?;
        Ok(Self(issuers))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies a token. The cause of a rejection goes to the log and not to the caller.
    pub(super) async fn verify(&self, token: &[u8]) -> Result<Verified, Denied> {
        let refused = |why: &'static str| {
            tracing::debug!(why, "a token is refused: {why}");
            Denied::Token
        };
        if token.len() > MAX_TOKEN {
            return Err(refused("it is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused("its header cannot be read"))?;
        check_header(&header).map_err(refused)?;
        let says: Says =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| refused("it names no issuer"))?;
        let issuer = self.0.iter().find(|i| i.settings.issuer == says.iss);
        let issuer = issuer.ok_or_else(|| refused("its issuer is not configured"))?;
        if !issuer.algorithms.contains(&header.alg) {
            return Err(refused("its algorithm is not allowed"));
        }
        let keys = issuer.keys(&header).await?;
        if keys.is_empty() {
            return Err(refused("its issuer has no such key"));
        }
        issuer.verify(token, header.alg, &keys)
    }
}

/// The header fields that are used. `jku`, `jwk`, `x5u` and `x5c` are ignored, because keys come from the configuration only.
fn check_header(header: &Header) -> Result<(), &'static str> {
    let kinds = ["jwt", "at+jwt", "application/at+jwt", "application/jwt"];
    if let Some(typ) = &header.typ
        && !kinds.contains(&typ.to_ascii_lowercase().as_str())
    {
        return Err("it is of another type");
    }
    // RFC 7515 requires rejecting critical extensions that are not understood, and none is.
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() || header.cty.is_some() {
        return Err("its header asks for more than a signature");
    }
    Ok(())
}

impl Issuer {
    fn new(settings: IssuerSettings) -> Result<Self, BadKeyFile> {
        let algorithms = settings.algorithms.iter().filter_map(|a| Algorithm::from_str(a).ok());
        let source = match &settings.keys {
            KeysFrom::Url { url, refresh, cooldown } => {
                let jwks = Jwks::new(url.clone(), *refresh, *cooldown);
                Source::Url(jwks.map_err(|_| BadKeyFile::no_client(&settings.issuer, url))?)
            }
            KeysFrom::File(path) => Source::File(KeyFile::open(&settings.issuer, path.clone())?),
        };
        Ok(Self {
            algorithms: algorithms.collect(),
            source,
            settings,
        })
    }

    async fn keys(&self, header: &Header) -> Result<Vec<PublicKey>, Denied> {
        let (kid, alg) = (header.kid.as_deref(), header.alg);
        match &self.source {
            Source::Url(jwks) => jwks.keys(kid, alg).await.map_err(|_| Denied::KeysUnavailable),
            Source::File(file) => {
                let keys = file.keys().await;
                Ok(keys.iter().filter(|key| key.fits(kid, alg)).cloned().collect())
            }
        }
    }

    fn validation(&self, alg: Algorithm) -> Validation {
        let mut validation = Validation::new(alg);
        validation.leeway = self.settings.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation
    }

    fn verify(&self, token: &[u8], alg: Algorithm, keys: &[PublicKey]) -> Result<Verified, Denied> {
        let validation = self.validation(alg);
        let issuer = &self.settings.issuer;
        for key in keys {
            match jsonwebtoken::decode::<Map<String, Value>>(token, key.decoding(), &validation) {
                Ok(good) => {
                    let expires_at = self.settings.expiry(&good.claims, now()).map_err(|why| {
                        tracing::info!(issuer, why, "a token of {issuer} is refused: {why}");
                        Denied::Token
                    })?;
                    return self.settings.names(&good.claims, expires_at);
                }
                Err(e) if matches!(e.kind(), ErrorKind::InvalidSignature) => {}
                // At `info`, because the issuer has signed the token: an operator may have to fix a setting.
                Err(e) => {
                    let why = why(e.kind());
                    tracing::info!(issuer, why, "a token of {issuer} is refused: {why}");
                    return Err(Denied::Token);
                }
            }
        }
        tracing::debug!(issuer, "a token of {issuer} is refused: its signature is wrong");
        Err(Denied::Token)
    }
}

impl IssuerSettings {
    /// When a token with these claims ends, if it is not too old and is not good for too long. Times are in seconds since 1970.
    fn expiry(&self, claims: &Map<String, Value>, now: i64) -> Result<Timestamp, &'static str> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let (leeway, max_age) = (seconds(self.leeway), seconds(self.max_age));
        let time = |claim: &str| {
            claims
                .get(claim)
                .map(|value| whole_seconds(value).ok_or("a time in it is no time"))
        };
        let exp = time("exp").ok_or("it does not end")??;
        let issued = match time("iat") {
            None => None,
            Some(iat) => Some(iat?),
        };
        if issued.is_some_and(|iat| iat > now.saturating_add(leeway)) {
            return Err("it was issued in the future");
        }
        if issued.is_some_and(|iat| now.saturating_sub(iat) > max_age.saturating_add(leeway)) {
            return Err("it is too old");
        }
        if exp.saturating_sub(issued.unwrap_or(now)) > max_age {
            return Err("it is good for too long");
        }
        Timestamp::from_second(exp.saturating_add(leeway)).map_err(|_| "a time in it is no time")
    }

    fn names(&self, claims: &Map<String, Value>, expires_at: Timestamp) -> Result<Verified, Denied> {
        let IssuerSettings {
            issuer,
            supervisor_claim: claim,
            ..
        } = self;
        let value = claims.get(claim).and_then(Value::as_str).unwrap_or_default();
        // It goes into the audit and the log unchanged, so it must not be able to imitate anything else.
        let plain = value.bytes().all(|b| b.is_ascii_graphic());
        if value.is_empty() || value.len() > MAX_CLAIM || !plain {
            tracing::info!(
                issuer,
                claim,
                "a token of {issuer} is refused: its claim {claim} is no name"
            );
            return Err(Denied::Token);
        }
        Ok(Verified {
            // Names of API keys cannot contain '#'.
            name: format!("{issuer}#{value}"),
            scopes: self.scopes.clone(),
            event_source: self.event_source.clone(),
            board: self.board.clone(),
            claim: Claim {
                kind: self.supervisor_claim_kind,
                value: value.to_owned(),
                instance: self.instance.clone(),
            },
            expires_at,
        })
    }
}

/// The time by which the library verifies `exp` and `nbf`, in seconds since 1970.
fn now() -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap_or(i64::MAX)
}

/// A NumericDate (RFC 7519), which may have a fraction.
fn whole_seconds(value: &Value) -> Option<i64> {
    /// The largest integer that every smaller one of is exact in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fraction = || value.as_f64().filter(|seconds| seconds.abs() < EXACT);
    #[allow(clippy::cast_possible_truncation, reason = "it is within the bounds of an i64")]
    value.as_i64().or_else(|| fraction().map(|seconds| seconds as i64))
}

fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not good yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is another issuer's",
        ErrorKind::MissingRequiredClaim(_) => "exp, iss or aud is missing",
        ErrorKind::InvalidClaimFormat(_) => "exp or nbf is no time",
        _ => "it cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_header_with_other_than_a_signature_is_rejected() {
        let good = Header::new(Algorithm::RS256);
        assert_eq!(check_header(&good), Ok(()));
        let with = |change: &dyn Fn(&mut Header)| {
            let mut header = good.clone();
            change(&mut header);
            check_header(&header)
        };
        assert!(with(&|h| h.typ = None).is_ok());
        assert!(with(&|h| h.typ = Some("at+JWT".into())).is_ok());
        for refused in [
            with(&|h| h.typ = Some("logout+jwt".into())),
            with(&|h| h.crit = Some(vec!["b64".into()])),
            with(&|h| h.cty = Some("JWT".into())),
        ] {
            assert!(refused.is_err());
        }
    }

    #[test]
    fn token_life_is_bounded_by_its_issuer() {
        let settings = IssuerSettings {
            leeway: Duration::from_secs(30),
            max_age: Duration::from_secs(600),
            ..any_issuer()
        };
        let now = 1_800_000_000;
        let expiry = |iat: Option<Value>, exp: Value| {
            let mut claims = Map::from_iter([("exp".to_owned(), exp)]);
            claims.extend(iat.map(|iat| ("iat".to_owned(), iat)));
            settings.expiry(&claims, now).map(|at| at.as_second() - now)
        };
        let after = |seconds: i64| Value::from(now + seconds);
        assert_eq!(expiry(Some(after(0)), after(600)), Ok(630));
        assert_eq!(expiry(Some(after(30)), after(100)), Ok(130), "within the leeway");
        assert_eq!(expiry(None, after(600)), Ok(630));
        assert_eq!(expiry(Some(Value::from(1.8e9)), Value::from(1.8e9 + 60.5)), Ok(90));
        for (iat, exp, why) in [
            (Some(after(31)), after(100), "future"),
            (Some(after(-631)), after(-31), "too old"),
            (Some(after(0)), after(601), "too long"),
            (Some(after(-600)), after(1), "too long"),
            (None, after(601), "too long"),
            (Some(Value::from("now")), after(10), "no time"),
            (Some(after(0)), Value::from(1e300), "no time"),
        ] {
            let refused = expiry(iat.clone(), exp.clone()).expect_err("refused");
            assert!(refused.contains(why), "{iat:?} {exp}: {refused}");
        }
    }

    #[test]
    fn token_is_recognised_by_its_three_parts() {
        assert!(looks_like_one(b"a.b.c"));
        assert!(!looks_like_one(b"a.b") && !looks_like_one(b"a.b.c.d") && !looks_like_one(b"a-key"));
    }
}
