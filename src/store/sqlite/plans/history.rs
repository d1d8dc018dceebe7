//! A store with a history. It is filled by SQL, because writing it through the port would take minutes.

use std::path::Path;

use clock_calibration::Grade;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use sidedoor_domain::departure::{Basis, Continuity, Departure, Reason};
use sidedoor_domain::evidence::Source;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::supervision::{LeaveTimes, Mode, Supervision, Supervisor};

use crate::store::documents;

pub(super) fn now() -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000).expect("in range")
}

pub(super) fn main_instance() -> InstanceName {
    InstanceName::parse("main").expect("a name")
}

pub(super) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("an id")
}

/// A supervision id that no earlier call returned.
pub(super) fn new_id() -> SupervisionId {
    static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    SupervisionId::new(now(), 0, SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

pub(in crate::store::sqlite) fn requested(contact: &str, supervisor: &str) -> Supervision {
    let supervisor = Supervisor {
        connect_user_id: Some(user(supervisor)),
        username: None,
        salesforce_user_id: None,
    };
    let contact = ContactId::parse(contact).expect("an id");
    let ttl = SignedDuration::from_secs(30);
    Supervision::request(new_id(), main_instance(), contact, supervisor, Mode::Silent, now(), ttl)
}

pub(super) fn monitoring(contact: &str, supervisor: &str) -> Supervision {
    let mut s = requested(contact, supervisor);
    s.start_joining(now()).expect("fits");
    let leg = uuid::Uuid::new_v4().to_string();
    let leg = LegId::from_monitor_answer(&leg, &ContactId::parse(contact).expect("an id")).expect("a leg");
    s.leg_given(leg, now(), now(), times()).expect("fits");
    s
}

pub(super) fn times() -> LeaveTimes {
    LeaveTimes {
        deadline: SignedDuration::from_secs(15),
        directive_ttl: SignedDuration::from_secs(60),
    }
}

fn left(contact: &str, supervisor: &str) -> Supervision {
    let mut s = monitoring(contact, supervisor);
    let departure = Departure {
        disconnected_at: now(),
        uncertainty_ms: Some(500),
        earliest: Some(now() - SignedDuration::from_millis(500)),
        latest: now(),
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
    };
    s.conclude(departure).expect("fits");
    s
}

/// A history: `?1` supervisions of fifty supervisors within ninety days, one in a hundred failed, each with its delivery, directive,
/// audit and other rows.
const FILL: [&str; 10] = [
    "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1),
       one AS (SELECT i, printf('%08x-%04x-7000-8000-%012x', (?3 - 7776000000 + i * 7776000000 / ?1) / 65536,
                 (?3 - 7776000000 + i * 7776000000 / ?1) % 65536, i) AS id,
                 ?3 - 7776000000 + i * 7776000000 / ?1 AS at FROM n)
     INSERT INTO supervisions (id, revision, origin, instance, contact_id, leg_id, connect_user_id, agent_id, state,
       voice_slot, ended_at, voice_call_id, packed, doc)
     SELECT id, 5, CASE WHEN i % 10 THEN 'API' ELSE 'OBSERVED' END, 'main', 'c-' || i / 2, 'l-' || i, 'user-' || i % 50,
       'agent-' || i % 300, CASE WHEN i % 100 THEN 'LEFT' ELSE 'FAILED' END, 0, at + 60000, '0LQ' || i, ?2, '' FROM one",
    "INSERT INTO deliveries (supervision_id, id, state, version, recorded_version, due_at)
     SELECT id, id, CASE WHEN random() % 1000 THEN 'RECORDED' ELSE 'DEAD' END, 3, 3, ended_at FROM supervisions",
    "INSERT INTO directives (id, supervision_id, instance, connect_user_id, status)
     SELECT id, id, instance, connect_user_id, 'DONE' FROM supervisions",
    "INSERT INTO audit (at, actor, action, supervision_id, outcome, request_id, phase, operation)
     SELECT ended_at, 'back-end', 'leg.asked_for', id, 'ok', 'r-' || id, p.phase, 'm-' || id
     FROM supervisions, (SELECT 'BEGUN' AS phase UNION ALL SELECT 'DONE') p",
    "INSERT INTO evidence (instance, leg_id, learnt_at, doc) SELECT instance, leg_id, ended_at, '{}' FROM supervisions",
    "INSERT INTO seen_events (id, seen_at) SELECT 'e-' || id, ended_at FROM supervisions",
    "INSERT INTO idempotency_keys (caller, key, fingerprint, taken_by, taken_at)
     SELECT 'back-end', 'k-' || id, 'f', 'a process', ended_at FROM supervisions",
    "INSERT INTO comparisons (supervision_id, looked_at, left_at, ours_at, inside)
     SELECT id, ended_at + 1000, CASE WHEN random() % 2 THEN ended_at END, ended_at, 1 FROM supervisions",
    "INSERT INTO clocks (vendor, instance, source, field)
     SELECT 'amazon-connect', 'main', 'S-' || value, 'disconnected' FROM json_each('[0, 1, 2, 3, 4]')",
    "INSERT INTO clock_samples (clock, learnt_at, not_after, stamp, cause)
     SELECT 1 + rowid % 5, ended_at, ended_at * 1000000, ended_at * 1000000, 'COMMAND' FROM supervisions",
];

pub(super) fn connect(path: &Path) -> Connection {
    Connection::open(path).expect("opens")
}

pub(super) fn fill(path: &Path, history: i64) {
    let mut db = connect(path);
    let doc = documents::write_supervision(&left("c", "user-1")).expect("a document");
    let doc = documents::packed::pack(&doc).expect("packed");
    let all = db.transaction().expect("begun");
    let [supervisions, rest @ ..] = FILL;
    all.execute(supervisions, params![history, doc, now().as_millisecond()])
        .expect("filled");
    for sql in rest {
        all.execute(sql, []).expect("filled");
    }
    all.commit().expect("filled");
}
