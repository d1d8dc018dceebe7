//! An issuer's keys by URL. They are cached and refreshed regularly. An unknown key id causes a fetch at once, but never more often
//! than every few seconds, so that invented ids cause no flood. Failing issuers are retried with growing delays; meanwhile the
//! cached keys stay valid, for a day at most. A set without a usable key is not a failure: no token of that issuer is valid then.
//!
//! The URL comes from the configuration alone, never from a token (`jku` and `x5u` are ignored), and redirects are not followed.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use tokio::time::Instant;

use super::public_key::{MAX_KEYS, PublicKey};

/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The largest answer in bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Cached keys become invalid when they could not be refreshed for this long.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// The keys could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unavailable;

#[derive(Debug, Clone, Default)]
struct Known {
    keys: Arc<Vec<PublicKey>>,
    fetched: Option<Instant>,
    next_try: Option<Instant>,
    failures: u32,
}

/// The keys behind one URL. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Jwks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    url: String,
    refresh: Duration,
    cooldown: Duration,
    known: RwLock<Known>,
    /// One fetch at a time; requests that need its keys wait for it.
    fetching: tokio::sync::Mutex<()>,
}

fn now() -> Instant {
    Instant::now()
}

impl Jwks {
    pub(super) fn new(url: String, refresh: Duration, cooldown: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            // Because a redirect would let another host decide which keys are valid.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("Sidedoor/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(Arc::new(Inner {
            http,
            url,
            refresh,
            cooldown,
            known: RwLock::default(),
            fetching: tokio::sync::Mutex::default(),
        })))
    }

    fn known(&self) -> Known {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that may verify such a token; empty if the issuer has none.
    pub(super) async fn keys(&self, kid: Option<&str>, alg: Algorithm) -> Result<Vec<PublicKey>, Unavailable> {
        let known = self.known();
        let found = known.pick(kid, alg);
        // Keys that should have been refreshed long ago are fetched first, so that a withdrawn key does not stay valid for a day.
        let long_past = known
            .fetched
            .is_none_or(|at| at.elapsed() >= self.0.refresh.saturating_mul(2));
        if !found.is_empty() && long_past && known.may_try() {
            self.fetch(known.fetched).await;
            let found = self.known().pick(kid, alg);
            return Ok(found);
        }
        if !found.is_empty() {
            let old = known.fetched.is_none_or(|at| at.elapsed() >= self.0.refresh);
            if old && known.may_try() && self.0.fetching.try_lock().is_ok() {
                // The cached keys are used meanwhile, so that no request waits.
                let again = self.clone();
                tokio::spawn(async move { again.fetch(known.fetched).await });
            }
            return Ok(found);
        }
        let known = if known.may_try() {
            self.fetch(known.fetched).await;
            self.known()
        } else {
            known
        };
        let found = known.pick(kid, alg);
        // While the issuer does not answer, it is unknown whether it has such a key.
        if found.is_empty() && known.failures > 0 {
            return Err(Unavailable);
        }
        Ok(found)
    }

    /// Fetches the keys, unless another request has done so since `seen`.
    async fn fetch(&self, seen: Option<Instant>) {
        let _turn = self.0.fetching.lock().await;
        let before = self.known();
        if before.fetched != seen || !before.may_try() {
            return;
        }
        let fetched = self.ask().await;
        let url = &self.0.url;
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(keys) => {
                if keys.is_empty() {
                    tracing::warn!(
                        url,
                        "the set at {url} holds no key that verifies: its issuer's tokens are refused"
                    );
                }
                tracing::debug!(url, keys = keys.len(), "{} keys of {url}", keys.len());
                *known = Known {
                    keys: Arc::new(keys),
                    fetched: Some(now()),
                    next_try: Some(now() + self.0.cooldown),
                    failures: 0,
                };
            }
            Err(why) => {
                known.failures = known.failures.saturating_add(1);
                let doublings = known.failures.min(16);
                let wait = self.0.cooldown.saturating_mul(1 << doublings).min(LONGEST_WAIT);
                known.next_try = Some(now() + wait);
                tracing::warn!(
                    url,
                    why,
                    "the keys of {url} cannot be had ({why}); asked again in {} s",
                    wait.as_secs()
                );
            }
        }
    }

    async fn ask(&self) -> Result<Vec<PublicKey>, &'static str> {
        let sent = self.0.http.get(&self.0.url).header("Accept", "application/json").send();
        let mut answer = sent.await.map_err(|e| {
            if e.is_timeout() {
                "it does not answer in time"
            } else {
                "it cannot be reached"
            }
        })?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err("it does not answer 200");
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| "its answer breaks off")? {
            if text.len() + chunk.len() > MAX_ANSWER {
                return Err("its answer is too large");
            }
            text.extend_from_slice(&chunk);
        }
        read(&text)
    }
}

fn read(text: &[u8]) -> Result<Vec<PublicKey>, &'static str> {
    let set: Value = serde_json::from_slice(text).map_err(|_| "its answer is not JSON")?;
    let members = set
        .get("keys")
        .and_then(Value::as_array)
        .ok_or("its answer is no JWK set")?;
    // An empty set is valid, because that is how an issuer withdraws its last key.
    Ok(members.iter().take(MAX_KEYS).filter_map(PublicKey::from_jwk).collect())
}

impl Known {
    fn may_try(&self) -> bool {
        self.next_try.is_none_or(|at| now() >= at)
    }

    fn pick(&self, kid: Option<&str>, alg: Algorithm) -> Vec<PublicKey> {
        if self.fetched.is_none_or(|at| at.elapsed() >= KEEP) {
            return Vec::new();
        }
        let fits: Vec<_> = self.keys.iter().filter(|key| key.fits(kid, alg)).cloned().collect();
        // A token without a key id is accepted only if there is exactly one key.
        if kid.is_none() && fits.len() > 1 {
            return Vec::new();
        }
        fits
    }
}
