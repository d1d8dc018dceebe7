//! Moments, supervisions and evidence for the tests of this crate.

use clock_calibration::Grade;
use jiff::{SignedDuration, Timestamp};

use crate::confirmation::{AnswerAge, Confirmation, Finding, LegAnswer};
use crate::departure::{Basis, Continuity, Departure, Reason};
use crate::directive::{AckOutcome, Acknowledgement};
use crate::evidence::{Evidence, Sighting, Source};
use crate::ids::{ContactId, InstanceName, SupervisionId, UserId};
use crate::interlock::LegId;
use crate::supervision::{Channel, Leave, LeaveTimes, Mode, Requester, Supervision, Supervisor};

/// A disconnect is overdue after 15 s, and a directive is valid for 60 s.
pub(crate) const TIMES: LeaveTimes = LeaveTimes {
    deadline: SignedDuration::from_secs(15),
    directive_ttl: SignedDuration::from_secs(60),
};

/// A poll's data is at most 2 s old and a description's at most 3 s, and our clock is at most 100 ms wrong.
pub(crate) const AGE: AnswerAge = AnswerAge {
    poll: SignedDuration::from_secs(2),
    describe: SignedDuration::from_secs(3),
    clock_error: SignedDuration::from_millis(100),
};

/// How long the join of [`requested`] may take.
pub(crate) const JOIN_TTL: SignedDuration = SignedDuration::from_secs(30);

/// The moment `s` seconds after the start of a test.
pub(crate) fn at(s: i64) -> Timestamp {
    at_ms(s * 1000)
}

/// The moment `ms` milliseconds after the start of a test.
pub(crate) fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).expect("in range")
}

pub(crate) fn contact() -> ContactId {
    ContactId::parse("contact-1").expect("an id")
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}

pub(crate) fn supervisor() -> Supervisor {
    Supervisor {
        connect_user_id: Some(user("supervisor-1")),
        username: None,
        salesforce_user_id: None,
    }
}

pub(crate) fn leg() -> LegId {
    LegId::from_monitor_answer("leg-1", &contact()).expect("a leg")
}

pub(crate) fn instance() -> InstanceName {
    InstanceName::parse("main").expect("a name")
}

/// The id of the supervision that was created as the number `serial`.
pub(crate) fn id(serial: u16) -> SupervisionId {
    SupervisionId::new(at(0), serial, 0)
}

/// A supervision requested at second 0.
pub(crate) fn requested() -> Supervision {
    Supervision::request(id(0), instance(), contact(), supervisor(), Mode::Barge, at(0), JOIN_TTL)
}

/// A supervision for which MonitorContact was sent at second 1.
pub(crate) fn joining() -> Supervision {
    let mut s = requested();
    assert_eq!(s.start_joining(at(1)), Ok(()));
    s
}

/// A supervision whose leg MonitorContact returned at second 2.
pub(crate) fn monitoring() -> Supervision {
    let mut s = joining();
    assert_eq!(s.leg_given(leg(), at(2), at(3), TIMES), Ok(()));
    s.channel = Some(Channel::Voice);
    s
}

/// A supervision whose disconnect was requested at second 10, with a directive of that second.
pub(crate) fn leaving() -> Supervision {
    let mut s = monitoring();
    assert_eq!(s.ask_to_leave(Requester::Supervisor, at(10), TIMES), Leave::Begun);
    assert_eq!(s.direct_browser(at(10), TIMES), Ok(true));
    s
}

/// A departure whose leg had ended by second 20.
pub(crate) fn departure() -> Departure {
    Departure {
        disconnected_at: at(19),
        uncertainty_ms: None,
        earliest: None,
        latest: at(20),
        vendor_timestamp: None,
        source: Source::DescribeContact,
        confirmation: Confirmation::VendorAsked,
        reason: Reason::Unknown,
        continuity: Continuity::Unknown,
        agent_after: None,
        grade: Grade::Uncalibrated,
        offset_ms: None,
        calibration_version: 0,
        conflicting: false,
        basis: Basis {
            gone_by: Some(at(20)),
            ..Basis::default()
        },
    }
}

/// A supervision with this [`departure`], whose end was not requested.
pub(crate) fn left() -> Supervision {
    let mut s = monitoring();
    assert_eq!(s.conclude(departure()), Ok(true));
    s
}

/// A supervision of a leg that the carrier `acme` reported.
pub(crate) fn of_carrier() -> Supervision {
    let leg = LegId::of_carrier("acme", "main", "leg-1");
    Supervision::of_carrier(id(0), "acme", instance(), leg, Some(contact()), supervisor())
}

/// A browser's acknowledgement, sent with the credential `browser`.
pub(crate) fn acknowledgement(outcome: AckOutcome, received_at: Timestamp) -> Acknowledgement {
    Acknowledgement {
        outcome,
        at: None,
        received_at,
        detail: None,
        credential: Some("browser".into()),
    }
}

/// Acknowledges the last directive to end the leg.
pub(crate) fn acknowledge(s: &mut Supervision, outcome: AckOutcome, received_at: Timestamp) {
    let directive = s.end_directive().expect("issued").id;
    let acknowledged = s.acknowledge(directive, acknowledgement(outcome, received_at));
    assert_eq!(acknowledged, Ok(true));
}

/// An observation that the leg has ended. An event has the credential `bus`.
pub(crate) fn dropped(source: Source, learnt_at: Timestamp) -> Evidence {
    let mut evidence = Evidence {
        source,
        sighting: Sighting::Dropped,
        learnt_at,
        vendor_stamp: None,
        disconnect_reason: None,
        event_id: None,
        carrier: None,
        credential: None,
        authentic: false,
    };
    evidence.credential = (!evidence.is_answer()).then(|| "bus".into());
    evidence
}

/// The statement of the carrier `acme` that a leg has ended.
pub(crate) fn carrier_drop(learnt_at: Timestamp) -> Evidence {
    Evidence {
        carrier: Some("acme".into()),
        credential: Some("acme-bus".into()),
        ..dropped(Source::PartnerEvent, learnt_at)
    }
}

/// An answer of the vendor, received 50 ms after its request was sent.
pub(crate) fn answer(source: Source, finding: Finding, sent_at: Timestamp) -> LegAnswer {
    LegAnswer {
        source,
        sent_at,
        received_at: sent_at + SignedDuration::from_millis(50),
        finding,
    }
}
