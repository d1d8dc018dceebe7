//! Directives, their acknowledgements, and modes.

use super::*;
use crate::test_support::*;

/// A silent supervision, whose mode began at second 4 of the vendor's clock.
fn silent() -> Supervision {
    let mut s = monitoring();
    s.note_mode((Mode::Silent, Some(at(4))), None, at(5));
    s
}

/// [`silent`], with a change to BARGE requested at second 10.
fn barging() -> Supervision {
    let mut s = silent();
    assert_eq!(s.direct_mode(Mode::Barge, Requester::Supervisor, at(10), TIMES), Ok(()));
    s
}

fn confirmed_at(s: &Supervision) -> Option<Timestamp> {
    s.mode_change.as_ref().expect("requested").confirmed_at
}

#[test]
fn disconnect_repeat_issues_directive_after_failure() {
    for (answer, second, anew) in [
        (None, 69, false),
        (None, 70, true),
        (Some(AckOutcome::Failed), 11, true),
        (Some(AckOutcome::Refused), 11, true),
        (Some(AckOutcome::Done), 24, false),
        (Some(AckOutcome::Done), 25, true),
        (Some(AckOutcome::AlreadyGone), 24, false),
        (Some(AckOutcome::AlreadyGone), 25, true),
    ] {
        let mut s = leaving();
        let first = s.end_directive().expect("given").id;
        if let Some(outcome) = answer {
            acknowledge(&mut s, outcome, at(11));
        }
        assert_eq!(s.is_to_be_directed_anew(at(second)), anew, "{answer:?} at {second}");
        if anew {
            assert_eq!(s.direct_anew(at(second), TIMES), Ok(()));
            let last = s.end_directive().expect("given");
            assert!(last.id != first && last.is_open(at(second)), "{answer:?}");
            assert!(!s.is_to_be_directed_anew(at(second)), "an open directive is kept");
        }
    }
}

#[test]
fn disconnect_repeat_issues_no_directive_in_another_state() {
    let mut withdrawn = leaving();
    withdrawn.withdraw_directives();
    assert!(!withdrawn.is_to_be_directed_anew(at(100)));
    let mut left = leaving();
    left.state = State::Left;
    assert!(!left.is_to_be_directed_anew(at(100)));
    let mut by_server = monitoring();
    by_server.ask_to_leave(Requester::Supervisor, at(10), TIMES);
    assert!(!by_server.is_to_be_directed_anew(at(100)), "it had no directive");
    assert_eq!(by_server.direct_anew(at(100), TIMES), Ok(()));
    assert_eq!(by_server.directives, []);
}

#[test]
fn directive_to_end_the_leg_is_kept_until_it_expires() {
    let mut s = leaving();
    assert_eq!(s.direct_browser(at_ms(69_999), TIMES), Ok(false));
    assert_eq!(s.directives.len(), 1);
    assert_eq!(s.direct_browser(at(70), TIMES), Ok(true));
    let [first, second] = s.directives.as_slice() else {
        panic!("two directives")
    };
    assert!(first.withdrawn && second.is_open(at(70)));
    assert_eq!((second.issued_at, second.expires_at), (at(70), at(130)));
    assert_eq!(
        (second.kind, second.customer_call_may_end),
        (DirectiveKind::EndLegInCcp, false)
    );
    assert!(
        silent().direct_browser(at(10), TIMES).is_err(),
        "no disconnect was requested"
    );
}

#[test]
fn directive_says_that_the_customers_call_may_end() {
    let mut s = leaving();
    s.accept_the_call_may_end();
    assert_eq!(s.direct_anew(at(11), TIMES), Ok(()));
    assert!(s.end_directive().expect("issued").customer_call_may_end);
}

#[test]
fn directive_that_is_replaced_expires_at_once() {
    let mut s = leaving();
    assert_eq!(s.direct_anew(at(20), TIMES), Ok(()));
    assert_eq!(s.directives[0].expires_at, at(20));
    assert_eq!(s.direct_anew(at(90), TIMES), Ok(()));
    assert_eq!(s.directives[0].expires_at, at(20), "it has expired before");
    let mut s = barging();
    s.ask_to_leave(Requester::Supervisor, at(20), TIMES);
    assert_eq!(s.direct_browser(at(20), TIMES), Ok(true));
    assert_eq!(s.direct_anew(at(21), TIMES), Ok(()));
    assert_eq!(
        s.directives[0].expires_at,
        at(70),
        "the directive about the mode is another one"
    );
}

#[test]
fn directives_are_kept_up_to_eight_and_a_done_one_longest() {
    let mut s = leaving();
    acknowledge(&mut s, AckOutcome::Done, at(11));
    let done = s.directives[0].id;
    for n in 1..=8 {
        assert_eq!(s.directives.len(), usize::try_from(n).expect("small"));
        assert_eq!(s.direct_anew(at(20 + n), TIMES), Ok(()));
    }
    assert_eq!(s.directives.len(), DIRECTIVES);
    assert_eq!(s.directives[0].id, done);
    let issued: Vec<Timestamp> = s.directives[1..].iter().map(|d| d.issued_at).collect();
    let latest: Vec<Timestamp> = (22..=28).map(at).collect();
    assert_eq!(issued, latest, "the oldest of the others is removed");
}

#[test]
fn mode_change_is_directed_while_monitoring() {
    let s = barging();
    let directive = s.directives.last().expect("issued");
    assert_eq!(directive.kind, DirectiveKind::ChangeModeInCcp(Mode::Barge));
    let change = ModeChange {
        to: Mode::Barge,
        at: at(10),
        by: Requester::Supervisor,
        directive: directive.id,
        since_before: Some(at(4)),
        confirmed_at: None,
    };
    assert_eq!(s.mode_change, Some(change));
    let mut s = barging();
    s.checks = 5;
    assert_eq!(s.direct_mode(Mode::Silent, Requester::Operator, at(11), TIMES), Ok(()));
    assert!(s.directives[0].withdrawn && !s.directives[1].withdrawn);
    assert_eq!(s.checks, 0);
    for mut other in [joining(), leaving()] {
        assert!(
            other
                .direct_mode(Mode::Barge, Requester::Supervisor, at(10), TIMES)
                .is_err()
        );
    }
}

#[test]
fn mode_evidence_older_than_the_known_mode_is_ignored() {
    let mut s = silent();
    s.note_mode((Mode::Barge, Some(at(3))), None, at(6));
    s.note_mode((Mode::Barge, None), None, at(6));
    assert_eq!((s.mode, s.has_barged), (Mode::Silent, false));
    s.note_mode((Mode::Barge, Some(at(4))), Some(at(5)), at(6));
    assert_eq!((s.mode, s.mode_since, s.has_barged), (Mode::Barge, Some(at(4)), true));
    s.note_mode((Mode::Silent, Some(at(7))), Some(at(2)), at(8));
    assert_eq!((s.mode, s.has_barged), (Mode::Silent, true), "it had barged in");
    assert_eq!(s.mode_seen_at, Some(at(5)), "the last moment is kept");
    let mut failed = joining();
    failed.state = State::Failed;
    failed.note_mode((Mode::Barge, Some(at(9))), None, at(9));
    assert_eq!(failed.mode, Mode::Silent);
}

#[test]
fn mode_change_is_confirmed_by_evidence_of_the_mode() {
    let mut s = barging();
    s.note_mode((Mode::Silent, Some(at(11))), Some(at(11)), at(12));
    assert_eq!(confirmed_at(&s), None, "another mode");
    s.note_mode((Mode::Barge, Some(at(12))), None, at(13));
    assert_eq!(confirmed_at(&s), Some(at(13)));
    assert!(s.directives[0].withdrawn, "the browser need not act any more");
    s.note_mode((Mode::Barge, Some(at(14))), None, at(15));
    assert_eq!(confirmed_at(&s), Some(at(13)), "the first confirmation is kept");
}

#[test]
fn mode_change_to_the_same_mode_needs_newer_evidence() {
    let asked = || {
        let mut s = silent();
        let silenced = s.direct_mode(Mode::Silent, Requester::Supervisor, at(10), TIMES);
        assert_eq!(silenced, Ok(()));
        s
    };
    for (since, seen_at, confirmed) in [
        (at(4), None, false),
        (at(4), Some(at_ms(9_999)), false),
        (at(4), Some(at(10)), true),
        (at(5), None, true),
    ] {
        let mut s = asked();
        s.note_mode((Mode::Silent, Some(since)), seen_at, at(12));
        assert_eq!(confirmed_at(&s).is_some(), confirmed, "since {since}, seen {seen_at:?}");
    }
}

#[test]
fn mode_confirmation_takes_back_only_its_own_directive() {
    let mut s = leaving();
    let directive = s.directives[0].id;
    s.mode_change = Some(ModeChange {
        to: Mode::Barge,
        at: at(9),
        by: Requester::Supervisor,
        directive: DirectiveId::next(s.id, Some(directive), at(9)),
        since_before: None,
        confirmed_at: None,
    });
    s.note_mode((Mode::Barge, Some(at(11))), None, at(12));
    assert!(confirmed_at(&s).is_some() && s.directives[0].is_open(at(12)));
}

#[test]
fn acknowledgement_of_the_tab_that_did_most_counts() {
    let mut s = leaving();
    let directive = s.directives[0].id;
    let mut acknowledge = |outcome| s.acknowledge(directive, acknowledgement(outcome, at(11)));
    assert_eq!(acknowledge(AckOutcome::Failed), Ok(true));
    assert_eq!(acknowledge(AckOutcome::Failed), Ok(false), "a repeat");
    assert_eq!(acknowledge(AckOutcome::Done), Ok(true));
    assert_eq!(acknowledge(AckOutcome::AlreadyGone), Ok(false), "it found the leg gone");
    let done = acknowledgement(AckOutcome::Done, at(11));
    assert_eq!(s.directives[0].answer, Some(done.clone()));
    let unknown = DirectiveId::next(s.id, Some(directive), at(9));
    assert!(s.acknowledge(unknown, done).is_err());
}

#[test]
fn directive_withdrawal_spares_acknowledged_ones() {
    let mut s = leaving();
    acknowledge(&mut s, AckOutcome::Failed, at(11));
    s.withdraw_directives();
    assert!(!s.directives[0].withdrawn);
}
