//! The front door: HTTP in, flows behind. A file an operation; `openapi.yaml` at the root is the contract, and a test
//! compares it with [`ROUTES`] both ways.
//!
//! Every answer carries `X-Request-Id`; every error is one [`problem::Problem`] with a stable `code`.

mod asking;
mod auth;
mod body;
mod guard;
mod idempotency;
mod path;
pub mod problem;
mod views;

mod acknowledge;
mod connect_events;
mod disconnect;
mod disconnect_supervisor;
mod documents;
mod get_supervision;
mod health;
mod list_supervisions;
mod partner_events;
mod probe_vendor;
mod start_supervision;
mod vendors;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

pub use auth::{ApiKey, Credentials};
pub use health::{Check, Readiness};

use crate::flows::Flows;

/// Every route there is: method and path, as in `openapi.yaml`.
pub const ROUTES: [(&str, &str); 14] = [
    ("POST", "/v1/supervisions"),
    ("GET", "/v1/supervisions"),
    ("GET", "/v1/supervisions/{supervisionId}"),
    ("POST", "/v1/supervisions/{supervisionId}/disconnect"),
    ("POST", "/v1/supervisions/{supervisionId}/acknowledgements"),
    ("POST", "/v1/supervisors/{connectUserId}/disconnect"),
    ("POST", "/v1/events/connect"),
    ("POST", "/v1/events/partners/{vendor}"),
    ("GET", "/v1/vendors"),
    ("GET", "/v1/vendors/{vendor}/calibration"),
    ("POST", "/v1/vendors/{vendor}/probes"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.yaml"),
];

/// The front door's settings.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The largest body taken, bytes.
    pub max_body_bytes: usize,
    /// Requests at a time; more are told 503 at once.
    pub max_in_flight: usize,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Door {
    flows: Flows,
    credentials: Arc<Credentials>,
    readiness: Arc<dyn Readiness>,
    settings: Settings,
    room: Arc<Semaphore>,
}

/// The whole front door.
pub fn router(flows: Flows, credentials: Credentials, readiness: Arc<dyn Readiness>, settings: Settings) -> Router {
    let room = Arc::new(Semaphore::new(settings.max_in_flight));
    let door = Door {
        flows,
        credentials: Arc::new(credentials),
        readiness,
        settings,
        room,
    };
    let guarded = Router::new()
        .route(
            "/v1/supervisions",
            post(start_supervision::handle).get(list_supervisions::handle),
        )
        .route("/v1/supervisions/{supervisionId}", get(get_supervision::handle))
        .route("/v1/supervisions/{supervisionId}/disconnect", post(disconnect::handle))
        .route(
            "/v1/supervisions/{supervisionId}/acknowledgements",
            post(acknowledge::handle),
        )
        .route(
            "/v1/supervisors/{connectUserId}/disconnect",
            post(disconnect_supervisor::handle),
        )
        .route("/v1/events/connect", post(connect_events::handle))
        .route("/v1/events/partners/{vendor}", post(partner_events::handle))
        .route("/v1/vendors", get(vendors::list))
        .route("/v1/vendors/{vendor}/calibration", get(vendors::calibration))
        .route("/v1/vendors/{vendor}/probes", post(probe_vendor::handle))
        .route_layer(from_fn_with_state(door.clone(), auth::identify));
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.yaml", get(documents::openapi));
    guarded
        .merge(open)
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(door.clone(), guard::room))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(guard::envelope))
        .with_state(door)
}
