//! Evidence, unknown legs and events.

use sidedoor_domain::ports::store::{Completeness, UnknownLeg};
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    evidence_is_read_in_the_order_it_was_written,
    evidence_is_limited_to_the_first_200,
    event_is_accepted_once,
    unknown_leg_observed_again_keeps_the_earlier_time,
    unknown_leg_looked_up_gets_the_later_time,
    unknown_legs_are_due_longest_first,
    unknown_leg_that_was_adopted_is_not_due,
    leg_is_unheard_of_until_it_is_a_supervisions_or_to_be_looked_up,
    completeness_is_kept_by_instance,
}

async fn leg_is_unheard_of_until_it_is_a_supervisions_or_to_be_looked_up(store: &dyn Store) {
    let legs = ["leg-1", "leg-2", "leg-3"].map(String::from);
    let unheard_of = async |instance| store.unheard_of(&instance, &legs).await.expect("read");
    assert_eq!(unheard_of(main_instance()).await, legs);
    write(store, vec![unknown("leg-2", 5, 0)]).await;
    done(store, insert(&monitoring("contact", "user-1", "leg-3"))).await;
    assert_eq!(unheard_of(main_instance()).await, ["leg-1"]);
    assert_eq!(unheard_of(other_instance()).await, legs);
}

async fn completeness_is_kept_by_instance(store: &dyn Store) {
    assert_eq!(store.completeness(&main_instance()).await.expect("read"), None);
    for (until, legs, missed) in [(5, 1, 1), (9, u64::from(u32::MAX) + 1, 2)] {
        let covered = Completeness {
            instance: main_instance(),
            since: at(0),
            until: at(until),
            legs,
            missed,
        };
        let change = Transaction {
            completeness: Some(covered.clone()),
            ..Transaction::default()
        };
        done(store, change).await;
        assert_eq!(store.completeness(&main_instance()).await.expect("read"), Some(covered));
    }
    assert_eq!(store.completeness(&other_instance()).await.expect("read"), None);
}

async fn evidence_is_read_in_the_order_it_was_written(store: &dyn Store) {
    let mut elsewhere = evidence_of("leg", at(0));
    elsewhere.instance = other_instance();
    let change = Transaction {
        evidence: vec![evidence_of("leg", at(9)), elsewhere, evidence_of("leg-2", at(1))],
        ..Transaction::default()
    };
    done(store, change).await;
    let later = Transaction {
        evidence: vec![evidence_of("leg", at(3))],
        ..Transaction::default()
    };
    done(store, later).await;
    let found = store.evidence(&main_instance(), "leg").await.expect("read");
    assert_eq!(found, [evidence(at(9)), evidence(at(3))]);
    assert_eq!(store.evidence(&main_instance(), "another").await.expect("read"), []);
}

async fn evidence_is_limited_to_the_first_200(store: &dyn Store) {
    let change = Transaction {
        evidence: (0..201).map(|n| evidence_of("leg", at(n))).collect(),
        ..Transaction::default()
    };
    done(store, change).await;
    let found = store.evidence(&main_instance(), "leg").await.expect("read");
    assert_eq!(found, (0..200).map(|n| evidence(at(n))).collect::<Vec<_>>());
}

async fn event_is_accepted_once(store: &dyn Store) {
    let event = |id: &str, ms| Transaction {
        event: Some((id.into(), at(ms))),
        ..Transaction::default()
    };
    done(store, event("e-1", 0)).await;
    assert_eq!(outcome(store, event("e-1", 1)).await, CommitOutcome::Duplicate);
    done(store, event("e-2", 0)).await;
}

fn unknown(leg: &str, due: i64, looks: u32) -> UnknownLeg {
    UnknownLeg {
        instance: main_instance(),
        leg: leg.into(),
        due_at: at(due),
        looks,
    }
}

async fn write(store: &dyn Store, unknown_legs: Vec<UnknownLeg>) {
    let change = Transaction {
        unknown_legs,
        ..Transaction::default()
    };
    done(store, change).await;
}

async fn unknown_leg_observed_again_keeps_the_earlier_time(store: &dyn Store) {
    write(store, vec![unknown("leg", 5, 2)]).await;
    write(store, vec![unknown("leg", 9, 0), unknown("leg", 7, 2)]).await;
    let due = async || store.due_unknown_legs(at(100), 10).await.expect("read");
    assert_eq!(due().await, [unknown("leg", 5, 2)]);
    write(store, vec![unknown("leg", 3, 0)]).await;
    assert_eq!(due().await, [unknown("leg", 3, 2)]);
}

async fn unknown_leg_looked_up_gets_the_later_time(store: &dyn Store) {
    write(store, vec![unknown("leg", 5, 0)]).await;
    write(store, vec![unknown("leg", 60, 1)]).await;
    assert_eq!(store.due_unknown_legs(at(59), 10).await.expect("read"), []);
    let due = store.due_unknown_legs(at(60), 10).await.expect("read");
    assert_eq!(due, [unknown("leg", 60, 1)]);
}

async fn unknown_legs_are_due_longest_first(store: &dyn Store) {
    let legs = [unknown("leg-c", 8, 0), unknown("leg-b", 5, 0), unknown("leg-a", 9, 0)];
    write(store, legs.to_vec()).await;
    let due = store.due_unknown_legs(at(9), 10).await.expect("read");
    assert_eq!(due, [legs[1].clone(), legs[0].clone(), legs[2].clone()]);
    assert_eq!(store.due_unknown_legs(at(9), 1).await.expect("read").len(), 1);
    assert_eq!(store.due_unknown_legs(at(8), 10).await.expect("read").len(), 2);
}

async fn unknown_leg_that_was_adopted_is_not_due(store: &dyn Store) {
    write(store, vec![unknown("leg-1", 5, 0), unknown("leg-2", 5, 0)]).await;
    let adopted = Transaction {
        adopted_legs: vec![(main_instance(), "leg-1".into()), (other_instance(), "leg-2".into())],
        // An observation in the same transaction does not keep the leg unknown.
        unknown_legs: vec![unknown("leg-1", 1, 0)],
        ..Transaction::default()
    };
    done(store, adopted).await;
    let due = store.due_unknown_legs(at(9), 10).await.expect("read");
    assert_eq!(due, [unknown("leg-2", 5, 0)]);
}
