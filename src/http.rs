//! The front door: HTTP in, usecases behind. A file an operation; `openapi.yaml` at the root is the contract, and a test
//! compares it with [`ROUTES`] both ways.
//!
//! Every answer carries `X-Request-Id`; every error is one [`problem::Problem`] with a stable `code`.

mod asking;
mod audit;
mod auth;
mod body;
mod directive_view;
mod error_answers;
mod guard;
pub mod hostile;
mod idempotency;
mod limits;
mod path;
pub mod problem;
mod query;
mod serve;
mod views;

mod acknowledge;
mod change_mode;
mod connect_events;
mod deliveries;
mod directives;
mod disconnect;
mod disconnect_supervisor;
mod documents;
mod get_supervision;
mod health;
mod list_supervisions;
mod metrics;
mod partner_events;
mod probe_vendor;
mod start_supervision;
mod tickets;
mod timeline;
mod vendors;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use auth::{ApiKey, BadKeyFile, Credentials, IssuerSettings, KeyUsed, KeysFrom};
pub use health::{Check, Readiness};
pub use limits::{Rate, Rates};
pub use metrics::{AtTheDoor, Exposition};
pub use serve::{Connections, Patience, Peer, serve};

use crate::usecases::UseCases;

/// Every route there is: method and path, as in `openapi.yaml`.
pub const ROUTES: [(&str, &str); 23] = [
    ("POST", "/v1/supervisions"),
    ("GET", "/v1/supervisions"),
    ("GET", "/v1/supervisions/{supervisionId}"),
    ("POST", "/v1/supervisions/{supervisionId}/disconnect"),
    ("POST", "/v1/supervisions/{supervisionId}/mode"),
    ("POST", "/v1/supervisions/{supervisionId}/acknowledgements"),
    ("GET", "/v1/supervisions/{supervisionId}/timeline"),
    ("POST", "/v1/supervisors/{connectUserId}/disconnect"),
    ("GET", "/v1/supervisors/{connectUserId}/directives"),
    ("POST", "/v1/supervisors/{connectUserId}/tickets"),
    ("POST", "/v1/events/connect"),
    ("POST", "/v1/events/partners/{vendor}"),
    ("GET", "/v1/vendors"),
    ("GET", "/v1/vendors/{vendor}/calibration"),
    ("POST", "/v1/vendors/{vendor}/probes"),
    ("GET", "/v1/deliveries"),
    ("POST", "/v1/deliveries/replay"),
    ("POST", "/v1/deliveries/{deliveryId}/replay"),
    ("GET", "/v1/audit"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.yaml"),
];

/// The one path that a ticket opens.
const DIRECTIVES: &str = "/v1/supervisors/{connectUserId}/directives";

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
    tickets: tickets::Tickets,
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
        tickets: tickets::Tickets::new(),
        exposition,
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
        .route("/v1/supervisions/{supervisionId}/mode", post(change_mode::handle))
        .route("/v1/supervisions/{supervisionId}/timeline", get(timeline::handle))
        .route(DIRECTIVES, get(directives::handle))
        .route("/v1/supervisors/{connectUserId}/tickets", post(tickets::handle))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/replay", post(deliveries::replay_range))
        .route("/v1/deliveries/{deliveryId}/replay", post(deliveries::replay_one))
        .route("/v1/audit", get(audit::handle))
        .route("/metrics", get(metrics::handle))
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
        .layer(from_fn_with_state(door.clone(), guard::to_its_end))
        .layer(from_fn_with_state(door.clone(), guard::sizes))
        .layer(cross_origin)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(guard::envelope))
        .with_state(door)
}
