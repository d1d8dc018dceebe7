//! `/healthz`: the process is alive; `/readyz`: it accepts requests. Both check only this process, because a vendor that is down
//! is no reason to take the service out of a load balancer.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use sidedoor_domain::authority::Caller;

use crate::http::problem::{Problem, json};
use crate::http::routes::HAS_DETAILS;
use crate::http::{AppState, Peer};

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

    /// The same for those who must not learn what is inside: the checks of internal tasks are one, and no check has a detail.
    fn generic_checks(&self) -> Vec<Check>;
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

pub(crate) async fn ready(
    State(app): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let peer = peer.map(|Extension(peer)| peer);
    let operates = |caller: Caller| HAS_DETAILS.iter().any(|scope| caller.has(*scope));
    let checks = if app.caller_if_any(&headers, peer).await?.is_some_and(operates) {
        app.readiness.checks()
    } else {
        app.readiness.generic_checks()
    };
    let answer = if checks.iter().all(|c| c.ok) {
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
    };
    Ok(answer)
}
