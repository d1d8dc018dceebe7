//! Jobs, due times and cursors.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::store::{IdleLeg, Job, NextDue, PollStaleness, RecordState, UnknownLeg};
use sidedoor_domain::ports::{CommitOutcome, Priority, Store, Transaction};
use sidedoor_domain::supervision::Supervision;

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    next_due_is_the_earliest_of_each_kind,
    jobs_are_the_next_steps_of_supervisions,
    job_is_due_in_the_whole_millisecond,
    idle_legs_have_no_job,
    newest_moment_is_of_the_audit_or_the_evidence,
    jobs_of_no_supervision_are_due_by_a_moment,
    commit_returns_what_it_wrote,
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
    let first = with_check("user-1", Some(at(5)));
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
        unknown_leg: Some(at(20)),
        delivery: Some(at(31)),
        contact_record: Some(at(40)),
    };
    assert_eq!(store.next_due().await.expect("read"), expected);
}

async fn jobs_are_the_next_steps_of_supervisions(store: &dyn Store) {
    let all: Vec<_> = [3, 1, 2]
        .iter()
        .zip(0..)
        .map(|(due, n)| with_check(&format!("user-{n}"), Some(at(*due))))
        .collect();
    for s in all.iter().chain([&with_check("user-9", None)]) {
        done(store, insert(s)).await;
    }
    let job = |s: &Supervision, revision| Job {
        supervision: s.id,
        revision,
        instance: main_instance(),
        step: s.next_step().expect("a step"),
    };
    let jobs = async |after, limit| store.jobs(after, limit).await.expect("read");
    assert_eq!(
        jobs(None, 10).await,
        [job(&all[0], 1), job(&all[1], 1), job(&all[2], 1)]
    );
    assert_eq!(jobs(None, 10).await[0].step.class, Priority::Join);
    assert_eq!(jobs(Some(all[0].id), 1).await, [job(&all[1], 1)]);

    let (mut later, mut over) = (all[0].clone(), all[1].clone());
    later.next_check_at = Some(at(20));
    over.next_check_at = None;
    done(store, update(&later, 1)).await;
    done(store, update(&over, 1)).await;
    assert_eq!(jobs(None, 10).await, [job(&later, 2), job(&all[2], 1)]);
    let leaving = leaving("contact-8", "user-8", "leg-8");
    done(store, insert(&leaving)).await;
    assert_eq!(jobs(Some(all[2].id), 10).await, [job(&leaving, 1)]);
    assert_eq!(jobs(Some(all[2].id), 10).await[0].step.class, Priority::Claim);
}

async fn job_is_due_in_the_whole_millisecond(store: &dyn Store) {
    let late = Timestamp::from_nanosecond(at(5).as_nanosecond() + 999_999).expect("in range");
    let s = with_check("user", Some(late));
    done(store, insert(&s)).await;
    assert_eq!(store.jobs(None, 10).await.expect("read")[0].step.due_at, at(5));
    let stored = store.supervision(s.id).await.expect("read").expect("there");
    assert_eq!(stored.supervision.next_check_at, Some(late));
}

async fn idle_legs_have_no_job(store: &dyn Store) {
    let mut idle = monitoring("contact-1", "user-1", "leg-1");
    idle.next_check_at = None;
    let mut looked_at = monitoring("contact-2", "user-2", "leg-2");
    looked_at.next_check_at = Some(at(5));
    for s in [&idle, &looked_at] {
        done(store, insert(s)).await;
    }
    let leg = |s: &Supervision, revision| IdleLeg {
        supervision: s.id,
        revision,
        instance: main_instance(),
        user: s.supervisor.connect_user_id.clone().expect("a user"),
        leg: s.leg.as_ref().expect("a leg").as_str().to_owned(),
    };
    let legs = async |after| store.idle_legs(after, 10).await.expect("read");
    assert_eq!(legs(None).await, [leg(&idle, 1)]);
    assert_eq!(legs(Some(idle.id)).await, []);
    looked_at.next_check_at = None;
    done(store, update(&looked_at, 1)).await;
    assert_eq!(legs(None).await, [leg(&idle, 1), leg(&looked_at, 2)]);
    assert_eq!(store.jobs(None, 10).await.expect("read"), []);
}

async fn newest_moment_is_of_the_audit_or_the_evidence(store: &dyn Store) {
    let newest = async || store.newest_moment().await.expect("read");
    assert_eq!(newest().await, None);
    let evidence = |ms| Transaction {
        evidence: vec![evidence_of("leg", at(ms))],
        ..Transaction::default()
    };
    done(store, evidence(5)).await;
    assert_eq!(newest().await, Some(at(5)));
    let audit = Transaction {
        audit: vec![super::samples::audit(7)],
        ..Transaction::default()
    };
    done(store, audit).await;
    assert_eq!(newest().await, Some(at(7)));
    done(store, evidence(9)).await;
    assert_eq!(newest().await, Some(at(9)));
}

async fn jobs_of_no_supervision_are_due_by_a_moment(store: &dyn Store) {
    let (soon, late) = (with_check("user-1", None), with_check("user-2", None));
    done(store, insert_with_record(&soon, at(1))).await;
    let unknown_leg = UnknownLeg {
        instance: main_instance(),
        leg: "leg".into(),
        due_at: at(3_600_000),
        looks: 0,
    };
    let change = Transaction {
        unknown_legs: vec![unknown_leg],
        ..insert_with_record(&late, at(3_600_000))
    };
    done(store, change).await;
    let due_by = Transaction {
        due_by: Some(at(50)),
        ..Transaction::default()
    };
    done(store, due_by).await;
    let due = store.due_deliveries(at(50), 10).await.expect("read");
    let times: Vec<_> = due
        .iter()
        .filter_map(|s| s.record_sync.as_ref())
        .map(|sync| sync.due_at)
        .collect();
    assert_eq!((ids(&due), times), (vec![soon.id, late.id], vec![at(1), at(50)]));
    assert_eq!(store.next_due().await.expect("read").unknown_leg, Some(at(50)));
    let stored = store.supervision(late.id).await.expect("read").expect("there");
    assert_eq!(stored.record_sync.map(|sync| sync.due_at), Some(at(50)));
}

/// A use case need not read again what it has just written.
async fn commit_returns_what_it_wrote(store: &dyn Store) {
    let written = async |change| match outcome(store, change).await {
        CommitOutcome::Done(written) => written.map(|stored| *stored),
        refused => panic!("{refused:?}"),
    };
    let mut s = monitoring("contact", "user", "leg");
    let first = written(insert(&s)).await;
    assert_eq!(first, store.supervision(s.id).await.expect("read"));
    assert_eq!(
        first.map(|stored| (stored.revision, stored.record_sync)),
        Some((1, None))
    );
    s.checks = 7;
    let with_record = Transaction {
        deliver_at: Some(at(3)),
        ..update(&s, 1)
    };
    let second = written(with_record).await.expect("written");
    assert_eq!((&second.supervision, second.revision), (&s, 2));
    assert_eq!(
        second.record_sync.as_ref().map(|sync| (sync.version, sync.due_at)),
        Some((1, at(3)))
    );
    assert_eq!(Some(second), store.supervision(s.id).await.expect("read"));
    assert_eq!(written(Transaction::default()).await, None);

    done(store, result(&s, 1, super::samples::written(None))).await;
    let recorded = store.supervision(s.id).await.expect("read").expect("there");
    assert_eq!(recorded.record_sync.map(|sync| sync.state), Some(RecordState::Written));
    let by_leg = store.by_leg(&main_instance(), "leg").await.expect("read");
    assert_eq!(
        by_leg.and_then(|s| s.record_sync).map(|sync| sync.state),
        Some(RecordState::Written)
    );
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
