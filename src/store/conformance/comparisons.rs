//! Departures to compare with the org's own records.

use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::Comparison;
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_domain::supervision::Supervision;

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    comparison_is_due_for_written_departures_with_a_voice_call,
    comparison_is_due_between_two_moments,
    comparison_is_repeated_while_the_org_has_no_record,
    comparison_counts_the_legs_of_the_contact,
}

/// Writes a departure at `ended` whose record and VoiceCall are in Salesforce.
async fn compared(store: &dyn Store, n: u32, ended: i64) -> Supervision {
    let mut s = left(&format!("contact-{n}"), "user", &format!("leg-{n}"), at(ended));
    s.voice_call_id = Some("0LQ".into());
    done(store, insert_with_record(&s, at(0))).await;
    done(store, result(&s, 1, written(None))).await;
    s
}

async fn due(store: &dyn Store, (since, until, again): (i64, i64, i64), limit: u32) -> Vec<SupervisionId> {
    let due = store.due_comparisons(at(since), at(until), at(again), limit);
    let due = due.await.expect("read");
    due.iter().map(|(stored, _)| stored.supervision.id).collect()
}

async fn look(store: &dyn Store, s: &Supervision, looked_at: i64, left_at: Option<i64>) {
    let comparison = Comparison {
        supervision: s.id,
        looked_at: at(looked_at),
        participant_id: Some("0LR".into()),
        left_at: left_at.map(at),
        ours_at: at(0),
        inside: left_at.map(|_| true),
    };
    let change = Transaction {
        comparisons: vec![comparison],
        ..Transaction::default()
    };
    done(store, change).await;
}

async fn comparison_is_due_for_written_departures_with_a_voice_call(store: &dyn Store) {
    let expected = compared(store, 1, 5).await;
    let without_voice_call = left("contact-2", "user", "leg-2", at(5));
    done(store, insert_with_record(&without_voice_call, at(0))).await;
    done(store, result(&without_voice_call, 1, written(None))).await;
    let mut unsent = left("contact-3", "user", "leg-3", at(5));
    unsent.voice_call_id = Some("0LQ".into());
    done(store, insert_with_record(&unsent, at(0))).await;
    let mut without_record = left("contact-4", "user", "leg-4", at(5));
    without_record.voice_call_id = Some("0LQ".into());
    done(store, insert(&without_record)).await;
    let mut never_joined = failed("contact-5", "user-5", at(5));
    never_joined.voice_call_id = Some("0LQ".into());
    done(store, insert_with_record(&never_joined, at(0))).await;
    done(store, result(&never_joined, 1, written(None))).await;
    assert_eq!(due(store, (0, 100, 100), 10).await, [expected.id]);
}

async fn comparison_is_due_between_two_moments(store: &dyn Store) {
    let mut all = Vec::new();
    for (n, ended) in (0..).zip([9, 5, 7]) {
        all.push(compared(store, n, ended).await.id);
    }
    assert_eq!(due(store, (5, 9, 0), 10).await, [all[2], all[0]]);
    assert_eq!(due(store, (4, 8, 0), 10).await, [all[1], all[2]]);
    assert_eq!(due(store, (0, 100, 0), 2).await, [all[1], all[2]]);
}

async fn comparison_is_repeated_while_the_org_has_no_record(store: &dyn Store) {
    let mut all = Vec::new();
    for n in 0..4 {
        all.push(compared(store, n, 5).await);
    }
    look(store, &all[0], 30, None).await;
    look(store, &all[1], 20, None).await;
    look(store, &all[2], 20, Some(5)).await;
    assert_eq!(due(store, (0, 100, 19), 10).await, [all[3].id]);
    assert_eq!(due(store, (0, 100, 30), 10).await, [all[3].id, all[1].id, all[0].id]);
    assert_eq!(due(store, (0, 100, 30), 2).await, [all[3].id, all[1].id]);
    look(store, &all[1], 40, Some(5)).await;
    assert_eq!(due(store, (0, 100, 100), 10).await, [all[3].id, all[0].id]);
}

async fn comparison_counts_the_legs_of_the_contact(store: &dyn Store) {
    let s = compared(store, 1, 5).await;
    let mut elsewhere = monitoring("contact-1", "user-4", "leg-4");
    elsewhere.instance = other_instance();
    for other in [
        monitoring("contact-1", "user-2", "leg-2"),
        requested("contact-1", "user-3"),
        elsewhere,
        monitoring("contact-2", "user-5", "leg-5"),
    ] {
        done(store, insert(&other)).await;
    }
    let found = store.due_comparisons(at(0), at(100), at(0), 10).await.expect("read");
    assert_eq!((found[0].0.supervision.id, found[0].1), (s.id, 2));
}
