//! What follows when DescribeContact shows the leg of a LEFT supervision alive.

use super::*;
use crate::confirmation::Finding;
use crate::directive::AckOutcome;
use crate::evidence::Source;
use crate::test_support::*;

fn alive_at(sent_at: Timestamp) -> LegAnswer {
    answer(Source::DescribeContact, Finding::Alive, sent_at)
}

#[test]
fn alive_answer_of_a_left_leg_may_be_too_old() {
    let alive = |s: &mut Supervision, ms| s.note_alive_again(&alive_at(at_ms(ms)), AGE, TIMES);
    let mut s = left();
    // The leg had ended by second 20. The data may be 3 s old, and our clock 100 ms wrong.
    assert_eq!(alive(&mut s, 23_100), Ok(AliveAgain::TooOld));
    assert_eq!(s.watch.alive_again_at, None);
    assert_eq!(alive(&mut s, 23_101), Ok(AliveAgain::AskAgainAt(at_ms(26_111))));
    let mut s = left();
    s.departure.as_mut().expect("left").basis.gone_by = None;
    s.departure.as_mut().expect("left").latest = at(25);
    assert_eq!(alive(&mut s, 28_100), Ok(AliveAgain::TooOld));
}

#[test]
fn supervision_is_reopened_by_two_answers_a_staleness_apart() {
    let mut s = left();
    s.watch.listed_at = Some(at(5));
    s.watch.absences = 2;
    let mut alive = |ms| s.note_alive_again(&alive_at(at_ms(ms)), AGE, TIMES);
    assert_eq!(alive(24_000), Ok(AliveAgain::AskAgainAt(at_ms(27_010))));
    assert_eq!(alive(26_999), Ok(AliveAgain::AskAgainAt(at_ms(27_010))));
    assert_eq!(alive(27_000), Ok(AliveAgain::Reopened));
    assert_eq!((s.state, &s.departure), (State::Monitoring, &None));
    assert_eq!(s.alive_at, Some(at(24)));
    let watch = LegWatch {
        refuted_before: Some(at_ms(23_900)),
        listed_at: Some(at(5)),
        reopened: true,
        ..LegWatch::default()
    };
    assert_eq!(s.watch, watch);
}

#[test]
fn supervision_is_reopened_by_one_answer_only_if_nothing_is_stale() {
    let fresh = AnswerAge {
        describe: SignedDuration::ZERO,
        ..AGE
    };
    let mut s = left();
    let mut alive = |ms| s.note_alive_again(&alive_at(at_ms(ms)), fresh, TIMES);
    assert_eq!(
        alive(24_000),
        Ok(AliveAgain::AskAgainAt(at_ms(24_010))),
        "two answers are needed"
    );
    assert_eq!(alive(24_001), Ok(AliveAgain::Reopened));
}

#[test]
fn supervision_reopened_before_is_conflicting() {
    let mut s = left();
    s.watch.reopened = true;
    let mut alive = |ms| s.note_alive_again(&alive_at(at_ms(ms)), AGE, TIMES);
    assert!(matches!(alive(24_000), Ok(AliveAgain::AskAgainAt(_))));
    assert_eq!(alive(27_000), Ok(AliveAgain::Conflicting));
    assert_eq!(alive(28_000), Ok(AliveAgain::TooOld), "it is reported once");
    assert!(s.state == State::Left && s.departure.expect("left").conflicting);
}

#[test]
fn supervision_reopened_continues_its_disconnect() {
    let reopened = |mut s: Supervision| {
        s.conclude(departure()).expect("leaving");
        for second in [24, 27] {
            s.note_alive_again(&alive_at(at(second)), AGE, TIMES).expect("left");
        }
        assert_eq!(s.state, State::Leaving);
        assert_eq!(s.leave.as_ref().and_then(|l| l.deadline), Some(at_ms(42_050)));
        s
    };
    let mut by_browser = leaving();
    acknowledge(&mut by_browser, AckOutcome::Done, at(12));
    let s = reopened(by_browser);
    assert_eq!(s.directives.len(), 2);
    assert!(s.end_directive().expect("issued").is_open(at(28)));
    for (progress, repeated) in [
        (ServerEnd::Accepted, ServerEnd::Due),
        (ServerEnd::Refused, ServerEnd::Refused),
    ] {
        let mut by_server = monitoring();
        by_server.ask_to_leave(Requester::Supervisor, at(10), TIMES);
        by_server.server_end(progress).expect("leaving");
        let s = reopened(by_server);
        assert_eq!(
            (s.leave.expect("requested").server_end, s.directives.len()),
            (repeated, 0)
        );
    }
}

#[test]
fn supervision_stays_conflicting_until_an_answer_shows_the_end() {
    let mut s = left();
    s.watch.reopened = true;
    for second in [24, 27] {
        s.note_alive_again(&alive_at(at(second)), AGE, TIMES).expect("left");
    }
    let conclude = |s: &mut Supervision, latest| {
        let better = Departure { latest, ..departure() };
        assert_eq!(s.conclude(better), Ok(true));
        s.departure.as_ref().expect("left").conflicting
    };
    assert!(conclude(&mut s, at(19)), "the clocks are known better");
    s.note_answer(&answer(Source::DescribeContact, Finding::Gone, at(40)), &[], AGE);
    assert!(!conclude(&mut s, at(18)));
    // Stamps that contradicted each other, of a leg that no answer showed alive again.
    let mut s = left();
    s.departure.as_mut().expect("left").conflicting = true;
    assert!(!conclude(&mut s, at(19)));
    s.departure.as_mut().expect("left").conflicting = true;
    s.watch.alive_again_at = Some(at(24));
    assert!(!conclude(&mut s, at(18)), "one answer alone proves nothing");
    s.watch.reopened = true;
    assert!(!conclude(&mut s, at(17)), "nothing contradicted it");
}
