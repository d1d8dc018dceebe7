//! What the exposition shows.

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
