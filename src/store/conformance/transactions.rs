//! A transaction is written as a whole or not at all, and in the order in which it was handed in.

use clock_calibration::Cause;
use sidedoor_domain::moment::moment;
use sidedoor_domain::ports::store::{
    AuditFilter, ClockEpoch, ClockId, Comparison, EpochCause, KeyWrite, NextDue, Sample, UnknownLeg,
};
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    transaction_refused_writes_nothing_of_any_kind,
    transaction_refusals_have_an_order,
    transactions_queued_are_written_in_order_before_a_flush_ends,
    transaction_queued_and_refused_does_not_stop_the_next,
}

/// A transaction of every kind of write, but without a supervision and without a key and an event of its own.
fn everything() -> Transaction {
    let s = monitoring("contact-9", "user-9", "leg-9");
    let clock = ClockId::new("acme", "main", "S", "released");
    Transaction {
        evidence: vec![evidence_of("leg-1", at(0))],
        deliver_at: Some(at(0)),
        cursor: Some(("follower", 9)),
        comparisons: vec![Comparison {
            supervision: s.id,
            looked_at: at(0),
            participant_id: None,
            left_at: None,
            ours_at: at(0),
            inside: None,
        }],
        unknown_legs: vec![UnknownLeg {
            instance: main_instance(),
            leg: "leg-2".into(),
            due_at: at(0),
            looks: 0,
        }],
        adopted_legs: vec![(main_instance(), "leg-3".into())],
        samples: vec![(
            clock.clone(),
            Sample {
                not_before: None,
                asked: None,
                not_after: moment(at(0)),
                stamp: moment(at(0)),
                cause: Cause::Command,
            },
        )],
        epochs: vec![ClockEpoch {
            stream: clock,
            version: 2,
            since: at(0),
            corroborated: at(0),
            cause: EpochCause::VendorStep,
        }],
        audit: vec![audit(0)],
        ..Transaction::default()
    }
}

async fn transaction_refused_writes_nothing_of_any_kind(store: &dyn Store) {
    let first = monitoring("contact", "user", "leg");
    let unknown_leg = UnknownLeg {
        instance: main_instance(),
        leg: "leg-3".into(),
        due_at: at(50),
        looks: 0,
    };
    let setup = Transaction {
        event: Some(("e-1".into(), at(0))),
        key: Some(KeyWrite::Take(key("k-1", "f"), Some(first.id), at(0))),
        unknown_legs: vec![unknown_leg.clone()],
        ..insert_with_record(&first, at(50))
    };
    done(store, setup).await;
    let before = store.supervision(first.id).await.expect("read");
    let second = leaving("contact-2", "user", "leg-2");
    let leg_taken = leaving("contact-3", "user-3", "leg");
    let mut stale = leaving("contact", "user", "leg");
    stale.id = first.id;
    let update_of = |change: Transaction, supervision: Transaction| Transaction {
        supervision: supervision.supervision,
        ..change
    };
    let extra = || Transaction {
        event: Some(("e-2".into(), at(0))),
        key: Some(KeyWrite::Take(key("k-2", "f"), None, at(0))),
        expedite: Some((first.id, at(1))),
        replayed: vec![(first.id, at(2))],
        delivery_results: result(&first, 1, written(None)).delivery_results,
        ..everything()
    };
    let duplicate = Transaction {
        event: Some(("e-1".into(), at(0))),
        ..extra()
    };
    let key_used = Transaction {
        key: Some(KeyWrite::Take(key("k-1", "other"), None, at(0))),
        ..extra()
    };
    let fresh = insert(&leaving("contact-4", "user-4", "leg-4"));
    for refused in [
        update_of(duplicate, fresh.clone()),
        update_of(key_used, fresh),
        update_of(extra(), update(&stale, 7)),
        update_of(extra(), insert(&second)),
        update_of(extra(), insert(&leg_taken)),
        // An error, because the id exists.
        update_of(extra(), insert(&first)),
    ] {
        let answer = store.transact(refused).await;
        assert!(!matches!(answer, Ok(CommitOutcome::Done(_))), "{answer:?}");
        assert_eq!(store.supervision(first.id).await.expect("read"), before, "{answer:?}");
        let due = NextDue {
            unknown_leg: Some(unknown_leg.due_at),
            delivery: Some(at(50)),
            contact_record: None,
        };
        assert_eq!(store.next_due().await.expect("read"), due, "{answer:?}");
        for s in [&second, &leg_taken] {
            assert_eq!(store.supervision(s.id).await.expect("read"), None);
        }
        assert_eq!(store.counts().await.expect("read").active.len(), 1);
        assert_eq!(store.key("c", "k-2").await.expect("read"), None);
        assert_eq!(store.cursor("follower").await.expect("read"), None);
        assert_eq!(store.evidence(&main_instance(), "leg-1").await.expect("read"), []);
        assert_eq!(store.clock_samples(at(-1), 10).await.expect("read"), []);
        assert_eq!(store.clock_epochs().await.expect("read"), []);
        assert_eq!(store.last_directive_change().await.expect("read"), 0);
        let all = AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        };
        assert_eq!(store.audit_lines(&all).await.expect("read"), []);
    }
    let unseen = Transaction {
        event: Some(("e-2".into(), at(0))),
        ..Transaction::default()
    };
    done(store, unseen).await;
}

async fn transaction_refusals_have_an_order(store: &dyn Store) {
    let first = monitoring("contact", "user", "leg");
    let setup = Transaction {
        event: Some(("e".into(), at(0))),
        key: Some(KeyWrite::Take(key("k", "f"), Some(first.id), at(0))),
        ..insert(&first)
    };
    done(store, setup.clone()).await;
    let busy = monitoring("contact-2", "user", "leg");
    let mut change = Transaction {
        supervision: insert(&busy).supervision,
        ..setup
    };
    assert_eq!(outcome(store, change.clone()).await, CommitOutcome::Duplicate);
    change.event = None;
    let used = outcome(store, change.clone()).await;
    assert!(matches!(used, CommitOutcome::KeyUsed(_)), "{used:?}");
    change.key = None;
    assert_eq!(outcome(store, change).await, CommitOutcome::Busy(first.id));
    let mut stale = busy;
    stale.id = first.id;
    assert_eq!(outcome(store, update(&stale, 2)).await, CommitOutcome::Stale);
}

async fn transactions_queued_are_written_in_order_before_a_flush_ends(store: &dyn Store) {
    let mut s = requested("contact", "user");
    store.transact_later(insert(&s));
    for revision in 1..=20 {
        s.checks += 1;
        store.transact_later(update(&s, revision));
    }
    s.checks += 1;
    done(store, update(&s, 21)).await;
    store.transact_later(update(&s, 22));
    store.flush().await.expect("done");
    let stored = store.supervision(s.id).await.expect("read").expect("there");
    assert_eq!((stored.revision, stored.supervision), (23, s));
}

async fn transaction_queued_and_refused_does_not_stop_the_next(store: &dyn Store) {
    let s = requested("contact", "user");
    let cursor = Transaction {
        cursor: Some(("follower", 1)),
        ..Transaction::default()
    };
    store.transact_later(insert(&s));
    store.transact_later(insert(&requested("contact-2", "user")));
    store.transact_later(insert(&s));
    store.transact_later(cursor);
    let again = store.transact(insert(&s)).await;
    assert!(matches!(again, Err(StoreError::Store(_))), "{again:?}");
    assert_eq!(store.cursor("follower").await.expect("read"), Some(1));
}
