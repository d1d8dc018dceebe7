//! `GET /metrics`: what is counted, for Prometheus. Needs `read` or `operate`: how much a centre listens is nobody else's business.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Door;
use super::asking::By;
use super::problem::Problem;
use crate::domain::authority::Scope;
use crate::flows::FlowError;
use crate::flows::query::Standing;

/// Writes everything that is counted in the exposition format, with how things stand now.
pub type Exposition = dyn Fn(&Standing) -> String + Send + Sync;

/// OpenMetrics, as Prometheus reads it.
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn handle(State(door): State<Door>, By(by): By) -> Result<Response, Problem> {
    if ![Scope::Read, Scope::Operate].iter().any(|scope| by.caller.has(*scope)) {
        return Err(FlowError::Forbidden("this credential may not read the metrics").into());
    }
    let standing = door.flows.standing().await?;
    Ok((StatusCode::OK, [(CONTENT_TYPE, MEDIA)], (door.exposition)(&standing)).into_response())
}
