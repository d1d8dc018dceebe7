//! `GET /metrics`: what is counted, for Prometheus. Needs `read` or `operate`: how much a centre listens is nobody else's business.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::http::AppState;
use crate::http::auth::KeyUsed;
use crate::http::extract::Authenticated;
use crate::http::problem::Problem;
use crate::usecases::error::UseCaseError;
use crate::usecases::reports::supervisions::Standing;
use sidedoor_domain::authority::Scope;

/// What the front door itself counts.
#[derive(Debug, Clone, Default)]
pub struct AtTheDoor {
    /// When each secret of each key was last used.
    pub keys_used: Vec<KeyUsed>,
    /// Requests of nobody known, by why.
    pub unauthorized: Vec<(&'static str, u64)>,
    /// Requests that came too often, by which limit.
    pub rate_limited: Vec<(&'static str, u64)>,
    /// Connections open now.
    pub connections: usize,
    /// Connections refused for want of room.
    pub connections_refused: u64,
}

/// Writes everything that is counted in the exposition format, with how things stand now.
pub type Exposition = dyn Fn(&Standing, &AtTheDoor) -> String + Send + Sync;

/// OpenMetrics, as Prometheus reads it.
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn handle(
    State(door): State<AppState>,
    Authenticated(by): Authenticated,
) -> Result<Response, Problem> {
    if ![Scope::Read, Scope::Operate].iter().any(|scope| by.caller.has(*scope)) {
        return Err(UseCaseError::Forbidden("this credential may not read the metrics").into());
    }
    let standing = door.usecases.reports.standing().await?;
    let here = AtTheDoor {
        keys_used: door.credentials.keys_used(),
        unauthorized: door.credentials.refused(),
        rate_limited: door.limits.refused(),
        connections: door.connections.open(),
        connections_refused: door.connections.refused(),
    };
    let told = (door.exposition)(&standing, &here);
    Ok((StatusCode::OK, [(CONTENT_TYPE, MEDIA)], told).into_response())
}
