//! Deliveries of records to Salesforce.

use sidedoor_domain::ids::DeliveryId;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::store::{
    DeliveryFilter, DeliveryOutcome, FailureScope, FoundContactRecord, RecordState, RecordSync,
};
use sidedoor_domain::ports::{Store, Transaction, WrittenRecord};
use sidedoor_domain::supervision::Supervision;

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    delivery_begins_with_version_one,
    delivery_new_version_keeps_the_time_of_a_retry,
    delivery_written_has_that_version,
    delivery_written_late_leaves_the_newer_version_pending,
    delivery_failed_is_due_again,
    delivery_dead_keeps_the_answer,
    delivery_dead_late_leaves_the_newer_version_pending,
    delivery_looks_for_its_voice_call_again,
    delivery_replayed_counts_no_attempts,
    delivery_discarded_is_not_sent_until_it_is_replayed,
    delivery_expedited_is_due_earlier_unless_it_failed,
    delivery_is_due_longest_first,
    delivery_of_an_unknown_supervision_changes_nothing,
    voice_calls_found_are_written_together,
    deliveries_are_listed_newest_first_by_filter,
}

/// Writes a supervision with a pending delivery that is due at 50.
async fn pending(store: &dyn Store) -> Supervision {
    let s = monitoring("contact", "user", "leg");
    done(store, insert_with_record(&s, at(50))).await;
    s
}

async fn sync(store: &dyn Store, of: &Supervision) -> RecordSync {
    let stored = store.supervision(of.id).await.expect("read").expect("there");
    stored.record_sync.expect("a delivery")
}

async fn new_version(store: &dyn Store, of: &Supervision, due: i64) {
    let revision = store.supervision(of.id).await.expect("read").expect("there").revision;
    let change = Transaction {
        deliver_at: Some(at(due)),
        ..update(of, revision)
    };
    done(store, change).await;
}

fn again(due: i64, blame: FailureScope) -> DeliveryOutcome {
    DeliveryOutcome::Again {
        due_at: at(due),
        error: "no".into(),
        blame,
    }
}

fn dead() -> DeliveryOutcome {
    DeliveryOutcome::Dead {
        error: "rejected".into(),
        answer: Some("[]".into()),
    }
}

async fn delivery_begins_with_version_one(store: &dyn Store) {
    let s = pending(store).await;
    let sync = sync(store, &s).await;
    let expected = RecordSync {
        id: sync.id,
        supervision: s.id,
        state: RecordState::Pending,
        version: 1,
        written_version: 0,
        departure_written: false,
        object_name: None,
        record_id: None,
        written_at: None,
        attempts: 0,
        last_error: None,
        due_at: at(50),
        refusals: 0,
        refused_at: None,
        look_again_at: None,
    };
    assert_eq!(sync, expected);
    let delivery = store.delivery(sync.id).await.expect("read").expect("there");
    assert_eq!((delivery.stored.supervision.id, delivery.last_answer), (s.id, None));
    assert_eq!(store.delivery(DeliveryId::of(new_id())).await.expect("read"), None);
}

async fn delivery_new_version_keeps_the_time_of_a_retry(store: &dyn Store) {
    let s = pending(store).await;
    let first = sync(store, &s).await;
    new_version(store, &s, 70).await;
    let second = sync(store, &s).await;
    assert_eq!((second.version, second.due_at, second.id), (2, at(70), first.id));
    done(store, result(&s, 2, again(90, FailureScope::Crm))).await;
    new_version(store, &s, 80).await;
    let third = sync(store, &s).await;
    assert_eq!((third.version, third.due_at, third.attempts), (3, at(90), 1));
    done(store, result(&s, 3, dead())).await;
    new_version(store, &s, 60).await;
    let fourth = sync(store, &s).await;
    assert_eq!((fourth.state, fourth.due_at), (RecordState::Pending, at(60)));
}

async fn delivery_written_has_that_version(store: &dyn Store) {
    let s = pending(store).await;
    done(store, result(&s, 1, again(60, FailureScope::Row))).await;
    done(store, result(&s, 1, written(None))).await;
    let after = sync(store, &s).await;
    assert_eq!(
        (after.state, after.version, after.written_version),
        (RecordState::Written, 1, 1)
    );
    assert_eq!(after.object_name.as_deref(), Some("VoiceCallParticipant__c"));
    assert_eq!(after.record_id.as_deref(), Some("record-1"));
    assert_eq!(after.written_at, Some(at(7)));
    assert_eq!((after.attempts, after.refusals, after.refused_at), (0, 0, None));
    assert_eq!((after.last_error, after.look_again_at), (None, None));
    assert!(!after.departure_written);
    new_version(store, &s, 70).await;
    let without_id = DeliveryOutcome::Written {
        recorded: WrittenRecord {
            object_name: "Another__c".into(),
            record_id: None,
            created: false,
            newer_kept: false,
        },
        has_departure: true,
        note: Some("a note".into()),
        look_again_at: None,
    };
    done(store, result(&s, 2, without_id)).await;
    let after = sync(store, &s).await;
    assert_eq!(after.object_name.as_deref(), Some("Another__c"));
    assert_eq!(
        after.record_id.as_deref(),
        Some("record-1"),
        "an answer without an id keeps it"
    );
    assert_eq!(after.last_error.as_deref(), Some("a note"));
    assert!(after.departure_written);
    new_version(store, &s, 80).await;
    done(store, result(&s, 3, written(None))).await;
    assert!(sync(store, &s).await.departure_written, "it is never forgotten");
}

async fn delivery_written_late_leaves_the_newer_version_pending(store: &dyn Store) {
    let s = pending(store).await;
    new_version(store, &s, 70).await;
    done(store, result(&s, 1, written(None))).await;
    let after = sync(store, &s).await;
    assert_eq!(
        (after.state, after.version, after.written_version),
        (RecordState::Pending, 2, 1)
    );
    done(store, result(&s, 2, written(None))).await;
    done(store, result(&s, 1, written(None))).await;
    assert_eq!(sync(store, &s).await.written_version, 2, "it never goes back");
}

async fn delivery_failed_is_due_again(store: &dyn Store) {
    let s = pending(store).await;
    for (blame, refusals, refused_at) in [
        (FailureScope::Crm, 0, None),
        (FailureScope::Open, 0, Some(at(7))),
        (FailureScope::Row, 1, Some(at(7))),
        (FailureScope::Crm, 1, Some(at(7))),
    ] {
        let before = sync(store, &s).await.attempts;
        done(store, result(&s, 1, again(60, blame))).await;
        let after = sync(store, &s).await;
        assert_eq!(
            (after.state, after.attempts, after.due_at),
            (RecordState::Pending, before + 1, at(60))
        );
        assert_eq!((after.refusals, after.refused_at), (refusals, refused_at));
        assert_eq!(after.last_error.as_deref(), Some("no"));
    }
}

async fn delivery_dead_keeps_the_answer(store: &dyn Store) {
    let s = pending(store).await;
    done(store, result(&s, 1, dead())).await;
    let after = sync(store, &s).await;
    assert_eq!((after.state, after.attempts), (RecordState::Failed, 1));
    assert_eq!(after.last_error.as_deref(), Some("rejected"));
    let answer = async || {
        store
            .delivery(after.id)
            .await
            .expect("read")
            .expect("there")
            .last_answer
    };
    assert_eq!(answer().await.as_deref(), Some("[]"));
    assert_eq!(store.due_deliveries(at(1000), 10).await.expect("read"), []);
    assert_eq!(store.next_due().await.expect("read").delivery, None);
    done(store, result(&s, 1, written(None))).await;
    assert_eq!(answer().await, None, "it was written after all");
}

async fn delivery_dead_late_leaves_the_newer_version_pending(store: &dyn Store) {
    let s = pending(store).await;
    new_version(store, &s, 70).await;
    done(store, result(&s, 1, dead())).await;
    assert_eq!(sync(store, &s).await.state, RecordState::Pending);
}

async fn delivery_looks_for_its_voice_call_again(store: &dyn Store) {
    let s = pending(store).await;
    done(store, result(&s, 1, written(Some(at(60))))).await;
    let due = async |now| ids(&store.due_contact_records(at(now), 10).await.expect("read"));
    assert_eq!(due(59).await, []);
    assert_eq!(due(60).await, [s.id]);
    assert_eq!(store.due_contact_records(at(60), 0).await.expect("read"), []);
    for (next, found) in [(Some(at(80)), vec![s.id]), (None, vec![])] {
        done(store, result(&s, 1, DeliveryOutcome::LookAgain { at: next })).await;
        assert_eq!(due(79).await, []);
        assert_eq!(due(80).await, found);
    }
    assert_eq!(sync(store, &s).await.state, RecordState::Written);
}

async fn delivery_replayed_counts_no_attempts(store: &dyn Store) {
    let s = pending(store).await;
    done(store, result(&s, 1, again(60, FailureScope::Row))).await;
    done(store, result(&s, 1, dead())).await;
    let replay = Transaction {
        replayed: vec![(s.id, at(70))],
        ..Transaction::default()
    };
    done(store, replay).await;
    let after = sync(store, &s).await;
    assert_eq!(
        (after.state, after.version, after.due_at),
        (RecordState::Pending, 1, at(70))
    );
    assert_eq!((after.attempts, after.refusals, after.refused_at), (0, 0, None));
}

async fn delivery_discarded_is_not_sent_until_it_is_replayed(store: &dyn Store) {
    let s = pending(store).await;
    let discard = async || {
        let change = Transaction {
            discarded: vec![s.id],
            ..Transaction::default()
        };
        done(store, change).await;
        sync(store, &s).await.state
    };
    assert_eq!(discard().await, RecordState::Pending, "only a dead letter is discarded");
    done(store, result(&s, 1, dead())).await;
    assert_eq!(discard().await, RecordState::Discarded);
    let listed = async |state| {
        let filter = DeliveryFilter {
            state: Some(state),
            limit: 10,
            ..DeliveryFilter::default()
        };
        store.deliveries(&filter).await.expect("read").len()
    };
    assert_eq!(
        (listed(RecordState::Written).await, listed(RecordState::Failed).await),
        (0, 0)
    );
    assert_eq!(listed(RecordState::Discarded).await, 1);
    new_version(store, &s, 60).await;
    let after = sync(store, &s).await;
    assert_eq!(
        (after.state, after.version),
        (RecordState::Discarded, 2),
        "also not with a newer version"
    );
    assert_eq!(store.due_deliveries(at(1000), 10).await.expect("read"), []);
    let replay = Transaction {
        replayed: vec![(s.id, at(70))],
        ..Transaction::default()
    };
    done(store, replay).await;
    done(store, result(&s, 2, written(None))).await;
    assert_eq!(sync(store, &s).await.state, RecordState::Written);
    assert_eq!(listed(RecordState::Written).await, 1);
}

async fn delivery_expedited_is_due_earlier_unless_it_failed(store: &dyn Store) {
    let s = pending(store).await;
    let expedite = async |ms| {
        let change = Transaction {
            expedite: Some((s.id, at(ms))),
            ..Transaction::default()
        };
        done(store, change).await;
        sync(store, &s).await.due_at
    };
    assert_eq!(expedite(60).await, at(50));
    assert_eq!(expedite(40).await, at(40));
    done(store, result(&s, 1, again(90, FailureScope::Crm))).await;
    assert_eq!(expedite(10).await, at(90), "it waits after a failed attempt");
    done(store, result(&s, 1, written(None))).await;
    assert_eq!(expedite(10).await, at(90), "it is not pending");
}

async fn delivery_is_due_longest_first(store: &dyn Store) {
    let mut all = Vec::new();
    for (n, due) in [30, 10, 20, 99].into_iter().enumerate() {
        let s = monitoring("contact", &format!("user-{n}"), &format!("leg-{n}"));
        done(store, insert_with_record(&s, at(due))).await;
        all.push(s.id);
    }
    let due = async |now, limit| ids(&store.due_deliveries(at(now), limit).await.expect("read"));
    assert_eq!(due(30, 10).await, [all[1], all[2], all[0]]);
    assert_eq!(due(30, 1).await, [all[1]]);
    assert_eq!(due(9, 10).await, []);
    let count = async |now, limit| store.due_delivery_count(at(now), limit).await.expect("read");
    assert_eq!((count(30, 10).await, count(30, 2).await, count(9, 10).await), (3, 2, 0));
}

async fn delivery_of_an_unknown_supervision_changes_nothing(store: &dyn Store) {
    let s = monitoring("contact", "user", "leg");
    let change = Transaction {
        expedite: Some((s.id, at(0))),
        replayed: vec![(s.id, at(0))],
        deliver_at: Some(at(0)),
        ..result(&s, 1, written(Some(at(0))))
    };
    done(store, change).await;
    assert_eq!(
        store.next_due().await.expect("read"),
        sidedoor_domain::ports::store::NextDue::default()
    );
    done(store, insert(&s)).await;
    assert_eq!(
        store.supervision(s.id).await.expect("read").expect("there").record_sync,
        None
    );
}

async fn deliveries_are_listed_newest_first_by_filter(store: &dyn Store) {
    let mut all = Vec::new();
    for n in 0..4 {
        let mut s = monitoring("contact", &format!("user-{n}"), &format!("leg-{n}"));
        s.id = id_at(n, 0);
        done(store, insert_with_record(&s, at(0))).await;
        all.push(s);
    }
    done(store, insert(&requested("contact", "user-without-record"))).await;
    done(store, result(&all[1], 1, dead())).await;
    done(store, result(&all[2], 1, written(None))).await;
    let list = async |set: fn(&mut DeliveryFilter), limit| {
        let mut filter = DeliveryFilter {
            limit,
            ..DeliveryFilter::default()
        };
        set(&mut filter);
        let found = store.deliveries(&filter).await.expect("read");
        found
            .iter()
            .map(|d| all.iter().position(|s| s.id == d.stored.supervision.id).expect("known"))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(|_| (), 10).await, [3, 2, 1, 0]);
    assert_eq!(list(|_| (), 2).await, [3, 2]);
    assert_eq!(list(|f| f.state = Some(RecordState::Pending), 10).await, [3, 0]);
    assert_eq!(list(|f| f.state = Some(RecordState::Failed), 10).await, [1]);
    assert_eq!(list(|f| f.state = Some(RecordState::Written), 10).await, [2]);
    assert_eq!(list(|f| f.since = Some(at(2)), 10).await, [3, 2]);
    assert_eq!(list(|f| f.until = Some(at(2)), 10).await, [1, 0]);
    assert_eq!(list(|f| f.before = Some(id_at(1, 0)), 10).await, [0]);
}

/// One transaction writes a page of them. A supervision with a VoiceCall, or that is not stored, is not changed.
async fn voice_calls_found_are_written_together(store: &dyn Store) {
    let waiting = [1, 2].map(|n| left("contact", &format!("user-{n}"), &format!("leg-{n}"), at(4)));
    let mut given = left("contact", "user-3", "leg-3", at(4));
    given.voice_call_id = Some("0LQgiven".into());
    for s in waiting.iter().chain([&given]) {
        done(store, insert_with_record(s, at(0))).await;
        done(store, result(s, 1, written(Some(at(5))))).await;
    }
    let found = |s: &Supervision, deliver_at: Option<i64>| FoundContactRecord {
        supervision: s.id,
        kind: ContactRecordKind::VoiceCall,
        record_id: format!("0LQ{}", s.id),
        deliver_at: deliver_at.map(at),
    };
    let change = Transaction {
        contact_records: vec![
            found(&waiting[0], Some(9)),
            found(&waiting[1], None),
            found(&given, Some(9)),
            found(&requested("contact", "user-4"), Some(9)),
        ],
        ..Transaction::default()
    };
    done(store, change).await;
    let state = async |s: &Supervision| {
        let stored = store.supervision(s.id).await.expect("read").expect("there");
        let sync = stored.record_sync.expect("a delivery");
        (
            stored.revision,
            stored.supervision.voice_call_id,
            sync.state,
            sync.version,
        )
    };
    let id = |s: &Supervision| Some(format!("0LQ{}", s.id));
    assert_eq!(state(&waiting[0]).await, (2, id(&waiting[0]), RecordState::Pending, 2));
    assert_eq!(state(&waiting[1]).await, (2, id(&waiting[1]), RecordState::Written, 1));
    assert_eq!(
        state(&given).await,
        (1, Some("0LQgiven".into()), RecordState::Written, 1)
    );
    let due = store.due_deliveries(at(9), 10).await.expect("read");
    assert_eq!(ids(&due), [waiting[0].id]);
    assert_eq!(
        outcome(store, update(&waiting[0], 1)).await,
        sidedoor_domain::ports::CommitOutcome::Stale,
        "the revision grew"
    );
}
