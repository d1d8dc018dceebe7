//! Random transactions. All names and times are from small sets, so that supervisions, legs, keys and times often meet.

use clock_calibration::Cause;
use jiff::Timestamp;
use proptest::prelude::*;
use sidedoor_domain::audit::{AuditEntry, Phase};
use sidedoor_domain::directive::{AckOutcome, Acknowledgement, Directive, DirectiveKind};
use sidedoor_domain::ids::{DirectiveId, InstanceName, SupervisionId};
use sidedoor_domain::moment::moment;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::store::{
    ClockEpoch, ClockId, Comparison, CountedContact, DeliveryOutcome, DeliveryResult, EpochCause, FailureScope,
    FoundContactRecord, KeyUse, KeyWrite, LegEvidence, Retention, Sample, SupervisionWrite, UnknownLeg,
};
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_domain::supervision::{Channel, Failure, Origin, State, Supervision};

use crate::store::conformance::samples::*;

/// One step of a sequence.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Transact(Vec<Part>),
    Later(Vec<Part>),
    Sweep(Retention),
    Restart,
}

/// A part of a transaction. Numbers choose from the small sets; a moment is in microseconds, because the stores keep whole milliseconds.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Insert(usize, usize, Vec<Change>),
    /// The n-th supervision, from an old revision or from the newest.
    Update(usize, bool, Vec<Change>),
    Evidence(usize, i64),
    DeliverAt(i64),
    Expedite(usize, i64),
    Delivered(usize, u32, usize, i64),
    Cursor(i64),
    Compared(usize, i64, bool),
    Handled(usize, usize, i64),
    Counted(usize, bool),
    ContactRecordFound(usize, Option<i64>),
    Replay(usize, i64),
    Unknown(usize, i64, u32),
    Adopt(usize),
    Event(usize, i64),
    Take(usize, usize, Option<usize>, i64),
    Answer(usize, usize),
    Forget(usize, usize),
    Sampled(usize, i64),
    Epoch(usize, u32, i64),
    Audit(usize, usize, Option<usize>, i64),
}

/// A change of one supervision. It need not be a change that the state machine makes, because the store must not rely on that.
#[derive(Debug, Clone)]
pub(super) enum Change {
    State(State),
    Leg(usize),
    Channel(Option<Channel>),
    Waits(bool),
    Check(Option<i64>),
    Overdue(bool),
    Agent(usize),
    VoiceCall,
    Depart(i64),
    Fail(i64),
    Observed,
    Elsewhere,
    Nobody,
    Direct,
    Acknowledge(usize),
    Withdraw(usize),
}

fn micros(us: i64) -> Timestamp {
    Timestamp::from_microsecond(at(0).as_microsecond() + us).expect("in range")
}

fn time() -> impl Strategy<Value = i64> + Clone {
    0..12_000_i64
}

fn change() -> impl Strategy<Value = Change> {
    let channel = prop::sample::select(vec![None, Some(Channel::Voice), Some(Channel::Chat)]);
    prop_oneof![
        3 => prop::sample::select(State::ALL.to_vec()).prop_map(Change::State),
        3 => (0..5_usize).prop_map(Change::Leg),
        3 => channel.prop_map(Change::Channel),
        2 => any::<bool>().prop_map(Change::Waits),
        2 => prop::option::of(time()).prop_map(Change::Check),
        1 => any::<bool>().prop_map(Change::Overdue),
        1 => (0..2_usize).prop_map(Change::Agent),
        2 => Just(Change::VoiceCall),
        3 => time().prop_map(Change::Depart),
        2 => time().prop_map(Change::Fail),
        1 => Just(Change::Observed),
        1 => Just(Change::Elsewhere),
        1 => Just(Change::Nobody),
        3 => Just(Change::Direct),
        2 => (0..3_usize).prop_map(Change::Acknowledge),
        2 => (0..3_usize).prop_map(Change::Withdraw),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let changes = || prop::collection::vec(change(), 0..4);
    let of = || 0..10_usize;
    prop_oneof![
        10 => (0..4_usize, 0..3_usize, changes()).prop_map(|(u, c, changes)| Part::Insert(u, c, changes)),
        12 => (of(), prop::bool::weighted(0.1), changes()).prop_map(|(n, old, changes)| Part::Update(n, old, changes)),
        2 => (0..5_usize, time()).prop_map(|(leg, at)| Part::Evidence(leg, at)),
        8 => time().prop_map(Part::DeliverAt),
        2 => (of(), time()).prop_map(|(n, at)| Part::Expedite(n, at)),
        8 => (of(), 1..4_u32, 0..7_usize, time()).prop_map(|(n, v, how, at)| Part::Delivered(n, v, how, at)),
        1 => (0..9_i64).prop_map(Part::Cursor),
        3 => (of(), time(), any::<bool>()).prop_map(|(n, at, found)| Part::Compared(n, at, found)),
        3 => (0..3_usize, 0..2_usize, time()).prop_map(|(n, agent, at)| Part::Handled(n, agent, at)),
        2 => (0..3_usize, any::<bool>()).prop_map(|(n, supervised)| Part::Counted(n, supervised)),
        2 => (of(), prop::option::of(time())).prop_map(|(n, at)| Part::ContactRecordFound(n, at)),
        2 => (of(), time()).prop_map(|(n, at)| Part::Replay(n, at)),
        2 => (0..5_usize, time(), 0..3_u32).prop_map(|(leg, at, looks)| Part::Unknown(leg, at, looks)),
        1 => (0..5_usize).prop_map(Part::Adopt),
        2 => (0..30_usize, time()).prop_map(|(event, at)| Part::Event(event, at)),
        2 => (0..8_usize, 0..2_usize, prop::option::of(of()), time()).prop_map(|(k, f, of, at)| Part::Take(k, f, of, at)),
        2 => (0..8_usize, 0..2_usize).prop_map(|(k, claim)| Part::Answer(k, claim)),
        1 => (0..8_usize, 0..2_usize).prop_map(|(k, claim)| Part::Forget(k, claim)),
        2 => (0..3_usize, time()).prop_map(|(clock, at)| Part::Sampled(clock, at)),
        2 => (0..3_usize, 2..5_u32, time()).prop_map(|(clock, v, at)| Part::Epoch(clock, v, at)),
        3 => (0..4_usize, 0..3_usize, prop::option::of(of()), time()).prop_map(|(p, o, of, at)| Part::Audit(p, o, of, at)),
    ]
}

fn retention() -> impl Strategy<Value = Retention> {
    let before = || (-4_000..12_000_i64).prop_map(micros);
    (before(), before(), before(), any::<bool>()).prop_map(|(keys, evidence, supervisions, unsent_too)| Retention {
        keys_before: keys,
        evidence_before: evidence,
        supervisions_before: supervisions,
        coverage_before: supervisions,
        unsent_too,
        audit_before: None,
    })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let parts = || prop::collection::vec(part(), 1..5);
    prop_oneof![
        30 => parts().prop_map(Step::Transact),
        8 => parts().prop_map(Step::Later),
        2 => retention().prop_map(Step::Sweep),
        1 => Just(Step::Restart),
    ]
}

/// What a sequence has made so far.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    /// The ids of inserted supervisions, including refused ones.
    pub(super) supervisions: Vec<SupervisionId>,
}

pub(super) fn any_instance(n: usize) -> InstanceName {
    if n == 0 { main_instance() } else { other_instance() }
}

fn clock(n: usize) -> ClockId {
    ClockId::new("acme", ["main", "other"][n % 2], ["A", "B", "C"][n], "released")
}

fn key_use(n: usize, fingerprint: usize, claim: usize) -> KeyUse {
    KeyUse {
        claim: claim.to_string(),
        ..key(&n.to_string(), &fingerprint.to_string())
    }
}

impl Subjects {
    fn get(&self, n: usize) -> SupervisionId {
        let known = self.supervisions.get(n % self.supervisions.len().max(1));
        known.copied().unwrap_or_else(|| id_at(0, 0))
    }

    /// The transaction of these parts; `store` has the supervisions to change.
    pub(super) async fn transaction(&mut self, parts: &[Part], store: &dyn Store) -> Transaction {
        let mut change = Transaction::default();
        for part in parts {
            match part {
                Part::Insert(user, contact, changes) => {
                    let mut s = requested(&spelt(*contact, *user), &format!("user-{user}"));
                    let n = u16::try_from(self.supervisions.len()).expect("few");
                    // Later supervisions do not always have later ids.
                    s.id = id_at(i64::from(n / 3), u16::MAX - n);
                    self.supervisions.push(s.id);
                    self.apply(&mut s, changes);
                    // The origin and the instance of a supervision never change, so that only a new one gets others.
                    if changes.iter().any(|change| matches!(change, Change::Observed)) {
                        s.origin = Origin::Observed;
                    }
                    if changes.iter().any(|change| matches!(change, Change::Elsewhere)) {
                        s.instance = other_instance();
                    }
                    change.supervision = Some(SupervisionWrite::Insert(Box::new(s)));
                }
                Part::Update(n, old, changes) => {
                    if let Some(stored) = store.supervision(self.get(*n)).await.expect("read") {
                        let mut s = stored.supervision;
                        self.apply(&mut s, changes);
                        let revision = stored.revision - i64::from(*old);
                        change.supervision = Some(SupervisionWrite::Update(Box::new(s), revision));
                    }
                }
                other => self.write_part(&mut change, other),
            }
        }
        change
    }

    fn write_part(&self, change: &mut Transaction, part: &Part) {
        match part {
            Part::Insert(..) | Part::Update(..) => {}
            Part::Evidence(leg, at) => change.evidence.push(LegEvidence {
                instance: main_instance(),
                leg: format!("leg-{leg}"),
                evidence: evidence(micros(*at)),
            }),
            Part::DeliverAt(at) => change.deliver_at = Some(micros(*at)),
            Part::Expedite(n, at) => change.expedite = Some((self.get(*n), micros(*at))),
            Part::Delivered(n, version, how, at) => change.delivery_results.push(DeliveryResult {
                supervision: self.get(*n),
                version: *version,
                at: micros(*at),
                result: delivered(*how, micros(*at / 2)),
            }),
            Part::Cursor(seq) => change.cursor = Some(("follower", *seq)),
            Part::Compared(n, at, found) => change.comparisons.push(Comparison {
                supervision: self.get(*n),
                looked_at: micros(*at),
                participant_id: found.then(|| "0LR".into()),
                left_at: found.then(|| micros(*at)),
                ours_at: micros(*at),
                inside: found.then_some(true),
            }),
            Part::Handled(n, agent, at) => change.handled_contact = Some(handled(*n, *agent, micros(*at))),
            Part::Counted(n, is_supervised) => change.counted_contacts.push(CountedContact {
                contact: handled(*n, 0, micros(0)),
                is_supervised: *is_supervised,
            }),
            Part::ContactRecordFound(n, at) => change.contact_records.push(FoundContactRecord {
                supervision: self.get(*n),
                kind: [ContactRecordKind::VoiceCall, ContactRecordKind::MessagingSession][n % 2],
                record_id: "0LQfound".into(),
                deliver_at: at.map(micros),
            }),
            Part::Replay(n, at) => change.replayed.push((self.get(*n), micros(*at))),
            Part::Unknown(leg, at, looks) => change.unknown_legs.push(UnknownLeg {
                instance: main_instance(),
                leg: format!("leg-{leg}"),
                due_at: micros(*at),
                looks: *looks,
            }),
            Part::Adopt(leg) => change.adopted_legs.push((main_instance(), format!("leg-{leg}"))),
            Part::Event(event, at) => change.event = Some((format!("e-{event}"), micros(*at))),
            Part::Take(n, fingerprint, of, at) => {
                let of = of.map(|n| self.get(n));
                change.key = Some(KeyWrite::Take(key_use(*n, *fingerprint, *fingerprint), of, micros(*at)));
            }
            Part::Answer(n, claim) => {
                change.key = Some(KeyWrite::Answer(key_use(*n, 0, *claim), 201, format!("{{{claim}}}")));
            }
            Part::Forget(n, claim) => change.key = Some(KeyWrite::Forget(key_use(*n, 0, *claim))),
            Part::Sampled(n, at) => {
                let sample = Sample {
                    not_before: None,
                    asked: None,
                    not_after: moment(micros(*at)),
                    stamp: moment(micros(*at / 3)),
                    cause: Cause::Spontaneous,
                };
                change.samples.push((clock(*n), sample));
            }
            Part::Epoch(n, version, at) => change.epochs.push(ClockEpoch {
                stream: clock(*n),
                version: *version,
                since: micros(*at),
                corroborated: micros(*at / 2),
                cause: EpochCause::VendorStep,
            }),
            Part::Audit(phase, operation, of, at) => {
                let entry = AuditEntry {
                    at: micros(*at),
                    ..audit(0)
                };
                let mut entry = entry.in_phase(Phase::ALL[*phase], format!("operation-{operation}"));
                entry.operation = entry.operation.filter(|_| *operation > 0);
                entry.request_id = (*operation > 1).then(|| "r-1".into());
                entry.supervision = of.map(|n| self.get(n));
                change.audit.push(entry);
            }
        }
    }

    fn apply(&self, s: &mut Supervision, changes: &[Change]) {
        for change in changes {
            self.apply_one(s, change);
        }
    }

    fn apply_one(&self, s: &mut Supervision, change: &Change) {
        match change {
            Change::State(state) => s.state = *state,
            Change::Leg(n) => s.leg = Some(leg(&format!("leg-{n}"))),
            Change::Channel(channel) => s.channel = *channel,
            Change::Waits(waits) => s.waits_for = waits.then(|| self.get(0)),
            Change::Check(at) => s.next_check_at = at.map(micros),
            Change::Overdue(overdue) => s.overdue = *overdue,
            Change::Agent(n) => s.agent = Some(user(&format!("agent-{n}"))),
            Change::VoiceCall => s.voice_call_id = Some("0LQ".into()),
            Change::Depart(at) => (s.state, s.departure) = (State::Left, Some(departure(micros(*at)))),
            Change::Fail(at) => {
                s.state = State::Failed;
                s.failure = Some(Failure {
                    code: "TIMED_OUT".into(),
                    detail: "too late".into(),
                    at: micros(*at),
                });
            }
            Change::Observed | Change::Elsewhere => {}
            Change::Nobody => s.supervisor.connect_user_id = None,
            Change::Direct => s.directives.push(Directive {
                id: DirectiveId::next(s.id, s.directives.last().map(|d| d.id), at(0)),
                kind: DirectiveKind::EndLegInCcp,
                issued_at: at(0),
                expires_at: at(1000),
                customer_call_may_end: false,
                answer: None,
                withdrawn: false,
            }),
            Change::Acknowledge(n) => {
                if let Some(directive) = s.directives.get_mut(*n) {
                    directive.answer = Some(Acknowledgement {
                        outcome: AckOutcome::Done,
                        at: None,
                        received_at: at(0),
                        detail: None,
                        credential: None,
                    });
                }
            }
            Change::Withdraw(n) => {
                if let Some(directive) = s.directives.get_mut(*n) {
                    directive.withdrawn = true;
                }
            }
        }
    }
}

fn delivered(how: usize, at: Timestamp) -> DeliveryOutcome {
    let again = |blame| DeliveryOutcome::Again {
        due_at: at,
        error: "no".into(),
        blame,
    };
    match how {
        0 => written(None),
        1 => written(Some(at)),
        2 => again(FailureScope::Crm),
        3 => again(FailureScope::Open),
        4 => again(FailureScope::Row),
        5 => DeliveryOutcome::LookAgain { at: Some(at) },
        _ => DeliveryOutcome::Dead {
            error: "rejected".into(),
            answer: Some("[]".into()),
        },
    }
}

/// The id of a contact. Every other user spells it in capitals, which makes no difference.
fn spelt(contact: usize, user: usize) -> String {
    let id = format!("contact-{contact}");
    if user % 2 == 1 { id.to_ascii_uppercase() } else { id }
}
