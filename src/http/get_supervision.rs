//! `GET /v1/supervisions/{supervisionId}`.

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Door;
use super::guard::RequestId;
use super::problem::{Problem, json};
use super::views::SupervisionView;
use crate::domain::authority::Caller;
use crate::domain::ids::SupervisionId;
use crate::flows::{FlowError, Request};

pub(super) async fn handle(
    State(door): State<Door>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    Path(raw): Path<String>,
) -> Result<Response, Problem> {
    let by = Request {
        caller,
        request_id: Some(request_id.0),
        key: None,
    };
    let stored = door.flows.get(id(&raw)?, &by).await?;
    Ok(json(StatusCode::OK, &SupervisionView::of(&stored)))
}

/// The id in a path. What is none names no supervision.
pub(super) fn id(raw: &str) -> Result<SupervisionId, Problem> {
    SupervisionId::parse(raw).ok_or_else(|| FlowError::NotFound.into())
}
