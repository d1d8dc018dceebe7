//! The sweep removes data whose retention is over, and no other.

use sidedoor_domain::ports::store::{
    ClockEpoch, ClockId, Comparison, DeliveryOutcome, EpochCause, KeyWrite, Retention, Sample, UnknownLeg,
};
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    sweep_removes_keys_past_their_retention,
    sweep_removes_evidence_samples_and_events,
    sweep_keeps_unfinished_and_unsent_supervisions,
    sweep_without_salesforce_removes_unsent_ones_too,
    sweep_removes_what_belongs_to_a_supervision,
    sweep_runs_until_nothing_is_left,
    sweep_keeps_the_epoch_that_counts,
    sweep_removes_unknown_legs_that_nobody_looks_for,
}

/// Keeps everything.
fn nothing() -> Retention {
    retention(at(-1_000_000))
}

async fn sweep(store: &dyn Store, retention: Retention) -> u64 {
    store.sweep(&retention).await.expect("swept")
}

async fn sweep_removes_keys_past_their_retention(store: &dyn Store) {
    for (name, ms) in [("old", 4), ("new", 5)] {
        let change = Transaction {
            key: Some(KeyWrite::Take(key(name, "f"), None, at(ms))),
            ..Transaction::default()
        };
        done(store, change).await;
    }
    assert_eq!(sweep(store, nothing()).await, 0);
    let keys = Retention {
        keys_before: at(5),
        ..nothing()
    };
    assert_eq!(sweep(store, keys).await, 1);
    assert_eq!(store.key("c", "old").await.expect("read"), None);
    assert!(store.key("c", "new").await.expect("read").is_some());
}

async fn sweep_removes_evidence_samples_and_events(store: &dyn Store) {
    let clock = ClockId::new("acme", "main", "S", "released");
    let event = |id: &str, ms| Transaction {
        event: Some((id.into(), at(ms))),
        ..Transaction::default()
    };
    for (id, ms) in [("old", 4), ("new", 5)] {
        let moment = sidedoor_domain::moment::moment(at(ms));
        let sample = Sample {
            not_before: None,
            asked: None,
            not_after: moment,
            stamp: moment,
            cause: clock_calibration::Cause::Command,
        };
        let change = Transaction {
            evidence: vec![evidence_of("leg", at(ms))],
            samples: vec![(clock.clone(), sample)],
            ..event(id, ms)
        };
        done(store, change).await;
    }
    let old = Retention {
        evidence_before: at(5),
        ..nothing()
    };
    assert_eq!(sweep(store, old).await, 3);
    let left = store.evidence(&main_instance(), "leg").await.expect("read");
    assert_eq!(left, [evidence(at(5))]);
    assert_eq!(store.clock_samples(at(0), 10).await.expect("read").len(), 1);
    done(store, event("old", 6)).await;
    assert_eq!(outcome(store, event("new", 6)).await, CommitOutcome::Duplicate);
}

async fn sweep_keeps_unfinished_and_unsent_supervisions(store: &dyn Store) {
    let ended = at(4);
    let active = requested("contact", "user-1");
    let without_record = failed("contact", "user-2", ended);
    let later = failed("contact", "user-3", at(5));
    let [pending, dead, written_once, changed] =
        [4, 5, 6, 7].map(|n| left("contact", &format!("user-{n}"), &format!("leg-{n}"), ended));
    for s in [&active, &without_record, &later] {
        done(store, insert(s)).await;
    }
    for s in [&pending, &dead, &written_once, &changed] {
        done(store, insert_with_record(s, at(0))).await;
    }
    let gives_up = DeliveryOutcome::Dead {
        error: "no".into(),
        answer: None,
    };
    done(store, result(&dead, 1, gives_up)).await;
    done(store, result(&written_once, 1, written(None))).await;
    done(store, result(&changed, 1, written(None))).await;
    let new_version = Transaction {
        deliver_at: Some(at(0)),
        ..update(&changed, 1)
    };
    done(store, new_version).await;
    assert_eq!(sweep(store, retention(at(4))).await, 0);
    assert_eq!(sweep(store, retention(at(5))).await, 2);
    for (s, stays) in [
        (&active, true),
        (&without_record, false),
        (&later, true),
        (&pending, true),
        (&dead, true),
        (&written_once, false),
        (&changed, true),
    ] {
        let found = store.supervision(s.id).await.expect("read");
        assert_eq!(found.is_some(), stays, "{:?}", s.supervisor);
    }
}

async fn sweep_without_salesforce_removes_unsent_ones_too(store: &dyn Store) {
    let active = monitoring("contact", "user-1", "leg-1");
    let unsent = left("contact", "user-2", "leg-2", at(4));
    done(store, insert_with_record(&active, at(0))).await;
    done(store, insert_with_record(&unsent, at(0))).await;
    let unsent_too = Retention {
        unsent_too: true,
        ..retention(at(5))
    };
    assert_eq!(sweep(store, unsent_too).await, 1);
    assert!(store.supervision(active.id).await.expect("read").is_some());
    assert_eq!(store.supervision(unsent.id).await.expect("read"), None);
}

async fn sweep_removes_what_belongs_to_a_supervision(store: &dyn Store) {
    let mut s = leaving("contact", "user", "leg");
    s.conclude(departure(at(4))).expect("fits");
    s.voice_call_id = Some("0LQ".into());
    s.next_check_at = Some(at(1));
    let comparison = Comparison {
        supervision: s.id,
        looked_at: at(5),
        participant_id: None,
        left_at: None,
        ours_at: at(4),
        inside: None,
    };
    let change = Transaction {
        audit: vec![audit(0).of(s.id)],
        ..insert_with_record(&s, at(0))
    };
    done(store, change).await;
    done(store, result(&s, 1, written(Some(at(6))))).await;
    let compared = Transaction {
        comparisons: vec![comparison.clone()],
        ..Transaction::default()
    };
    done(store, compared.clone()).await;
    let sync = store.supervision(s.id).await.expect("read").expect("there").record_sync;
    let delivery = sync.expect("a delivery").id;
    assert_eq!(store.last_directive_change().await.expect("read"), 1);
    assert_eq!(sweep(store, retention(at(100))).await, 1);
    assert_eq!(store.delivery(delivery).await.expect("read"), None);
    assert_eq!(store.by_leg(&main_instance(), "leg").await.expect("read"), None);
    assert_eq!(
        store.next_due().await.expect("read"),
        sidedoor_domain::ports::store::NextDue::default()
    );
    let directives = store
        .directives_of(&main_instance(), &user("user"), Some(0), 10)
        .await
        .expect("read");
    assert_eq!(directives, []);
    assert_eq!(
        store.last_directive_change().await.expect("read"),
        1,
        "a number is never used twice"
    );
    done(store, compared).await;
    let due = store.due_comparisons(at(0), at(100), at(100), 10).await.expect("read");
    assert_eq!(due, []);
    assert_eq!(
        store.audit_of(s.id, 10).await.expect("read").len(),
        1,
        "the audit stays"
    );
    done(store, insert(&s)).await;
}

async fn sweep_runs_until_nothing_is_left(store: &dyn Store) {
    let change = Transaction {
        evidence: (0..4500).map(|_| evidence_of("leg", at(0))).collect(),
        ..Transaction::default()
    };
    done(store, change).await;
    assert_eq!(sweep(store, retention(at(1))).await, 4500);
    assert_eq!(sweep(store, retention(at(1))).await, 0);
}

async fn sweep_keeps_the_epoch_that_counts(store: &dyn Store) {
    let clock = |name: &str| ClockId::new("acme", "main", name, "released");
    let epoch = |name: &str, version, since| ClockEpoch {
        stream: clock(name),
        version,
        since: at(since),
        corroborated: at(since),
        cause: EpochCause::VendorStep,
    };
    let change = Transaction {
        epochs: vec![
            epoch("S", 2, 1),
            epoch("S", 3, 3),
            epoch("S", 4, 9),
            epoch("T", 2, 0),
            epoch("U", 2, 20),
        ],
        ..Transaction::default()
    };
    done(store, change).await;
    assert_eq!(sweep(store, retention(at(10))).await, 2);
    let left = store.clock_epochs().await.expect("read");
    let left: Vec<_> = left.into_iter().map(|e| (e.stream.source, e.version)).collect();
    assert_eq!(left, [("T".into(), 2), ("S".into(), 4), ("U".into(), 2)]);
    assert_eq!(sweep(store, retention(at(10))).await, 0);
}

async fn sweep_removes_unknown_legs_that_nobody_looks_for(store: &dyn Store) {
    let leg = |name: &str, due_at| UnknownLeg {
        instance: main_instance(),
        leg: name.into(),
        due_at: at(due_at),
        looks: 3,
    };
    let change = Transaction {
        unknown_legs: vec![leg("old", 4), leg("new", 5)],
        ..Transaction::default()
    };
    done(store, change).await;
    assert_eq!(sweep(store, retention(at(5))).await, 1);
    let left = store.due_unknown_legs(at(100), 10).await.expect("read");
    assert_eq!(left, [leg("new", 5)]);
}
