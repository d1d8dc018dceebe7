//! `/healthz`: the process is alive; `/readyz`: it accepts requests. Both check only this process, because a vendor that is down
//! is no reason to take the service out of a load balancer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::AppState;
use crate::http::problem::json;

/// One check of readiness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The name of the part that is checked.
    pub name: String,
    /// Whether the part works.
    pub ok: bool,
    /// Why it does not.
    pub detail: Option<String>,
}

/// Reports whether the service accepts requests.
pub trait Readiness: Send + Sync {
    /// Every check; the service is ready if all pass.
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

pub(crate) async fn ready(State(app): State<AppState>) -> Response {
    let checks = app.readiness.checks();
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
