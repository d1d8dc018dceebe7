//! `GET /v1/vendors`: every vendor with its clocks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::AppState;
use crate::http::extract::Authenticated;
use crate::http::problem::{Problem, json};
use crate::http::v1::vendors::VendorView;

#[derive(Serialize)]
struct VendorList {
    items: Vec<VendorView>,
}

pub(crate) async fn handle(State(app): State<AppState>, Authenticated(by): Authenticated) -> Result<Response, Problem> {
    let items = app
        .usecases
        .clocks
        .vendors(&by)
        .await?
        .iter()
        .map(VendorView::of)
        .collect();
    Ok(json(StatusCode::OK, &VendorList { items }))
}
