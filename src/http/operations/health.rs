//! `/healthz` says that the process lives; `/readyz` that it can take work. Both look only at this process: a vendor that
//! is down is no reason to take the service out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::AppState;
use crate::http::problem::json;

/// One named part of readiness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which part.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// Why not.
    pub detail: Option<String>,
}

/// Tells whether work can be taken.
pub trait Readiness: Send + Sync {
    /// Every part; all must be well.
    fn checks(&self) -> Vec<Check>;
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Vec<Check>,
}

pub(crate) async fn alive() -> Response {
    json(
        StatusCode::OK,
        &Alive {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}

pub(crate) async fn ready(State(door): State<AppState>) -> Response {
    let checks = door.readiness.checks();
    if checks.iter().all(|c| c.ok) {
        json(
            StatusCode::OK,
            &Ready {
                status: "ready",
                checks,
            },
        )
    } else {
        json(
            StatusCode::SERVICE_UNAVAILABLE,
            &Ready {
                status: "not_ready",
                checks,
            },
        )
    }
}
