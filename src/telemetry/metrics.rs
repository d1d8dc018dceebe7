//! The metrics. Each service has its own registry, so that two services in one process (in tests) do not mix.
//!
//! | metric | meaning |
//! |---|---|
//! | `sidedoor_customer_calls_ended_total` | **the alarm**: customer calls that ended right after a departure that our disconnect caused |
//! | `sidedoor_customer_calls_ended_after_silent_leave_total` | customer calls that ended right after a silent listener had left |
//! | `sidedoor_customer_calls_expected_after_silent_leave` | how many of them chance explains, in the last 24 hours |
//! | `sidedoor_leaves_overdue_now` | disconnects past their deadline without evidence of departure, now |
//! | `sidedoor_leaves_overdue_total` | the same, since the start |
//! | `sidedoor_leaves_refused_total` | disconnects that the barge safety check refused |
//! | `sidedoor_agents_looking_wrong_total` | agents on hold, in error or no longer on the contact right after a departure |
//! | `sidedoor_claims_refuted_total{credential}` | claims that a leg has ended which Amazon Connect refuted |
//! | `sidedoor_credentials_doubted_total{credential}` | **an alarm**: three refuted claims of one credential within an hour |
//! | `sidedoor_poll_staleness_seconds` | how long after its confirmed end a poll still listed a leg |
//! | `sidedoor_poll_round_seconds` | how long a polling round of the idle supervisions of an instance took |
//! | `sidedoor_legs_checked_total` | legs that ended, as SearchContacts lists them |
//! | `sidedoor_legs_missed_total` | how many of them neither an event nor a poll had named |
//! | `sidedoor_supervisions_begun_total{origin}` | supervisions started |
//! | `sidedoor_supervisions_active{state}` | unfinished supervisions, now |
//! | `sidedoor_joins_failed_total{code}` | failed joins |
//! | `sidedoor_departures_total{reason,source,grade}` | departures confirmed by evidence |
//! | `sidedoor_events_unusable_total{kind}` | events of vendors that were not used |
//! | `sidedoor_directives_total{kind,outcome}` | directives acknowledged by browsers |
//! | `sidedoor_directive_streams` | open directive streams, now |
//! | `sidedoor_rows{state}` | pending records and dead letters, now |
//! | `sidedoor_deliveries_total{outcome}` | attempts to write a record |
//! | `sidedoor_deliveries_paused` | 1 while nothing is sent, because the org is down, at a limit or misconfigured |
//! | `sidedoor_salesforce_api_share` | used share of the org's daily API calls |
//! | `sidedoor_departure_to_row_seconds` | time from the first proof of a departure until its record was written |
//! | `sidedoor_announcements_total{outcome}` | directive channels and notices to agents, by Platform Events |
//! | `sidedoor_participant_difference_seconds` | the org's own ConversationParticipant.LeftTime minus our instant |
//! | `sidedoor_participants_compared_total{inside}` | departures compared with it, by whether it was within our interval |
//! | `sidedoor_api_key_last_used_timestamp_seconds{caller,which}` | when a secret of an API key was last used; 0 if not since the start |
//! | `sidedoor_unauthorized_total{why}` | unauthenticated requests |
//! | `sidedoor_rate_limited_total{limit}` | requests rejected by a rate limit |
//! | `sidedoor_connections` | open connections, now |
//! | `sidedoor_connections_refused_total` | connections refused because `http.max_connections` was reached |
//! | `sidedoor_tls_certificate_expiry_timestamp_seconds` | when the listener's certificate expires ([`tls`]) |
//! | `sidedoor_tls_handshakes_failed_total` | TLS handshakes of clients that failed or took too long |
//! | `sidedoor_panics_total` | panics; each is a bug in Sidedoor |

pub(crate) mod tls;

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

/// All counters, gauges and histograms.
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
    events_unusable: Family<One, Counter>,
    deliveries: Family<One, Counter>,
    to_row: Histogram,
    announced: Family<One, Counter>,
    difference: Histogram,
    compared: Family<One, Counter>,
    silent_ends: Counter,
    silent_ends_expected: Gauge<f64, AtomicU64>,
    claims_refuted: Family<One, Counter>,
    credentials_doubted: Family<One, Counter>,
    poll_staleness: Histogram,
    poll_rounds: Histogram,
    legs_checked: Counter,
    legs_missed: Counter,
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

/// The values that are read from elsewhere when metrics are scraped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now<'n> {
    /// Unfinished supervisions by state.
    pub active: &'n [(&'n str, u64)],
    /// Disconnects past their deadline.
    pub overdue: u64,
    /// Salesforce records by state.
    pub rows: &'n [(&'n str, u64)],
    /// Open directive streams.
    pub streams: usize,
    /// Whether nothing is sent to Salesforce.
    pub paused: bool,
    /// The used share of the org's daily API calls.
    pub api_share: Option<f64>,
    /// When each secret of each key was last used: caller, which secret, Unix time in seconds.
    pub keys_used: &'n [(&'n str, &'n str, i64)],
    /// Unauthenticated requests since the start, by reason.
    pub unauthorized: &'n [(&'static str, u64)],
    /// Requests rejected by a rate limit since the start, by limit.
    pub rate_limited: &'n [(&'static str, u64)],
    /// Open connections.
    pub connections: usize,
    /// Connections refused since the start.
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
            events_unusable: Family::default(),
            deliveries: Family::default(),
            to_row: Histogram::new(bounds),
            announced: Family::default(),
            difference: Histogram::new([
                -60.0, -10.0, -5.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
            ]),
            compared: Family::default(),
            silent_ends: Counter::default(),
            silent_ends_expected: Gauge::default(),
            claims_refuted: Family::default(),
            credentials_doubted: Family::default(),
            legs_checked: Counter::default(),
            legs_missed: Counter::default(),
            poll_rounds: Histogram::new([0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0]),
            poll_staleness: Histogram::new([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]),
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
            "Customer calls that ended right after a departure that our disconnect caused; must stay 0",
            &new.customer_calls_ended,
        );
        counter(
            "customer_calls_ended_after_silent_leave",
            "Customer calls that ended right after a silent listener had left",
            &new.silent_ends,
        );
        counter(
            "leaves_overdue",
            "Disconnects that passed their deadline without evidence of departure",
            &new.overdue_ever,
        );
        counter(
            "leaves_refused",
            "Disconnects refused because they could have ended the customer's call",
            &new.leaves_refused,
        );
        counter(
            "agents_looking_wrong",
            "Agents on hold, in error or no longer on the contact right after a departure",
            &new.agents_wrong,
        );
        counter(
            "connections_refused",
            "Connections refused because http.max_connections was reached",
            &new.connections_refused,
        );
        counter(
            "legs_checked",
            "Legs that ended, as SearchContacts lists them",
            &new.legs_checked,
        );
        counter(
            "legs_missed",
            "How many of these legs neither an event nor a poll had named",
            &new.legs_missed,
        );
        counter("panics", "Panics; each is a bug in Sidedoor", &new.panics);
        registry.register(
            "customer_calls_expected_after_silent_leave",
            "How many ends of calls right after a silent leave chance explains, in the last 24 hours",
            new.silent_ends_expected.clone(),
        );
        registry.register(
            "claims_refuted",
            "Claims that a leg has ended which Amazon Connect refuted",
            new.claims_refuted.clone(),
        );
        registry.register(
            "credentials_doubted",
            "Credentials of which three claims were refuted within an hour; must stay 0",
            new.credentials_doubted.clone(),
        );
        registry.register(
            "poll_staleness_seconds",
            "How long after its confirmed end a poll still listed a leg",
            new.poll_staleness.clone(),
        );
        registry.register(
            "poll_round_seconds",
            "How long a polling round of the idle supervisions of an instance took",
            new.poll_rounds.clone(),
        );
        registry.register("supervisions_begun", "Supervisions started", new.begun.clone());
        registry.register("joins_failed", "Failed joins by code", new.joins_failed.clone());
        registry.register("departures", "Departures confirmed by evidence", new.departures.clone());
        registry.register(
            "directives",
            "Directives acknowledged by browsers",
            new.directives.clone(),
        );
        let unusable = new.events_unusable.clone();
        registry.register(
            "events_unusable",
            "Events of vendors that were not used, by kind",
            unusable,
        );
        registry.register(
            "deliveries",
            "Attempts to write a record to Salesforce",
            new.deliveries.clone(),
        );
        registry.register(
            "departure_to_row_seconds",
            "Time from the first proof of a departure until its record was written to Salesforce",
            new.to_row.clone(),
        );
        registry.register(
            "announcements",
            "Directive channels announced by Platform Events",
            new.announced.clone(),
        );
        registry.register(
            "participant_difference_seconds",
            "The org's own ConversationParticipant.LeftTime minus our instant",
            new.difference.clone(),
        );
        registry.register(
            "participants_compared",
            "Departures compared with the org's own record, by whether that was within our interval",
            new.compared.clone(),
        );
        registry.register(
            "leaves_overdue_now",
            "Disconnects past their deadline now",
            new.overdue.clone(),
        );
        registry.register("supervisions_active", "Unfinished supervisions now", new.active.clone());
        registry.register(
            "rows",
            "Pending Salesforce records and dead letters now",
            new.rows.clone(),
        );
        registry.register(
            "deliveries_paused",
            "1 while nothing is sent to Salesforce",
            new.paused.clone(),
        );
        registry.register(
            "salesforce_api_share",
            "Used share of the org's daily API calls",
            new.api_share.clone(),
        );
        registry.register("directive_streams", "Open directive streams now", new.streams.clone());
        registry.register(
            "api_key_last_used_timestamp_seconds",
            "When a secret of an API key was last used; 0 if not since the start",
            new.keys_used.clone(),
        );
        let unauthorized = new.unauthorized.clone();
        registry.register("unauthorized", "Unauthenticated requests by reason", unauthorized);
        let limited = new.rate_limited.clone();
        registry.register("rate_limited", "Requests rejected by a rate limit", limited);
        registry.register("connections", "Open connections now", new.connections.clone());
        Self { registry, ..new }
    }
}

impl Metrics {
    /// All metrics in the OpenMetrics text format, with the values of `now`.
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
        // The HTTP layer counts these; the values are copied here.
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
        // Writing to a String cannot fail.
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
            MetricEvent::JoinFailed(code) => self.joins_failed.get_or_create(&one("code", code.as_str())).inc(),
            MetricEvent::Departed(d) => {
                let labels = DepartureLabels {
                    reason: d.reason.as_str(),
                    source: d.source.as_str(),
                    grade: d.grade.as_str().to_owned(),
                };
                self.departures.get_or_create(&labels).inc()
            }
            MetricEvent::ClaimRefuted(credential) => {
                self.claims_refuted.get_or_create(&one("credential", *credential)).inc()
            }
            MetricEvent::CredentialDoubted(credential) => self
                .credentials_doubted
                .get_or_create(&one("credential", *credential))
                .inc(),
            MetricEvent::PollStaleness(seconds) => {
                self.poll_staleness.observe(*seconds);
                0
            }
            MetricEvent::PollRound(seconds) => {
                self.poll_rounds.observe(*seconds);
                0
            }
            MetricEvent::LegsChecked { ended, missed } => {
                self.legs_checked.inc_by(*ended);
                self.legs_missed.inc_by(*missed)
            }
            MetricEvent::Overdue => self.overdue_ever.inc(),
            MetricEvent::CustomerCallEnded => self.customer_calls_ended.inc(),
            MetricEvent::SilentLeave { call_ended, expected } => {
                self.silent_ends_expected.set(*expected);
                self.silent_ends.inc_by(u64::from(*call_ended))
            }
            MetricEvent::AgentLooksWrong => self.agents_wrong.inc(),
            MetricEvent::LeaveRefused => self.leaves_refused.inc(),
            MetricEvent::Directive(directive, status) => {
                let labels = vec![
                    ("kind", directive.kind.as_str().to_owned()),
                    ("outcome", status.as_str().to_owned()),
                ];
                self.directives.get_or_create(&labels).inc()
            }
            MetricEvent::EventUnusable(kind) => self.events_unusable.get_or_create(&one("kind", kind.as_str())).inc(),
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
    use sidedoor_domain::supervision::Origin;

    use super::*;

    #[test]
    fn metrics_include_events_and_initial_zeros() {
        let metrics = Metrics::default();
        metrics.count(&MetricEvent::Began(Origin::Api));
        metrics.count(&MetricEvent::Recorded(0.2));
        let text = metrics.exposition(&Now {
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
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
        assert!(
            !metrics.exposition(&Now::default()).contains("LEAVING"),
            "a state without supervisions is left out"
        );
    }
}
