//! Values for the cases.

use clock_calibration::Grade;
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::departure::{Basis, Continuity, Departure, Reason};
use sidedoor_domain::evidence::{Evidence, Sighting, Source};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::join_failure::OwnJoinFailure;
use sidedoor_domain::ports::store::{
    CoverageKey, DeliveryOutcome, DeliveryResult, HandledContact, KeyUse, LegEvidence, Retention, StoredSupervision,
    SupervisionWrite,
};
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction, WrittenRecord};
use sidedoor_domain::supervision::{Channel, LeaveTimes, Mode, Requester, Supervision, Supervisor};

/// The moment `ms` milliseconds after the cases begin.
pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + ms).expect("in range")
}

pub(super) fn main_instance() -> InstanceName {
    InstanceName::parse("main").expect("a name")
}

pub(super) fn other_instance() -> InstanceName {
    InstanceName::parse("other").expect("a name")
}

pub(super) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("an id")
}

pub(super) fn contact(name: &str) -> ContactId {
    ContactId::parse(name).expect("an id")
}

pub(super) fn leg(name: &str) -> LegId {
    LegId::from_monitor_answer(name, &contact("no-leg")).expect("a leg")
}

/// The id of the `n`-th supervision created in the millisecond `ms`.
pub(super) fn id_at(ms: i64, n: u16) -> SupervisionId {
    let least = SupervisionId::least_at(at(ms)).to_string();
    let id = format!("{}{n:04x}", &least[..least.len() - 4]);
    SupervisionId::parse(&id).expect("an id")
}

pub(super) fn times() -> LeaveTimes {
    LeaveTimes {
        deadline: SignedDuration::from_secs(15),
        directive_ttl: SignedDuration::from_secs(60),
    }
}

/// A supervision id that no earlier call returned.
pub(super) fn new_id() -> SupervisionId {
    static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    SupervisionId::new(at(0), u16::try_from(serial % 4096).unwrap_or(0), serial)
}

/// A requested supervision of a contact whose channel is not known, so that it holds the voice slot.
pub(super) fn requested(contact_id: &str, user_id: &str) -> Supervision {
    let supervisor = Supervisor {
        connect_user_id: Some(user(user_id)),
        username: None,
        salesforce_user_id: None,
    };
    let ttl = SignedDuration::from_secs(30);
    Supervision::request(
        new_id(),
        main_instance(),
        contact(contact_id),
        supervisor,
        Mode::Silent,
        at(0),
        ttl,
    )
}

pub(super) fn monitoring(contact: &str, user: &str, leg_id: &str) -> Supervision {
    let mut s = requested(contact, user);
    s.start_joining(at(0)).expect("fits");
    s.leg_given(leg(leg_id), at(0), at(0), times()).expect("fits");
    s
}

/// A supervision whose browser has a directive to end the leg.
pub(super) fn leaving(contact: &str, user: &str, leg: &str) -> Supervision {
    let mut s = monitoring(contact, user, leg);
    s.ask_to_leave(Requester::Supervisor, at(0), times());
    s.direct_browser(at(0), times()).expect("fits");
    s
}

pub(super) fn departure(latest: Timestamp) -> Departure {
    Departure {
        disconnected_at: latest,
        uncertainty_ms: Some(500),
        earliest: Some(latest - SignedDuration::from_millis(500)),
        latest,
        vendor_timestamp: None,
        source: Source::ContactEvent,
        confirmation: sidedoor_domain::confirmation::Confirmation::VendorAsked,
        reason: Reason::Supervisor,
        continuity: Continuity::Unknown,
        agent_after: None,
        grade: Grade::Bounded,
        offset_ms: None,
        calibration_version: 0,
        conflicting: false,
        basis: Basis::default(),
    }
}

pub(super) fn left(contact: &str, user: &str, leg: &str, ended_at: Timestamp) -> Supervision {
    let mut s = monitoring(contact, user, leg);
    s.conclude(departure(ended_at)).expect("fits");
    s
}

pub(super) fn failed(contact: &str, user: &str, failed_at: Timestamp) -> Supervision {
    let mut s = requested(contact, user);
    s.fail(OwnJoinFailure::TimedOut.into(), "too late", failed_at)
        .expect("fits");
    s
}

pub(super) fn insert(s: &Supervision) -> Transaction {
    Transaction {
        supervision: Some(SupervisionWrite::Insert(Box::new(s.clone()))),
        ..Transaction::default()
    }
}

pub(super) fn update(s: &Supervision, revision: i64) -> Transaction {
    Transaction {
        supervision: Some(SupervisionWrite::Update(Box::new(s.clone()), revision)),
        ..Transaction::default()
    }
}

/// Inserts a supervision with the first version of its record, due at that moment.
pub(super) fn insert_with_record(s: &Supervision, due_at: Timestamp) -> Transaction {
    Transaction {
        deliver_at: Some(due_at),
        ..insert(s)
    }
}

pub(super) fn result(of: &Supervision, version: u32, result: DeliveryOutcome) -> Transaction {
    let result = DeliveryResult {
        supervision: of.id,
        version,
        at: at(7),
        result,
    };
    Transaction {
        delivery_results: vec![result],
        ..Transaction::default()
    }
}

pub(super) fn written(look_again_at: Option<Timestamp>) -> DeliveryOutcome {
    DeliveryOutcome::Written {
        recorded: WrittenRecord {
            object_name: "VoiceCallParticipant__c".into(),
            record_id: Some("record-1".into()),
            created: true,
            newer_kept: false,
        },
        has_departure: false,
        note: look_again_at.map(|_| "without its VoiceCall".into()),
        look_again_at,
    }
}

pub(super) fn evidence(learnt_at: Timestamp) -> Evidence {
    Evidence {
        source: Source::ContactEvent,
        sighting: Sighting::Exists,
        learnt_at,
        vendor_stamp: None,
        disconnect_reason: None,
        event_id: None,
        carrier: None,
        credential: None,
        authentic: false,
    }
}

pub(super) fn evidence_of(leg: &str, learnt_at: Timestamp) -> LegEvidence {
    LegEvidence {
        instance: main_instance(),
        leg: leg.into(),
        evidence: evidence(learnt_at),
    }
}

pub(super) fn handled(contact_number: usize, agent: usize, ended_at: Timestamp) -> HandledContact {
    HandledContact {
        instance: main_instance(),
        contact: contact(&format!("contact-{contact_number}")),
        ended_at,
        key: CoverageKey {
            channel: Channel::Voice,
            queue: (agent > 0).then(|| "queue-1".to_owned()),
            agent: Some(user(&format!("agent-{agent}"))),
        },
    }
}

pub(super) fn key(name: &str, fingerprint: &str) -> KeyUse {
    KeyUse {
        caller: "c".into(),
        key: name.into(),
        fingerprint: fingerprint.into(),
        claim: "first".into(),
    }
}

pub(super) fn audit(ms: i64) -> AuditEntry {
    AuditEntry::done(at(ms), "test", AuditAction::SupervisionRequested, "ok")
}

/// Everything older than this moment is past its retention.
pub(super) fn retention(before: Timestamp) -> Retention {
    Retention {
        keys_before: before,
        evidence_before: before,
        supervisions_before: before,
        coverage_before: before,
        unsent_too: false,
        audit_before: None,
    }
}

pub(super) async fn outcome(store: &dyn Store, change: Transaction) -> CommitOutcome {
    store.transact(change).await.expect("answered")
}

/// Writes a transaction that is not refused.
pub(super) async fn done(store: &dyn Store, change: Transaction) {
    assert!(outcome(store, change).await.is_done());
}

/// The ids of supervisions that a read returned.
pub(super) fn ids(found: &[StoredSupervision]) -> Vec<SupervisionId> {
    found.iter().map(|stored| stored.supervision.id).collect()
}
