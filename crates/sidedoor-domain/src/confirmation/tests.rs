//! Claims, the answers that refute them, and when the vendor is asked.

use super::*;
use crate::supervision::Mode;
use crate::test_support::*;

/// Changes a pair of claims that agree so that they no longer do.
type Change = fn(&mut Supervision, &mut Evidence);

/// A disconnect that the browser acknowledged at second 12, and the vendor's event of the end at second 14.
fn pair(outcome: AckOutcome) -> (Supervision, Evidence) {
    let mut s = leaving();
    acknowledge(&mut s, outcome, at(12));
    (s, dropped(Source::ContactEvent, at(14)))
}

/// A supervision about whose end one event, received at second 20, is a claim.
fn claimed() -> (Supervision, Vec<Evidence>) {
    let mut s = monitoring();
    let evidence = vec![dropped(Source::ContactEvent, at(20))];
    s.note_claims(&evidence, at(20));
    (s, evidence)
}

fn asked(s: &mut Supervision, times: u32) {
    s.watch.claim.as_mut().expect("a claim").asks = times;
}

#[test]
fn confirmation_words_are_those_of_the_store() {
    for (confirmation, word) in [
        (Confirmation::None, "NONE"),
        (Confirmation::Claimed, "CLAIMED"),
        (Confirmation::TwoSenders, "TWO_SENDERS"),
        (Confirmation::VendorStatement, "VENDOR_STATEMENT"),
        (Confirmation::VendorAsked, "VENDOR_ASKED"),
    ] {
        assert_eq!(confirmation.as_str(), word);
        assert_eq!(serde_json::to_value(confirmation).expect("a word"), word);
    }
}

#[test]
fn answer_age_depends_on_the_source() {
    assert_eq!(AGE.of(Source::DescribeContact), AGE.describe);
    assert_eq!(AGE.of(Source::UserData), AGE.poll);
}

#[test]
fn two_senders_agree_when_the_later_one_has_spoken() {
    for outcome in [AckOutcome::Done, AckOutcome::AlreadyGone] {
        let (s, event) = pair(outcome);
        let agreed = two_senders(&s, &[event]);
        assert_eq!(agreed, Some((at(14), Source::ContactEvent)), "{outcome:?}");
    }
    let (s, event) = pair(AckOutcome::Done);
    let later = dropped(Source::AgentEvent, at(15));
    assert_eq!(two_senders(&s, &[later, event]), Some((at(14), Source::ContactEvent)));
}

#[test]
fn two_senders_need_different_credentials_and_speakers() {
    let changes: [(&str, Change); 9] = [
        ("one credential", |_, e| e.credential = Some("browser".into())),
        ("an unknown sender of the event", |_, e| e.credential = None),
        ("an unknown browser", |s, _| {
            s.directives.iter_mut().for_each(|d| {
                d.answer.iter_mut().for_each(|a| a.credential = None);
            });
        }),
        ("a directive about the mode", |s, _| {
            s.directives
                .iter_mut()
                .for_each(|d| d.kind = DirectiveKind::ChangeModeInCcp(Mode::Silent));
        }),
        ("no browser", |s, _| s.directives.clear()),
        ("a connection", |_, e| e.sighting = Sighting::Joined),
        ("an answer", |_, e| e.source = Source::DescribeContact),
        ("a carrier and a browser", |_, e| e.source = Source::PartnerEvent),
        ("a refuted claim", |s, _| s.watch.refuted_before = Some(at_ms(12_001))),
    ];
    for (name, change) in changes {
        let (mut s, mut event) = pair(AckOutcome::Done);
        change(&mut s, &mut event);
        assert_eq!(two_senders(&s, &[event]), None, "{name}");
    }
    for outcome in [AckOutcome::Refused, AckOutcome::Failed] {
        let (s, event) = pair(outcome);
        assert_eq!(two_senders(&s, &[event]), None, "{outcome:?}");
    }
    let events = [Source::ContactEvent, Source::AgentEvent].map(|source| Evidence {
        credential: Some(source.as_str().into()),
        ..dropped(source, at(14))
    });
    assert_eq!(two_senders(&leaving(), &events), None, "two events of the vendor");
    let mut s = pair(AckOutcome::Done).0;
    s.watch.refuted_before = Some(at(12));
    assert!(two_senders(&s, &[dropped(Source::ContactEvent, at(14))]).is_some());
}

#[test]
fn carrier_and_vendor_are_two_senders_about_a_connect_leg() {
    let evidence = [carrier_drop(at(11)), dropped(Source::ContactEvent, at(14))];
    assert_eq!(two_senders(&leaving(), &evidence), Some((at(14), Source::ContactEvent)));
    // What a carrier says of its own leg is more than a claim.
    assert_eq!(two_senders(&of_carrier(), &evidence), None);
}

#[test]
fn carrier_statement_is_about_its_own_leg_only() {
    let drop = carrier_drop(at(5));
    assert!(drop.is_statement_about(&of_carrier()));
    assert!(!drop.is_statement_about(&monitoring()), "a Connect leg");
    let mut others = of_carrier();
    others.vendor = "other".into();
    assert!(!drop.is_statement_about(&others), "another carrier's leg");
    let event = Evidence {
        source: Source::ContactEvent,
        ..drop
    };
    assert!(!event.is_statement_about(&of_carrier()));
    // An event without a carrier can be about a supervision whose vendor is Connect.
    let unnamed = Evidence {
        carrier: Some(AMAZON_CONNECT.into()),
        ..carrier_drop(at(5))
    };
    assert!(!unnamed.is_statement_about(&monitoring()));
}

#[test]
fn claim_is_pending_while_the_vendor_can_be_asked() {
    let (s, evidence) = claimed();
    let pending = PendingClaim {
        learnt_at: at(20),
        newest_at: at(20),
        stamp: None,
        source: Source::ContactEvent,
        asks: 0,
        unanswered_since: at(20),
        contradicted_at: None,
        reported: false,
    };
    assert_eq!(s.watch.claim, Some(pending));
    let mut leaves = leaving();
    leaves.note_claims(&evidence, at(20));
    assert_eq!(leaves.watch.claim, Some(pending));
    let mut without_leg = monitoring();
    without_leg.leg = None;
    let mut left = monitoring();
    left.state = State::Left;
    for mut s in [requested(), joining(), of_carrier(), without_leg, left] {
        s.watch.claim = Some(pending);
        s.note_claims(&evidence, at(20));
        assert_eq!(s.watch.claim, None, "{:?} {}", s.state, s.vendor);
    }
}

#[test]
fn claim_takes_the_vendors_stamp_and_not_a_carriers() {
    let mut s = monitoring();
    let stamped = |evidence: Evidence, stamp| Evidence {
        vendor_stamp: Some(stamp),
        ..evidence
    };
    let carrier = stamped(carrier_drop(at(18)), at(17));
    s.note_claims(std::slice::from_ref(&carrier), at(20));
    let claim = s.watch.claim.expect("a claim");
    assert_eq!((claim.source, claim.stamp), (Source::PartnerEvent, None));
    let event = stamped(dropped(Source::ContactEvent, at(20)), at(16));
    s.note_claims(&[carrier, event], at(20));
    let claim = s.watch.claim.expect("a claim");
    assert_eq!(claim.stamp, Some(at(16)));
    assert_eq!(
        (claim.source, claim.learnt_at, claim.newest_at),
        (Source::PartnerEvent, at(18), at(20))
    );
}

#[test]
fn claim_takes_the_stamp_of_an_event_of_the_same_moment() {
    let (mut s, mut evidence) = claimed();
    asked(&mut s, 1);
    evidence.push(Evidence {
        vendor_stamp: Some(at(19)),
        ..dropped(Source::ContactEvent, at(20))
    });
    s.note_claims(&evidence, at(20));
    let claim = s.watch.claim.expect("a claim");
    assert_eq!((claim.stamp, claim.asks), (Some(at(19)), 1));
}

#[test]
fn claim_is_asked_about_anew_only_when_a_newer_one_comes() {
    let (mut s, mut evidence) = claimed();
    let claim = s.watch.claim.as_mut().expect("a claim");
    (claim.asks, claim.reported, claim.contradicted_at) = (3, true, Some(at(21)));
    let before = s.watch.claim;
    s.note_claims(&evidence, at(30));
    assert_eq!(s.watch.claim, before, "the same claim");
    evidence.push(dropped(Source::AgentEvent, at(40)));
    s.note_claims(&evidence, at(40));
    let newer = PendingClaim {
        newest_at: at(40),
        asks: 0,
        contradicted_at: None,
        ..before.expect("a claim")
    };
    assert_eq!(s.watch.claim, Some(newer));
}

#[test]
fn confirmation_is_claimed_only_once_reported() {
    let (mut s, _) = claimed();
    assert_eq!(s.confirmation(), Confirmation::None);
    s.watch.claim.as_mut().expect("a claim").reported = true;
    assert_eq!(s.confirmation(), Confirmation::Claimed);
    assert_eq!(monitoring().confirmation(), Confirmation::None);
}

#[test]
fn second_sender_is_awaited_while_it_may_still_speak() {
    let event = [dropped(Source::ContactEvent, at(20))];
    let awaited = |mut s: Supervision, evidence: &[Evidence]| {
        s.note_claims(evidence, at(20));
        s.second_sender_may_speak()
    };
    assert!(!awaited(monitoring(), &event), "no browser has a directive");
    assert!(awaited(leaving(), &event));
    assert!(!awaited(leaving(), &[]), "there is no claim");
    let mut withdrawn = leaving();
    withdrawn.directives[0].withdrawn = true;
    assert!(!awaited(withdrawn, &event));
    for (outcome, alone, with_event) in [
        (AckOutcome::Done, true, true),
        (AckOutcome::AlreadyGone, false, false),
        (AckOutcome::Failed, false, false),
    ] {
        let mut s = leaving();
        acknowledge(&mut s, outcome, at(12));
        assert_eq!(awaited(s.clone(), &[]), alone, "{outcome:?}");
        // The browser spoke first, so the event is the second sender, which has spoken.
        assert_eq!(awaited(s, &event), with_event, "{outcome:?} and an event");
    }
    let mut renewed = leaving();
    acknowledge(&mut renewed, AckOutcome::AlreadyGone, at(21));
    renewed.directives[0].expires_at = at(22);
    assert_eq!(renewed.direct_browser(at(22), TIMES), Ok(true));
    assert!(
        !awaited(renewed, &event),
        "the browser has spoken about an earlier directive"
    );
}

#[test]
fn answer_of_any_kind_ends_the_silence_of_the_vendor() {
    let (mut s, evidence) = claimed();
    let unknown = answer(Source::UserData, Finding::Unknown, at(25));
    assert_eq!(s.note_answer(&unknown, &evidence, AGE), Vec::<String>::new());
    assert_eq!(s.watch.claim.expect("a claim").unanswered_since, unknown.received_at);
}

#[test]
fn missing_leg_is_counted_by_both_sources() {
    let mut s = monitoring();
    let missed = |s: &mut Supervision, source, finding, second| {
        assert!(s.note_answer(&answer(source, finding, at(second)), &[], AGE).is_empty());
        (s.watch.not_found, s.watch.absences)
    };
    let by_poll = (Source::UserData, Finding::Absent);
    let by_description = (Source::DescribeContact, Finding::NotFound);
    assert_eq!(missed(&mut s, by_poll.0, by_poll.1, 20), (None, 0));
    assert_eq!(
        missed(&mut s, by_description.0, by_description.1, 21),
        (Some((at(21), 1)), 0)
    );
    assert_eq!(
        missed(&mut s, by_description.0, by_description.1, 22),
        (Some((at(21), 2)), 0)
    );
    assert_eq!(missed(&mut s, by_poll.0, by_poll.1, 23), (Some((at(21), 2)), 1));
    assert_eq!(missed(&mut s, by_poll.0, by_poll.1, 24), (Some((at(21), 2)), 2));
    assert_eq!(missed(&mut s, Source::UserData, Finding::Alive, 25), (None, 0));
}

#[test]
fn leg_is_missing_after_three_misses_of_each_source_in_5_min() {
    let missing = |not_found, absences, now| {
        let mut s = monitoring();
        (s.watch.not_found, s.watch.absences) = (not_found, absences);
        s.is_missing(now)
    };
    assert!(missing(Some((at(20), 3)), 3, at(320)));
    assert!(!missing(Some((at(20), 3)), 3, at(319)));
    assert!(!missing(Some((at(20), 2)), 3, at(320)));
    assert!(!missing(Some((at(20), 3)), 2, at(320)));
    assert!(!missing(None, 3, at(320)));
}

#[test]
fn gone_answer_ends_the_doubt_about_a_departure() {
    let mut s = monitoring();
    s.watch.alive_again_at = Some(at(20));
    s.note_answer(&answer(Source::DescribeContact, Finding::Unknown, at(21)), &[], AGE);
    assert_eq!(s.watch.alive_again_at, Some(at(20)));
    s.note_answer(&answer(Source::DescribeContact, Finding::Gone, at(22)), &[], AGE);
    assert_eq!(s.watch.alive_again_at, None);
}

#[test]
fn alive_answer_proves_the_moment_before_its_staleness() {
    let mut s = monitoring();
    s.note_answer(&answer(Source::DescribeContact, Finding::Alive, at(20)), &[], AGE);
    assert_eq!((s.alive_at, s.watch.alive_sent_at), (Some(at(17)), Some(at(20))));
    assert_eq!(s.watch.listed_at, None, "only GetCurrentUserData lists");
    s.note_answer(&answer(Source::UserData, Finding::Alive, at(21)), &[], AGE);
    assert_eq!((s.alive_at, s.watch.alive_sent_at), (Some(at(19)), Some(at(21))));
    assert_eq!(s.watch.listed_at, Some(at_ms(21_050)));
    s.note_answer(&answer(Source::UserData, Finding::Alive, at(30)), &[], AGE);
    assert_eq!(s.watch.listed_at, Some(at_ms(21_050)), "the first time is kept");
    s.state = State::Left;
    s.note_answer(&answer(Source::UserData, Finding::Alive, at(40)), &[], AGE);
    assert_eq!((s.alive_at, s.watch.alive_sent_at), (Some(at(28)), Some(at(30))));
}

#[test]
fn describe_refutes_a_claim_only_with_data_newer_than_it() {
    // The data is certainly newer than the claim if the request was sent more than 3.1 s after it.
    let (mut s, evidence) = claimed();
    let too_early = answer(Source::DescribeContact, Finding::Alive, at_ms(23_100));
    assert_eq!(s.note_answer(&too_early, &evidence, AGE), Vec::<String>::new());
    assert_eq!((s.watch.refuted_before, s.watch.claim.is_some()), (None, true));
    let newer = answer(Source::DescribeContact, Finding::Alive, at_ms(23_101));
    assert_eq!(s.note_answer(&newer, &evidence, AGE), ["bus"]);
    assert_eq!((s.watch.refuted_before, s.watch.claim), (Some(at_ms(20_001)), None));
    s.note_claims(&evidence, at(60));
    assert_eq!(s.watch.claim, None, "a refuted claim is never used again");
}

#[test]
fn refutation_spares_claims_that_came_after_the_proof() {
    let (mut s, mut evidence) = claimed();
    evidence[0].credential = None;
    evidence.push(dropped(Source::AgentEvent, at(26)));
    s.note_claims(&evidence, at(26));
    let alive = answer(Source::DescribeContact, Finding::Alive, at_ms(29_100));
    assert_eq!(s.note_answer(&alive, &evidence, AGE), ["unknown"]);
    let claim = s.watch.claim.expect("the newer claim");
    assert_eq!((claim.learnt_at, s.watch.refuted_before), (at(26), Some(at(26))));
}

#[test]
fn polls_refute_a_claim_when_two_a_second_apart_agree() {
    let poll = |ms| answer(Source::UserData, Finding::Alive, at_ms(ms));
    let (mut s, evidence) = claimed();
    let mut refuted_by = |ms| s.note_answer(&poll(ms), &evidence, AGE);
    assert!(refuted_by(22_100).is_empty(), "its data may be older than the claim");
    assert!(refuted_by(22_600).is_empty(), "one poll is not enough");
    assert!(refuted_by(23_599).is_empty(), "two within a second are not enough");
    assert_eq!(refuted_by(23_600), ["bus"]);
    assert_eq!(s.watch.refuted_before, Some(at_ms(20_500)), "the first poll's data");
    assert_eq!(s.watch.claim, None);
}

#[test]
fn polls_refute_a_newer_claim_after_the_older_one() {
    let (mut s, mut evidence) = claimed();
    evidence.push(Evidence {
        credential: Some("agents".into()),
        ..dropped(Source::AgentEvent, at(22))
    });
    s.note_claims(&evidence, at(22));
    asked(&mut s, 2);
    s.watch.claim.as_mut().expect("a claim").reported = true;
    let refuted_by = |s: &mut Supervision, ms| {
        let poll = answer(Source::UserData, Finding::Alive, at_ms(ms));
        s.note_answer(&poll, &evidence, AGE)
    };
    assert!(refuted_by(&mut s, 23_000).is_empty());
    assert_eq!(
        refuted_by(&mut s, 24_000),
        ["bus"],
        "the first poll may be older than the second claim"
    );
    let newer = PendingClaim {
        learnt_at: at(22),
        newest_at: at(22),
        stamp: None,
        source: Source::AgentEvent,
        asks: 2,
        unanswered_since: at_ms(24_050),
        contradicted_at: None,
        reported: false,
    };
    assert_eq!(s.watch.claim, Some(newer));
    assert!(refuted_by(&mut s, 25_000).is_empty());
    assert_eq!(refuted_by(&mut s, 26_000), ["agents"]);
    assert_eq!(s.watch.claim, None);
}

#[test]
fn claimed_end_of_contact_is_dropped_if_the_leg_is_alive_later() {
    let mut s = monitoring();
    s.watch.contact_end_claimed_at = Some(at(20));
    s.note_answer(
        &answer(Source::DescribeContact, Finding::Alive, at_ms(23_100)),
        &[],
        AGE,
    );
    assert_eq!(s.watch.contact_end_claimed_at, Some(at(20)));
    s.note_answer(
        &answer(Source::DescribeContact, Finding::Alive, at_ms(23_101)),
        &[],
        AGE,
    );
    assert_eq!(s.watch.contact_end_claimed_at, None);
}

#[test]
fn absence_shows_the_end_only_of_a_leg_that_was_listed_before() {
    let mut s = monitoring();
    assert!(!s.absence_shows_the_end(at(100), AGE), "the leg was never listed");
    s.watch.listed_at = Some(at(20));
    assert!(!s.absence_shows_the_end(at_ms(22_100), AGE), "the data may be as old");
    assert!(s.absence_shows_the_end(at_ms(22_101), AGE));
}

#[test]
fn claim_is_asked_about_at_once_or_after_the_second_sender() {
    assert_eq!(monitoring().next_ask(AGE, at(20)), None, "there is no claim");
    let (s, evidence) = claimed();
    assert_eq!(s.next_ask(AGE, at(20)), Some(at(20)));
    assert_eq!(s.next_ask(AGE, at(25)), Some(at(25)), "late, such as after a restart");
    let mut directed = leaving();
    directed.note_claims(&evidence, at(20));
    assert_eq!(directed.next_ask(AGE, at(20)), Some(at_ms(21_500)));
}

#[test]
fn claim_is_asked_about_when_provable_then_ever_slower() {
    let (mut s, _) = claimed();
    let mut next = |asks, now| {
        asked(&mut s, asks);
        s.next_ask(AGE, now)
    };
    assert_eq!(next(1, at(20)), Some(at_ms(20_500)));
    // The greater staleness, the clock error and 10 ms.
    assert_eq!(next(2, at_ms(20_500)), Some(at_ms(23_110)));
    for (asks, seconds) in [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 4),
        (7, 32),
        (8, 60),
        (9, 60),
        (u32::MAX, 60),
    ] {
        assert_eq!(next(asks, at(30)), Some(at(30 + seconds)), "after {asks} questions");
    }
}
