//! Puts the store of a stopped service into a state, through the store's own port. Only damage is done by SQL, because the port writes
//! none.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{
    Delivery, DeliveryFilter, DeliveryOutcome, DeliveryResult, DeliveryStore, FailureScope, RecordState, RecordSync,
    SupervisionStore, SupervisionWrite,
};
use sidedoor_domain::ports::{Store, Transaction};

use super::departures::open_after_crash;
use super::{sql, sql_with};

/// Gives a supervision's record a new version that is due to be sent.
pub async fn make_record_due(path: &Path, id: &str) {
    let store = open_after_crash(path).await;
    let id = SupervisionId::parse(id).expect("an id");
    let stored = store.supervision(id).await.expect("read").expect("there");
    let change = Transaction {
        supervision: Some(SupervisionWrite::Update(Box::new(stored.supervision), stored.revision)),
        deliver_at: Some(Timestamp::UNIX_EPOCH),
        ..Transaction::default()
    };
    assert!(store.transact(change).await.expect("written").is_done());
    let stored = store.supervision(id).await.expect("read").expect("there");
    let state = stored.record_sync.map(|sync| (sync.state, sync.due_at));
    assert_eq!(state, Some((RecordState::Pending, Timestamp::UNIX_EPOCH)));
    store.close().await;
}

/// Makes every pending delivery due, as if its next attempt had been planned for an earlier time.
pub async fn make_pending_records_due(path: &Path) {
    let pending = |sync: &RecordSync| sync.state == RecordState::Pending;
    settle(path, pending, || DeliveryOutcome::Again {
        due_at: Timestamp::UNIX_EPOCH,
        error: "the test makes it due".into(),
        blame: FailureScope::Crm,
    })
    .await;
}

/// Simulates that ten minutes passed since the last refusal of each pending delivery, and makes it due. By SQL, because the store of a
/// running service cannot be opened a second time.
pub async fn pass_ten_minutes(path: &Path) {
    let passed = "UPDATE deliveries SET due_at = 0, refused_at = refused_at - 600000 WHERE state = 'PENDING'";
    sql(path, passed).await.expect("aged");
}

/// Simulates that unanswered writes of records are `earlier` ago than they were, and makes the next look at each written record due.
pub async fn age_unanswered_writes(path: &Path, id: &str, earlier: SignedDuration) {
    let store = open_after_crash(path).await;
    let id = SupervisionId::parse(id).expect("an id");
    let mut stored = store.supervision(id).await.expect("read").expect("there");
    let noted = stored.supervision.record_unanswered_at.expect("noted");
    stored.supervision.record_unanswered_at = Some(noted - earlier);
    let sync = stored.record_sync.expect("a delivery");
    assert!(sync.look_again_at.is_some_and(|at| at > noted), "it is looked at again");
    let change = Transaction {
        supervision: Some(SupervisionWrite::Update(Box::new(stored.supervision), stored.revision)),
        delivery_results: vec![DeliveryResult {
            supervision: id,
            version: sync.version,
            at: Timestamp::now(),
            result: DeliveryOutcome::LookAgain {
                at: Some(Timestamp::UNIX_EPOCH),
            },
        }],
        ..Transaction::default()
    };
    assert!(store.transact(change).await.expect("written").is_done());
    store.close().await;
}

/// Makes every search for a VoiceCall due.
pub async fn make_voice_call_searches_due(path: &Path) {
    let searched = |sync: &RecordSync| sync.look_again_at.is_some();
    settle(path, searched, || DeliveryOutcome::LookAgain {
        at: Some(Timestamp::UNIX_EPOCH),
    })
    .await;
}

async fn settle(path: &Path, wanted: impl Fn(&RecordSync) -> bool, result: impl Fn() -> DeliveryOutcome) {
    let store = open_after_crash(path).await;
    let filter = DeliveryFilter {
        limit: 100_000,
        ..DeliveryFilter::default()
    };
    let rows: Vec<Delivery> = store.deliveries(&filter).await.expect("read");
    let results: Vec<DeliveryResult> = rows
        .into_iter()
        .filter_map(|row| row.stored.record_sync)
        .filter(wanted)
        .map(|sync| DeliveryResult {
            supervision: sync.supervision,
            version: sync.version,
            at: Timestamp::UNIX_EPOCH,
            result: result(),
        })
        .collect();
    assert_ne!(results.len(), 0, "there is no such delivery");
    let change = Transaction {
        delivery_results: results,
        ..Transaction::default()
    };
    assert!(store.transact(change).await.expect("written").is_done());
    store.close().await;
}

/// Replaces a supervision's document by an unreadable one, like a fault of the disk or a document of a later version.
pub async fn damage_document(path: &Path, id: &str) {
    open_after_crash(path).await.close().await;
    for damage in [
        "UPDATE supervisions SET doc = '{}', packed = NULL WHERE id = ?",
        "UPDATE unfinished SET doc = '{}' WHERE supervision_id = ?",
    ] {
        sql_with(path, damage, id).await.expect("damaged");
    }
}
