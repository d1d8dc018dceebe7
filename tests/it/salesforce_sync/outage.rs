//! A Salesforce org that is down for an hour while ten thousand departures wait: no record is lost, the org gets few calls
//! during the outage, and afterwards the records are written in full calls, one at a time. The service's clock runs 120
//! times as fast as this machine's, so that the hour takes half a minute. The service is restarted in the middle.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Clock;
use sidedoor_fakes::Fault;

use crate::support::app::TestApp;
use crate::support::departures::{departed, seed};
use crate::support::sql;
use crate::support::stored_states::damage_document;

const ROWS: usize = 10_000;
const FASTER: i64 = 120;
const OUTAGE: SignedDuration = SignedDuration::from_hours(1);

struct FastClock {
    from: Timestamp,
    since: Instant,
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let gone = i64::try_from(self.since.elapsed().as_micros()).expect("a while") * FASTER / 1000;
        self.from + SignedDuration::from_millis(gone)
    }

    fn follow_step(&self, _: SignedDuration) -> Option<SignedDuration> {
        None
    }
}

/// How long the service's clock takes for `served`, by this machine's clock.
fn here(served: SignedDuration) -> Duration {
    Duration::try_from(served / i32::try_from(FASTER).expect("small")).expect("positive")
}

#[tokio::test]
async fn outage_of_an_hour_loses_no_record() {
    let clock = Arc::new(FastClock {
        from: Timestamp::now(),
        since: Instant::now(),
    });
    let mut app = TestApp::build()
        .clock(clock.clone())
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__COMPARE_PARTICIPANTS", "false")
        .start()
        .await;
    app.crash();
    let now = clock.now();
    let departures: Vec<_> = (0..ROWS).map(|i| departed(i, now)).collect();
    let first = departures
        .iter()
        .map(|s| s.id.to_string())
        .min()
        .expect("there are some");
    seed(&app.store_path(), departures.into_iter(), now).await;
    // The record that is due first cannot be read. After the outage the first call has a single record, which must be another.
    damage_document(&app.store_path(), &first).await;
    // The org accepts logins, but no writes.
    for operation in ["describe", "upsert", "collections"] {
        app.salesforce()
            .fault(Fault::error(operation, 503, "SERVER_UNAVAILABLE").times(1_000_000));
    }
    let before = app.salesforce().api_calls();
    app.restart().await;
    tokio::time::sleep(here(OUTAGE / 2)).await;
    app.crash_and_restart().await;
    tokio::time::sleep(here(OUTAGE / 2)).await;
    let in_vain = app.salesforce().api_calls() - before;
    assert!((5..=80).contains(&in_vain), "{in_vain} calls in an hour");

    app.salesforce().clear_faults();
    let before = app.salesforce().api_calls();
    let open = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE state <> 'RECORDED'";
    let begun = Instant::now();
    while sql(&app.store_path(), open).await.expect("read") != [["1"]] {
        assert!(begun.elapsed() < Duration::from_secs(120), "they do not drain");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = app.salesforce().api_calls() - before;
    // The first call has one record, each following call twice as many, up to two hundred.
    assert!(calls <= 70, "{calls} calls for {ROWS} records");
    let rows = app.salesforce().rows("VoiceCallParticipant__c");
    let keys: BTreeSet<_> = rows.iter().map(|r| r["Leg_Key__c"].to_string()).collect();
    let readable = ROWS - 1;
    assert_eq!((rows.len(), keys.len()), (readable, readable), "none lost, none twice");
    assert_eq!(app.salesforce().written().len(), readable, "each was written once");
    app.assert_invariants().await;
}
