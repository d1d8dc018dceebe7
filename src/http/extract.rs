//! Extractors: what handlers take from a request before their own work begins.

use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::SupervisionId;

use super::auth::Origin;
use super::bulkheads::Bulkhead;
use super::middleware::{Arrived, RequestIds};
use super::problem::Problem;
use super::problem_code::ProblemCode;
use super::{AppState, body, idempotency, routes};
use crate::usecases;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::IdempotencyError;

/// The authenticated caller of a request, without an idempotency key.
pub(super) struct Authenticated(pub(super) usecases::RequestContext);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (caller, id) = (parts.extensions.get::<Caller>(), parts.extensions.get::<RequestIds>());
        let arrived = parts.extensions.get::<Arrived>();
        let (Some(caller), Some(id), Some(Arrived(arrived))) = (caller, id, arrived) else {
            // The route lies outside the middleware that adds them.
            let detail = "The request was not identified.";
            return Err(Problem::new(ProblemCode::Internal, detail));
        };
        Ok(Self(usecases::RequestContext {
            caller: caller.clone(),
            request_id: Some(id.ours.clone()),
            origin: parts
                .extensions
                .get::<Origin>()
                .map(|origin| origin.0.clone())
                .unwrap_or_default(),
            key: None,
            only_with_key: None,
            arrived: *arrived,
        }))
    }
}

/// A request that changes something: the caller with their `Idempotency-Key`, if they sent one, and the whole body, which is
/// at most `http.max_body_bytes` long.
pub(super) struct Command {
    pub(super) by: usecases::RequestContext,
    pub(super) body: Bytes,
}

impl FromRequest<AppState> for Command {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let (mut parts, content) = request.into_parts();
        let Authenticated(mut by) = Authenticated::from_request_parts(&mut parts, app).await?;
        let matched = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let route = matched.and_then(|path| routes::find(path, &parts.method));
        let is_leave = route.is_some_and(|route| route.bulkhead() == Bulkhead::Leaves);
        let (method, path, headers) = (parts.method.clone(), parts.uri.path().to_owned(), parts.headers.clone());
        let body = body::read(Request::from_parts(parts, content), app.settings.max_body_bytes).await?;
        by.key = idempotency::key(&headers, &by.caller, method.as_str(), &path, &body)?;
        if let Some(key) = &by.key {
            match app.usecases.idempotency.require_share(&by.caller, key).await {
                Ok(()) => {}
                // A disconnect may be repeated without a key, and must never be refused.
                Err(IdempotencyError::KeyLimitReached) if is_leave => by.key = None,
                Err(e) => return Err(e.into()),
            }
        }
        by.only_with_key = by.key.as_ref().and_then(|key| app.usecases.idempotency.only_with(key));
        Ok(Self { by, body })
    }
}

/// The path's only parameter; `None` if it cannot be decoded. Such a name names nothing, so that the caller gets the same 404
/// as for a name that does not exist.
pub(super) struct NameInPath(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for NameInPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let raw = Path::<String>::from_request_parts(parts, state).await.ok();
        Ok(Self(raw.map(|Path(raw)| raw)))
    }
}

/// The supervision that the path names. Text that is not an id names no supervision: 404.
pub(super) struct SupervisionInPath(pub(super) SupervisionId);

impl<S: Send + Sync> FromRequestParts<S> for SupervisionInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(NameInPath(raw)) = NameInPath::from_request_parts(parts, state).await;
        raw.and_then(|raw| SupervisionId::parse(&raw))
            .map(Self)
            .ok_or_else(|| UseCaseError::SupervisionNotFound.into())
    }
}
