//! Calls every method of the store.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::evidence::{Evidence, Sighting, Source};
use sidedoor_domain::ids::{ContactId, DeliveryId, InstanceName, UserId};
use sidedoor_domain::join_failure::OwnJoinFailure;
use sidedoor_domain::moment::moment;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::store::{
    AuditFilter, AuditStore, Cause, ClockEpoch, ClockId, ClockStore, Comparison, Completeness, CompletenessStore,
    CountedContact, CoverageKey, CoverageQuestion, CoverageStore, DeliveryFilter, DeliveryOutcome, DeliveryResult,
    DeliveryStore, DirectiveStore, EpochCause, EvidenceStore, FailureScope, Filter, FoundContactRecord, HandledContact,
    IdempotencyStore, JobStore, KeyUse, KeyWrite, LegEvidence, PollStaleness, RecordState, Sample, SupervisionStore,
    SupervisionWrite, UnknownLeg,
};
use sidedoor_domain::ports::{Store, Transaction, WrittenRecord};
use sidedoor_domain::supervision::{Channel, Mode, Origin, Requester, State};

use super::history::{main_instance, monitoring, new_id, now, requested, times, user};
use crate::store::sqlite::{SqliteStore, StoreView};

/// Writes every kind of transaction.
pub(super) async fn write_everything(store: &SqliteStore) {
    let (first, mut second) = (monitoring("c-a", "user-1"), requested("c-b", "user-2"));
    let change = |supervision| Transaction {
        supervision: Some(supervision),
        deliver_at: Some(now()),
        ..Transaction::default()
    };
    let key = KeyUse {
        caller: "c".into(),
        key: "k".into(),
        fingerprint: "f".into(),
        claim: "1".into(),
    };
    let mut leaving = first.clone();
    leaving.ask_to_leave(Requester::Supervisor, now(), times());
    leaving.direct_browser(now(), times()).expect("fits");
    let evidence = Evidence {
        source: Source::ContactEvent,
        sighting: Sighting::of_mode(Mode::Silent),
        learnt_at: now(),
        vendor_stamp: None,
        disconnect_reason: None,
        event_id: None,
        carrier: None,
        credential: None,
        authentic: false,
    };
    let leg = LegEvidence {
        instance: main_instance(),
        leg: "l-x".into(),
        evidence,
    };
    let unknown_leg = UnknownLeg {
        instance: main_instance(),
        leg: "l-y".into(),
        due_at: now(),
        looks: 0,
    };
    let stream = ClockId::new("acme", "main", "S", "released");
    let sample = Sample {
        not_before: None,
        asked: None,
        not_after: moment(now()),
        stamp: moment(now()),
        cause: Cause::Command,
    };
    let epoch = ClockEpoch {
        stream: stream.clone(),
        version: 2,
        since: now(),
        corroborated: now(),
        cause: EpochCause::VendorStep,
    };
    let comparison = Comparison {
        supervision: first.id,
        looked_at: now(),
        participant_id: None,
        left_at: None,
        ours_at: now(),
        inside: None,
    };
    let everything = Transaction {
        evidence: vec![leg],
        unknown_legs: vec![unknown_leg.clone()],
        adopted_legs: vec![(main_instance(), unknown_leg.leg.clone())],
        event: Some(("e".into(), now())),
        cursor: Some(("directives announced", 1)),
        poll_staleness: Some(PollStaleness {
            instance: main_instance(),
            measured_at: now(),
            age: SignedDuration::from_secs(3),
        }),
        completeness: Some(Completeness {
            instance: main_instance(),
            since: now(),
            until: now(),
            legs: 1,
            missed: 0,
        }),
        handled_contact: Some(handled()),
        counted_contacts: vec![CountedContact {
            contact: handled(),
            is_supervised: true,
        }],
        contact_records: vec![FoundContactRecord {
            supervision: first.id,
            kind: ContactRecordKind::VoiceCall,
            record_id: "0LQ".into(),
            deliver_at: Some(now()),
        }],
        comparisons: vec![comparison],
        key: Some(KeyWrite::Take(key.clone(), Some(first.id), now())),
        samples: vec![(stream, sample)],
        epochs: vec![epoch],
        due_by: Some(now()),
        audit: vec![AuditEntry::done(now(), "test", AuditAction::SupervisionRequested, "ok").of(first.id)],
        ..change(SupervisionWrite::Insert(Box::new(first.clone())))
    };
    store.transact(everything).await.expect("written");
    store
        .transact(change(SupervisionWrite::Insert(Box::new(second.clone()))))
        .await
        .expect("written");
    store
        .transact(change(SupervisionWrite::Update(Box::new(leaving), 2)))
        .await
        .expect("written");
    second.start_joining(now()).expect("fits");
    store
        .transact(change(SupervisionWrite::Update(Box::new(second.clone()), 1)))
        .await
        .expect("written");
    second
        .fail(OwnJoinFailure::TimedOut.into(), "no answer", now())
        .expect("fits");
    store
        .transact(change(SupervisionWrite::Update(Box::new(second), 2)))
        .await
        .expect("written");
    let mut named = first.clone();
    named.names.is_complete = true;
    store
        .transact(change(SupervisionWrite::Update(Box::new(named), 3)))
        .await
        .expect("written");
    // Old seals, so that the sweep removes their lines, which the test exports.
    for _ in 0..2 {
        let old = now() - SignedDuration::from_hours(24 * 1000);
        let audit_seal = store.next_audit_seal(old, 2).await.expect("read");
        let change = Transaction {
            audit_seal,
            ..Transaction::default()
        };
        store.transact(change).await.expect("written");
    }
    for write in [KeyWrite::Answer(key.clone(), 201, "{}".into()), KeyWrite::Forget(key)] {
        let change = Transaction {
            key: Some(write),
            ..Transaction::default()
        };
        store.transact(change).await.expect("written");
    }
    let recorded = WrittenRecord {
        object_name: "VoiceCallParticipant__c".into(),
        record_id: Some("a".into()),
        created: true,
        newer_kept: false,
    };
    for result in [
        DeliveryOutcome::Again {
            due_at: now(),
            error: "e".into(),
            blame: FailureScope::Row,
        },
        DeliveryOutcome::Dead {
            error: "e".into(),
            answer: None,
        },
        DeliveryOutcome::LookAgain { at: Some(now()) },
        DeliveryOutcome::Written {
            recorded,
            has_departure: true,
            note: None,
            look_again_at: None,
        },
    ] {
        let result = DeliveryResult {
            supervision: first.id,
            version: 1,
            at: now(),
            result,
        };
        let change = Transaction {
            delivery_results: vec![result],
            expedite: Some((first.id, now())),
            replayed: vec![(first.id, now())],
            discarded: vec![first.id],
            ..Transaction::default()
        };
        store.transact(change).await.expect("written");
    }
}

/// Calls every reading method, with each filter alone and with every pair of filters.
/// A contact of a day that every sweep removes.
fn handled() -> HandledContact {
    HandledContact {
        instance: main_instance(),
        contact: ContactId::parse("c-9").expect("an id"),
        ended_at: Timestamp::UNIX_EPOCH,
        key: CoverageKey {
            channel: Channel::Voice,
            queue: None,
            agent: Some(user("agent-1")),
        },
    }
}

pub(super) async fn ask_everything(store: &SqliteStore, view: &StoreView) {
    let legs = [String::from("l-x"), "l-y".into()];
    let (main, contact, since) = (
        main_instance(),
        ContactId::parse("c-1").expect("an id"),
        now() - SignedDuration::from_hours(24),
    );
    let id = new_id();
    let week = CoverageQuestion {
        since: now() - SignedDuration::from_hours(7 * 24),
        until: now(),
        by_queue: true,
        by_agent: true,
    };
    macro_rules! ask {
        ($($question:expr),* $(,)?) => { $( $question.await.expect("answered"); )* };
    }
    ask!(
        store.supervision(id),
        store.by_leg(&main, "l-1"),
        store.active_of(&main, &user("user-1")),
        store.active_on(&main, &contact),
        store.in_states(&[State::Requested, State::Joining], 10),
        store.jobs(None, 10),
        store.idle_legs(None, 10),
        store.newest_moment(),
        store.evidence(&main, "l-x"),
        store.due_unknown_legs(now(), 10),
        store.due_deliveries(now(), 10),
        store.due_delivery_count(now(), 10),
        store.due_contact_records(now(), 10),
        store.delivery(DeliveryId::of(id)),
        store.next_due(),
        store.left_between(since, now(), 10),
        store.unknown_leg_count(&main, 10),
        store.clock_epochs(),
        store.clock_samples(since, 10),
        store.directives_of(&main, &user("user-1"), None, 10),
        store.directives_of(&main, &user("user-1"), Some(1), 10),
        store.last_directive_change(),
        store.directive_changes(1, 10),
        store.before_open_directives(),
        store.cursor("directives announced"),
        store.poll_staleness(&main),
        store.completeness(&main),
        store.coverage(&week, 10),
        store.handled_before(now(), 10),
        store.unnamed(Some(id), 10),
        store.unheard_of(&main, &legs),
        store.due_comparisons(since, now(), since, 10),
        store.over_on(&main, &contact, &user("user-1"), 10),
        store.counts(),
        store.supervisors_since(&main, since, None, 10),
        store.audit_of(id, 10),
        store.unfinished_acts(since, now(), 10),
        store.last_audit_seal(),
        store.key("c", "k"),
        store.keys_of("c"),
        view.comparison(id),
        view.counts(),
    );
    let filters: [fn(&mut Filter); 12] = [
        |_| (),
        |f| f.states = State::ALL.to_vec(),
        |f| f.contact = ContactId::parse("c-1").ok(),
        |f| f.supervisor = UserId::parse("user-1").ok(),
        |f| f.agent = UserId::parse("agent-1").ok(),
        |f| f.instance = InstanceName::parse("main").ok(),
        |f| f.origin = Some(Origin::Observed),
        |f| f.overdue = Some(true),
        |f| f.overdue = Some(false),
        |f| f.since = Some(now()),
        |f| f.until = Some(now()),
        |f| f.before = Some(new_id()),
    ];
    for one in filters {
        for other in filters {
            let mut filter = Filter {
                limit: 10,
                ..Filter::default()
            };
            one(&mut filter);
            other(&mut filter);
            store.list(&filter).await.expect("answered");
        }
    }
    for state in [None, Some(RecordState::Failed), Some(RecordState::Pending)] {
        for since in [None, Some(since)] {
            let filter = DeliveryFilter {
                state,
                since,
                until: since.map(|_| now()),
                before: since.map(|_| id),
                limit: 10,
            };
            store.deliveries(&filter).await.expect("answered");
        }
    }
    let filters: [fn(&mut AuditFilter); 12] = [
        |_| (),
        |f| f.actor = Some("back-end".into()),
        |f| f.action = Some("leg.asked_for".into()),
        |f| f.supervision = Some(new_id()),
        |f| f.request_id = Some("r-1".into()),
        |f| f.phase = Some(Phase::Done),
        |f| f.phase = Some(Phase::Failed),
        |f| f.since = Some(now()),
        |f| f.until = Some(now()),
        |f| f.before = Some(1),
        |f| f.after = Some(1),
        |f| f.oldest_first = true,
    ];
    for one in filters {
        for other in filters {
            let mut filter = AuditFilter {
                limit: 10,
                ..AuditFilter::default()
            };
            one(&mut filter);
            other(&mut filter);
            store.audit_lines(&filter).await.expect("answered");
        }
    }
}
