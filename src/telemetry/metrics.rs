//! What is counted, one registry a service, so that two of them in one process do not mix.
//!
//! | metric | what |
//! |---|---|
//! | `sidedoor_customer_calls_ended_total` | **the alarm**: a customer's call ended right after a drop that was our disconnect's |
//! | `sidedoor_leaves_overdue_now` | leaves without evidence past their deadline, now |
//! | `sidedoor_leaves_overdue_total` | the same, ever |
//! | `sidedoor_leaves_refused_total` | leaves the guard refused |
//! | `sidedoor_agents_looking_wrong_total` | agents on hold, in error or gone from the contact right after a departure |
//! | `sidedoor_supervisions_begun_total{origin}` | begun |
//! | `sidedoor_supervisions_active{state}` | unfinished now |
//! | `sidedoor_joins_failed_total{code}` | joins that came to nothing |
//! | `sidedoor_departures_total{reason,source,grade}` | concluded |
//! | `sidedoor_directives_total{kind,outcome}` | answered by browsers |
//! | `sidedoor_directive_streams` | open now |
//! | `sidedoor_rows{state}` | rows on their way, and dead letters, now |
//! | `sidedoor_deliveries_total{outcome}` | attempts |
//! | `sidedoor_deliveries_paused` | 1 while nothing is sent: the org is down, full, or not as it should be |
//! | `sidedoor_salesforce_api_share` | used share of the org's calls of the day |
//! | `sidedoor_departure_to_row_seconds` | from the first proof of a drop to its row |
//! | `sidedoor_announcements_total{outcome}` | streams of directives announced by Platform Events |
//! | `sidedoor_participant_difference_seconds` | the org's own ConversationParticipant.LeftTime minus our instant |
//! | `sidedoor_participants_compared_total{inside}` | whether it was within our interval |
//! | `sidedoor_api_key_last_used_timestamp_seconds{caller,which}` | when a secret of a key was last used; 0: not since the start |
//! | `sidedoor_unauthorized_total{why}` | requests of nobody known |
//! | `sidedoor_rate_limited_total{limit}` | requests that came too often |
//! | `sidedoor_connections` | open now |
//! | `sidedoor_connections_refused_total` | for want of room |
//! | `sidedoor_panics_total` | panics, each of which is a fault of ours |

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use sidedoor_domain::ports::{MetricEvent, MetricsRecorder};

type One = Vec<(&'static str, String)>;

/// The labels of a departure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DepartureLabels {
    reason: &'static str,
    source: &'static str,
    grade: String,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    customer_calls_ended: Counter,
    overdue_ever: Counter,
    leaves_refused: Counter,
    agents_wrong: Counter,
    begun: Family<One, Counter>,
    joins_failed: Family<One, Counter>,
    departures: Family<DepartureLabels, Counter>,
    directives: Family<One, Counter>,
    deliveries: Family<One, Counter>,
    to_row: Histogram,
    announced: Family<One, Counter>,
    difference: Histogram,
    compared: Family<One, Counter>,
    overdue: Gauge,
    active: Family<One, Gauge>,
    rows: Family<One, Gauge>,
    streams: Gauge,
    paused: Gauge,
    api_share: Gauge<f64, AtomicU64>,
    keys_used: Family<One, Gauge>,
    unauthorized: Family<One, Counter>,
    rate_limited: Family<One, Counter>,
    connections: Gauge,
    connections_refused: Counter,
    panics: Counter,
}

/// How things stand now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now<'n> {
    /// Unfinished supervisions by state.
    pub active: &'n [(&'n str, u64)],
    /// Leaves overdue.
    pub overdue: u64,
    /// Rows by state.
    pub rows: &'n [(&'n str, u64)],
    /// Open streams of directives.
    pub streams: usize,
    /// Nothing is sent to Salesforce.
    pub paused: bool,
    /// The used share of the org's calls of the day.
    pub api_share: Option<f64>,
    /// When each secret of each key was last used: caller, which, Unix time in seconds.
    pub keys_used: &'n [(&'n str, &'n str, i64)],
    /// Requests of nobody known so far, by why.
    pub unauthorized: &'n [(&'static str, u64)],
    /// Requests that came too often so far, by which limit.
    pub rate_limited: &'n [(&'static str, u64)],
    /// Connections open now.
    pub connections: usize,
    /// Connections refused so far.
    pub connections_refused: u64,
    /// Panics so far.
    pub panics: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sidedoor");
        let bounds = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
        let new = Self {
            customer_calls_ended: Counter::default(),
            overdue_ever: Counter::default(),
            leaves_refused: Counter::default(),
            agents_wrong: Counter::default(),
            begun: Family::default(),
            joins_failed: Family::default(),
            departures: Family::default(),
            directives: Family::default(),
            deliveries: Family::default(),
            to_row: Histogram::new(bounds),
            announced: Family::default(),
            difference: Histogram::new([
                -60.0, -10.0, -5.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
            ]),
            compared: Family::default(),
            overdue: Gauge::default(),
            active: Family::default(),
            rows: Family::default(),
            streams: Gauge::default(),
            paused: Gauge::default(),
            api_share: Gauge::default(),
            keys_used: Family::default(),
            unauthorized: Family::default(),
            rate_limited: Family::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            panics: Counter::default(),
            registry: Registry::default(),
        };
        let mut counter = |name: &str, help: &str, metric: &Counter| registry.register(name, help, metric.clone());
        counter(
            "customer_calls_ended",
            "Customer calls that ended right after a drop that was our disconnect's: must stay 0",
            &new.customer_calls_ended,
        );
        counter(
            "leaves_overdue",
            "Leaves without evidence past their deadline",
            &new.overdue_ever,
        );
        counter(
            "leaves_refused",
            "Leaves refused since they could have ended the call",
            &new.leaves_refused,
        );
        counter(
            "agents_looking_wrong",
            "Agents that looked wrong right after a departure",
            &new.agents_wrong,
        );
        counter(
            "connections_refused",
            "Connections refused for want of room",
            &new.connections_refused,
        );
        counter("panics", "Panics, each of which is a fault of Sidedoor's", &new.panics);
        registry.register("supervisions_begun", "Supervisions begun", new.begun.clone());
        registry.register("joins_failed", "Joins that came to nothing", new.joins_failed.clone());
        registry.register("departures", "Departures concluded", new.departures.clone());
        registry.register("directives", "Directives answered by browsers", new.directives.clone());
        registry.register("deliveries", "Attempts to write a row", new.deliveries.clone());
        registry.register(
            "departure_to_row_seconds",
            "From the first proof of a drop to its row",
            new.to_row.clone(),
        );
        registry.register(
            "announcements",
            "Streams of directives announced by Platform Events",
            new.announced.clone(),
        );
        registry.register(
            "participant_difference_seconds",
            "The org's own ConversationParticipant.LeftTime minus our instant",
            new.difference.clone(),
        );
        registry.register(
            "participants_compared",
            "Departures compared with the org's own record, by whether that is within our interval",
            new.compared.clone(),
        );
        registry.register("leaves_overdue_now", "Leaves overdue now", new.overdue.clone());
        registry.register("supervisions_active", "Unfinished supervisions now", new.active.clone());
        registry.register("rows", "Rows on their way and dead letters now", new.rows.clone());
        registry.register(
            "deliveries_paused",
            "1 while nothing is sent to Salesforce",
            new.paused.clone(),
        );
        registry.register(
            "salesforce_api_share",
            "Used share of the org's calls of the day",
            new.api_share.clone(),
        );
        registry.register(
            "directive_streams",
            "Open streams of directives now",
            new.streams.clone(),
        );
        registry.register(
            "api_key_last_used_timestamp_seconds",
            "When a secret of an API key was last used; 0 is not since the start",
            new.keys_used.clone(),
        );
        let unauthorized = new.unauthorized.clone();
        registry.register("unauthorized", "Requests of nobody known", unauthorized);
        let limited = new.rate_limited.clone();
        registry.register("rate_limited", "Requests that came too often", limited);
        registry.register("connections", "Connections open now", new.connections.clone());
        Self { registry, ..new }
    }
}

impl Metrics {
    /// Everything, with how things stand now, in the OpenMetrics text format.
    pub fn exposition(&self, now: &Now<'_>) -> String {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for (family, label, values) in [(&self.active, "state", now.active), (&self.rows, "state", now.rows)] {
            family.clear();
            for (word, n) in values {
                family.get_or_create(&vec![(label, (*word).to_owned())]).set(gauge(*n));
            }
        }
        self.overdue.set(gauge(now.overdue));
        self.streams.set(i64::try_from(now.streams).unwrap_or(i64::MAX));
        self.paused.set(i64::from(now.paused));
        self.api_share.set(now.api_share.unwrap_or(0.0));
        for (caller, which, at) in now.keys_used {
            let labels = vec![("caller", (*caller).to_owned()), ("which", (*which).to_owned())];
            self.keys_used.get_or_create(&labels).set(*at);
        }
        // Counted at the door: here they are told.
        let counted = [
            (&self.unauthorized, "why", now.unauthorized),
            (&self.rate_limited, "limit", now.rate_limited),
        ];
        for (family, label, values) in counted {
            for (word, n) in values {
                family
                    .get_or_create(&one(label, *word))
                    .inner()
                    .store(*n, Ordering::Relaxed);
            }
        }
        self.connections.set(i64::try_from(now.connections).unwrap_or(i64::MAX));
        self.connections_refused
            .inner()
            .store(now.connections_refused, Ordering::Relaxed);
        self.panics.inner().store(now.panics, Ordering::Relaxed);
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn one(label: &'static str, word: impl Into<String>) -> One {
    vec![(label, word.into())]
}

impl MetricsRecorder for Metrics {
    fn count(&self, what: &MetricEvent<'_>) {
        match what {
            MetricEvent::Began(origin) => self.begun.get_or_create(&one("origin", origin.as_str())).inc(),
            MetricEvent::JoinFailed(code) => self.joins_failed.get_or_create(&one("code", *code)).inc(),
            MetricEvent::Departed(d) => {
                let labels = DepartureLabels {
                    reason: d.reason.as_str(),
                    source: d.source.as_str(),
                    grade: d.grade.as_str().to_owned(),
                };
                self.departures.get_or_create(&labels).inc()
            }
            MetricEvent::Overdue => self.overdue_ever.inc(),
            MetricEvent::CustomerCallEnded => self.customer_calls_ended.inc(),
            MetricEvent::AgentLooksWrong => self.agents_wrong.inc(),
            MetricEvent::LeaveRefused => self.leaves_refused.inc(),
            MetricEvent::Directive(directive, status) => {
                let labels = vec![
                    ("kind", directive.kind.as_str().to_owned()),
                    ("outcome", status.as_str().to_owned()),
                ];
                self.directives.get_or_create(&labels).inc()
            }
            MetricEvent::Delivery(outcome) => self.deliveries.get_or_create(&one("outcome", *outcome)).inc(),
            MetricEvent::Announced(outcome, n) => self.announced.get_or_create(&one("outcome", *outcome)).inc_by(*n),
            MetricEvent::Compared(seconds, inside) => {
                self.difference.observe(*seconds);
                self.compared.get_or_create(&one("inside", inside.to_string())).inc()
            }
            MetricEvent::Recorded(seconds) => {
                self.to_row.observe(*seconds);
                0
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidedoor_domain::supervision::Origin;

    #[test]
    fn what_is_counted_is_told_and_what_must_stay_nought_is_there() {
        let metrics = Metrics::default();
        metrics.count(&MetricEvent::Began(Origin::Api));
        metrics.count(&MetricEvent::Recorded(0.2));
        let told = metrics.exposition(&Now {
            active: &[("LEAVING", 2)],
            overdue: 1,
            rows: &[("FAILED", 3)],
            streams: 4,
            paused: true,
            api_share: Some(0.25),
            keys_used: &[("lightning", "previous", 1_800_000_000)],
            unauthorized: &[("unknown_key", 5)],
            rate_limited: &[("caller", 6)],
            connections: 7,
            connections_refused: 8,
            panics: 9,
        });
        for line in [
            "sidedoor_customer_calls_ended_total 0",
            "sidedoor_supervisions_begun_total{origin=\"API\"} 1",
            "sidedoor_supervisions_active{state=\"LEAVING\"} 2",
            "sidedoor_leaves_overdue_now 1",
            "sidedoor_rows{state=\"FAILED\"} 3",
            "sidedoor_directive_streams 4",
            "sidedoor_deliveries_paused 1",
            "sidedoor_salesforce_api_share 0.25",
            "sidedoor_departure_to_row_seconds_count 1",
            "sidedoor_api_key_last_used_timestamp_seconds{caller=\"lightning\",which=\"previous\"} 1800000000",
            "sidedoor_unauthorized_total{why=\"unknown_key\"} 5",
            "sidedoor_rate_limited_total{limit=\"caller\"} 6",
            "sidedoor_connections 7",
            "sidedoor_connections_refused_total 8",
            "sidedoor_panics_total 9",
            "# EOF",
        ] {
            assert!(told.contains(line), "{line} is missing:\n{told}");
        }
        assert!(
            !metrics.exposition(&Now::default()).contains("LEAVING"),
            "what is over is not told any more"
        );
    }
}
