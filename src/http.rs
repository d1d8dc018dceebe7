//! The HTTP layer: it turns requests into calls of the use cases and their results into answers. A file for each operation;
//! `openapi.yaml` at the root is the contract, and a test compares it with [`ROUTES`] both ways.
//!
//! Every answer carries `X-Request-Id`; every error is one [`problem::Problem`] with a stable `code`.

mod auth;
mod body;
mod error_answers;
mod extract;
mod idempotency;
mod limits;
mod middleware;
mod operations;
mod page;
pub mod problem;
mod problem_code;
mod query;
mod routes;
mod serve;
pub mod untrusted;
mod v1;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use auth::{ApiKey, BadKeyFile, Credentials, IssuerSettings, KeyUsed, KeysFrom};
pub use limits::{Rate, Rates};
pub use operations::health::{Check, Readiness};
pub use operations::metrics::{AtTheDoor, Exposition};
pub use problem_code::ProblemCode;
pub use routes::{Access, ROUTES, Route, Verb};
pub use serve::{Connections, Patience, Peer, serve};

use crate::usecases::UseCases;

/// What browsers are told of calls from other origins: nothing, unless an origin is on the list.
fn cross_origin(origins: &[HeaderValue]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let sent = [
        "authorization",
        "content-type",
        "idempotency-key",
        "last-event-id",
        "x-request-id",
    ];
    let read = ["x-request-id", "retry-after", "idempotent-replayed"];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.to_vec()))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(sent.map(HeaderName::from_static))
        .expose_headers(read.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(600))
}

/// The front door's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body taken, bytes.
    pub max_body_bytes: usize,
    /// The largest head taken, its URL apart, bytes.
    pub max_header_bytes: usize,
    /// Requests at a time; more are told 503 at once. Vendors' events have a quarter of that for themselves.
    pub max_in_flight: usize,
    /// How often somebody may ask.
    pub rates: Rates,
    /// Pages of these origins may call from a browser (CORS); none by default.
    pub cors_allowed_origins: Vec<HeaderValue>,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct AppState {
    usecases: UseCases,
    credentials: Arc<Credentials>,
    readiness: Arc<dyn Readiness>,
    settings: Settings,
    room: Arc<Semaphore>,
    room_for_events: Arc<Semaphore>,
    limits: Arc<limits::Limits>,
    connections: Arc<Connections>,
    tickets: v1::supervisors::tickets::Tickets,
    exposition: Arc<Exposition>,
}

/// The whole front door.
pub fn router(
    usecases: UseCases,
    credentials: Credentials,
    readiness: Arc<dyn Readiness>,
    exposition: Arc<Exposition>,
    connections: Arc<Connections>,
    settings: Settings,
) -> Router {
    let cross_origin = cross_origin(&settings.cors_allowed_origins);
    let door = AppState {
        usecases,
        credentials: Arc::new(credentials),
        readiness,
        room: Arc::new(Semaphore::new(settings.max_in_flight)),
        room_for_events: Arc::new(Semaphore::new(settings.max_in_flight.div_ceil(4))),
        limits: Arc::new(limits::Limits::new(settings.rates)),
        connections,
        settings,
        tickets: v1::supervisors::tickets::Tickets::new(),
        exposition,
    };
    let is_public = |route: &Route| route.access == Access::Public;
    let authenticated =
        routes::router(|route| !is_public(route)).route_layer(from_fn_with_state(door.clone(), auth::identify));
    let public = routes::router(is_public);
    authenticated
        .merge(public)
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(door.clone(), middleware::room))
        .layer(from_fn_with_state(door.clone(), middleware::to_its_end))
        .layer(from_fn_with_state(door.clone(), middleware::sizes))
        .layer(cross_origin)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(middleware::envelope))
        .with_state(door)
}
