//! Golden documents: every file must be read into the same value as when it was written, and the newest file must equal the document
//! that is written today. `SIDEDOOR_MAKE=1 cargo test --lib documents` writes missing golden files; it never overwrites one.

use std::path::{Path, PathBuf};

use clock_calibration::{ClockId, Grade};
use jiff::Timestamp;
use sidedoor_domain::confirmation::{Confirmation, LegWatch, PendingClaim};
use sidedoor_domain::departure::{AgentAfter, AliveBy, Basis, ClockBasis, Continuity, Departure, Reason, StampBasis};
use sidedoor_domain::directive::{AckOutcome, Acknowledgement, Directive, DirectiveKind};
use sidedoor_domain::evidence::{Evidence, Sighting, Source};
use sidedoor_domain::ids::{ContactId, DirectiveId, InstanceName, RegionName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::rejoin::{Announcement, Compliance};
use sidedoor_domain::supervision::{
    Channel, Failure, Join, Joined, LeaveRequest, LegSearch, Mode, ModeChange, Names, Origin, Requester, ServerEnd,
    State, Supervision, Supervisor,
};
use sidedoor_domain::trace_parent::TraceParent;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + ms).expect("in range")
}

fn supervision_id(n: u8) -> SupervisionId {
    SupervisionId::parse(&format!("01a2204d-0000-7000-8000-0000000000{n:02x}")).expect("an id")
}

fn directive_id(n: u8) -> DirectiveId {
    DirectiveId::parse(&format!("01a2204d-0000-7000-8000-0000000001{n:02x}")).expect("an id")
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}

/// A supervision with every field set.
fn full() -> Supervision {
    let contact = ContactId::parse("contact-1").expect("an id");
    let supervisor = Supervisor {
        connect_user_id: Some(user("supervisor-1")),
        username: Some("ann@example".into()),
        salesforce_user_id: Some("005000000000001AAA".into()),
    };
    let instance = InstanceName::parse("main").expect("a name");
    let mut s = Supervision::request(
        supervision_id(1),
        instance,
        contact.clone(),
        supervisor,
        Mode::Barge,
        at(0),
        jiff::SignedDuration::from_secs(30),
    );
    s.origin = Origin::Api;
    s.channel = Some(Channel::Voice);
    s.region = RegionName::parse("us-east-1").ok();
    s.leg = Some(LegId::from_monitor_answer("leg-1", &contact).expect("a leg"));
    s.voice_call_id = Some("0LQ000000000001AAA".into());
    s.was_overdue = true;
    s.request_reason = Some("coaching, week 2".into());
    s.agent = Some(user("agent-1"));
    s.names = Names {
        agent_username: Some("bob@example".into()),
        agent_salesforce_user_id: Some("005000000000002AAA".into()),
        queue_id: Some("queue-1".into()),
        queue: Some("Claims".into()),
        supervisor_asked: true,
        agent_asked: true,
        agent_claimed: false,
        unsent: true,
        is_complete: true,
    };
    s.mode = Mode::Barge;
    s.mode_since = Some(at(1));
    s.mode_seen_at = Some(at(2));
    s.has_barged = true;
    s.mode_change = Some(ModeChange {
        to: Mode::Silent,
        at: at(3),
        by: Requester::Operator,
        directive: directive_id(1),
        since_before: Some(at(1)),
        confirmed_at: Some(at(4)),
    });
    s.compliance = Compliance {
        jurisdiction: Some("eu".into()),
        rejoin: true,
        prior: vec![supervision_id(2)],
        announcement: Announcement::default(),
    };
    s.state = State::Left;
    s.overdue = true;
    s.trace_parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    s.waits_for = Some(supervision_id(3));
    s.only_waits = true;
    s.join = Some(Join {
        client_token: serde_json::from_str("\"token-1\"").expect("a token"),
        first_sent_at: Some(at(5)),
        expires_at: at(30_000),
        search: Some(LegSearch {
            since: at(25),
            looks: 6,
            code: "join_cancelled".into(),
            detail: "The supervisor left.".into(),
            nothing_found: true,
        }),
    });
    s.joined = Some(Joined {
        at: at(6),
        uncertainty_ms: Some(120),
        vendor_stamp: Some(at(1000)),
    });
    s.leave = Some(LeaveRequest {
        at: at(7),
        by: Requester::Supervisor,
        deadline: Some(at(15_000)),
        server_end: ServerEnd::Refused,
        customer_call_may_end: true,
    });
    let directive = |n, kind, answer| Directive {
        id: directive_id(n),
        kind,
        issued_at: at(8),
        expires_at: at(300_000),
        customer_call_may_end: n == 2,
        answer,
        withdrawn: n == 1,
    };
    s.directives = vec![
        directive(1, DirectiveKind::ChangeModeInCcp(Mode::Silent), None),
        directive(
            2,
            DirectiveKind::EndLegInCcp,
            Some(Acknowledgement {
                outcome: AckOutcome::Done,
                at: Some(at(9)),
                received_at: at(10),
                detail: Some("ended".into()),
                credential: Some("browser".into()),
            }),
        ),
    ];
    s.alive_at = Some(at(11));
    s.watch = LegWatch {
        successors_claimed: vec![ContactId::parse("contact-2").expect("an id")],
        claim: Some(PendingClaim {
            learnt_at: at(16),
            newest_at: at(17),
            stamp: Some(at(1000)),
            source: Source::ContactEvent,
            asks: 2,
            unanswered_since: at(18),
            contradicted_at: Some(at(19)),
            reported: true,
        }),
        refuted_before: Some(at(20)),
        listed_at: Some(at(21)),
        alive_sent_at: Some(at(26)),
        contact_end_claimed_at: Some(at(22)),
        not_found: Some((at(23), 4)),
        absences: 5,
        alive_again_at: Some(at(24)),
        reopened: true,
    };
    s.departure = Some(Departure {
        disconnected_at: at(12),
        uncertainty_ms: Some(147),
        earliest: Some(at(8)),
        latest: at(150),
        vendor_timestamp: Some(at(1000)),
        source: Source::ContactEvent,
        confirmation: Confirmation::VendorAsked,
        reason: Reason::Supervisor,
        continuity: Continuity::Continued,
        agent_after: Some(AgentAfter {
            state: "CONNECTED_ONHOLD".into(),
            looks_wrong: true,
        }),
        grade: Grade::Calibrated,
        offset_ms: Some(1370),
        calibration_version: 2,
        conflicting: true,
        basis: Basis {
            alive_at: Some(at(8)),
            alive_by: Some(AliveBy::Browser),
            gone_by: Some(at(150)),
            modelled: Some((at(10), at(100))),
            stamps: vec![StampBasis {
                clock_id: ClockId::new("amazon-connect", "main", "CONTACT_EVENT", "disconnected"),
                at: at(1000),
                learnt_at: at(150),
                clock: Some(ClockBasis {
                    quantum_ms: 1000,
                    offset_low_ms: 900,
                    offset_high_ms: 1400,
                    epoch: 2,
                }),
            }],
        },
    });
    s.failure = Some(Failure {
        code: "join_timeout".into(),
        detail: "Connect did not give the leg in time.".into(),
        at: at(13),
    });
    s.next_check_at = Some(at(14));
    s.checks = 3;
    s
}

/// A supervision with every optional field absent.
fn empty() -> Supervision {
    let mut s = full();
    s.channel = None;
    s.region = None;
    s.contact = None;
    s.leg = None;
    s.supervisor = Supervisor {
        connect_user_id: None,
        username: None,
        salesforce_user_id: None,
    };
    s.voice_call_id = None;
    s.request_reason = None;
    s.was_overdue = false;
    s.agent = None;
    s.names = Names::default();
    s.allowed = None;
    (s.mode, s.mode_since, s.mode_seen_at) = (Mode::Silent, None, None);
    (s.has_barged, s.mode_change) = (false, None);
    s.compliance = Compliance::default();
    (s.state, s.overdue, s.requested_at) = (State::Monitoring, false, None);
    (s.trace_parent, s.waits_for, s.join, s.joined, s.leave) = (None, None, None, None, None);
    s.only_waits = false;
    s.directives = Vec::new();
    (s.alive_at, s.departure, s.failure) = (None, None, None);
    s.watch = LegWatch::default();
    (s.next_check_at, s.checks) = (None, 0);
    s.origin = Origin::Observed;
    s
}

fn evidence() -> Evidence {
    Evidence {
        source: Source::PartnerEvent,
        sighting: Sighting::Dropped,
        learnt_at: at(150),
        vendor_stamp: Some(at(1000)),
        disconnect_reason: Some("CUSTOMER_DISCONNECT".into()),
        event_id: Some("event-1".into()),
        carrier: Some("acme-voice".into()),
        credential: Some("events-bus".into()),
        authentic: true,
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/store/documents/golden")
        .join(name)
}

/// The golden document `name`. If it is missing and SIDEDOOR_MAKE is set, it is created from `written`.
fn golden_text(name: &str, written: &str) -> String {
    let path = golden(name);
    if !path.exists() && std::env::var_os("SIDEDOOR_MAKE").is_some() {
        let value: serde_json::Value = serde_json::from_str(written).expect("JSON");
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        std::fs::create_dir_all(golden("")).expect("made");
        std::fs::write(&path, pretty + "\n").expect("written");
    }
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn assert_same_json(written: &str, golden: &str, name: &str) {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(
        json(written),
        json(golden),
        "{name}: the stored form changed; add a version"
    );
}

#[test]
fn document_of_supervision_is_the_golden_one() {
    for (name, s) in [
        ("supervision-1-full.json", full()),
        ("supervision-1-empty.json", empty()),
    ] {
        let written = write_supervision(&s).expect("written");
        let kept = golden_text(name, &written);
        assert_same_json(&written, &kept, name);
        assert_eq!(read_supervision(&kept).expect("readable"), s, "{name}");
    }
}

fn without_reasons() -> Supervision {
    Supervision {
        request_reason: None,
        was_overdue: false,
        ..full()
    }
}

#[test]
fn document_from_before_reasons_is_readable() {
    let text = std::fs::read_to_string(golden("supervision-1-before-reasons.json")).expect("there");
    assert_eq!(read_supervision(&text).expect("readable"), without_reasons());
}

/// Nothing is looked up any more for a supervision from before names were stored.
fn without_names() -> Supervision {
    let mut s = without_reasons();
    s.names = Names {
        is_complete: true,
        ..Names::default()
    };
    s
}

#[test]
fn document_from_before_names_is_readable() {
    let text = std::fs::read_to_string(golden("supervision-1-before-names.json")).expect("there");
    assert_eq!(read_supervision(&text).expect("readable"), without_names());
}

#[test]
fn document_from_before_regions_is_readable() {
    let text = std::fs::read_to_string(golden("supervision-1-before-regions.json")).expect("there");
    let mut expected = without_names();
    expected.region = None;
    assert_eq!(read_supervision(&text).expect("readable"), expected);
}

#[test]
fn document_from_before_successors_is_readable() {
    let text = std::fs::read_to_string(golden("supervision-1-before-successors.json")).expect("there");
    let mut expected = without_names();
    expected.region = None;
    expected.watch.successors_claimed.clear();
    assert_eq!(read_supervision(&text).expect("readable"), expected);
}

#[test]
fn document_from_before_claims_is_readable() {
    let text = std::fs::read_to_string(golden("supervision-1-before-claims.json")).expect("there");
    let s = read_supervision(&text).expect("readable");
    assert_eq!((s.state, s.watch), (State::Left, LegWatch::default()));
    assert_eq!(s.departure.map(|d| d.confirmation), Some(Confirmation::None));
    assert_eq!(s.join.and_then(|join| join.search), None);
    let text = std::fs::read_to_string(golden("evidence-1-before-claims.json")).expect("there");
    let evidence = read_evidence(&text).expect("readable");
    assert_eq!((evidence.credential, evidence.authentic), (None, false));
}

#[test]
fn document_without_a_version_is_of_version_one() {
    // The first stores were written without `v` and without the fields that were added since.
    let text = std::fs::read_to_string(golden("supervision-1-before-versions.json")).expect("there");
    let s = read_supervision(&text).expect("readable");
    assert_eq!(
        (s.state, s.vendor.as_str(), s.directives.len()),
        (State::Left, "amazon-connect", 0)
    );
    assert_eq!(
        (s.has_barged, &s.trace_parent, s.compliance),
        (false, &None, Compliance::default())
    );
}

#[test]
fn document_of_evidence_is_the_golden_one() {
    let written = write_evidence(&evidence()).expect("written");
    let kept = golden_text("evidence-1.json", &written);
    assert_same_json(&written, &kept, "evidence");
    assert_eq!(read_evidence(&kept).expect("readable"), evidence());
}

#[test]
fn document_of_a_later_version_is_refused_by_name() {
    let mut later: serde_json::Value =
        serde_json::from_str(&write_evidence(&evidence()).expect("written")).expect("JSON");
    later["v"] = 2.into();
    let error = read_evidence(&later.to_string()).expect_err("too new");
    assert!(matches!(error, DocumentError::TooNew(2)), "{error}");
}
