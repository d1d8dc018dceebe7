//! Who calls: an API key as `Authorization: Bearer …`, or as `X-API-Key` for EventBridge API destinations.
//!
//! Only SHA-256 hashes of keys are in memory. A presented key is hashed and compared with **every** stored hash in
//! constant time, so that neither the time taken nor the place in the list tells anything.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Door;
use super::problem::Problem;
use crate::domain::authority::{Caller, Scope};

/// The longest key looked at.
const MAX_KEY: usize = 512;

/// One configured key.
#[derive(Clone)]
pub struct ApiKey {
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// Whom it makes the caller.
    pub caller: Caller,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// Who may come in.
#[derive(Debug, Clone)]
pub struct Credentials {
    keys: Vec<ApiKey>,
}

impl Credentials {
    /// These keys. None at all lets everybody in with every scope: the configuration allows that only on a loopback
    /// address.
    pub fn new(keys: Vec<ApiKey>) -> Self {
        Self { keys }
    }

    fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        if self.keys.is_empty() {
            return Some(Caller {
                name: "local".into(),
                scopes: Scope::ALL.to_vec(),
                supervisor: None,
            });
        }
        let presented = presented(headers)?;
        let hash: [u8; 32] = Sha256::digest(presented).into();
        // Every key is compared, whatever the first ones said.
        let (mut found, mut index) = (Choice::from(0), 0_u32);
        for (i, key) in self.keys.iter().enumerate() {
            let same = key.sha256.ct_eq(&hash);
            index.conditional_assign(&u32::try_from(i).unwrap_or(0), same);
            found |= same;
        }
        if bool::from(found) {
            self.keys.get(index as usize).map(|key| key.caller.clone())
        } else {
            None
        }
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    let key = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes))?;
    (!key.is_empty() && key.len() <= MAX_KEY).then_some(key)
}

/// Lets in whoever is known, with the [`Caller`] in the request's extensions; tells everybody else 401.
pub(super) async fn identify(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    // A ticket opens one path and no other; given there, it is the credential.
    let is_stream = request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| path.as_str() == super::DIRECTIVES);
    let by_ticket = if is_stream {
        door.tickets.take(&request, door.flows.clock())
    } else {
        None
    };
    match by_ticket.or_else(|| door.credentials.caller(request.headers())) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => Problem::unauthorized().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> ApiKey {
        let caller = Caller {
            name: name.into(),
            scopes: vec![Scope::Read],
            supervisor: None,
        };
        ApiKey {
            sha256: Sha256::digest(secret).into(),
            caller,
        }
    }

    fn name_for(credentials: &Credentials, header: &'static str, value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header, HeaderValue::from_str(value).expect("a header"));
        credentials.caller(&headers).map(|c| c.name)
    }

    #[test]
    fn a_key_is_known_by_its_hash_in_either_header() {
        let two = Credentials::new(vec![key("a", "secret-a"), key("b", "secret-b")]);
        assert_eq!(name_for(&two, "authorization", "Bearer secret-a").as_deref(), Some("a"));
        assert_eq!(name_for(&two, "authorization", "bearer secret-b").as_deref(), Some("b"));
        assert_eq!(name_for(&two, "x-api-key", "secret-b").as_deref(), Some("b"));
        for wrong in ["Bearer secret-c", "Bearer ", "secret-a", "Basic secret-a", "B"] {
            assert_eq!(name_for(&two, "authorization", wrong), None, "{wrong}");
        }
        assert_eq!(two.caller(&HeaderMap::new()), None);
    }

    #[test]
    fn neither_key_nor_hash_is_printed() {
        let printed = format!("{:?}", Credentials::new(vec![key("a", "secret-a")]));
        assert!(
            !printed.contains("secret-a") && !printed.contains("sha256"),
            "{printed}"
        );
    }
}
