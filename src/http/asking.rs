//! Who asks, and for acts also the body and the `Idempotency-Key`: what nearly every operation begins with.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;

use super::guard::{Arrived, RequestId};
use super::problem::Problem;
use super::{AppState, body, idempotency};
use crate::usecases;
use sidedoor_domain::authority::Caller;

/// Who asks, without a key.
pub(super) struct By(pub(super) usecases::Request);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (caller, id) = (parts.extensions.get::<Caller>(), parts.extensions.get::<RequestId>());
        let arrived = parts.extensions.get::<Arrived>();
        let (Some(caller), Some(id), Some(Arrived(arrived))) = (caller, id, arrived) else {
            // A route outside the layers that put them there.
            let detail = "The request was not identified.";
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail));
        };
        Ok(Self(usecases::Request {
            caller: caller.clone(),
            request_id: Some(id.0.clone()),
            key: None,
            arrived: *arrived,
        }))
    }
}

/// An act: who asks, with their key if they gave one, and the whole body, within its bound.
pub(super) struct Act {
    pub(super) by: usecases::Request,
    pub(super) body: Bytes,
}

impl FromRequest<AppState> for Act {
    type Rejection = Problem;

    async fn from_request(request: Request, door: &AppState) -> Result<Self, Problem> {
        let (mut parts, content) = request.into_parts();
        let By(mut by) = By::from_request_parts(&mut parts, door).await?;
        let (method, path, headers) = (parts.method.clone(), parts.uri.path().to_owned(), parts.headers.clone());
        let body = body::read(Request::from_parts(parts, content), door.settings.max_body_bytes).await?;
        by.key = idempotency::key(&headers, &by.caller, method.as_str(), &path, &body)?;
        Ok(Self { by, body })
    }
}
