//! The transitions: what each does, and in which states it is refused.

use super::*;
use crate::confirmation::Finding;
use crate::departure::Reason;
use crate::directive::DirectiveStatus;
use crate::evidence::Source;
use crate::test_support::*;

fn failed() -> Supervision {
    let mut s = joining();
    assert_eq!(s.fail(OwnJoinFailure::TimedOut.into(), "no answer", at(31)), Ok(()));
    s
}

/// One supervision in each state, in the order of the life cycle.
fn each_state() -> [Supervision; 6] {
    [requested(), joining(), monitoring(), leaving(), left(), failed()]
}

/// Does something to a supervision in each state. Returns the states that accept it, and checks that the others stay unchanged.
fn accepted_in<T>(what: impl Fn(&mut Supervision) -> Result<T, Refused>) -> Vec<State> {
    let mut accepted = Vec::new();
    for before in each_state() {
        let mut after = before.clone();
        match what(&mut after) {
            Ok(_) => accepted.push(before.state),
            Err(refused) => {
                assert_eq!(refused.state, before.state.as_str());
                assert_eq!(after, before, "refused and changed");
            }
        }
    }
    accepted
}

#[test]
fn supervision_begins_as_requested_or_observed() {
    let s = requested();
    assert_eq!(
        (s.state, s.origin, s.vendor.as_str()),
        (State::Requested, Origin::Api, "amazon-connect")
    );
    assert_eq!(
        (s.contact.clone(), s.allowed, s.mode),
        (Some(contact()), Some(Mode::Barge), Mode::Silent)
    );
    assert_eq!((s.requested_at, s.next_check_at), (Some(at(0)), Some(at(60))));
    let join = s.join.expect("a join");
    assert_eq!(
        (join.client_token.as_str(), join.expires_at),
        (s.id.to_string().as_str(), at(30))
    );
    let s = Supervision::observed(
        id(0),
        instance(),
        leg(),
        Some(contact()),
        supervisor(),
        Some(Channel::Chat),
        at(5),
    );
    assert_eq!(
        (s.state, s.origin, s.vendor.as_str()),
        (State::Monitoring, Origin::Observed, "amazon-connect")
    );
    assert_eq!(
        (s.contact, s.leg, s.channel),
        (Some(contact()), Some(leg()), Some(Channel::Chat))
    );
    assert_eq!(
        (s.allowed, s.next_check_at, s.requested_at, s.join),
        (None, Some(at(5)), None, None)
    );
    let s = of_carrier();
    assert_eq!(
        (s.state, s.origin, s.vendor.as_str()),
        (State::Monitoring, Origin::Observed, "acme")
    );
    assert_eq!(
        (s.contact, s.channel, s.next_check_at),
        (Some(contact()), Some(Channel::Voice), None)
    );
    assert_eq!(s.leg, Some(LegId::of_carrier("acme", "main", "leg-1")));
}

#[test]
fn join_begins_once_and_keeps_the_first_time() {
    assert_eq!(
        accepted_in(|s| s.start_joining(at(9))),
        [State::Requested, State::Joining]
    );
    let mut s = joining();
    assert_eq!(s.start_joining(at(9)), Ok(()));
    assert_eq!(s.join.expect("a join").first_sent_at, Some(at(1)));
    let mut observed = Supervision::observed(id(0), instance(), leg(), None, supervisor(), None, at(5));
    observed.state = State::Joining;
    assert!(observed.start_joining(at(9)).is_err(), "it has no join");
}

#[test]
fn search_begins_once_and_is_due_at_once() {
    let search = |s: &mut Supervision, now| s.search_leg(OwnJoinFailure::TimedOut.into(), "no answer", now);
    assert_eq!(accepted_in(|s| search(s, at(5))), [State::Joining]);
    let mut s = joining();
    assert_eq!((search(&mut s, at(5)), search(&mut s, at(9))), (Ok(()), Ok(())));
    let begun = LegSearch {
        since: at(5),
        looks: 0,
        code: "join_timeout".into(),
        detail: "no answer".into(),
        nothing_found: false,
    };
    assert_eq!((s.search(), s.next_check_at), (Some(&begun), Some(at(9))));
}

#[test]
fn leg_begins_monitoring_and_ends_the_search() {
    assert_eq!(
        accepted_in(|s| s.leg_given(leg(), at(6), at(7), TIMES)),
        [State::Joining]
    );
    let mut s = joining();
    s.search_leg(OwnJoinFailure::TimedOut.into(), "no answer", at(5))
        .expect("joining");
    assert_eq!(s.leg_given(leg(), at(6), at(7), TIMES), Ok(()));
    assert_eq!(
        (s.state, s.leg.clone(), s.next_check_at),
        (State::Monitoring, Some(leg()), Some(at(7)))
    );
    assert_eq!((s.search(), &s.leave), (None, &None));
    assert_eq!(s.leg_begun_after(), None, "it may be another leg of this supervisor");
    let mut answered = joining();
    answered.leg_given(leg(), at(6), at(7), TIMES).expect("joining");
    assert_eq!(
        answered.leg_begun_after(),
        answered.join.and_then(|join| join.first_sent_at)
    );
}

#[test]
fn leg_inherits_a_disconnect_that_was_requested_before() {
    let mut s = joining();
    assert_eq!(s.ask_to_leave(Requester::Operator, at(4), TIMES), Leave::Kept);
    assert_eq!(s.ask_to_leave(Requester::Supervisor, at(5), TIMES), Leave::Kept);
    assert_eq!(
        (s.state, s.leave.as_ref().expect("kept").deadline),
        (State::Joining, None)
    );
    assert_eq!(s.leg_given(leg(), at(6), at(7), TIMES), Ok(()));
    let leave = s.leave.expect("kept");
    assert_eq!(
        (s.state, leave.at, leave.by),
        (State::Leaving, at(4), Requester::Operator)
    );
    assert_eq!(leave.deadline, Some(at(21)));
}

#[test]
fn failure_ends_a_join_only() {
    let fail = |s: &mut Supervision| s.fail(OwnJoinFailure::TimedOut.into(), "no answer", at(31));
    assert_eq!(accepted_in(fail), [State::Requested, State::Joining]);
    let s = failed();
    let failure = s.failure.expect("a failure");
    assert_eq!(
        (failure.code.as_str(), failure.detail.as_str(), failure.at),
        ("join_timeout", "no answer", at(31))
    );
    assert_eq!((s.state, s.next_check_at), (State::Failed, None));
}

#[test]
fn disconnect_before_the_join_cancels_the_start() {
    let mut s = requested();
    assert_eq!(s.ask_to_leave(Requester::Supervisor, at(1), TIMES), Leave::Withdrawn);
    assert_eq!(s.failure.as_ref().expect("a failure").code, "join_cancelled");
    assert_eq!(
        (s.state, s.next_check_at),
        (State::Failed, None),
        "nothing is left to do"
    );
    assert_eq!(s.ask_to_leave(Requester::Supervisor, at(2), TIMES), Leave::AlreadyOver);
}

#[test]
fn disconnect_begins_once_with_a_deadline() {
    let mut s = monitoring();
    assert_eq!(s.direct_mode(Mode::Barge, Requester::Supervisor, at(4), TIMES), Ok(()));
    s.checks = 3;
    assert_eq!(s.ask_to_leave(Requester::Operator, at(10), TIMES), Leave::Begun);
    assert_eq!((s.state, s.checks), (State::Leaving, 0));
    assert_eq!(
        s.directives[0].status(),
        DirectiveStatus::Withdrawn,
        "the mode is not changed any more"
    );
    let begun = LeaveRequest {
        at: at(10),
        by: Requester::Operator,
        deadline: Some(at(25)),
        server_end: ServerEnd::None,
        customer_call_may_end: false,
    };
    assert_eq!(s.leave, Some(begun.clone()));
    assert_eq!(s.ask_to_leave(Requester::Supervisor, at(11), TIMES), Leave::Underway);
    assert_eq!(s.leave, Some(begun));
    for mut over in [left(), failed()] {
        assert_eq!(
            over.ask_to_leave(Requester::Supervisor, at(40), TIMES),
            Leave::AlreadyOver
        );
        assert_eq!(over.leave, None);
    }
}

#[test]
fn customer_call_may_end_is_accepted_for_a_pending_disconnect() {
    let accepted = |mut s: Supervision| {
        s.accept_the_call_may_end();
        s.leave.is_some_and(|leave| leave.customer_call_may_end)
    };
    assert!(accepted(leaving()) && !accepted(monitoring()));
    let mut over = leaving();
    over.conclude(departure()).expect("leaving");
    assert!(!accepted(over));
}

#[test]
fn server_side_end_advances_while_leaving_only() {
    assert_eq!(accepted_in(|s| s.server_end(ServerEnd::Due)), [State::Leaving]);
    let mut s = leaving();
    assert_eq!(s.server_end(ServerEnd::Accepted), Ok(()));
    assert_eq!(s.leave.expect("requested").server_end, ServerEnd::Accepted);
}

#[test]
fn joined_is_noted_once_unless_failed() {
    let joined = |second| Joined {
        at: at(second),
        uncertainty_ms: None,
        vendor_stamp: None,
    };
    let mut s = left();
    assert!(s.note_joined(joined(3)) && !s.note_joined(joined(2)));
    assert_eq!(s.joined, Some(joined(3)));
    let mut s = failed();
    assert!(!s.note_joined(joined(3)));
    assert_eq!(s.joined, None);
}

#[test]
fn alive_moment_only_moves_forward_and_not_after_the_end() {
    let mut s = monitoring();
    for second in [5, 4] {
        s.note_alive(at(second));
        assert_eq!(s.alive_at, Some(at(5)));
    }
    s.conclude(departure()).expect("monitoring");
    s.note_alive(at(6));
    assert_eq!(s.alive_at, Some(at(5)));
}

#[test]
fn departure_ends_a_leg_and_takes_back_its_directives() {
    let accepted = accepted_in(|s| s.conclude(departure()));
    assert_eq!(accepted, [State::Monitoring, State::Leaving, State::Left]);
    let mut s = leaving();
    (s.overdue, s.checks) = (true, 3);
    assert_eq!(s.conclude(departure()), Ok(true));
    assert_eq!((s.state, s.overdue, s.checks), (State::Left, false, 0));
    assert_eq!(s.directives[0].status(), DirectiveStatus::Withdrawn);
    assert_eq!(s.departure, Some(departure()));
}

#[test]
fn departure_evaluated_again_keeps_the_after_check() {
    let mut s = left();
    assert_eq!(s.conclude(departure()), Ok(false), "the same departure");
    let agent = AgentAfter::of(Some("CONNECTED"));
    assert_eq!(s.note_after(Continuity::Ended, true, Some(agent.clone())), Ok(()));
    let earlier = Departure {
        latest: at(18),
        reason: Reason::Supervisor,
        ..departure()
    };
    assert_eq!(s.conclude(earlier.clone()), Ok(true));
    let kept = Departure {
        continuity: Continuity::Ended,
        agent_after: Some(agent),
        reason: Reason::ContactEnded,
        ..earlier
    };
    assert_eq!(s.departure, Some(kept));
}

#[test]
fn after_check_sets_the_result_of_a_departure() {
    let accepted = accepted_in(|s| s.note_after(Continuity::Continued, false, None));
    assert_eq!(accepted, [State::Left]);
    let mut s = left();
    s.next_check_at = Some(at(21));
    assert_eq!(s.note_after(Continuity::Continued, false, None), Ok(()));
    let found = s.departure.expect("left");
    assert_eq!(
        (found.continuity, found.reason),
        (Continuity::Continued, Reason::Unknown)
    );
    assert_eq!(s.next_check_at, None);
}

#[test]
fn after_check_keeps_a_good_state_of_the_agent() {
    let mut s = left();
    let mut after = |state: Option<&str>| {
        let agent = state.map(|word| AgentAfter::of(Some(word)));
        s.note_after(Continuity::Continued, false, agent).expect("left");
        let agent = s.departure.as_ref().and_then(|d| d.agent_after.clone());
        agent.map(|agent| agent.state)
    };
    assert_eq!(after(None), None);
    for (found, kept) in [
        (Some("CONNECTED_ONHOLD"), "CONNECTED_ONHOLD"),
        (None, "CONNECTED_ONHOLD"),
        (Some("CONNECTED"), "CONNECTED"),
        (Some("ERROR"), "CONNECTED"),
    ] {
        assert_eq!(after(found).as_deref(), Some(kept), "{found:?}");
    }
}

#[test]
fn disconnect_is_overdue_from_its_deadline_on() {
    let mut s = leaving();
    assert!(!s.note_overdue(at_ms(24_999)) && !s.overdue);
    assert!(s.note_overdue(at(25)) && s.overdue);
    assert!(!s.note_overdue(at(26)) && s.overdue, "it is reported once");
    let mut s = leaving();
    s.state = State::Left;
    assert!(!s.note_overdue(at(26)) && !s.overdue);
    assert!(!monitoring().note_overdue(at(100)));
}

#[test]
fn alive_answer_contradicts_a_departure_only() {
    let alive = answer(Source::DescribeContact, Finding::Alive, at(60));
    let accepted = accepted_in(|s| s.note_alive_again(&alive, AGE, TIMES));
    assert_eq!(accepted, [State::Left]);
}
