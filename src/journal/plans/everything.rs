//! Everything that can be written to the journal and asked of it.

use jiff::SignedDuration;

use super::history::{SAMPLE, main_instance, monitoring, now, requested, times, user};
use crate::domain::audit::{AuditEntry, Phase};
use crate::domain::evidence::{Evidence, Sighting, Source};
use crate::domain::ids::{ContactId, DeliveryId, InstanceName, SupervisionId, UserId};
use crate::domain::supervision::{Asker, Mode, Origin, State};
use crate::journal::{JournalView, SqliteJournal};
use crate::ports::journal::{
    AuditFilter, Blame, ClockEpoch, Comparison, Delivered, DeliveryResult, EpochCause, Filter, KeyUse, KeyWrite,
    LegEvidence, RecordingState, RowFilter, Sample, StreamKey, UnexplainedLeg, Write,
};
use crate::ports::{Change, Journal, Recorded};

/// Everything that can be written.
pub(super) async fn write_everything(journal: &SqliteJournal) {
    let (first, mut second) = (monitoring("c-a", "user-1"), requested("c-b", "user-2"));
    let change = |supervision| Change {
        supervision: Some(supervision),
        deliver_at: Some(now()),
        ..Change::default()
    };
    let key = KeyUse {
        caller: "c".into(),
        key: "k".into(),
        fingerprint: "f".into(),
        claim: "1".into(),
    };
    let mut leaving = first.clone();
    leaving.ask_to_leave(Asker::Supervisor, now(), times());
    leaving.direct_browser(now(), times()).expect("fits");
    let evidence = Evidence {
        source: Source::ContactEvent,
        sighting: Sighting::of_mode(Mode::Silent),
        learnt_at: now(),
        vendor_stamp: None,
        disconnect_reason: None,
        event_id: None,
        carrier: None,
    };
    let leg = LegEvidence {
        instance: main_instance(),
        leg: "l-x".into(),
        evidence,
    };
    let unexplained = UnexplainedLeg {
        instance: main_instance(),
        leg: "l-y".into(),
        due_at: now(),
        looks: 0,
    };
    let stream = StreamKey::new("acme", "main", "S", "released");
    let sample: Sample = serde_json::from_str(SAMPLE).expect("a sample");
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
    let everything = Change {
        evidence: vec![leg],
        unexplained: vec![unexplained.clone()],
        explained: vec![(main_instance(), unexplained.leg.clone())],
        event: Some(("e".into(), now())),
        cursor: Some(("directives announced", 1)),
        comparisons: vec![comparison],
        key: Some(KeyWrite::Take(key.clone(), Some(first.id), now())),
        samples: vec![(stream, sample)],
        epochs: vec![epoch],
        audit: vec![AuditEntry::done(now(), "test", "supervision.requested", "ok").of(first.id)],
        ..change(Write::Insert(Box::new(first.clone())))
    };
    journal.commit(everything).await.expect("written");
    journal
        .commit(change(Write::Insert(Box::new(second.clone()))))
        .await
        .expect("written");
    journal
        .commit(change(Write::Update(Box::new(leaving), 1)))
        .await
        .expect("written");
    second.start_joining(now()).expect("fits");
    journal
        .commit(change(Write::Update(Box::new(second), 1)))
        .await
        .expect("written");
    for write in [KeyWrite::Answer(key.clone(), 201, "{}".into()), KeyWrite::Forget(key)] {
        let change = Change {
            key: Some(write),
            ..Change::default()
        };
        journal.commit(change).await.expect("written");
    }
    let recorded = Recorded {
        object_name: "VoiceCallParticipant__c".into(),
        record_id: Some("a".into()),
        created: true,
    };
    for result in [
        Delivered::Again {
            due_at: now(),
            error: "e".into(),
            blame: Blame::Row,
        },
        Delivered::Dead {
            error: "e".into(),
            answer: None,
        },
        Delivered::LookAgain { at: Some(now()) },
        Delivered::Recorded {
            recorded,
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
        let change = Change {
            delivered: vec![result],
            hasten: Some((first.id, now())),
            replayed: vec![(first.id, now())],
            ..Change::default()
        };
        journal.commit(change).await.expect("written");
    }
}

/// Every question with every filter by itself, and some together.
pub(super) async fn ask_everything(journal: &SqliteJournal, view: &JournalView) {
    let (main, contact, since) = (
        main_instance(),
        ContactId::parse("c-1").expect("an id"),
        now() - SignedDuration::from_hours(24),
    );
    let id = SupervisionId::generate();
    macro_rules! ask {
        ($($question:expr),* $(,)?) => { $( $question.await.expect("answered"); )* };
    }
    ask!(
        journal.supervision(id),
        journal.by_leg(&main, "l-1"),
        journal.active_of(&main, &user("user-1")),
        journal.active_on(&main, &contact),
        journal.in_states(&[State::Requested, State::Joining], 10),
        journal.due_checks(now(), 10),
        journal.evidence(&main, "l-x"),
        journal.due_unexplained(now(), 10),
        journal.due_rows(now(), 10),
        journal.due_row_count(now(), 10),
        journal.due_voice_calls(now(), 10),
        journal.row(DeliveryId::generate()),
        journal.next_due(),
        journal.left_since(since, 10),
        journal.clock_epochs(),
        journal.clock_samples(since, 10),
        journal.directives_of(&main, &user("user-1"), None, 10),
        journal.directives_of(&main, &user("user-1"), Some(1), 10),
        journal.last_directive_change(),
        journal.directive_changes(1, 10),
        journal.before_open_directives(),
        journal.cursor("directives announced"),
        journal.due_comparisons(since, now(), since, 10),
        journal.over_on(&main, &contact, &user("user-1"), 10),
        journal.counts(),
        journal.supervisors_since(&main, since, None, 10),
        journal.audit_of(id, 10),
        journal.unfinished_acts(since, now(), 10),
        journal.key("c", "k"),
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
        |f| f.before = Some(SupervisionId::generate()),
    ];
    for one in filters {
        for other in filters {
            let mut filter = Filter {
                limit: 10,
                ..Filter::default()
            };
            one(&mut filter);
            other(&mut filter);
            journal.list(&filter).await.expect("answered");
        }
    }
    for state in [None, Some(RecordingState::Dead), Some(RecordingState::Pending)] {
        for since in [None, Some(since)] {
            let filter = RowFilter {
                state,
                since,
                until: since.map(|_| now()),
                before: since.map(|_| id),
                limit: 10,
            };
            journal.rows(&filter).await.expect("answered");
        }
    }
    let filters: [fn(&mut AuditFilter); 12] = [
        |_| (),
        |f| f.actor = Some("back-end".into()),
        |f| f.action = Some("leg.asked_for".into()),
        |f| f.supervision = Some(SupervisionId::generate()),
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
            journal.audit_lines(&filter).await.expect("answered");
        }
    }
}
