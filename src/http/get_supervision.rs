//! `GET /v1/supervisions/{supervisionId}`.

use axum::extract::{Extension, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::Door;
use super::guard::RequestId;
use super::path::Named;
use super::problem::{Problem, json};
use super::views::SupervisionView;
use crate::domain::authority::Caller;
use crate::domain::ids::SupervisionId;
use crate::flows::{FlowError, Request};

pub(super) async fn handle(
    State(door): State<Door>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    InPath(id): InPath,
) -> Result<Response, Problem> {
    let by = Request {
        caller,
        request_id: Some(request_id.0),
        key: None,
    };
    let stored = door.flows.get(id, &by).await?;
    Ok(json(StatusCode::OK, &SupervisionView::of(&stored)))
}

/// The id in a path. What is none names no supervision.
pub(super) struct InPath(pub(super) SupervisionId);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Named(raw)) = Named::from_request_parts(parts, state).await;
        raw.and_then(|raw| SupervisionId::parse(&raw))
            .map(Self)
            .ok_or_else(|| FlowError::NotFound.into())
    }
}
