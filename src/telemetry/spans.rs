//! Spans: which request or background task a log line and a vendor call belong to, across tasks, processes and restarts.
//!
//! Every task is started through [`spawn`] or [`spawn_in`], so that no log line loses its request. A supervision keeps the trace of
//! the request that began it; what happens to it later, by a poll or after a restart, continues that trace.

use std::future::Future;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use sidedoor_domain::supervision::Supervision;
use sidedoor_domain::trace_parent::TraceParent;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Starts a task in the current span: it belongs to the request or task that starts it.
pub(crate) fn spawn<F>(tasks: &TaskTracker, work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    spawn_in(tasks, Span::current(), work)
}

/// Starts a task in a span of its own.
pub(crate) fn spawn_in<F>(tasks: &TaskTracker, span: Span, work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tasks.spawn(work.instrument(span))
}

/// Lets a span continue the trace of the request that began a supervision, unless it belongs to a request already.
pub(crate) fn continue_trace(span: &Span, s: &Supervision) {
    if let Some(parent) = &s.trace_parent {
        set_parent(span, parent);
    }
}

/// Makes `parent` the parent of a span that has none.
pub(crate) fn set_parent(span: &Span, parent: &TraceParent) {
    if let Some(context) = remote_context(parent) {
        // It fails only without the trace layer, as in tests that run the service in their own process.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
    }
}

/// Notes that the work of a span also belongs to another trace: of several supervisions handled by one vendor call, one is
/// the parent and the others are links.
pub(crate) fn link(span: &Span, parent: &TraceParent) {
    if let Some(context) = remote_context(parent) {
        span.add_link(context);
    }
}

/// The `traceparent` to send, or to keep with a supervision: of the current span. `None` without the trace layer.
pub(crate) fn current() -> Option<TraceParent> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    TraceParent::parse(&format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags().to_u8()
    ))
}

fn remote_context(parent: &TraceParent) -> Option<SpanContext> {
    let mut parts = parent.as_str().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}
