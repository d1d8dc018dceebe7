//! Every read of a store, as text without what the stores name differently.

use std::fmt::Debug;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::Phase;
use sidedoor_domain::ids::DeliveryId;
use sidedoor_domain::ports::Store;
use sidedoor_domain::ports::store::{
    AuditFilter, CoverageQuestion, Delivery, DeliveryFilter, Filter, OrderedDirective, RecordState, StoredSupervision,
};
use sidedoor_domain::supervision::{Origin, State};

use super::comparable_key;
use super::steps::{Subjects, any_instance};
use crate::store::conformance::samples::*;

/// The moments at which the reads ask.
const MOMENTS: [i64; 2] = [5, 100];
/// The limits with which the reads ask.
const LIMITS: [u32; 2] = [2, 100];

/// The reads that were made, each with its question.
#[derive(Default)]
struct Answers(Vec<String>);

impl Answers {
    fn add(&mut self, question: impl Debug, answer: impl Debug) {
        self.0.push(format!("{question:?}: {answer:?}"));
    }
}

/// The stores make the ids of deliveries themselves.
pub(super) fn without_id(mut stored: StoredSupervision) -> StoredSupervision {
    if let Some(sync) = &mut stored.record_sync {
        sync.id = DeliveryId::parse("00000000-0000-0000-0000-000000000000").expect("an id");
    }
    stored
}

fn without_ids(found: Vec<StoredSupervision>) -> Vec<StoredSupervision> {
    found.into_iter().map(without_id).collect()
}

fn of_delivery(delivery: Delivery) -> Delivery {
    Delivery {
        stored: without_id(delivery.stored),
        ..delivery
    }
}

pub(super) async fn read_everything(store: &dyn Store, subjects: &Subjects) -> Vec<String> {
    let mut answers = Answers::default();
    read_single(store, subjects, &mut answers).await;
    read_aggregates(store, &mut answers).await;
    for limit in LIMITS {
        for ms in MOMENTS {
            read_due(store, at(ms), limit, &mut answers).await;
            read_jobs(store, limit, &mut answers).await;
        }
        read_lists(store, limit, subjects, &mut answers).await;
        read_audit(store, limit, subjects, &mut answers).await;
        read_directives(store, limit, &mut answers).await;
    }
    answers.0
}

async fn read_single(store: &dyn Store, subjects: &Subjects, answers: &mut Answers) {
    for id in &subjects.supervisions {
        let found = store.supervision(*id).await.expect("read");
        let delivery = found.as_ref().and_then(|s| s.record_sync.as_ref()).map(|sync| sync.id);
        answers.add(id, found.map(without_id));
        if let Some(delivery) = delivery {
            let found = store.delivery(delivery).await.expect("read");
            answers.add("delivery", found.map(of_delivery));
        }
    }
    for n in 0..8 {
        let found = store.key("c", &n.to_string()).await.expect("read");
        answers.add(("key", n), found.map(|record| comparable_key(record, store)));
    }
    for n in 0..5 {
        let leg = format!("leg-{n}");
        answers.add(&leg, store.evidence(&main_instance(), &leg).await.expect("read"));
        for instance in [main_instance(), other_instance()] {
            let found = store.by_leg(&instance, &leg).await.expect("read");
            answers.add((&instance, &leg), found.map(without_id));
        }
    }
}

async fn read_aggregates(store: &dyn Store, answers: &mut Answers) {
    answers.add("cursor", store.cursor("follower").await.expect("read"));
    answers.add("next_due", store.next_due().await.expect("read"));
    answers.add("counts", store.counts().await.expect("read"));
    answers.add("epochs", store.clock_epochs().await.expect("read"));
    answers.add("last", store.last_directive_change().await.expect("read"));
    for (by_queue, by_agent, most) in [(false, false, 9), (true, true, 9), (false, true, 1)] {
        let question = CoverageQuestion {
            since: at(-86_400_000),
            until: at(86_400_000),
            by_queue,
            by_agent,
        };
        let found = store.coverage(&question, most).await.expect("read");
        answers.add((question, most), found);
    }
    answers.add("open", store.before_open_directives().await.expect("read"));
    for n in 0..2 {
        let instance = any_instance(n);
        for n in 0..4 {
            let user = user(&format!("user-{n}"));
            let found = store.active_of(&instance, &user).await.expect("read");
            answers.add(("active_of", &instance, &user), without_ids(found));
        }
        for n in 0..3 {
            let contact = contact(&format!("contact-{n}"));
            let found = store.active_on(&instance, &contact).await.expect("read");
            answers.add(("active_on", &instance, &contact), without_ids(found));
            for n in 0..4 {
                let user = user(&format!("user-{n}"));
                let found = store.over_on(&instance, &contact, &user, 2).await.expect("read");
                answers.add(("over_on", &instance, &contact, user), found);
            }
        }
    }
}

async fn read_jobs(store: &dyn Store, limit: u32, answers: &mut Answers) {
    answers.add(("jobs", limit), store.jobs(None, limit).await.expect("read"));
    let idle = store.idle_legs(None, limit).await.expect("read");
    answers.add(("idle", limit), &idle);
    let after = idle.first().map(|leg| leg.supervision);
    answers.add(
        ("idle after", limit),
        store.idle_legs(after, limit).await.expect("read"),
    );
    answers.add("newest", store.newest_moment().await.expect("read"));
}

async fn read_due(store: &dyn Store, now: Timestamp, limit: u32, answers: &mut Answers) {
    let mut add = |what: &str, found| answers.add((what, now, limit), without_ids(found));
    add("deliveries", store.due_deliveries(now, limit).await.expect("read"));
    add(
        "voice calls",
        store.due_contact_records(now, limit).await.expect("read"),
    );
    add(
        "left",
        store
            .left_between(now, now + SignedDuration::from_secs(1), limit)
            .await
            .expect("read"),
    );
    let count = store.due_delivery_count(now, limit).await.expect("read");
    answers.add(("count", now, limit), count);
    let legs = store.due_unknown_legs(now, limit).await.expect("read");
    answers.add(("unknown legs", now, limit), legs);
    let handled = store.handled_before(now, limit).await.expect("read");
    answers.add(("handled", now, limit), handled);
    let samples = store.clock_samples(now, limit).await.expect("read");
    answers.add(("samples", now, limit), samples);
    for (since, again) in [(at(0), now), (now, at(100)), (at(2), at(8))] {
        let found = store.due_comparisons(since, at(100), again, limit).await.expect("read");
        let found: Vec<_> = found.into_iter().map(|(s, legs)| (without_id(s), legs)).collect();
        answers.add(("comparisons", since, again, limit), found);
    }
    for instance in [main_instance(), other_instance()] {
        for after in [None, Some(user("user-1"))] {
            // The ids of a sequence begin in its first milliseconds.
            let since = at(now.as_millisecond() % 10);
            let found = store.supervisors_since(&instance, since, after.as_ref(), limit);
            answers.add(
                ("supervisors", &instance, since, &after, limit),
                found.await.expect("read"),
            );
        }
    }
}

async fn read_lists(store: &dyn Store, limit: u32, subjects: &Subjects, answers: &mut Answers) {
    for states in [
        &[State::Requested][..],
        &[State::Monitoring, State::Leaving, State::Left],
        &State::ALL,
        &[],
    ] {
        let found = store.in_states(states, limit).await.expect("read");
        answers.add(("in_states", states, limit), without_ids(found));
    }
    let middle = subjects.supervisions.get(subjects.supervisions.len() / 2).copied();
    let all = Filter {
        limit,
        ..Filter::default()
    };
    let filters = [
        all.clone(),
        Filter {
            states: vec![State::Left, State::Requested],
            ..all.clone()
        },
        Filter {
            states: State::ALL.to_vec(),
            before: middle,
            ..all.clone()
        },
        Filter {
            contact: Some(contact("contact-1")),
            ..all.clone()
        },
        Filter {
            supervisor: Some(user("user-1")),
            overdue: Some(false),
            ..all.clone()
        },
        Filter {
            agent: Some(user("agent-1")),
            states: vec![State::Failed],
            ..all.clone()
        },
        Filter {
            instance: Some(other_instance()),
            ..all.clone()
        },
        Filter {
            origin: Some(Origin::Observed),
            ..all.clone()
        },
        Filter {
            overdue: Some(true),
            ..all.clone()
        },
        Filter {
            since: Some(at(1)),
            until: Some(at(3)),
            ..all
        },
    ];
    for filter in filters {
        let found = store.list(&filter).await.expect("read");
        answers.add(&filter, without_ids(found));
    }
    for state in [
        None,
        Some(RecordState::Pending),
        Some(RecordState::Written),
        Some(RecordState::Failed),
    ] {
        for (since, before) in [(None, None), (Some(at(1)), None), (None, middle)] {
            let filter = DeliveryFilter {
                state,
                since,
                until: since.map(|_| at(3)),
                before,
                limit,
            };
            let found = store.deliveries(&filter).await.expect("read");
            answers.add(&filter, found.into_iter().map(of_delivery).collect::<Vec<_>>());
        }
    }
}

async fn read_audit(store: &dyn Store, limit: u32, subjects: &Subjects, answers: &mut Answers) {
    let first = subjects.supervisions.first().copied();
    if let Some(first) = first {
        answers.add(("audit_of", limit), store.audit_of(first, limit).await.expect("read"));
    }
    let unfinished = store.unfinished_acts(at(2), at(9), limit).await.expect("read");
    answers.add(("unfinished", limit), unfinished);
    let seal = store.next_audit_seal(at(5), limit).await.expect("read");
    answers.add(("next seal", limit), seal);
    let all = AuditFilter {
        limit,
        ..AuditFilter::default()
    };
    let filters = [
        all.clone(),
        AuditFilter {
            oldest_first: true,
            after: Some(3),
            ..all.clone()
        },
        AuditFilter {
            supervision: first,
            ..all.clone()
        },
        AuditFilter {
            request_id: Some("r-1".into()),
            phase: Some(Phase::Begun),
            ..all.clone()
        },
        AuditFilter {
            phase: Some(Phase::Done),
            before: Some(9),
            ..all.clone()
        },
        AuditFilter {
            since: Some(at(3)),
            until: Some(at(8)),
            ..all.clone()
        },
        AuditFilter {
            actor: Some("nobody".into()),
            ..all
        },
    ];
    for filter in filters {
        answers.add(&filter, store.audit_lines(&filter).await.expect("read"));
    }
}

async fn read_directives(store: &dyn Store, limit: u32, answers: &mut Answers) {
    for after in [0, 4] {
        let changes = store.directive_changes(after, limit).await.expect("read");
        answers.add(("changes", after, limit), changes);
    }
    for n in 0..8 {
        let (instance, user) = (any_instance(n / 4), user(&format!("user-{}", n % 4)));
        for after in [None, Some(0), Some(4)] {
            let found = store.directives_of(&instance, &user, after, limit).await.expect("read");
            let readable = |d: OrderedDirective| OrderedDirective {
                stored: without_id(d.stored),
                ..d
            };
            let found: Vec<_> = found.into_iter().map(readable).collect();
            answers.add(("directives", &instance, &user, after, limit), found);
        }
    }
}
