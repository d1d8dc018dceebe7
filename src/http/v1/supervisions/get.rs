//! `GET /v1/supervisions/{supervisionId}`: one supervision.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::AppState;
use crate::http::extract::{Authenticated, SupervisionInPath};
use crate::http::problem::{Problem, json};
use crate::http::views::supervision::SupervisionView;

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    SupervisionInPath(id): SupervisionInPath,
) -> Result<Response, Problem> {
    let stored = app.usecases.reports.read(id, &by).await?;
    Ok(json(StatusCode::OK, &SupervisionView::of(&app.usecases, &stored)))
}
