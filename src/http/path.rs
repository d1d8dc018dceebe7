//! The name in a path. One that cannot be decoded names nothing, as one that nobody has: both are 404 to the caller.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// What the path's one parameter says, if it can be read.
pub(super) struct Named(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let raw = Path::<String>::from_request_parts(parts, state).await.ok();
        Ok(Self(raw.map(|Path(raw)| raw)))
    }
}
