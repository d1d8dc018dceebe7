//! `GET /v1/vendors/{vendor}/calibration`: one vendor's clocks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::AppState;
use crate::http::extract::{Authenticated, NameInPath};
use crate::http::problem::{Problem, json};
use crate::http::v1::vendors::{VendorView, undecodable_vendor};

pub(crate) async fn handle(
    State(app): State<AppState>,
    Authenticated(by): Authenticated,
    NameInPath(vendor): NameInPath,
) -> Result<Response, Problem> {
    let vendor = vendor.ok_or_else(undecodable_vendor)?;
    let report = app.usecases.clocks.vendor(&vendor, &by).await?;
    Ok(json(StatusCode::OK, &VendorView::of(&report)))
}
