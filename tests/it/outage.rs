//! An org that is down for an hour while ten thousand departures wait: nothing is lost, the org is left in peace, and the rows
//! go out afterwards in full calls, one at a time. The service's clock runs 120 times as fast as this machine's, so that the hour
//! takes half a minute; a restart comes in the middle.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use sidedoor::domain::departure::{Basis, Continuity, Departure, Reason};
use sidedoor::domain::evidence::Source;
use sidedoor::domain::ids::{ContactId, InstanceName, UserId};
use sidedoor::domain::interlock::LegId;
use sidedoor::domain::supervision::{LeaveTimes, Mode, Supervision, Supervisor};
use sidedoor::fakes::Fault;
use sidedoor::journal::SqliteJournal;
use sidedoor::ports::journal::Write;
use sidedoor::ports::{Change, Clock, Committed, Journal};

use crate::support::house::House;
use crate::support::sql;

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

    fn follow_step(&self) -> Option<SignedDuration> {
        None
    }
}

/// A departure as it stands when everything but the row is done.
fn departed(i: usize, at: Timestamp) -> Supervision {
    let contact = ContactId::parse(format!("contact-{i}")).expect("an id");
    let supervisor = Supervisor {
        connect_user_id: Some(UserId::parse(format!("user-{i}")).expect("an id")),
        username: None,
        salesforce_user_id: None,
    };
    let main = InstanceName::parse("main").expect("a name");
    let times = LeaveTimes {
        deadline: SignedDuration::from_secs(15),
        directive_ttl: SignedDuration::from_secs(60),
    };
    let mut s = Supervision::request(
        main,
        contact.clone(),
        supervisor,
        Mode::Silent,
        at,
        SignedDuration::from_secs(30),
    );
    s.start_joining(at).expect("fits");
    let leg = LegId::from_monitor_answer(&uuid::Uuid::new_v4().to_string(), &contact).expect("a leg");
    s.leg_given(leg, at, at, times).expect("fits");
    let departure = Departure {
        disconnected_at: at,
        uncertainty_ms: Some(500),
        earliest: Some(at - SignedDuration::from_millis(500)),
        latest: at + SignedDuration::from_millis(500),
        vendor_timestamp: None,
        source: Source::ContactEvent,
        reason: Reason::Supervisor,
        continuity: Continuity::Unknown,
        agent_after: None,
        grade: "BOUNDED".into(),
        offset_ms: None,
        calibration_version: 0,
        conflicting: false,
        basis: Basis::default(),
    };
    s.conclude(departure).expect("fits");
    s.note_after(Continuity::Continued, false, None).expect("fits");
    s
}

async fn seed(path: &std::path::Path, at: Timestamp) {
    // After a crash the lock goes with the last task: a moment later.
    let url = format!("sqlite://{}", path.display());
    let mut tries = 0;
    let journal = loop {
        match SqliteJournal::open(&url).await {
            Ok(journal) => break Arc::new(journal),
            Err(e) => assert!(tries < 200, "{e}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let writes = stream::iter(0..ROWS).map(|i| {
        let journal = journal.clone();
        async move {
            let change = Change {
                supervision: Some(Write::Insert(Box::new(departed(i, at)))),
                deliver_at: Some(at),
                ..Change::default()
            };
            assert_eq!(journal.commit(change).await.expect("committed"), Committed::Done);
        }
    });
    writes.buffer_unordered(256).collect::<Vec<()>>().await;
    journal.close().await;
}

/// How long the service's clock takes for that, here.
fn here(served: SignedDuration) -> Duration {
    Duration::try_from(served / i32::try_from(FASTER).expect("small")).expect("positive")
}

#[tokio::test]
async fn ten_thousand_departures_outlast_an_hour_without_the_org() {
    let clock = Arc::new(FastClock {
        from: Timestamp::now(),
        since: Instant::now(),
    });
    let mut house = House::build()
        .clock(clock.clone())
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__COMPARE_PARTICIPANTS", "false")
        .start()
        .await;
    house.crash();
    seed(&house.journal_path(), clock.now()).await;
    // One cannot be read, and is due first: when the org is met again with a single row, it must not be the one.
    let spoilt = "UPDATE supervisions SET doc = '{}' WHERE id = (SELECT MIN(id) FROM supervisions)";
    sql(&house.journal_path(), spoilt).await.expect("spoilt");
    // It lets us in, and takes nothing.
    for operation in ["describe", "upsert", "collections"] {
        house
            .salesforce()
            .fault(Fault::error(operation, 503, "SERVER_UNAVAILABLE").times(1_000_000));
    }
    let before = house.salesforce().api_calls();
    house.restart().await;
    tokio::time::sleep(here(OUTAGE / 2)).await;
    house.crash_and_restart().await;
    tokio::time::sleep(here(OUTAGE / 2)).await;
    let in_vain = house.salesforce().api_calls() - before;
    assert!((5..=80).contains(&in_vain), "{in_vain} calls in an hour");

    house.salesforce().clear_faults();
    let before = house.salesforce().api_calls();
    let open = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE state <> 'RECORDED'";
    let begun = Instant::now();
    while sql(&house.journal_path(), open).await.expect("read") != [["1"]] {
        assert!(begun.elapsed() < Duration::from_secs(120), "they do not drain");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = house.salesforce().api_calls() - before;
    // From a single row on, each call twice as many, to two hundred.
    assert!(calls <= 70, "{calls} calls for {ROWS} rows");
    let rows = house.salesforce().rows("VoiceCallParticipant__c");
    let keys: BTreeSet<_> = rows.iter().map(|r| r["Leg_Key__c"].to_string()).collect();
    let readable = ROWS - 1;
    assert_eq!((rows.len(), keys.len()), (readable, readable), "none lost, none twice");
    assert_eq!(house.salesforce().written().len(), readable, "each was written once");
    house.rules_hold().await;
}
