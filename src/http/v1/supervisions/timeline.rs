//! `GET /v1/supervisions/{supervisionId}/timeline`: the events of one supervision, oldest first.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::AppState;
use crate::http::extract::{Authenticated, SupervisionInPath};
use crate::http::problem::{Problem, json};
use crate::http::views::Rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MomentView {
    at: Rfc3339,
    what: String,
    actor: String,
    detail: Option<String>,
    vendor_timestamp: Option<Rfc3339>,
}

#[derive(Serialize)]
struct Timeline {
    items: Vec<MomentView>,
}

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    SupervisionInPath(id): SupervisionInPath,
) -> Result<Response, Problem> {
    let moments = app.usecases.reports.timeline(id, &by).await?;
    let view = |m: crate::usecases::reports::timeline::TimelineEntry| MomentView {
        at: Rfc3339::of(m.at),
        what: m.what,
        actor: m.by,
        detail: m.detail,
        vendor_timestamp: m.vendor_timestamp.map(Rfc3339::of),
    };
    let items = moments.into_iter().map(view).collect();
    Ok(json(StatusCode::OK, &Timeline { items }))
}
