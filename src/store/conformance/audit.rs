//! The audit.

use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::audit_chain::AuditSeal;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::AuditFilter;
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    audit_of_a_supervision_is_oldest_first,
    audit_lines_are_newest_first_in_pages,
    audit_lines_are_filtered_by_each_field,
    audit_act_without_an_end_is_unfinished,
    audit_seals_cover_all_lines_in_a_chain,
    audit_seal_that_does_not_follow_is_refused,
    audit_line_keeps_where_its_request_came_from,
}

type SetFilter = fn(&mut AuditFilter);

async fn write(store: &dyn Store, entries: Vec<AuditEntry>) {
    let change = Transaction {
        audit: entries,
        ..Transaction::default()
    };
    done(store, change).await;
}

async fn audit_of_a_supervision_is_oldest_first(store: &dyn Store) {
    let (one, another) = (new_id(), new_id());
    let mine = [9, 3, 5].map(|ms| audit(ms).of(one).because(Some("a reason".into())));
    write(store, vec![mine[0].clone(), audit(1), mine[1].clone()]).await;
    write(store, vec![audit(2).of(another), mine[2].clone()]).await;
    assert_eq!(store.audit_of(one, 10).await.expect("read"), mine);
    assert_eq!(store.audit_of(one, 2).await.expect("read"), mine[..2]);
    let access = [AuditAction::AccessRefused, AuditAction::SupervisionRead];
    let access = access.map(|action| AuditEntry::done(at(1), "test", action, "ok").of(one));
    write(store, access.to_vec()).await;
    assert_eq!(store.audit_of(one, 10).await.expect("read"), mine);
}

async fn audit_lines_are_newest_first_in_pages(store: &dyn Store) {
    write(store, (0..5).map(audit).collect()).await;
    let lines = async |set: fn(&mut AuditFilter), limit| {
        let mut filter = AuditFilter {
            limit,
            ..AuditFilter::default()
        };
        set(&mut filter);
        let lines = store.audit_lines(&filter).await.expect("read");
        lines.iter().map(|line| line.seq).collect::<Vec<_>>()
    };
    assert_eq!(lines(|_| (), 10).await, [5, 4, 3, 2, 1]);
    assert_eq!(lines(|f| f.before = Some(4), 2).await, [3, 2]);
    assert_eq!(lines(|f| f.after = Some(3), 10).await, [5, 4]);
    assert_eq!(lines(|f| f.oldest_first = true, 2).await, [1, 2]);
    assert_eq!(lines(|f| (f.oldest_first, f.after) = (true, Some(2)), 2).await, [3, 4]);
}

async fn audit_lines_are_filtered_by_each_field(store: &dyn Store) {
    let id = SupervisionId::parse("01a2204d-0000-7000-8000-000000000001").expect("an id");
    let mut of_request = audit(2);
    of_request.request_id = Some("r-1".into());
    let entries = vec![
        AuditEntry::done(at(0), "ann", AuditAction::ModeRequested, "ok"),
        audit(1).of(id),
        of_request,
        audit(3).in_phase(Phase::Begun, "o"),
        audit(4).in_phase(Phase::Failed, "o"),
    ];
    write(store, entries).await;
    let cases: [(SetFilter, &[i64]); 9] = [
        (|f| f.actor = Some("ann".into()), &[1]),
        (|f| f.action = Some("mode.requested".into()), &[1]),
        (|f| f.action = Some("no.such".into()), &[]),
        (
            |f| f.supervision = SupervisionId::parse("01a2204d-0000-7000-8000-000000000001"),
            &[2],
        ),
        (|f| f.request_id = Some("r-1".into()), &[3]),
        (|f| f.phase = Some(Phase::Done), &[3, 2, 1]),
        (|f| f.phase = Some(Phase::Failed), &[5]),
        (|f| f.since = Some(at(3)), &[5, 4]),
        (|f| (f.until, f.actor) = (Some(at(2)), Some("test".into())), &[2]),
    ];
    for (n, (set, expected)) in cases.into_iter().enumerate() {
        let mut filter = AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        };
        set(&mut filter);
        let lines = store.audit_lines(&filter).await.expect("read");
        let numbers: Vec<_> = lines.iter().map(|line| line.seq).collect();
        assert_eq!(numbers, expected, "case {n}");
    }
}

async fn audit_act_without_an_end_is_unfinished(store: &dyn Store) {
    let phase = |ms, phase, operation: &str| audit(ms).in_phase(phase, operation);
    let entries = vec![
        phase(1, Phase::Begun, "open"),
        phase(2, Phase::Begun, "done"),
        phase(3, Phase::Done, "done"),
        phase(4, Phase::Failed, "begun again"),
        phase(5, Phase::Begun, "begun again"),
        phase(6, Phase::Begun, "given up"),
        phase(7, Phase::Abandoned, "given up"),
        phase(8, Phase::Begun, "last"),
    ];
    write(store, entries.clone()).await;
    let unfinished = async |since, until, limit| {
        let found = store.unfinished_acts(at(since), at(until), limit);
        found.await.expect("read")
    };
    let expect = |of: &[usize]| -> Vec<_> { of.iter().map(|n| entries[*n].clone()).collect() };
    assert_eq!(unfinished(0, 100, 10).await, expect(&[0, 4, 7]));
    assert_eq!(unfinished(1, 8, 10).await, expect(&[0, 4]));
    assert_eq!(unfinished(2, 100, 1).await, expect(&[4]));
    // With a supervision, as the calls of Amazon Connect have one.
    let (one, other) = (new_id(), new_id());
    let begun = [one, other].map(|id| phase(20, Phase::Begun, "call").of(id));
    write(store, begun.to_vec()).await;
    write(store, vec![phase(21, Phase::Done, "call").of(one)]).await;
    assert_eq!(unfinished(20, 100, 10).await, begun[1..]);
}

async fn seal(store: &dyn Store, limit: u32) -> Option<AuditSeal> {
    let seal = store.next_audit_seal(at(50), limit).await.expect("read")?;
    let change = Transaction {
        audit_seal: Some(seal.clone()),
        rides_along: true,
        ..Transaction::default()
    };
    done(store, change).await;
    Some(seal)
}

async fn audit_seals_cover_all_lines_in_a_chain(store: &dyn Store) {
    assert_eq!(seal(store, 10).await, None, "there is nothing to seal");
    assert_eq!(store.last_audit_seal().await.expect("read"), None);
    write(store, (0..5).map(audit).collect()).await;
    let first = seal(store, 3).await.expect("three lines");
    assert_eq!((first.number, first.first, first.last, first.lines), (1, 1, 3, 3));
    let second = seal(store, 3).await.expect("two lines");
    assert_eq!((second.number, second.first, second.last, second.lines), (2, 4, 5, 2));
    assert!(second.continues(Some(&first)));
    assert_eq!(store.last_audit_seal().await.expect("read"), Some(second.clone()));
    assert_eq!(seal(store, 3).await, None, "every line is sealed");
    write(store, vec![audit(9)]).await;
    let third = seal(store, 3).await.expect("one line");
    assert_eq!((third.first, third.last), (6, 6));
    assert!(third.continues(Some(&second)));
}

async fn audit_seal_that_does_not_follow_is_refused(store: &dyn Store) {
    write(store, (0..2).map(audit).collect()).await;
    let old = store.next_audit_seal(at(50), 1).await.expect("read").expect("a line");
    seal(store, 1).await.expect("a line");
    let change = Transaction {
        audit_seal: Some(old),
        audit: vec![audit(3)],
        ..Transaction::default()
    };
    assert_eq!(outcome(store, change).await, CommitOutcome::Stale);
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    assert_eq!(store.audit_lines(&filter).await.expect("read").len(), 2);
}

async fn audit_line_keeps_where_its_request_came_from(store: &dyn Store) {
    let mut entry = audit(1);
    entry.client_request_id = Some("r-1".into());
    entry.credential = Some("key back-end".into());
    entry.peer = Some("192.0.2.1".into());
    entry.route = Some("GET /v1/supervisions".into());
    entry.times = Some(12);
    write(store, vec![entry.clone()]).await;
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    let lines = store.audit_lines(&filter).await.expect("read");
    assert_eq!(lines[0].entry, entry);
}
