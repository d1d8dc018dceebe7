//! Evaluates evidence: it shows that a leg joined, is alive or has ended. The departure is computed from it, and computed
//! again when more evidence arrives.
//!
//! Evidence is stored by leg, even if no supervision owns the leg yet, because an event may overtake the join answer that
//! names its leg. Either order is safe, because each side writes first and reads afterwards: the join commits its leg and
//! then evaluates the stored evidence; evidence is stored and then matched with the known legs.

use jiff::Timestamp;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::confirmation::{Confirmation, Finding};
use sidedoor_domain::departure::{AliveBy, Continuity, Departure, DropFacts, drop_facts, reason, stamp_is_admitted};
use sidedoor_domain::evidence::{Evidence, Sighting, Source, last_mode};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::moment::timestamp;
use sidedoor_domain::ports::store::{LegEvidence, StoredSupervision, SupervisionWrite, UnknownLeg};
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Transaction};
use sidedoor_domain::supervision::{AliveAgain, Joined, Mode, State, Supervision};
use sidedoor_domain::unusable_event::UnusableEvent;

use crate::usecases::clocks::calibrate::{EventBounds, LearntSamples, VendorStamp, clock_id_of};
use crate::usecases::context::ConflictAttempts;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::contact_events::EventOutcome;
use crate::usecases::evidence::observation::Observation;

/// The most unknown legs of an instance that are looked up. No contact centre starts more at the same time,
/// but a forger may invent more.
pub(crate) const MAX_UNKNOWN_LEGS: u32 = 1000;

impl EvidenceService {
    /// Evaluates the stored evidence of a leg.
    pub(crate) async fn evaluate_stored_evidence(
        &self,
        instance: &InstanceName,
        leg: &str,
    ) -> Result<(), UseCaseError> {
        self.evaluate(instance, leg, Observation::default(), None)
            .await
            .map(|_| ())
    }

    /// Evaluates an observation of a leg together with its stored evidence. `event` is the id of the event's envelope, for
    /// detecting duplicates.
    pub(crate) async fn evaluate(
        &self,
        instance: &InstanceName,
        leg: &str,
        mut observation: Observation,
        mut event: Option<String>,
    ) -> Result<EventOutcome, UseCaseError> {
        let mut learnt = LearntSamples::default();
        let mut attempts = ConflictAttempts::default();
        loop {
            attempts.start_next()?;
            let now = self.ctx.now();
            let Some(stored) = self.ctx.store().by_leg(instance, leg).await? else {
                if observation.evidence.is_empty() {
                    return Ok(EventOutcome::Ignored);
                }
                match self
                    .store_for_unknown_leg(instance, leg, &mut observation, event.take(), now)
                    .await?
                {
                    // A supervision may have obtained the leg while we wrote: read once more, now with nothing new to store.
                    EventOutcome::Accepted if self.ctx.store().by_leg(instance, leg).await?.is_some() => continue,
                    done => return Ok(done),
                }
            };
            let stored = self.ctx.with_newest_poll(stored);
            let StoredSupervision {
                mut supervision,
                revision,
                ..
            } = stored.clone();
            if observation.is_of_another_user(&supervision) {
                tracing::warn!(supervision_id = %supervision.id, "ignoring an agent event that lists the leg of another user's supervision");
                return Ok(EventOutcome::Ignored);
            }
            let known = self.ctx.store().evidence(instance, leg).await?;
            let fresh = observation.fresh_evidence(&supervision, &known, self.ctx.answer_age());
            let all: Vec<Evidence> = known.into_iter().chain(fresh.iter().cloned()).collect();
            let Applied {
                record_due,
                refuted,
                alive_again,
            } = self.apply_evidence(&mut supervision, &all, &observation, now, &mut learnt);
            if supervision == stored.supervision && fresh.is_empty() && event.is_none() && learnt.is_empty() {
                return Ok(EventOutcome::Accepted);
            }
            // The record has the channel.
            let channel_learnt = supervision.channel != stored.supervision.channel;
            let record_due = record_due.or_else(|| channel_learnt.then(|| now + self.ctx.settings.intervals.join_row));
            let id = supervision.id;
            let (before, after) = (stored.supervision.state, supervision.state);
            let conflicts = |s: &Supervision| s.departure.as_ref().is_some_and(|d| d.conflicting);
            let newly_conflicting = conflicts(&supervision) && !conflicts(&stored.supervision);
            let mut change = Transaction {
                evidence: leg_evidence(instance, leg, fresh),
                event: event.clone().map(|id| (id, now)),
                deliver_at: record_due,
                adopted_legs: vec![(instance.clone(), leg.to_owned())],
                ..Transaction::default()
            };
            if before != after && after == State::Left {
                let outcome = supervision.departure.as_ref().map_or_else(String::new, describe);
                change
                    .audit
                    .push(self.ctx.audit_own(AuditAction::SupervisionLeft, id, outcome));
            }
            if alive_again == Some(AliveAgain::Reopened) {
                let outcome = "Amazon Connect twice showed the leg alive after its departure";
                change
                    .audit
                    .push(self.ctx.audit_own(AuditAction::SupervisionReopened, id, outcome));
            }
            for credential in &refuted {
                let outcome = format!("a claim of {credential} that the leg has ended");
                change
                    .audit
                    .push(self.ctx.audit_own(AuditAction::ClaimRefuted, id, outcome));
            }
            learnt.write_with(&mut change);
            let departed = supervision.departure.clone();
            change.supervision = Some(SupervisionWrite::Update(Box::new(supervision), revision));
            match self.ctx.transact(change).await? {
                CommitOutcome::Done(_) => {
                    self.ctx.count_refuted_claims(id, &refuted);
                    if alive_again == Some(AliveAgain::Reopened) {
                        tracing::warn!(supervision_id = %id, "reopened {id}, because Amazon Connect twice showed its leg alive after its departure");
                    }
                    if newly_conflicting {
                        tracing::warn!(supervision_id = %id, "the evidence of {id} contradicts itself; the departure uses only the order of cause and effect");
                    }
                    if let (true, Some(departure)) = (before != after && after == State::Left, &departed) {
                        self.ctx.count(&MetricEvent::Departed(departure));
                    }
                    if record_due.is_some() {
                        self.ctx.signals.deliver.notify_one();
                    }
                    return Ok(EventOutcome::Accepted);
                }
                CommitOutcome::Duplicate => return Ok(EventOutcome::Duplicate),
                _ => {}
            }
        }
    }

    /// Stores evidence of an unknown leg and schedules a lookup of it.
    async fn store_for_unknown_leg(
        &self,
        instance: &InstanceName,
        leg: &str,
        observation: &mut Observation,
        event: Option<String>,
        now: Timestamp,
    ) -> Result<EventOutcome, UseCaseError> {
        let room = self.ctx.store().unknown_leg_count(instance, MAX_UNKNOWN_LEGS).await? < MAX_UNKNOWN_LEGS;
        if !room && self.ctx.store().evidence(instance, leg).await?.is_empty() {
            self.note_unusable(UnusableEvent::TooManyLegs);
            return Ok(EventOutcome::Ignored);
        }
        // A heartbeat repeats the same evidence every two minutes, so only new evidence is stored.
        let known = self.ctx.store().evidence(instance, leg).await?;
        let mut fresh = std::mem::take(&mut observation.evidence);
        fresh.retain(|e| !known.iter().any(|k| k.repeats(e)));
        let change = Transaction {
            evidence: leg_evidence(instance, leg, fresh),
            unknown_legs: vec![UnknownLeg {
                instance: instance.clone(),
                leg: leg.to_owned(),
                due_at: now + self.ctx.settings.intervals.unknown_leg,
                looks: 0,
            }],
            event: event.map(|id| (id, now)),
            ..Transaction::default()
        };
        match self.ctx.transact(change).await? {
            CommitOutcome::Duplicate => Ok(EventOutcome::Duplicate),
            _ => Ok(EventOutcome::Accepted),
        }
    }

    /// Applies an observation and all evidence to a supervision.
    fn apply_evidence(
        &self,
        s: &mut Supervision,
        all: &[Evidence],
        observation: &Observation,
        now: Timestamp,
        learnt: &mut LearntSamples,
    ) -> Applied {
        let age = self.ctx.answer_age();
        let mut applied = Applied::default();
        s.channel = s.channel.or(observation.channel);
        if let Some(answer) = &observation.answer {
            let is_reported = |s: &Supervision| s.watch.claim.is_some_and(|claim| claim.reported);
            let was_reported = is_reported(s);
            applied.refuted = s.note_answer(answer, all, age);
            if was_reported && !is_reported(s) {
                // The record shows the claimed time, which is refuted.
                applied.record_due = Some(now);
            }
            if s.state == State::Left && answer.source == Source::DescribeContact && answer.finding == Finding::Alive {
                applied.alive_again = s.note_alive_again(answer, age, self.ctx.leave_times()).ok();
                match applied.alive_again {
                    Some(AliveAgain::AskAgainAt(at)) => s.next_check_at = Some(at),
                    Some(AliveAgain::Reopened) => {
                        s.next_check_at = Some(now);
                        applied.record_due = Some(now);
                    }
                    Some(AliveAgain::Conflicting) => applied.record_due = Some(now),
                    _ => {}
                }
            }
        }
        let claimed = s.watch.claim.map(|claim| claim.newest_at);
        s.note_claims(all, now);
        if s.watch.claim.map(|claim| claim.newest_at) != claimed {
            s.next_check_at = s.next_ask(age, now).or(s.next_check_at);
        }
        for (sighting, field) in [(Sighting::Exists, "initiated"), (Sighting::Joined, "connected")] {
            for evidence in all
                .iter()
                .filter(|e| e.sighting == sighting && stamp_is_admitted(s, e, all))
            {
                self.clocks.learn_from_join(s, evidence, field, learnt);
            }
        }
        let record_at_join = now + self.ctx.settings.intervals.join_row;
        if let Some(joined) = self.joined(s, all)
            && s.note_joined(joined)
        {
            applied.record_due = Some(record_at_join);
        }
        let had_barged = s.has_barged;
        self.apply_mode(s, all, observation, now);
        if s.has_barged != had_barged {
            applied.record_due = applied.record_due.or(Some(record_at_join));
        }
        let was = s.state;
        let departure = match drop_facts(s, all) {
            Some(facts) => {
                self.clocks.learn_from_drop(s, &facts, learnt);
                // Only new facts change a departure here; a better calibration is handled by `clocks::recalibrate`.
                let known = s.departure.as_ref().is_some_and(|d| rests_on(d, &facts));
                (!known).then(|| self.departure_of(s, &facts))
            }
            None if was != State::Left && s.is_missing(now) => Some(self.departure_of_missing(s, now)),
            None => None,
        };
        match departure.map(|departure| s.conclude(departure)) {
            Some(Ok(true)) if was != State::Left => {
                // The after-check is due now; the record waits briefly, so that one write contains both.
                s.next_check_at = Some(now);
                applied.record_due = Some(now + self.ctx.settings.after_check_grace);
            }
            Some(Ok(true)) => applied.record_due = Some(now),
            _ => {}
        }
        applied
    }

    /// The newest observation decides the mode; older stored evidence counts only while no mode is known. A claim never shows more
    /// than what the supervisor was allowed.
    fn apply_mode(&self, s: &mut Supervision, all: &[Evidence], observation: &Observation, now: Timestamp) {
        // It is not known what a supervisor may do who began to listen elsewhere.
        let allowed = s.allowed.unwrap_or(Mode::Silent);
        let believed = move |mode: Mode, is_answer: bool| is_answer || mode <= allowed;
        let asked = observation.answer.is_some();
        if observation.mode.is_some_and(|(mode, _)| !believed(mode, asked)) && !s.state.is_final() {
            // DescribeContact shows the mode.
            s.next_check_at = Some(now);
            s.checks = 0;
        }
        let seen_at = observation.alive_at(self.ctx.answer_age());
        match observation.mode.filter(|(mode, _)| believed(*mode, asked)) {
            Some(mode) => s.note_mode(mode, seen_at, now),
            None if s.mode_since.is_none() => {
                let shown = all
                    .iter()
                    .filter(|e| e.sighting.mode().is_some_and(|mode| believed(mode, e.is_answer())));
                let shown: Vec<Evidence> = shown.cloned().collect();
                last_mode(&shown)
                    .into_iter()
                    .for_each(|mode| s.note_mode(mode, None, now));
            }
            None => {}
        }
        s.has_barged |= all
            .iter()
            .any(|e| e.sighting == Sighting::Barged && believed(Mode::Barge, e.is_answer()));
    }

    fn joined(&self, s: &Supervision, all: &[Evidence]) -> Option<Joined> {
        let first = all
            .iter()
            .filter(|e| e.sighting == Sighting::Joined)
            .min_by_key(|e| e.learnt_at)?;
        let sent = s.leg_begun_after().map(|t| (t, AliveBy::Join));
        let stamps: Vec<VendorStamp> = first
            .vendor_stamp
            .map(|at| stamp(s, first, at, "connected"))
            .into_iter()
            .collect();
        let bounds = EventBounds {
            alive: sent,
            asked: None,
            gone_by: first.learnt_at,
        };
        let (estimate, _) = self.clocks.estimate_instant(bounds, &stamps, AliveBy::Join);
        Some(Joined {
            at: timestamp(estimate.point),
            uncertainty_ms: estimate.uncertainty_ms,
            vendor_stamp: first.vendor_stamp,
        })
    }

    /// The departure that follows from the facts and the present calibration of the clocks.
    pub(crate) fn departure_of(&self, s: &Supervision, facts: &DropFacts) -> Departure {
        let stamps: Vec<VendorStamp> = facts
            .stamps
            .iter()
            .filter_map(|e| e.vendor_stamp.map(|at| stamp(s, e, at, "disconnected")))
            .collect();
        let vendor_timestamp = stamps.first().map(|s| s.at);
        // Only the browser's DONE proves that the drop followed our command.
        let bounds = EventBounds {
            alive: facts.alive,
            asked: facts.asked,
            gone_by: facts.gone_by,
        };
        let (estimate, basis) = self.clocks.estimate_instant(bounds, &stamps, AliveBy::Browser);
        Departure {
            disconnected_at: timestamp(estimate.point),
            uncertainty_ms: estimate.uncertainty_ms,
            earliest: estimate.earliest.map(timestamp),
            latest: timestamp(estimate.latest),
            vendor_timestamp,
            source: facts.source,
            confirmation: facts.confirmation,
            reason: reason(s, facts.vendor_reason.as_deref()),
            continuity: Continuity::Unknown,
            agent_after: None,
            grade: estimate.grade,
            offset_ms: estimate.offset_ms,
            calibration_version: estimate.version,
            conflicting: estimate.conflicting,
            basis,
        }
    }

    /// The departure of a leg that two sources have missed for long: it has ended, and nothing shows when.
    fn departure_of_missing(&self, s: &Supervision, now: Timestamp) -> Departure {
        let gone_by = s.watch.not_found.map_or(now, |(since, _)| since);
        let facts = DropFacts {
            asked: None,
            confirmation: Confirmation::VendorAsked,
            alive: None,
            gone_by,
            source: Source::DescribeContact,
            stamps: Vec::new(),
            vendor_reason: None,
        };
        self.departure_of(s, &facts)
    }
}

/// What follows from an observation.
#[derive(Default)]
struct Applied {
    /// When the Salesforce record is due, if it changed.
    record_due: Option<Timestamp>,
    /// The credentials whose claims are refuted.
    refuted: Vec<String>,
    /// What follows for a supervision that was LEFT.
    alive_again: Option<AliveAgain>,
}

/// Whether a departure was computed from exactly these facts.
fn rests_on(departure: &Departure, facts: &DropFacts) -> bool {
    let basis = &departure.basis;
    departure.confirmation == facts.confirmation
        && basis.alive_at == facts.alive.map(|(t, _)| t)
        && basis.gone_by == Some(facts.gone_by)
        && basis.stamps.len() == facts.stamps.len()
        && basis
            .stamps
            .iter()
            .zip(&facts.stamps)
            .all(|(a, b)| Some(a.at) == b.vendor_stamp)
}

fn stamp(s: &Supervision, evidence: &Evidence, at: Timestamp, field: &str) -> VendorStamp {
    VendorStamp {
        clock: clock_id_of(s, evidence, field),
        at,
        learnt_at: evidence.learnt_at,
    }
}

fn leg_evidence(instance: &InstanceName, leg: &str, evidence: Vec<Evidence>) -> Vec<LegEvidence> {
    let one = |evidence| LegEvidence {
        instance: instance.clone(),
        leg: leg.to_owned(),
        evidence,
    };
    evidence.into_iter().map(one).collect()
}

/// A departure in one line, for the audit.
fn describe(d: &Departure) -> String {
    let within = d
        .uncertainty_ms
        .map_or_else(|| "unbounded".to_owned(), |ms| format!("± {ms} ms"));
    format!(
        "{} {within}, {} by {}, {}",
        d.disconnected_at,
        d.reason.as_str(),
        d.source.as_str(),
        d.grade.as_str()
    )
}
