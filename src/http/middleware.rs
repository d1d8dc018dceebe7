//! Middleware of every request: request id, log line, security headers and size limits.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sidedoor_domain::trace_parent::TraceParent;
use tokio::time::Instant;
use tracing::Instrument;

use super::AppState;
use super::problem::Problem;
use super::problem_code::ProblemCode;
use crate::telemetry::spans;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The caller's own `X-Request-Id`, in answers.
static CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
/// W3C Trace Context: the caller's span.
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest URL (path and query) in bytes.
const MAX_URL: usize = 8 * 1024;
/// The headers of every answer. No answer is a page, so nothing in it may run or be framed. The listener adds HSTS over TLS.
const SAFE: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The ids of a request.
#[derive(Debug, Clone)]
pub(super) struct RequestIds {
    /// Ours, a UUIDv7. It is never taken from the request, so that no caller can give two requests one id, or one of another caller's.
    pub(super) ours: String,
    /// The caller's `X-Request-Id`, if that is a short plain word.
    pub(super) clients: Option<String>,
}

/// When a request arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived(pub(super) tokio::time::Instant);

tokio::task_local! {
    /// The current request's ids, for problem bodies.
    static CURRENT: RequestIds;
}

/// The current request's ids.
pub(super) fn current_request_ids() -> Option<RequestIds> {
    CURRENT.try_with(Clone::clone).ok()
}

impl RequestIds {
    fn of(request: &Request) -> Self {
        let given = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok());
        // Other characters could forge a log line or a header.
        let plain = |id: &&str| {
            !id.is_empty()
                && id.len() <= 64
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        Self {
            ours: uuid::Uuid::now_v7().to_string(),
            clients: given.filter(plain).map(ToOwned::to_owned),
        }
    }
}

/// Gives the request its id and its span, logs the answer, and sets the headers of every answer.
pub(super) async fn envelope(mut request: Request, next: Next) -> Response {
    // The time limit of an answer counts from here, so that authentication is part of it.
    let started = Instant::now();
    let ids = RequestIds::of(&request);
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)", MatchedPath::as_str)
        .to_owned();
    request.extensions_mut().insert(ids.clone());
    request.extensions_mut().insert(Arrived(started));
    let span = tracing::info_span!(
        "http",
        otel.name = format!("{method} {path}"),
        request_id = %ids.ours,
        client_request_id = ids.clients,
        supervision_id = tracing::field::Empty,
        contact_id = tracing::field::Empty,
    );
    let given = request.headers().get(&TRACE_PARENT).and_then(|v| v.to_str().ok());
    if let Some(parent) = given.and_then(TraceParent::parse) {
        spans::set_parent(&span, &parent);
    }
    let mut response = CURRENT
        .scope(ids.clone(), next.run(request))
        .instrument(span.clone())
        .await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&ids.ours) {
        headers.insert(&REQUEST_ID, value);
    }
    if let Some(value) = ids.clients.and_then(|id| HeaderValue::from_str(&id).ok()) {
        headers.insert(&CLIENT_REQUEST_ID, value);
    }
    for (name, value) in SAFE {
        headers.insert(name, value);
    }
    let (status, took_ms) = (response.status().as_u16(), started.elapsed().as_millis());
    span.in_scope(|| tracing::debug!(%method, path, status, took_ms, "{method} {path} {status}"));
    response
}

/// Rejects URLs and headers that are too large, before anything reads them.
pub(super) async fn sizes(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let url = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
    if url > MAX_URL {
        let detail = format!("The URL is longer than {MAX_URL} bytes.");
        return Problem::new(ProblemCode::UriTooLarge, detail).into_response();
    }
    let most = app.settings.max_header_bytes;
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    if headers > most {
        let detail = format!("The headers are larger than {most} bytes together.");
        return Problem::new(ProblemCode::HeadersTooLarge, detail).into_response();
    }
    next.run(request).await
}

/// Runs a POST to completion even if the client disconnects, so that the answer is always stored under its idempotency key.
pub(super) async fn to_its_end(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let known = request.extensions().get::<RequestIds>().cloned();
    let ids = known.unwrap_or_else(|| RequestIds::of(&request));
    let work = CURRENT.scope(ids, next.run(request)).in_current_span();
    match app.usecases.run_to_end(work).await {
        Ok(response) => response,
        // The panic handler further out answers it; the panic hook has logged it.
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => Problem::overloaded("The service is stopping.").into_response(),
    }
}
