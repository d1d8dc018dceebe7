//! Logs, traces ([`spans`]) and metrics ([`metrics`]). Logs go to stderr, as text for people or JSON for machines. Ids are
//! fields. No log line contains a body, a token or a key.

pub mod metrics;
pub(crate) mod spans;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The filter of log lines: a directive of tracing-subscriber, such as `info` or `sidedoor=debug,warn`.
    pub log_filter: String,
    /// The URL that spans are exported to (OTLP over HTTP, protobuf), such as `http://localhost:4318/v1/traces`; `None` to
    /// export none.
    pub otlp_endpoint: Option<String>,
}

/// Panics of this process, for `sidedoor_panics_total`.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How many panics this process has had.
pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot be built from `telemetry.otlp_endpoint`.
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Keeps telemetry alive; [`Telemetry::flush`] exports the remaining spans.
pub struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Exports the remaining spans. Blocks for at most some seconds.
    pub fn flush(self) {
        if let Err(e) = self.0.shutdown() {
            tracing::warn!(error = %e, "the last spans could not be exported: {e}");
        }
    }
}

/// Starts logging, tracing and the counting of panics. Spans always have ids, which go to the vendors as `traceparent`; they are
/// exported (OTLP over HTTP, protobuf) only with `telemetry.otlp_endpoint`. Does nothing when logging has started already.
///
/// # Errors
/// When the exporter cannot be built.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let resource = Resource::builder().with_service_name("sidedoor").build();
    let mut traces = SdkTracerProvider::builder().with_resource(resource);
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        traces = traces.with_batch_exporter(exporter);
    }
    let traces = traces.build();
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are for people: in a file or a collector, escape codes are noise that hides words from a search.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let logs = match config.log_format {
        LogFormat::Text => logs.with_filter(filter).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
    };
    // Only our own spans: those of libraries say nothing about a supervision.
    let ours = tracing_subscriber::filter::Targets::new().with_target("sidedoor", tracing::Level::INFO);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("sidedoor"))
        .with_filter(ours);
    let _ = tracing_subscriber::registry().with(logs).with(spans).try_init();
    count_panics();
    Ok(Telemetry(traces))
}

/// Logs every panic with its place, in the span it happened in, and counts it.
fn count_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let place = panic
            .location()
            .map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("not a text");
        tracing::error!(location = place, "panic at {place}: {message}");
    }));
}
