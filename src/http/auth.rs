//! Authentication: an API key as `Authorization: Bearer …` (or as `X-API-Key`, for EventBridge API destinations), a token of a
//! configured issuer, or a ticket, which opens only the stream of directives.
//!
//! | file | holds |
//! |---|---|
//! | [`api_keys`] | keys, two secrets at a time for one name, and when each was last used |
//! | [`tokens`] | signed tokens: their verification, and the resulting caller |
//! | [`public_key`] | a key of an issuer, and the algorithms it may verify |
//! | [`jwks`] | an issuer's keys by URL: cached, refreshed, and not requested again at once after a failure |
//! | [`origin`] | where a request came from, and the audit of refusals |
//! | [`key_file`] | an issuer's keys in a file, read again when it changes |
//!
//! A refused caller gets only 401; the cause is in the log, without the credential.

mod api_keys;
mod jwks;
mod key_file;
mod origin;
mod public_key;
pub(super) mod tokens;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_keys::ApiKeys;
pub use api_keys::{ApiKey, KeyUsed};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
pub use key_file::BadKeyFile;
pub(super) use origin::Origin;
use sha2::{Digest, Sha256};
use sidedoor_domain::authority::{Caller, Claim, ClaimKind, EventSource, Scope};
pub use tokens::{IssuerSettings, KeysFrom};
use tokens::{Issuers, Verified};

use super::AppState;
use super::bulkheads::Bulkhead;
use super::limits::{Presented, Purpose, Wait};
use super::middleware::Arrived;
use super::problem::Problem;
use super::routes::{self, Route};
use super::serve::Peer;
use crate::usecases::identity::IdentityError;

/// Why a request is not authenticated; the words appear in the log and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    /// The request has no credential.
    None,
    /// The credential is neither a configured key nor shaped like a token.
    UnknownKey,
    /// A token that is invalid.
    Token,
    /// The issuer's keys could not be fetched.
    KeysUnavailable,
    /// Too many failures from this peer.
    TooMany(Wait),
}

impl Denied {
    fn word(self) -> &'static str {
        match self {
            Self::None => "no_credential",
            Self::UnknownKey => "unknown_key",
            Self::Token => "bad_token",
            Self::KeysUnavailable => "issuer_keys_unavailable",
            Self::TooMany(_) => "too_many_failures",
        }
    }

    const WORDS: [&'static str; 5] = [
        "no_credential",
        "unknown_key",
        "bad_token",
        "issuer_keys_unavailable",
        "too_many_failures",
    ];
}

/// The configured credentials.
#[derive(Debug)]
pub struct Credentials {
    keys: ApiKeys,
    issuers: Issuers,
    refused: [AtomicU64; Denied::WORDS.len()],
}

impl Credentials {
    /// These keys and issuers. With none at all, authentication is disabled and every caller has every scope; the configuration
    /// allows that only on a loopback address.
    ///
    /// # Errors
    /// When an issuer's key file cannot be used.
    pub fn new(keys: Vec<ApiKey>, issuers: Vec<IssuerSettings>) -> Result<Self, BadKeyFile> {
        Ok(Self {
            keys: ApiKeys::new(keys),
            issuers: Issuers::new(issuers)?,
            refused: Default::default(),
        })
    }

    /// When each key was last used.
    pub(super) fn keys_used(&self) -> Vec<KeyUsed> {
        self.keys.used()
    }

    /// Requests refused so far, by cause.
    pub(super) fn refused(&self) -> Vec<(&'static str, u64)> {
        let counts = self.refused.iter().map(|n| n.load(Ordering::Relaxed));
        Denied::WORDS.into_iter().zip(counts).collect()
    }

    fn count(&self, why: Denied) {
        if let Some(at) = Denied::WORDS.iter().position(|word| *word == why.word()) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether authentication is disabled, so that every caller has every scope.
    pub(super) fn anybody(&self) -> bool {
        self.keys.is_empty() && self.issuers.is_empty()
    }
}

/// The credential of a request, and whether it may be a token.
fn presented(headers: &HeaderMap) -> Option<(&[u8], bool)> {
    let bearer = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, credential) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some((credential, true))
    });
    let given = bearer.or_else(|| headers.get("x-api-key").map(|key| (key.as_bytes(), false)));
    given.filter(|(credential, _)| !credential.is_empty())
}

impl AppState {
    /// The caller, and for a token the claim that names its supervisor, which is still to be looked up.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<(Caller, Option<Claim>), Denied> {
        if self.credentials.anybody() {
            let local = Caller::new("local", Scope::ALL.to_vec()).delivering(Some(EventSource::Any));
            return Ok((local, None));
        }
        let Some((credential, may_be_token)) = presented(headers) else {
            return Err(Denied::None);
        };
        // Before anything is compared or verified, so that a flood of guesses costs little.
        let hash: Presented = Sha256::digest(credential).into();
        if let Some(wait) = self.limits.slowed(peer, &hash) {
            return Err(Denied::TooMany(wait));
        }
        let known = self.verified(credential, may_be_token).await?;
        self.limits.note_valid(hash);
        Ok(known)
    }

    /// The caller of a credential that is valid.
    async fn verified(&self, credential: &[u8], may_be_token: bool) -> Result<(Caller, Option<Claim>), Denied> {
        let known = self.credentials.keys.find(credential);
        if may_be_token && known.is_none() && tokens::looks_like_one(credential) {
            let verified = self.credentials.issuers.verify(credential).await?;
            let Verified {
                name,
                scopes,
                event_source,
                board,
                claim,
                expires_at,
            } = verified;
            return Ok((
                Caller::new(name, scopes)
                    .delivering(event_source)
                    .seeing(board)
                    .until(Some(expires_at)),
                Some(claim),
            ));
        }
        let key = known.ok_or(Denied::UnknownKey)?;
        Ok((self.credentials.keys.uses(key, self.usecases.now()), None))
    }

    /// The caller of a route that needs no credential; `None` if the request has none. An invalid one is refused and counted as on
    /// every other route, so that no route can be used to guess.
    pub(super) async fn caller_if_any(
        &self,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<Option<Caller>, Problem> {
        match self.authenticate(headers, peer).await {
            Ok((caller, _)) => match self.limits.spent(&caller, Purpose::Other) {
                Some(wait) => Err(Problem::rate_limited(
                    "This credential reached its rate limit.",
                    wait.seconds(),
                )),
                None => Ok(Some(caller)),
            },
            // An issuer that is down is no reason to refuse an answer that anybody may have.
            Err(Denied::None | Denied::KeysUnavailable) => Ok(None),
            Err(why) => Err(self.refuse(why, peer)),
        }
    }

    /// The caller with the supervisor that the token names looked up, if its scopes let it act as one.
    async fn bound(&self, mut caller: Caller, claim: Claim, within: Duration) -> Caller {
        if caller.has(Scope::Supervise) || caller.has(Scope::SuperviseAny) {
            if claim.kind == ClaimKind::SalesforceUserId {
                caller.salesforce_user = Some(claim.value.clone());
            }
            match self.usecases.identity.resolve_claim(&claim, within).await {
                Ok(user) => caller.supervisor = Some(user),
                Err(why) => caller.unbound = Some(why),
            }
        }
        caller
    }

    fn refuse(&self, why: Denied, peer: Option<Peer>) -> Problem {
        tracing::debug!(why = why.word(), peer = ?peer, "request rejected: {}", why.word());
        // Only an invalid credential counts as a guess. A page that reconnects with a spent ticket sends none.
        let failed = matches!(why, Denied::UnknownKey | Denied::Token);
        let too_many = match why {
            Denied::TooMany(wait) => Some(wait),
            _ if failed => self.limits.failed(peer),
            _ => None,
        };
        self.credentials.count(too_many.map_or(why, Denied::TooMany));
        match (too_many, why) {
            (Some(wait), _) => Problem::rate_limited("Too many requests without a valid key or token.", wait.seconds()),
            (None, Denied::KeysUnavailable) => Problem::keys_unavailable(),
            (None, Denied::None) => Problem::unauthorized(),
            (None, _) => Problem::bad_credential(),
        }
    }
}

fn purpose(request: &Request) -> Purpose {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(|path| routes::find(path, request.method()));
    match route.map(Route::bulkhead) {
        Some(Bulkhead::Leaves) => Purpose::Leaving,
        _ => Purpose::Other,
    }
}

/// Authenticates a request and puts its [`Caller`] into the extensions; answers 401 without a valid credential, and 429 above the
/// caller's rate.
pub(super) async fn identify(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    // A ticket is a credential on one path only.
    let is_stream = request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| path.as_str() == super::routes::DIRECTIVES);
    let by_ticket = if is_stream {
        app.tickets.take(&request, app.usecases.now())
    } else {
        None
    };
    let peer = request.extensions().get::<Peer>().copied();
    let mut origin = Origin::of(&request, peer);
    let admitted = match by_ticket {
        Some(holder) => Ok((holder, None)),
        None => app.authenticate(request.headers(), peer).await,
    };
    let (caller, claim) = match admitted {
        Ok(known) => known,
        Err(why) => {
            let response = app.refuse(why, peer).into_response();
            // A request without a credential is counted in the metrics only.
            if why != Denied::None {
                origin.note_refusal(&app, None, &response);
            }
            return response;
        }
    };
    if !app.credentials.anybody() {
        origin.set_credential(&caller);
    }
    if let Some(wait) = app.limits.spent(&caller, purpose(&request)) {
        let detail = "This credential, or all callers together, reached the rate limit.";
        return Problem::rate_limited(detail, wait.seconds()).into_response();
    }
    // Looked up after the rate limit, so that the limit also bounds look-ups.
    let caller = match claim {
        Some(claim) => {
            let arrived = request.extensions().get::<Arrived>();
            let within = arrived.map_or(Duration::ZERO, |Arrived(at)| app.usecases.time_left(*at));
            app.bound(caller, claim, within).await
        }
        None => caller,
    };
    // A supervisor's caller can do nothing without a supervisor.
    if let Some(why) = caller.unbound
        && caller.acts_for_one_supervisor()
    {
        let response = Problem::from(IdentityError::Unbound(why)).into_response();
        origin.note_refusal(&app, Some(&caller.name), &response);
        return response;
    }
    let name = caller.name.clone();
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(origin.clone());
    let response = next.run(request).await;
    origin.note_refusal(&app, Some(&name), &response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_is_read_from_either_header() {
        let take = |header: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header, HeaderValue::from_str(value).expect("a header"));
            presented(&headers).map(|(credential, token)| (String::from_utf8_lossy(credential).into_owned(), token))
        };
        assert_eq!(take("authorization", "Bearer a"), Some(("a".into(), true)));
        assert_eq!(take("authorization", "bearer a.b.c"), Some(("a.b.c".into(), true)));
        assert_eq!(take("x-api-key", "a.b.c"), Some(("a.b.c".into(), false)));
        for wrong in ["Bearer ", "secret-a", "Basic secret-a", "B"] {
            assert_eq!(take("authorization", wrong), None, "{wrong}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}
