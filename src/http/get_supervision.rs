//! `GET /v1/supervisions/{supervisionId}`.

use crate::usecases::error::UseCaseError;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::AppState;
use super::asking::By;
use super::path::Named;
use super::problem::{Problem, json};
use super::views::SupervisionView;
use sidedoor_domain::ids::SupervisionId;

pub(super) async fn handle(State(door): State<AppState>, By(by): By, InPath(id): InPath) -> Result<Response, Problem> {
    let stored = door.usecases.reports.get(id, &by).await?;
    Ok(json(StatusCode::OK, &SupervisionView::of(&door.usecases, &stored)))
}

/// The id in a path. What is none names no supervision.
pub(super) struct InPath(pub(super) SupervisionId);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Named(raw)) = Named::from_request_parts(parts, state).await;
        raw.and_then(|raw| SupervisionId::parse(&raw))
            .map(Self)
            .ok_or_else(|| UseCaseError::SupervisionNotFound.into())
    }
}
