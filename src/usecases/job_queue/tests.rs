//! The order of jobs, and what changes it.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use sidedoor_domain::ids::{ContactId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::supervision::{LeaveTimes, Mode, Requester, Supervision, Supervisor};

use super::*;

/// A clock that a test moves.
#[derive(Default)]
struct Hand(AtomicU64);

impl Hand {
    fn move_on(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(i64::try_from(self.0.load(Ordering::SeqCst)).expect("small"))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn follow_step(&self, _: SignedDuration) -> Option<SignedDuration> {
        None
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + ms).expect("in range")
}

const TIMES: LeaveTimes = LeaveTimes {
    deadline: SignedDuration::from_secs(15),
    directive_ttl: SignedDuration::from_secs(60),
};

fn monitoring(n: u16, next_check_at: Option<i64>) -> StoredSupervision {
    let contact = ContactId::parse(format!("contact-{n}")).expect("an id");
    let supervisor = Supervisor {
        connect_user_id: Some(UserId::parse(format!("user-{n}")).expect("an id")),
        username: None,
        salesforce_user_id: None,
    };
    let main = InstanceName::parse("main").expect("a name");
    let ttl = SignedDuration::from_secs(30);
    let id = SupervisionId::new(at(0), n, 0);
    let mut s = Supervision::request(id, main, contact.clone(), supervisor, Mode::Silent, at(0), ttl);
    s.start_joining(at(0)).expect("fits");
    let leg = LegId::from_monitor_answer(&format!("leg-{n}"), &contact).expect("a leg");
    s.leg_given(leg, at(0), at(0), TIMES).expect("fits");
    s.next_check_at = next_check_at.map(at);
    StoredSupervision {
        supervision: s,
        revision: 1,
        record_sync: None,
    }
}

fn leaving(n: u16, next_check_at: i64) -> StoredSupervision {
    let mut stored = monitoring(n, None);
    stored.supervision.ask_to_leave(Requester::Supervisor, at(0), TIMES);
    stored.supervision.next_check_at = Some(at(next_check_at));
    stored
}

fn queue() -> (JobQueue, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    (JobQueue::new(clock.clone()), clock)
}

fn due(queue: &JobQueue, class: Priority) -> Vec<SupervisionId> {
    let due = queue.due(class, Duration::ZERO, 100);
    due.into_iter().flat_map(|(_, ids)| ids).collect()
}

#[test]
fn requested_leaves_come_before_claims_that_are_due_longer() {
    let (queue, clock) = queue();
    let mut claimed = monitoring(1, Some(10));
    claimed.supervision.watch.claim = Some(sidedoor_domain::confirmation::PendingClaim {
        learnt_at: at(0),
        newest_at: at(0),
        stamp: None,
        source: sidedoor_domain::evidence::Source::ContactEvent,
        asks: 0,
        unanswered_since: at(0),
        contradicted_at: None,
        reported: false,
    });
    let all = [claimed, leaving(2, 30), leaving(3, 20), monitoring(4, Some(5))];
    all.iter().for_each(|stored| queue.note(stored));
    let id = |n: usize| all[n].supervision.id;
    assert_eq!(due(&queue, Priority::Claim), []);
    assert_eq!(queue.next_due_in(), Some(Duration::from_millis(5)));
    clock.move_on(30);
    assert_eq!(due(&queue, Priority::Claim), [id(2), id(1), id(0)]);
    assert_eq!(due(&queue, Priority::IdlePoll), [id(3)]);
    assert_eq!(queue.due(Priority::Claim, Duration::ZERO, 2)[0].1, [id(2), id(1)]);
}

#[test]
fn job_that_changes_nothing_is_done_again_after_a_pause() {
    let (queue, clock) = queue();
    let stored = leaving(1, 10);
    queue.note(&stored);
    clock.move_on(10);
    let id = stored.supervision.id;
    let mut job = queue.start(id).expect("starts");
    assert!(queue.start(id).is_none());
    assert_eq!(due(&queue, Priority::Claim), []);
    job.postpone(Duration::from_millis(300));
    drop(job);
    clock.move_on(299);
    assert_eq!(due(&queue, Priority::Claim), []);
    clock.move_on(1);
    assert_eq!(due(&queue, Priority::Claim), [id]);

    let job = queue.start(id).expect("starts");
    let mut later = leaving(1, 5_000);
    later.revision = 2;
    queue.note(&later);
    drop(job);
    assert_eq!(queue.next_due_in(), Some(Duration::from_millis(5_000 - 310)));
}

#[test]
fn older_revision_changes_no_job() {
    let (queue, clock) = queue();
    let mut newer = leaving(1, 50);
    newer.revision = 3;
    queue.note(&newer);
    queue.note(&leaving(1, 10));
    queue.note(&monitoring(1, None));
    clock.move_on(20);
    assert_eq!(due(&queue, Priority::Claim), []);
    assert!(queue.idle_legs(&newer.supervision.instance).is_empty());
    clock.move_on(30);
    assert_eq!(due(&queue, Priority::Claim), [newer.supervision.id]);
}

#[test]
fn leave_is_overdue_at_its_deadline_while_its_job_runs() {
    let (queue, clock) = queue();
    let stored = leaving(1, 10);
    queue.note(&stored);
    clock.move_on(10);
    let _job = queue.start(stored.supervision.id).expect("starts");
    clock.move_on(14_989);
    assert_eq!(queue.take_overdue(), []);
    assert_eq!(queue.next_due_in(), Some(Duration::from_millis(1)));
    clock.move_on(1);
    assert_eq!(queue.take_overdue(), [stored.supervision.id]);
    assert_eq!(queue.take_overdue(), []);
}

#[test]
fn idle_leg_has_no_job_and_keeps_the_newest_poll() {
    let (queue, _) = queue();
    let idle = monitoring(1, None);
    let (id, main) = (idle.supervision.id, idle.supervision.instance.clone());
    queue.note(&idle);
    let regions = |queue: &JobQueue| queue.idle_legs(&main).into_keys().collect::<Vec<_>>();
    assert_eq!(regions(&queue), [None]);
    let east = sidedoor_domain::ids::RegionName::parse("us-east-1").ok();
    queue.note_region(id, east.as_ref());
    assert_eq!(regions(&queue), [east], "learnt after a restart");
    queue.note_region(id, None);
    assert_eq!(regions(&queue), [None]);
    assert_eq!(queue.next_due_in(), None);
    let answer = |ms| LegAnswer {
        source: sidedoor_domain::evidence::Source::UserData,
        sent_at: at(ms),
        received_at: at(ms),
        finding: sidedoor_domain::confirmation::Finding::Alive,
    };
    assert!(queue.note_polled(id, answer(5)));
    assert!(!queue.note_polled(id, answer(9)));
    assert_eq!(queue.newest_poll(id), Some(answer(9)));
    let mut written = monitoring(1, Some(20));
    written.revision = 2;
    queue.note(&written);
    assert!(queue.idle_legs(&main).is_empty());
    assert_eq!(queue.newest_poll(id), Some(answer(9)), "it is not written yet");
    written.supervision.watch.alive_sent_at = Some(at(9));
    written.revision = 3;
    queue.note(&written);
    assert_eq!(queue.newest_poll(id), None);
}

#[test]
fn doubtful_commit_is_read_again_soon() {
    let (queue, clock) = queue();
    let stored = monitoring(1, None);
    queue.note(&stored);
    queue.doubt(stored.supervision.id, stored.supervision.instance.clone());
    clock.move_on(1_000);
    assert_eq!(due(&queue, Priority::Claim), [stored.supervision.id]);
    queue.note(&stored);
    assert_eq!(due(&queue, Priority::Claim), []);
    assert_eq!(queue.idle_legs(&stored.supervision.instance).len(), 1);
}
