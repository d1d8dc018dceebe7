//! `GET /metrics`: metrics for Prometheus. Needs `read` or `operate`, because they show how much a contact centre listens in.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use sidedoor_domain::authority::Scope;

use crate::http::AppState;
use crate::http::auth::KeyUsed;
use crate::http::extract::Authenticated;
use crate::http::problem::Problem;
use crate::usecases::error::UseCaseError;
use crate::usecases::reports::supervisions::ServiceCounts;

/// Figures of the HTTP layer itself.
#[derive(Debug, Clone, Default)]
pub struct HttpFigures {
    /// When each secret of each key was last used.
    pub keys_used: Vec<KeyUsed>,
    /// Requests without a valid credential, by cause.
    pub unauthorized: Vec<(&'static str, u64)>,
    /// Requests above a rate limit, by limit.
    pub rate_limited: Vec<(&'static str, u64)>,
    /// Connections open now.
    pub connections: usize,
    /// Connections refused because the limit was reached.
    pub connections_refused: u64,
}

/// Renders all metrics in the exposition format, with the present figures.
pub type Exposition = dyn Fn(&ServiceCounts, &HttpFigures) -> String + Send + Sync;

/// OpenMetrics, as Prometheus reads it.
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn handle(State(app): State<AppState>, Authenticated(by): Authenticated) -> Result<Response, Problem> {
    if ![Scope::Read, Scope::Operate].iter().any(|scope| by.caller.has(*scope)) {
        return Err(UseCaseError::Forbidden("reading the metrics needs the scope `read` or `operate`").into());
    }
    let standing = app.usecases.reports.service_counts().await?;
    let here = HttpFigures {
        keys_used: app.credentials.keys_used(),
        unauthorized: app.credentials.refused(),
        rate_limited: app.limits.refused(),
        connections: app.connections.count(),
        connections_refused: app.connections.refused(),
    };
    let text = (app.exposition)(&standing, &here);
    Ok((StatusCode::OK, [(CONTENT_TYPE, MEDIA)], text).into_response())
}
