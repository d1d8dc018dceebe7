//! Writes finished supervisions with a departure into a store, so that tests can start with many of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use sidedoor::store::sqlite::SqliteStore;
use sidedoor_domain::departure::{Basis, Continuity, Departure, Reason};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::SupervisionWrite;
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_domain::supervision::{LeaveTimes, Mode, Supervision, Supervisor};

/// A supervision in state LEFT whose departure and after-check are done and whose record is not yet written.
pub fn departed(i: usize, at: Timestamp) -> Supervision {
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
        SupervisionId::new(at, u16::try_from(i % 4096).unwrap_or(0), i as u64),
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
        confirmation: sidedoor_domain::confirmation::Confirmation::VendorAsked,
        reason: Reason::Supervisor,
        continuity: Continuity::Unknown,
        agent_after: None,
        grade: clock_calibration::Grade::Bounded,
        offset_ms: None,
        calibration_version: 0,
        conflicting: false,
        basis: Basis::default(),
    };
    s.conclude(departure).expect("fits");
    s.note_after(Continuity::Continued, false, None).expect("fits");
    s
}

/// Opens the store of a service that has crashed. Retries, because the last task releases the lock a moment later.
pub async fn open_after_crash(path: &Path) -> SqliteStore {
    let url = format!("sqlite://{}", path.display());
    let mut tries = 0;
    loop {
        match SqliteStore::open(&url, 1).await {
            Ok(store) => return store,
            Err(e) => assert!(tries < 200, "{e}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes the supervisions into the store of a service that has crashed, each with a delivery due at `at`.
pub async fn seed(path: &Path, departures: impl Iterator<Item = Supervision>, at: Timestamp) {
    let store = Arc::new(open_after_crash(path).await);
    let writes = stream::iter(departures).map(|departure| {
        let store = store.clone();
        async move {
            let change = Transaction {
                supervision: Some(SupervisionWrite::Insert(Box::new(departure))),
                deliver_at: Some(at),
                ..Transaction::default()
            };
            assert!(store.transact(change).await.expect("committed").is_done());
        }
    });
    writes.buffer_unordered(256).collect::<Vec<()>>().await;
    store.close().await;
}
