//! The small sections: `[http]`, `[store]` and `[telemetry]`.

use std::net::SocketAddr;
use std::time::Duration;

use ::http::HeaderValue;

use super::Reader;
use super::transport::TransportConfig;
use crate::http::{self, Patience, Rate, Rates};
use crate::telemetry::{LogFormat, TelemetryConfig};

/// `[http]`
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// TLS, or plain HTTP, and the proxies in front.
    pub transport: TransportConfig,
    /// The time after which a request is answered with "accepted" instead of the outcome. At most 8 s, because Lightning
    /// gives up at 10 s.
    pub answer_within: Duration,
    /// The limit of open connections.
    pub max_connections: usize,
    /// The limit of open directive streams.
    pub max_streams: usize,
    /// The timeouts of a connection.
    pub patience: Patience,
    /// How long a graceful stop waits for running requests and tasks.
    pub drain: Duration,
    /// The settings of the router.
    pub router: http::Settings,
}

impl HttpConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let default = SocketAddr::from(([127, 0, 0, 1], 8080));
        let listen = r.text_as("http.listen", |text| {
            text.parse()
                .map_err(|_| "set an address and a port, such as 127.0.0.1:8080".to_owned())
        });
        let mut rate = |name: &str, per_second, burst| Rate {
            per_second: r.number(&format!("http.{name}_per_second"), per_second, 1, 1_000_000),
            burst: r.number(&format!("http.{name}_burst"), burst, 1, 1_000_000),
        };
        let (caller, supervisor) = (
            rate("rate_per_caller", 1000, 5000),
            rate("rate_per_supervisor", 50, 200),
        );
        let (everybody, events) = (rate("rate", 4000, 8000), rate("rate_events", 4000, 20_000));
        let rates = Rates {
            caller,
            supervisor,
            everybody,
            events,
            failures_per_minute: r.number("http.auth_failures_per_minute", 300, 1, 1_000_000),
        };
        let max_connections = r.number("http.max_connections", 4096, 1, 100_000);
        let max_streams = r.number("http.max_streams", 1000, 1, 100_000);
        if max_streams >= max_connections {
            r.problem(
                "http.max_streams",
                format!(
                    "{max_streams} is not less than http.max_connections ({max_connections}), and each stream holds a connection"
                ),
                "set http.max_connections above http.max_streams",
            );
        }
        // An invalid address has its own problem already, so it counts as loopback here.
        let listen = listen.unwrap_or(default);
        Self {
            listen,
            transport: TransportConfig::read(r, listen),
            answer_within: r.millis("http.answer_within_ms", 7000, 100, 8000),
            max_connections,
            max_streams,
            patience: Patience {
                first_head: r.seconds("http.header_timeout_s", 10, 1, 300),
                idle: r.seconds("http.idle_timeout_s", 75, 1, 3600),
            },
            drain: r.seconds("http.drain_s", 30, 0, 300),
            router: http::Settings {
                max_body_bytes: r.number("http.max_body_bytes", 65_536, 1024, 1_048_576),
                max_header_bytes: r.number("http.max_header_bytes", 16_384, 4096, 65_536),
                max_in_flight: r.number("http.max_in_flight", 1024, 1, 100_000),
                rates,
                cors_allowed_origins: read_origins(r),
            },
        }
    }
}

/// Reads origins as browsers send them: scheme, host and port without a path; https, except for loopback hosts.
fn read_origins(r: &mut Reader) -> Vec<HeaderValue> {
    let mut origins = Vec::new();
    for given in r.list("http.cors_allowed_origins") {
        let url = super::connect::safe_url(&given)
            .ok()
            .and_then(|u| url::Url::parse(&u).ok());
        let plain = url.filter(|u| u.origin().ascii_serialization() == given);
        match plain.and_then(|_| HeaderValue::from_str(&given).ok()) {
            Some(origin) => origins.push(origin),
            None => r.problem(
                "http.cors_allowed_origins",
                "contains an invalid origin",
                "list origins such as https://acme.lightning.force.com, without a path and without *",
            ),
        }
    }
    origins
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The database's URL: `sqlite://<path>`.
    pub url: String,
}

impl StoreConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let default = "sqlite://sidedoor.db".to_owned();
        let url = r.text("store.url").unwrap_or_else(|| default.clone());
        // No message quotes the URL, because a database server's URL may contain a password.
        if url.starts_with("postgres") {
            r.problem(
                "store.url",
                "PostgreSQL is not supported in this version",
                "set sqlite://<path>",
            );
        } else if url.contains(":memory:") || url.contains("mode=memory") {
            let problem = "an in-memory database would lose accepted requests at a restart";
            r.problem("store.url", problem, "set the path of a file: sqlite://<path>");
        } else if url.strip_prefix("sqlite://").is_none_or(str::is_empty) {
            r.problem(
                "store.url",
                "not a SQLite URL",
                "set sqlite://<path>, such as sqlite://sidedoor.db",
            );
        } else {
            return Self { url };
        }
        Self { url: default }
    }
}

/// Reads `[telemetry]`.
pub(super) fn read_telemetry(r: &mut Reader) -> TelemetryConfig {
    let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let filter = r.text_as("telemetry.log_filter", |text| {
        let good = tracing_subscriber::EnvFilter::try_new(text).is_ok();
        if good {
            Ok(text.to_owned())
        } else {
            Err("set a filter such as info or sidedoor=debug,warn".into())
        }
    });
    TelemetryConfig {
        log_format: r.word("telemetry.log_format", &words, LogFormat::Text),
        log_filter: filter.unwrap_or_else(|| "info".to_owned()),
        otlp_endpoint: r.text_as("telemetry.otlp_endpoint", |text| match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(text.to_owned()),
            _ => Err("set a URL such as http://localhost:4318/v1/traces".into()),
        }),
    }
}
