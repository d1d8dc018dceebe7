//! `/openapi.yaml`: the contract.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

pub(crate) async fn handle() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; charset=utf-8")],
        include_str!("../../../openapi.yaml"),
    )
}
