//! The HTTP layer: it turns requests into calls of the use cases and their results into answers. A file for each operation;
//! `openapi.yaml` at the root is the contract, and a test compares it with [`ROUTES`] both ways.
//!
//! Every answer carries `X-Request-Id`, which is ours, and the caller's own as `X-Client-Request-Id`; every error is one [`problem::Problem`] with a stable `code`.

mod admission;
mod arrival;
mod auth;
mod body;
mod bulkheads;
mod connections;
mod error_answers;
mod extract;
mod forwarded;
mod idempotency;
mod json;
mod limits;
mod middleware;
mod operations;
mod origin;
mod page;
pub mod problem;
mod problem_code;
mod query;
mod routes;
mod serve;
mod stream_life;
mod tls;
pub mod untrusted;
mod v1;
mod views;

use std::sync::Arc;

pub use auth::{ApiKey, BadKeyFile, Credentials, IssuerSettings, KeyUsed, KeysFrom};
use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state};
pub use bulkheads::ConcurrencyLimits;
pub use connections::{ConnectionLimits, Connections};
pub use forwarded::{ForwardedHeader, TrustedProxies};
pub use limits::{Rate, Rates};
pub use operations::health::{Check, Readiness};
pub use operations::metrics::{Exposition, HttpFigures};
pub use problem_code::ProblemCode;
pub use routes::{Access, ROUTES, Route, Verb};
pub use serve::{Listener, Patience, Peer, serve};
pub use tls::{BadCertificate, Tls, TlsFiles, Validity};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::usecases::UseCases;

/// CORS headers; none unless origins are configured.
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
    let read = [
        "x-request-id",
        "x-client-request-id",
        "retry-after",
        "idempotent-replayed",
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.to_vec()))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(sent.map(HeaderName::from_static))
        .expose_headers(read.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(600))
}

/// Settings of the HTTP layer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest request body in bytes.
    pub max_body_bytes: usize,
    /// The largest request headers together in bytes, without the URL.
    pub max_header_bytes: usize,
    /// Concurrency limits: 503 when all callers together reach one, 429 for a caller that reaches its own.
    pub bulkheads: ConcurrencyLimits,
    /// Rate limits.
    pub rates: Rates,
    /// Origins whose pages may call from a browser (CORS); none by default.
    pub cors_allowed_origins: Vec<HeaderValue>,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct AppState {
    usecases: Arc<UseCases>,
    credentials: Arc<Credentials>,
    readiness: Arc<dyn Readiness>,
    settings: Arc<Settings>,
    bulkheads: Arc<bulkheads::Bulkheads>,
    limits: Arc<limits::Limits>,
    connections: Arc<Connections>,
    tickets: v1::supervisors::tickets::Tickets,
    exposition: Arc<Exposition>,
}

/// The router with every route and its middleware.
pub fn router(
    usecases: UseCases,
    credentials: Credentials,
    readiness: Arc<dyn Readiness>,
    exposition: Arc<Exposition>,
    connections: Arc<Connections>,
    settings: Settings,
) -> Router {
    let cross_origin = cross_origin(&settings.cors_allowed_origins);
    let app = AppState {
        usecases: Arc::new(usecases),
        credentials: Arc::new(credentials),
        readiness,
        bulkheads: Arc::new(bulkheads::Bulkheads::new(settings.bulkheads)),
        limits: Arc::new(limits::Limits::new(settings.rates)),
        connections,
        settings: Arc::new(settings),
        tickets: v1::supervisors::tickets::Tickets::new(),
        exposition,
    };
    let is_public = |route: &Route| !matches!(route.access, Access::AnyOf(_));
    let authenticated = routes::router(|route| !is_public(route))
        .route_layer(from_fn_with_state(app.clone(), admission::admit))
        .route_layer(from_fn_with_state(app.clone(), auth::identify));
    let public = routes::router(is_public).route_layer(from_fn_with_state(app.clone(), admission::admit_public));
    authenticated
        .merge(public)
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(app.clone(), middleware::to_its_end))
        .layer(from_fn_with_state(app.clone(), middleware::sizes))
        .layer(cross_origin)
        .layer(from_fn_with_state(app.clone(), origin::check))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(middleware::envelope))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn panics() {
        panic!("a handler that fails")
    }

    #[tokio::test]
    async fn a_panic_is_answered_500_internal_with_its_request_id() {
        let router = Router::new()
            .route("/", get(panics))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(problem::panicked))
            .layer(from_fn(middleware::envelope));
        let request = Request::get("/").header("x-request-id", "r-1").body(Body::empty());
        let answer = router.oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 500);
        assert_eq!(answer.headers()["x-client-request-id"], "r-1");
        let ours = answer.headers()["x-request-id"].to_str().expect("text").to_owned();
        let body = to_bytes(answer.into_body(), 4096).await.expect("a body");
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            (&problem["code"], &problem["requestId"], &problem["clientRequestId"]),
            (&"internal".into(), &ours.into(), &"r-1".into())
        );
        assert!(!problem.to_string().contains("a handler that fails"), "{problem}");
    }
}
