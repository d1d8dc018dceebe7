//! Due times and cursors.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::store::{NextDue, PollStaleness, UnknownLeg};
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_domain::supervision::Supervision;

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    next_due_is_the_earliest_of_each_kind,
    check_is_due_longest_first,
    check_is_due_in_the_whole_millisecond,
    cursor_never_goes_back,
    staleness_keeps_the_greatest_of_the_last_days,
}

async fn staleness_keeps_the_greatest_of_the_last_days(store: &dyn Store) {
    let measured = |day: i64, age: i64| PollStaleness {
        instance: main_instance(),
        measured_at: at(day * 86_400_000),
        age: SignedDuration::from_millis(age),
    };
    let read = async || store.poll_staleness(&main_instance()).await.expect("read");
    assert_eq!(read().await, None);
    for (new, kept) in [
        (measured(0, 3000), measured(0, 3000)),
        (measured(1, 2500), measured(0, 3000)),
        (measured(2, 3001), measured(2, 3001)),
        (measured(9, 100), measured(2, 3001)),
        (measured(10, 200), measured(10, 200)),
    ] {
        let change = Transaction {
            poll_staleness: Some(new),
            ..Transaction::default()
        };
        done(store, change).await;
        assert_eq!(read().await, Some(kept));
    }
    assert_eq!(store.poll_staleness(&other_instance()).await.expect("read"), None);
}

fn with_check(user: &str, next_check_at: Option<Timestamp>) -> Supervision {
    let mut s = requested("contact", user);
    s.next_check_at = next_check_at;
    s
}

async fn next_due_is_the_earliest_of_each_kind(store: &dyn Store) {
    assert_eq!(store.next_due().await.expect("read"), NextDue::default());
    let mut first = with_check("user-1", Some(at(5)));
    done(store, insert_with_record(&first, at(30))).await;
    let unknown_leg = UnknownLeg {
        instance: main_instance(),
        leg: "leg".into(),
        due_at: at(20),
        looks: 0,
    };
    let second = Transaction {
        unknown_legs: vec![unknown_leg],
        ..insert_with_record(&with_check("user-2", Some(at(6))), at(31))
    };
    done(store, second).await;
    done(store, result(&first, 1, written(Some(at(40))))).await;
    let expected = NextDue {
        check: Some(at(5)),
        unknown_leg: Some(at(20)),
        delivery: Some(at(31)),
        voice_call: Some(at(40)),
    };
    assert_eq!(store.next_due().await.expect("read"), expected);
    first.next_check_at = None;
    done(store, update(&first, 1)).await;
    assert_eq!(store.next_due().await.expect("read").check, Some(at(6)));
}

async fn check_is_due_longest_first(store: &dyn Store) {
    let all: Vec<_> = [3, 1, 2, 9]
        .iter()
        .zip(0..)
        .map(|(due, n)| with_check(&format!("user-{n}"), Some(at(*due))))
        .collect();
    for s in all.iter().chain([&with_check("user-9", None)]) {
        done(store, insert(s)).await;
    }
    let due = async |now, limit| ids(&store.due_checks(at(now), limit).await.expect("read"));
    assert_eq!(due(3, 10).await, [all[1].id, all[2].id, all[0].id]);
    assert_eq!(due(9, 2).await, [all[1].id, all[2].id]);
    assert_eq!(due(0, 10).await, []);
}

async fn check_is_due_in_the_whole_millisecond(store: &dyn Store) {
    let late = Timestamp::from_nanosecond(at(5).as_nanosecond() + 999_999).expect("in range");
    let s = with_check("user", Some(late));
    done(store, insert(&s)).await;
    assert_eq!(store.next_due().await.expect("read").check, Some(at(5)));
    let due = store.due_checks(at(5), 10).await.expect("read");
    assert_eq!(due[0].supervision.next_check_at, Some(late));
}

async fn cursor_never_goes_back(store: &dyn Store) {
    let change = |name, seq| Transaction {
        cursor: Some((name, seq)),
        ..Transaction::default()
    };
    assert_eq!(store.cursor("one").await.expect("read"), None);
    for (seq, expected) in [(5, 5), (3, 5), (7, 7)] {
        done(store, change("one", seq)).await;
        assert_eq!(store.cursor("one").await.expect("read"), Some(expected));
    }
    done(store, change("another", 1)).await;
    assert_eq!(store.cursor("another").await.expect("read"), Some(1));
}
