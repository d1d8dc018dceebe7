//! What a supervision says about itself.

use super::*;
use crate::confirmation::PendingClaim;
use crate::contact_event::InitiationMethod;
use crate::evidence::Source;
use crate::interlock::ContactSeen;
use crate::test_support::*;

/// Makes a description of the leg that is searched for into another one.
type Change = fn(&mut ContactSeen);

/// A supervision that has searched for its leg since second 5.
fn searching() -> Supervision {
    let mut s = joining();
    let code = crate::join_failure::OwnJoinFailure::TimedOut.into();
    assert_eq!(s.search_leg(code, "no answer", at(5)), Ok(()));
    s
}

/// A description of the leg that [`searching`] searches for.
fn described_leg() -> ContactSeen {
    ContactSeen {
        id: "leg-1".into(),
        initiation_method: InitiationMethod::Monitor,
        channel: Some(Channel::Voice),
        agent: Some("Supervisor-1".into()),
        related: vec!["other".into(), "Contact-1".into()],
        previous: None,
        initiated_at: Some(at(1)),
        connected_at: None,
        disconnected_at: None,
        disconnect_reason: None,
        modes: Vec::new(),
        mode: None,
        has_successor: false,
        queue: None,
    }
}

fn claim() -> PendingClaim {
    PendingClaim {
        learnt_at: at(20),
        newest_at: at(20),
        stamp: None,
        source: Source::ContactEvent,
        asks: 0,
        unanswered_since: at(20),
        contradicted_at: None,
        reported: false,
    }
}

fn with_state(state: State) -> Supervision {
    let mut s = monitoring();
    s.state = state;
    s
}

#[test]
fn supervision_words_are_those_of_the_store() {
    let word = |value: serde_json::Value| value.as_str().expect("a word").to_owned();
    for state in State::ALL {
        assert_eq!(word(serde_json::to_value(state).expect("a word")), state.as_str());
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    assert_eq!(State::parse("left"), None);
    for mode in [Mode::Silent, Mode::Barge] {
        assert_eq!(word(serde_json::to_value(mode).expect("a word")), mode.as_str());
    }
    for channel in [Channel::Voice, Channel::Chat, Channel::Task] {
        assert_eq!(word(serde_json::to_value(channel).expect("a word")), channel.as_str());
        assert_eq!(Channel::parse(&channel.as_str().to_lowercase()), Some(channel));
    }
    assert_eq!(Channel::parse("EMAIL"), None);
    for origin in [Origin::Api, Origin::Observed] {
        assert_eq!(word(serde_json::to_value(origin).expect("a word")), origin.as_str());
    }
}

#[test]
fn state_is_final_when_left_or_failed() {
    let last: Vec<State> = State::ALL.into_iter().filter(|s| s.is_final()).collect();
    assert_eq!(last, [State::Left, State::Failed]);
}

#[test]
fn search_slows_down_to_5_min_and_ends_after_a_day() {
    let mut search = searching().search().expect("a search").clone();
    let day = 24 * 3600;
    assert!(!search.is_over(at(4 + day)) && search.is_over(at(5 + day)));
    for (looks, seconds) in [(0, 1), (1, 2), (8, 256), (9, 300), (10, 300), (u32::MAX, 300)] {
        search.looks = looks;
        assert_eq!(search.next_look(at(100)), at(100 + seconds), "after {looks} looks");
    }
}

#[test]
fn voice_slot_is_held_while_there_may_be_a_voice_leg() {
    for state in State::ALL {
        assert_eq!(with_state(state).holds_voice_slot(), !state.is_final(), "{state:?}");
    }
    for (channel, holds) in [
        (None, true),
        (Some(Channel::Voice), true),
        (Some(Channel::Chat), false),
        (Some(Channel::Task), false),
    ] {
        let mut s = monitoring();
        s.channel = channel;
        assert_eq!(s.holds_voice_slot(), holds, "{channel:?}");
    }
    let mut waiting = requested();
    waiting.waits_for = Some(id(1));
    assert!(!waiting.holds_voice_slot());
}

#[test]
fn voice_slot_is_free_when_a_search_found_nothing() {
    let mut s = searching();
    assert!(s.holds_voice_slot());
    let search = s.join.as_mut().and_then(|join| join.search.as_mut());
    search.expect("a search").nothing_found = true;
    assert!(!s.holds_voice_slot());
    s.state = State::Monitoring;
    assert!(s.holds_voice_slot(), "the leg appeared");
}

#[test]
fn directive_to_carry_out_depends_on_the_state() {
    let mut s = monitoring();
    assert_eq!(s.current_directive(), None);
    let modes = [Mode::Barge, Mode::Silent].map(|mode| {
        assert_eq!(s.direct_mode(mode, Requester::Supervisor, at(4), TIMES), Ok(()));
        s.directives.last().expect("issued").id
    });
    assert_eq!(s.current_directive().map(|d| d.id), Some(modes[1]));
    s.mode_change.as_mut().expect("requested").confirmed_at = Some(at(5));
    assert_eq!(s.current_directive(), None, "the mode is changed");
    assert_eq!(s.end_directive(), None);
    let mut s = leaving();
    let first = s.directives[0].id;
    assert_eq!(s.current_directive().map(|d| d.id), Some(first));
    assert_eq!(s.direct_anew(at(11), TIMES), Ok(()));
    let second = s.directives[1].id;
    assert_eq!(s.current_directive().map(|d| d.id), Some(second));
    assert_eq!(s.end_directive().map(|d| d.id), Some(second));
    s.state = State::Left;
    assert_eq!(s.current_directive(), None);
}

#[test]
fn browser_ended_the_leg_only_if_it_says_done() {
    use crate::directive::AckOutcome;
    for (outcome, ended) in [(AckOutcome::AlreadyGone, false), (AckOutcome::Done, true)] {
        let mut s = leaving();
        assert!(!s.browser_ended_the_leg());
        acknowledge(&mut s, outcome, at(12));
        assert_eq!(s.browser_ended_the_leg(), ended, "{outcome:?}");
    }
}

#[test]
fn barge_is_possible_from_the_directive_until_an_answer_denies_it() {
    let mut s = monitoring();
    assert!(!s.may_have_barged_in());
    assert_eq!(s.direct_mode(Mode::Silent, Requester::Supervisor, at(4), TIMES), Ok(()));
    assert!(!s.may_have_barged_in());
    assert_eq!(s.direct_mode(Mode::Barge, Requester::Supervisor, at(5), TIMES), Ok(()));
    assert!(s.may_have_barged_in());
    s.mode_seen_at = Some(at_ms(4_999));
    assert!(s.may_have_barged_in(), "the answer is older than the directive");
    s.mode_seen_at = Some(at(5));
    assert!(!s.may_have_barged_in());
    s.mode = Mode::Barge;
    assert!(s.may_have_barged_in(), "the evidence shows it");
}

#[test]
fn supervision_may_end_soon_if_that_is_requested_or_claimed() {
    assert!(!monitoring().may_end_soon() && !joining().may_end_soon());
    assert!(leaving().may_end_soon() && searching().may_end_soon());
    let mut claimed = monitoring();
    claimed.watch.claim = Some(claim());
    assert!(claimed.may_end_soon());
    claimed.state = State::Left;
    assert!(!claimed.may_end_soon());
}

#[test]
fn search_is_over_once_the_supervision_has_left_joining() {
    let mut s = searching();
    assert!(s.search().is_some());
    s.state = State::Failed;
    assert_eq!(s.search(), None);
}

#[test]
fn search_finds_the_supervisors_leg_on_the_contact() {
    assert!(searching().finds(&described_leg(), false));
    assert!(!joining().finds(&described_leg(), true), "it does not search");
    let changes: [(&str, Change); 5] = [
        ("no leg", |seen| {
            seen.initiation_method = InitiationMethod::parse("INBOUND")
        }),
        ("another user", |seen| seen.agent = Some("supervisor-2".into())),
        ("no user", |seen| seen.agent = None),
        ("another contact", |seen| seen.related = vec!["other".into()]),
        ("begun before", |seen| seen.initiated_at = Some(at_ms(-9_001))),
    ];
    for (name, change) in changes {
        let mut seen = described_leg();
        change(&mut seen);
        assert!(!searching().finds(&seen, true), "{name}");
    }
    // The vendor's clock may be up to 10 s behind ours.
    let mut seen = described_leg();
    for begun in [Some(at(-9)), None] {
        seen.initiated_at = begun;
        assert!(searching().finds(&seen, false), "{begun:?}");
    }
}

/// It is unknown which of two legs our call made, so the disconnect ends both.
#[test]
fn disconnect_of_a_search_holds_for_another_leg_that_may_be_its_own() {
    let left_while_searching = || {
        let mut s = searching();
        s.ask_to_leave(Requester::Operator, at(6), TIMES);
        s.leg_given(leg(), at(7), at(8), TIMES).expect("joining");
        s
    };
    let other = || ContactSeen {
        id: "another-leg".into(),
        ..described_leg()
    };
    assert_eq!(
        left_while_searching().disconnects_too(&other()),
        Some(Requester::Operator)
    );
    assert_eq!(searching().disconnects_too(&other()), None, "no leg yet");
    let mut its_own = other();
    its_own.id = leg().to_string();
    assert_eq!(left_while_searching().disconnects_too(&its_own), None);
    let mut after = other();
    after.initiated_at = Some(at(16));
    assert_eq!(
        left_while_searching().disconnects_too(&after),
        None,
        "begun after the disconnect"
    );
    let mut elsewhere = other();
    elsewhere.related = vec!["other".into()];
    assert_eq!(left_while_searching().disconnects_too(&elsewhere), None);
    let mut without_search = joining();
    without_search.ask_to_leave(Requester::Operator, at(6), TIMES);
    without_search.leg_given(leg(), at(7), at(8), TIMES).expect("joining");
    assert_eq!(without_search.disconnects_too(&other()), None);
    let mut stays = searching();
    stays.leg_given(leg(), at(7), at(8), TIMES).expect("joining");
    assert_eq!(stays.disconnects_too(&other()), None, "no disconnect");
}

#[test]
fn search_finds_a_leg_without_contact_only_if_it_is_alone() {
    let unnamed = ContactSeen {
        related: Vec::new(),
        ..described_leg()
    };
    assert!(searching().finds(&unnamed, true));
    assert!(!searching().finds(&unnamed, false));
}

#[test]
fn search_found_nothing_once_a_leg_must_be_listed() {
    // The search began at second 5, and the join may take until second 30.
    let found_nothing = |expires_at, sent_at| {
        let mut s = searching();
        s.join.as_mut().expect("a join").expires_at = expires_at;
        s.note_nothing_found(sent_at);
        s.search().expect("a search").nothing_found
    };
    assert!(!found_nothing(at(30), at_ms(64_999)));
    assert!(found_nothing(at(30), at(65)));
    assert!(!found_nothing(at(90), at_ms(89_999)), "the join goes on");
    assert!(found_nothing(at(90), at(90)));
    let mut s = searching();
    s.note_nothing_found(at(65));
    s.note_nothing_found(at(10));
    assert!(s.search().expect("a search").nothing_found, "it stays so");
}

#[test]
fn record_key_is_the_leg() {
    assert_eq!(monitoring().record_key(), Some("leg-1"));
    assert_eq!(joining().record_key(), None);
}

#[test]
fn join_is_repeated_only_to_end_a_chat_or_task_within_60_s() {
    let asked = |channel| {
        let mut s = searching();
        s.channel = channel;
        s.ask_to_leave(Requester::Supervisor, at(6), TIMES);
        s
    };
    for channel in [Channel::Chat, Channel::Task] {
        let s = asked(Some(channel));
        assert!(s.may_repeat_join(at(60)) && !s.may_repeat_join(at(61)), "{channel:?}");
    }
    assert!(!asked(Some(Channel::Voice)).may_repeat_join(at(7)));
    assert!(!asked(None).may_repeat_join(at(7)), "it may be a voice contact");
    let mut wanted = searching();
    wanted.channel = Some(Channel::Chat);
    assert!(!wanted.may_repeat_join(at(7)), "a late join is worse than none");
    let mut not_searching = joining();
    not_searching.channel = Some(Channel::Chat);
    not_searching.ask_to_leave(Requester::Supervisor, at(6), TIMES);
    assert!(!not_searching.may_repeat_join(at(7)));
}
