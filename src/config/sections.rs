//! The small sections: front door, store, times, clock, retention, logs.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;

use super::Reader;

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    /// A second.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// `[http]`
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How long an answer may take before it becomes "accepted". Lightning gives up at 10 s, so at most 8 s.
    pub answer_within: Duration,
    /// The largest body taken, bytes.
    pub max_body_bytes: usize,
    /// The largest head taken, its URL apart, bytes.
    pub max_header_bytes: usize,
    /// Requests at a time.
    pub max_in_flight: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// How long the first request of a connection may take to come.
    pub header_timeout: Duration,
    /// How long a connection may be idle, and its next request take to come.
    pub idle_timeout: Duration,
    /// How often one caller that acts for many may ask.
    pub rate_per_caller: RateConfig,
    /// How often one supervisor may.
    pub rate_per_supervisor: RateConfig,
    /// How often everybody together may ask.
    pub rate: RateConfig,
    /// How often one that delivers events may.
    pub rate_events: RateConfig,
    /// Failures to say who one is, by peer and minute.
    pub auth_failures_per_minute: u32,
    /// How long a soft stop waits for what is under way.
    pub drain: Duration,
    /// Streams of directives open at a time.
    pub max_streams: usize,
    /// Pages of these origins may call from a browser.
    pub cors_allowed_origins: Vec<HeaderValue>,
}

impl HttpConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let default = SocketAddr::from(([127, 0, 0, 1], 8080));
        let listen = r.text_as("http.listen", |text| {
            text.parse()
                .map_err(|_| "write an address and a port, such as 127.0.0.1:8080".to_owned())
        });
        let mut rate = |name: &str, per_second, burst| RateConfig {
            per_second: r.number(&format!("http.{name}_per_second"), per_second, 1, 1_000_000),
            burst: r.number(&format!("http.{name}_burst"), burst, 1, 1_000_000),
        };
        let rate_per_caller = rate("rate_per_caller", 1000, 5000);
        let rate_per_supervisor = rate("rate_per_supervisor", 50, 200);
        let all = rate("rate", 4000, 8000);
        let rate_events = rate("rate_events", 4000, 20_000);
        let max_connections = r.number("http.max_connections", 4096, 1, 100_000);
        let max_streams = r.number("http.max_streams", 1000, 1, 100_000);
        if max_streams >= max_connections {
            r.problem(
                "http.max_streams",
                format!(
                    "is {max_streams}, and http.max_connections {max_connections}: every stream holds a connection"
                ),
                "allow more connections than streams",
            );
        }
        Self {
            listen: listen.unwrap_or(default),
            answer_within: r.millis("http.answer_within_ms", 7000, 100, 8000),
            max_body_bytes: r.number("http.max_body_bytes", 65_536, 1024, 1_048_576),
            max_header_bytes: r.number("http.max_header_bytes", 16_384, 4096, 65_536),
            max_in_flight: r.number("http.max_in_flight", 1024, 1, 100_000),
            max_connections,
            header_timeout: r.seconds("http.header_timeout_s", 10, 1, 300),
            idle_timeout: r.seconds("http.idle_timeout_s", 75, 1, 3600),
            rate_per_caller,
            rate_per_supervisor,
            rate: all,
            rate_events,
            auth_failures_per_minute: r.number("http.auth_failures_per_minute", 300, 1, 1_000_000),
            drain: r.seconds("http.drain_s", 30, 0, 300),
            max_streams,
            cors_allowed_origins: read_origins(r),
        }
    }
}

/// Origins as browsers write them: scheme and host, no path; https unless this very machine.
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
                "holds something that is no origin",
                "write origins such as https://acme.lightning.force.com, without a path and without *",
            ),
        }
    }
    origins
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The store: `sqlite://<path>`.
    pub url: String,
}

impl StoreConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let default = "sqlite://sidedoor.db".to_owned();
        let url = r.text("store.url").unwrap_or_else(|| default.clone());
        // A URL of a server may hold a password: none is quoted.
        if url.starts_with("postgres") {
            r.problem(
                "store.url",
                "PostgreSQL is not supported in this version",
                "use sqlite://<path>",
            );
        } else if url.contains(":memory:") || url.contains("mode=memory") {
            let problem = "a database in memory would lose what was accepted";
            r.problem("store.url", problem, "name a file: sqlite://<path>");
        } else if url.strip_prefix("sqlite://").is_none_or(str::is_empty) {
            r.problem(
                "store.url",
                "is not a store's URL",
                "use sqlite://<path>, such as sqlite://sidedoor.db",
            );
        } else {
            return Self { url };
        }
        Self { url: default }
    }
}

/// `[supervision]`
#[derive(Debug, Clone)]
pub struct SupervisionConfig {
    /// After this long a join is never sent again.
    pub join_ttl: Duration,
    /// How long evidence of a leave may take before it is overdue.
    pub leave_deadline: Duration,
    /// How long a directive is good.
    pub directive_ttl: Duration,
    /// How often an idle supervision is looked at.
    pub idle_poll: Duration,
    /// How long a departure's row waits for the after-check.
    pub after_check_grace: Duration,
    /// How old a poll's answer may be at the vendor.
    pub poll_staleness: Duration,
    /// How long a user name stands for the same user.
    pub usernames: Duration,
}

impl SupervisionConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            join_ttl: r.seconds("supervision.join_ttl_s", 30, 1, 300),
            leave_deadline: r.seconds("supervision.leave_deadline_s", 15, 1, 3600),
            directive_ttl: r.seconds("supervision.directive_ttl_s", 300, 5, 86_400),
            idle_poll: r.seconds("supervision.idle_poll_s", 60, 5, 3600),
            after_check_grace: r.millis("supervision.after_check_grace_ms", 400, 0, 10_000),
            poll_staleness: r.millis("supervision.poll_staleness_ms", 2000, 0, 60_000),
            usernames: r.seconds("supervision.usernames_s", 300, 1, 86_400),
        }
    }
}

/// `[clock]`
#[derive(Debug, Clone)]
pub struct ClockConfig {
    /// The greatest error of this machine's clock.
    pub max_error: Duration,
}

impl ClockConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            max_error: r.millis("clock.max_error_ms", 50, 0, 60_000),
        }
    }
}

/// `[retention]`
#[derive(Debug, Clone)]
pub struct RetentionConfig {
    /// Idempotency keys and their answers.
    pub idempotency: Duration,
    /// Evidence and ids of seen events.
    pub evidence: Duration,
    /// Finished supervisions.
    pub supervisions: Duration,
}

impl RetentionConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            idempotency: Duration::from_secs(3600 * r.number("retention.idempotency_h", 24_u64, 1, 720)),
            evidence: days(r.number("retention.evidence_days", 30, 1, 3650)),
            supervisions: days(r.number("retention.supervisions_days", 400, 1, 36_500)),
        }
    }
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[telemetry]`
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// How.
    pub log_format: LogFormat,
    /// What: a filter of tracing-subscriber, such as `info` or `sidedoor=debug,warn`.
    pub log_filter: String,
    /// URL that spans are exported to (OTLP over HTTP, protobuf), such as `http://localhost:4318/v1/traces`; none by default.
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let filter = r.text_as("telemetry.log_filter", |text| {
            let good = tracing_subscriber::EnvFilter::try_new(text).is_ok();
            if good {
                Ok(text.to_owned())
            } else {
                Err("write a filter such as info or sidedoor=debug,warn".into())
            }
        });
        Self {
            log_format: r.word("telemetry.log_format", &words, LogFormat::Text),
            log_filter: filter.unwrap_or_else(|| "info".to_owned()),
            otlp_endpoint: r.text_as("telemetry.otlp_endpoint", |text| match url::Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(text.to_owned()),
                _ => Err("write a URL such as http://localhost:4318/v1/traces".into()),
            }),
        }
    }
}
