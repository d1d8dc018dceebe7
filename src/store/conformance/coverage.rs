//! How many of the contacts that agents had were supervised.

use jiff::SignedDuration;
use sidedoor_domain::ports::store::{CountedContact, CoverageQuestion, HandledContact};
use sidedoor_domain::ports::{Store, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    coverage_counts_a_contact_once,
    coverage_counts_a_contact_with_a_leg_as_supervised,
    coverage_is_the_same_after_contacts_are_counted,
    coverage_counters_are_swept_by_day,
}

fn handles(contact: HandledContact) -> Transaction {
    Transaction {
        handled_contact: Some(contact),
        ..Transaction::default()
    }
}

fn counts(counted_contacts: Vec<CountedContact>) -> Transaction {
    Transaction {
        counted_contacts,
        ..Transaction::default()
    }
}

/// Contacts and supervised ones by queue, of the days around the tests' moments.
async fn coverage(store: &dyn Store) -> Vec<(Option<String>, u64, u64)> {
    let day = SignedDuration::from_hours(24);
    let question = CoverageQuestion {
        since: at(0) - day * 9,
        until: at(0) + day * 9,
        by_queue: true,
        by_agent: false,
    };
    let rows = store.coverage(&question, 100).await.expect("read").into_iter();
    rows.map(|row| (row.key.queue, row.contacts, row.supervised)).collect()
}

async fn coverage_counts_a_contact_once(store: &dyn Store) {
    done(store, handles(handled(1, 0, at(5)))).await;
    // As another agent's, and later: the first one is kept.
    done(store, handles(handled(1, 1, at(9)))).await;
    done(store, handles(handled(2, 1, at(5)))).await;
    assert_eq!(coverage(store).await, [(None, 1, 0), (Some("queue-1".into()), 1, 0)]);
    let found = store.handled_before(at(9), 10).await.expect("read");
    assert_eq!(found.len(), 2);
    for _ in 0..2 {
        done(store, counts(found.clone())).await;
        assert_eq!(coverage(store).await, [(None, 1, 0), (Some("queue-1".into()), 1, 0)]);
    }
    assert_eq!(store.handled_before(at(9), 10).await.expect("read"), []);
}

async fn coverage_counts_a_contact_with_a_leg_as_supervised(store: &dyn Store) {
    for n in 1..=3 {
        done(store, handles(handled(n, 0, at(5)))).await;
    }
    done(store, insert(&monitoring("contact-1", "user-1", "leg-1"))).await;
    done(store, insert(&monitoring("contact-1", "user-2", "leg-2"))).await;
    done(store, insert(&failed("contact-2", "user-3", at(3)))).await;
    let mut elsewhere = monitoring("contact-3", "user-4", "leg-3");
    elsewhere.instance = other_instance();
    done(store, insert(&elsewhere)).await;
    assert_eq!(coverage(store).await, [(None, 3, 1)]);
}

async fn coverage_is_the_same_after_contacts_are_counted(store: &dyn Store) {
    for n in 1..=4 {
        let ended_at = at(i64::try_from(n).expect("small"));
        done(store, handles(handled(n, n % 2, ended_at))).await;
    }
    done(store, insert(&monitoring("contact-3", "user-1", "leg-1"))).await;
    let before = coverage(store).await;
    assert_eq!(before, [(None, 2, 0), (Some("queue-1".into()), 2, 1)]);
    let first = store.handled_before(at(4), 2).await.expect("read");
    let contacts: Vec<&str> = first.iter().map(|c| c.contact.contact.as_str()).collect();
    assert_eq!(contacts, ["contact-1", "contact-2"], "those that ended first");
    done(store, counts(first)).await;
    assert_eq!(coverage(store).await, before);
    let rest = store.handled_before(at(100), 10).await.expect("read");
    assert_eq!(rest.iter().map(|c| c.is_supervised).collect::<Vec<_>>(), [true, false]);
    done(store, counts(rest)).await;
    assert_eq!(coverage(store).await, before);
}

async fn coverage_counters_are_swept_by_day(store: &dyn Store) {
    let days = |n: i64| at(0) + SignedDuration::from_hours(24 * n);
    for (n, day) in [(1, 0), (2, 1), (3, 2)] {
        done(store, handles(handled(n, 0, days(day)))).await;
    }
    let found = store.handled_before(days(2), 10).await.expect("read");
    done(store, counts(found)).await;
    assert_eq!(store.sweep(&retention(days(1))).await.expect("swept"), 1);
    assert_eq!(coverage(store).await, [(None, 2, 0)], "without the day before");
    assert_eq!(store.sweep(&retention(days(1))).await.expect("swept"), 0);
}
