//! `GET /v1/audit/head`: the head of the newest seal, for a copy outside the store. Such a copy shows later whether the audit was cut or
//! rewritten.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::problem::{Problem, json};
use crate::http::views::Rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadView {
    head: Option<String>,
    sealed_at: Option<Rfc3339>,
    key_id: Option<String>,
    unsealed_entries: u64,
}

pub(crate) async fn handle(State(app): State<AppState>, Authenticated(by): Authenticated) -> Result<Response, Problem> {
    let sealed = app.usecases.auditing.sealed_up_to(&by).await?;
    let view = HeadView {
        head: sealed.seal.as_ref().map(|seal| seal.head().to_string()),
        sealed_at: sealed.seal.as_ref().map(|seal| Rfc3339::of(seal.at)),
        key_id: sealed.seal.and_then(|seal| seal.key_id),
        unsealed_entries: sealed.unsealed,
    };
    Ok(json(StatusCode::OK, &view))
}
