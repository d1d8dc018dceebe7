//! What the evidence of a leg proves about its end.

use super::*;
use crate::directive::AckOutcome;
use crate::supervision::Joined;
use crate::test_support::*;

fn facts(s: &Supervision, evidence: &[Evidence]) -> DropFacts {
    drop_facts(s, evidence).expect("the end is confirmed")
}

fn stamped(evidence: Evidence, stamp: Timestamp) -> Evidence {
    Evidence {
        vendor_stamp: Some(stamp),
        ..evidence
    }
}

fn described(learnt_at: Timestamp) -> Evidence {
    dropped(Source::DescribeContact, learnt_at)
}

fn event(learnt_at: Timestamp) -> Evidence {
    dropped(Source::ContactEvent, learnt_at)
}

#[test]
fn departure_words_are_those_of_the_store() {
    for (reason, word) in [
        (Reason::Supervisor, "SUPERVISOR"),
        (Reason::Operator, "OPERATOR"),
        (Reason::ContactEnded, "CONTACT_ENDED"),
        (Reason::Vendor, "VENDOR"),
        (Reason::Unknown, "UNKNOWN"),
    ] {
        assert_eq!(reason.as_str(), word);
        assert_eq!(serde_json::to_value(reason).expect("a word"), word);
    }
}

#[test]
fn departure_keeps_the_stronger_reason() {
    use Reason::{ContactEnded, Operator, Supervisor, Unknown};
    for (new, known, kept) in [
        (Supervisor, Operator, Supervisor),
        (Unknown, Operator, Operator),
        (Supervisor, ContactEnded, ContactEnded),
        (Unknown, ContactEnded, ContactEnded),
        (ContactEnded, Supervisor, ContactEnded),
    ] {
        assert_eq!(new.or_known(known), kept, "{new:?} after {known:?}");
    }
}

#[test]
fn continuity_unknown_is_neither_true_nor_false() {
    assert_eq!(Continuity::Unknown.as_bool(), None);
    assert_eq!(Continuity::Continued.as_bool(), Some(true));
    assert_eq!(Continuity::Ended.as_bool(), Some(false));
}

#[test]
fn agent_after_looks_wrong_unless_connected() {
    for (state, looks_wrong, on_the_call) in [
        (Some("CONNECTED"), false, true),
        (Some("CONNECTED_ONHOLD"), true, true),
        (Some("ERROR"), true, false),
        (None, true, false),
    ] {
        let agent = AgentAfter::of(state);
        assert_eq!(agent.state, state.unwrap_or("GONE"));
        assert_eq!(
            (agent.looks_wrong, agent.is_on_the_call()),
            (looks_wrong, on_the_call),
            "{state:?}"
        );
    }
}

#[test]
fn departure_needs_more_than_one_claim() {
    assert_eq!(drop_facts(&monitoring(), &[]), None);
    assert_eq!(drop_facts(&monitoring(), &[event(at(20)), event(at(21))]), None);
    assert_eq!(drop_facts(&monitoring(), &[carrier_drop(at(20))]), None);
    let alive = Evidence {
        sighting: Sighting::Joined,
        ..described(at(20))
    };
    assert_eq!(drop_facts(&monitoring(), &[alive]), None);
}

#[test]
fn departure_is_confirmed_by_the_first_answer() {
    let evidence = [described(at(31)), dropped(Source::UserData, at(30))];
    let facts = facts(&monitoring(), &evidence);
    assert_eq!(facts.confirmation, Confirmation::VendorAsked);
    assert_eq!((facts.gone_by, facts.source), (at(30), Source::UserData));
    assert_eq!(facts.alive, Some((at(1), AliveBy::Join)));
}

#[test]
fn departure_of_a_carriers_leg_is_confirmed_by_its_carrier() {
    let facts = facts(&of_carrier(), &[carrier_drop(at(31)), carrier_drop(at(30))]);
    assert_eq!(facts.confirmation, Confirmation::VendorStatement);
    assert_eq!((facts.gone_by, facts.source), (at(30), Source::PartnerEvent));
    assert_eq!(facts.alive, None);
}

#[test]
fn departure_is_confirmed_by_two_senders_until_the_vendor_answers() {
    let mut s = leaving();
    acknowledge(&mut s, AckOutcome::Done, at(12));
    let by_two = facts(&s, &[event(at(14))]);
    assert_eq!(by_two.confirmation, Confirmation::TwoSenders);
    assert_eq!((by_two.gone_by, by_two.source), (at(14), Source::ContactEvent));
    // The directive was issued at second 10, and DONE says that the leg was alive then.
    assert_eq!(by_two.alive, Some((at(10), AliveBy::Browser)));
    let asked = facts(&s, &[event(at(14)), described(at(16))]);
    assert_eq!(asked.confirmation, Confirmation::VendorAsked);
    assert_eq!((asked.gone_by, asked.source), (at(14), Source::ContactEvent));
    let asked_before = facts(&s, &[event(at(14)), described(at(13))]);
    assert_eq!(
        (asked_before.gone_by, asked_before.source),
        (at(13), Source::DescribeContact)
    );
}

#[test]
fn departure_ignores_evidence_that_is_refuted() {
    let mut s = monitoring();
    s.watch.refuted_before = Some(at(30));
    assert_eq!(drop_facts(&s, &[described(at_ms(29_999))]), None);
    assert_eq!(
        facts(&s, &[described(at_ms(29_999)), described(at(30))]).gone_by,
        at(30)
    );
}

#[test]
fn departure_is_bounded_by_an_event_that_the_vendor_confirms() {
    let answer = stamped(described(at(30)), at_ms(19_400));
    let with = |s: &Supervision, event| {
        let facts = facts(s, &[event, answer.clone()]);
        (facts.gone_by, facts.source)
    };
    let matching = || stamped(event(at(20)), at(19));
    let by_event = (at(20), Source::ContactEvent);
    let by_answer = (at(30), Source::DescribeContact);
    let mut s = monitoring();
    assert_eq!(with(&s, matching()), by_event);
    assert_eq!(with(&s, stamped(event(at(20)), at(18))), by_answer, "another time");
    assert_eq!(with(&s, event(at(20))), by_answer, "no time");
    let of_carrier = stamped(carrier_drop(at(20)), at(19));
    assert_eq!(with(&s, of_carrier), by_answer, "a carrier's clock");
    s.alive_at = Some(at(20));
    assert_eq!(with(&s, matching()), by_event);
    s.alive_at = Some(at_ms(20_001));
    assert_eq!(with(&s, matching()), by_answer, "the leg was alive after it");
    s.alive_at = None;
    s.watch.alive_sent_at = Some(at(20));
    assert_eq!(with(&s, matching()), by_event);
    s.watch.alive_sent_at = Some(at_ms(20_001));
    assert_eq!(with(&s, matching()), by_answer, "a later answer showed it alive");
}

#[test]
fn departure_is_bounded_by_a_confirmed_event_only_before_the_answer() {
    for learnt_at in [at(30), at(31)] {
        let evidence = [
            stamped(event(learnt_at), at(19)),
            stamped(described(at(30)), at_ms(19_400)),
        ];
        let facts = facts(&monitoring(), &evidence);
        assert_eq!((facts.gone_by, facts.source), (at(30), Source::DescribeContact));
    }
}

#[test]
fn departure_doubts_a_browser_if_the_event_came_earlier() {
    let mut s = leaving();
    acknowledge(&mut s, AckOutcome::Done, at(12));
    let evidence = [stamped(event(at(9)), at(8)), stamped(described(at(30)), at(8))];
    let in_doubt = facts(&s, &evidence);
    assert_eq!(
        (in_doubt.gone_by, in_doubt.source),
        (at(12), Source::ContactEvent),
        "both say so by then"
    );
    assert_eq!(in_doubt.alive, Some((at(1), AliveBy::Join)));
    let one_sender = evidence.clone().map(|e| Evidence {
        credential: Some("browser".into()),
        ..e
    });
    let in_doubt = facts(&s, &one_sender);
    assert_eq!((in_doubt.gone_by, in_doubt.source), (at(30), Source::DescribeContact));
    assert_eq!(in_doubt.alive, Some((at(1), AliveBy::Join)));
    let evidence = [stamped(event(at(11)), at(10)), stamped(described(at(30)), at(10))];
    let agreeing = facts(&s, &evidence);
    assert_eq!(agreeing.gone_by, at(11));
    assert_eq!(agreeing.alive, Some((at(10), AliveBy::Browser)));
}

#[test]
fn departure_is_not_in_doubt_if_a_poll_shows_the_leg_alive_later() {
    let mut s = leaving();
    acknowledge(&mut s, AckOutcome::Done, at(12));
    s.alive_at = Some(at(11));
    let evidence = [stamped(event(at(9)), at(8)), stamped(described(at(30)), at(8))];
    assert_eq!(facts(&s, &evidence).alive, Some((at(11), AliveBy::Poll)));
}

#[test]
fn departure_lower_bound_is_the_last_sign_of_life_before_the_end() {
    let mut s = leaving();
    let alive = |s: &Supervision| facts(s, &[described(at(30))]).alive;
    s.alive_at = Some(at(5));
    assert_eq!(alive(&s), Some((at(5), AliveBy::Poll)));
    acknowledge(&mut s, AckOutcome::AlreadyGone, at(12));
    assert_eq!(alive(&s), Some((at(5), AliveBy::Poll)), "the browser found no leg");
    acknowledge(&mut s, AckOutcome::Done, at(13));
    assert_eq!(alive(&s), Some((at(10), AliveBy::Browser)));
    s.alive_at = Some(at(30));
    assert_eq!(alive(&s), Some((at(30), AliveBy::Poll)));
    s.alive_at = Some(at_ms(30_001));
    assert_eq!(
        alive(&s),
        Some((at(10), AliveBy::Browser)),
        "a sign after the end is false"
    );
    s.watch.refuted_before = Some(at(13));
    assert_eq!(alive(&s), Some((at(10), AliveBy::Browser)));
    s.watch.refuted_before = Some(at_ms(13_001));
    assert_eq!(alive(&s), Some((at(1), AliveBy::Join)), "the browser's word is refuted");
}

#[test]
fn departure_keeps_one_stamp_of_each_clock_with_the_event_first() {
    let authentic = |source, learnt_at, stamp| Evidence {
        authentic: true,
        ..stamped(dropped(source, learnt_at), stamp)
    };
    let evidence = [
        stamped(carrier_drop(at(20)), at(19)),
        stamped(described(at(21)), at(19)),
        stamped(described(at(22)), at(19)),
        authentic(Source::ContactEvent, at(23), at(19)),
        authentic(Source::AgentEvent, at(24), at(19)),
        event(at(25)),
        Evidence {
            carrier: Some("other".into()),
            ..stamped(carrier_drop(at(26)), at(19))
        },
        Evidence {
            sighting: Sighting::Joined,
            ..authentic(Source::UserData, at(27), at(19))
        },
    ];
    let stamps = facts(&monitoring(), &evidence).stamps;
    let kept: Vec<_> = stamps.iter().map(|e| (e.source, e.learnt_at)).collect();
    assert_eq!(
        kept,
        [
            (Source::ContactEvent, at(23)),
            (Source::DescribeContact, at(21)),
            (Source::AgentEvent, at(24)),
            (Source::PartnerEvent, at(20)),
            (Source::PartnerEvent, at(26)),
        ]
    );
}

#[test]
fn departure_takes_the_reason_from_an_answer_only() {
    let because = |evidence: Evidence, reason: &str| Evidence {
        disconnect_reason: Some(reason.into()),
        ..evidence
    };
    let evidence = [
        because(event(at(20)), "FROM_EVENT"),
        described(at(30)),
        because(described(at(31)), "FROM_ANSWER"),
    ];
    let facts = facts(&monitoring(), &evidence);
    assert_eq!(facts.vendor_reason.as_deref(), Some("FROM_ANSWER"));
}

#[test]
fn stamp_is_admitted_from_a_trusted_sender_or_if_fetched_too() {
    let s = monitoring();
    let admitted = |of: &Evidence, others: &[Evidence]| stamp_is_admitted(&s, of, others);
    let claim = stamped(event(at(20)), at(19));
    assert!(!admitted(&claim, &[]), "a claim alone");
    assert!(
        !admitted(&claim, std::slice::from_ref(&claim)),
        "a claim does not confirm itself"
    );
    assert!(admitted(&claim, &[stamped(described(at(30)), at_ms(19_400))]));
    assert!(!admitted(&claim, &[stamped(described(at(30)), at(20))]), "another time");
    assert!(!admitted(&claim, &[described(at(30))]), "no time was fetched");
    let joined = Evidence {
        sighting: Sighting::Joined,
        ..stamped(described(at(30)), at(19))
    };
    assert!(!admitted(&claim, &[joined]), "the time of another thing");
    assert!(admitted(&stamped(described(at(30)), at(19)), &[]));
    assert!(admitted(&stamped(carrier_drop(at(20)), at(19)), &[]));
    let authentic = Evidence {
        authentic: true,
        ..claim
    };
    assert!(admitted(&authentic, &[]));
    assert!(!admitted(&described(at(30)), &[]), "there is no stamp");
}

#[test]
fn stamp_is_admitted_only_near_the_life_of_its_leg() {
    let mut s = monitoring();
    let admitted = |s: &Supervision, stamp| stamp_is_admitted(s, &stamped(described(at(30)), stamp), &[]);
    let hour = 3600;
    assert!(admitted(&s, at(1 - hour)));
    assert!(
        !admitted(&s, at_ms(999 - hour * 1000)),
        "over an hour before MonitorContact"
    );
    assert!(admitted(&s, at(330)));
    assert!(!admitted(&s, at_ms(330_001)), "over 5 minutes after its notice");
    s.join = None;
    assert!(admitted(&s, at(-9 * hour)), "the start is not known");
    s.joined = Some(Joined {
        at: at(10),
        uncertainty_ms: None,
        vendor_stamp: None,
    });
    assert!(admitted(&s, at(10 - hour)));
    assert!(!admitted(&s, at(9 - hour)));
}

#[test]
fn stamps_match_if_truncated_or_rounded_to_the_coarser_one() {
    for (a, b, matches) in [
        (19_412, 19_412, true),
        (19_412, 19_413, false),
        (19_000, 19_999, true),
        (20_000, 19_500, true),
        (20_000, 19_499, false),
        (19_000, 20_000, false),
        (20_000, 20_000, true),
    ] {
        assert_eq!(stamps_match(at_ms(a), at_ms(b)), matches, "{a} and {b}");
        assert_eq!(stamps_match(at_ms(b), at_ms(a)), matches, "{b} and {a}");
    }
}

#[test]
fn reason_is_the_request_or_else_the_vendors() {
    let s = monitoring();
    for (vendors, expected) in [
        (Some("AGENT_DISCONNECT"), Reason::Supervisor),
        (Some("customer_disconnect"), Reason::ContactEnded),
        (Some("TELECOM_PROBLEM"), Reason::Vendor),
        (Some("OTHER"), Reason::Unknown),
        (None, Reason::Unknown),
    ] {
        assert_eq!(reason(&s, vendors), expected, "{vendors:?}");
    }
    for (by, expected) in [
        (Requester::Supervisor, Reason::Supervisor),
        (Requester::Operator, Reason::Operator),
    ] {
        let mut s = monitoring();
        s.ask_to_leave(by, at(10), TIMES);
        assert_eq!(reason(&s, Some("CUSTOMER_DISCONNECT")), expected);
    }
}

/// The upper bound is the arrival of an event only if its stamp matches what we fetched.
#[test]
fn departure_is_not_bounded_by_an_authentic_event_that_matches_nothing() {
    let event_at = |stamp| Evidence {
        authentic: true,
        ..stamped(event(at(20)), stamp)
    };
    let answer = stamped(described(at(22)), at(19));
    let other = facts(&monitoring(), &[event_at(at(15)), answer.clone()]);
    assert_eq!((other.gone_by, other.source), (at(22), Source::DescribeContact));
    let same = facts(&monitoring(), &[event_at(at(19)), answer]);
    assert_eq!((same.gone_by, same.source), (at(20), Source::ContactEvent));
}
