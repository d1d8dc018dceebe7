//! Evaluates evidence: it shows that a leg joined, is alive or has ended. The departure is computed from it, and computed
//! again when more evidence arrives.
//!
//! Evidence is stored by leg, even if no supervision owns the leg yet, because an event may overtake the join answer that
//! names its leg. Either order is safe, because each side writes first and reads afterwards: the join commits its leg and
//! then evaluates the stored evidence; evidence is stored and then matched with the known legs.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::agent_event::LegSeen;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::contact_event::ContactEvent;
use sidedoor_domain::departure::{AliveBy, Continuity, Departure, DropFacts, drop_facts, reason};
use sidedoor_domain::evidence::{Evidence, Sighting, Source, last_mode};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::interlock::ContactSeen;
use sidedoor_domain::moment::timestamp;
use sidedoor_domain::ports::store::{LegEvidence, StoredSupervision, SupervisionWrite, UnknownLeg};
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Transaction};
use sidedoor_domain::supervision::{Channel, Joined, Mode, State, Supervision};

use crate::usecases::clocks::calibrate::{LearntSamples, VendorStamp, clock_id_of};
use crate::usecases::context::ConflictAttempts;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::contact_events::EventOutcome;

/// What one event or answer says about one leg.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observation {
    /// The evidence to store.
    pub(crate) evidence: Vec<Evidence>,
    /// A moment at which the leg was certainly alive, with the staleness subtracted.
    pub(crate) alive_at: Option<Timestamp>,
    /// The channel of the leg.
    pub(crate) channel: Option<Channel>,
    /// The supervisor's mode, and since when on the vendor's clock.
    pub(crate) mode: Option<(Mode, Option<Timestamp>)>,
}

impl Observation {
    /// What a contact event says.
    pub(super) fn of_event(event: &ContactEvent, learnt_at: Timestamp) -> Self {
        let sighting = |sighting, vendor_stamp, disconnect_reason| Evidence {
            source: Source::ContactEvent,
            sighting,
            learnt_at,
            vendor_stamp,
            disconnect_reason,
            event_id: event.id.clone(),
            carrier: None,
        };
        let mut evidence = vec![sighting(Sighting::Exists, event.initiated_at, None)];
        if event.is_connection() {
            evidence.push(sighting(Sighting::Joined, event.connected_at, None));
        }
        if event.is_end() {
            evidence.push(sighting(
                Sighting::Dropped,
                event.disconnected_at,
                event.disconnect_reason.clone(),
            ));
        }
        Self {
            evidence,
            alive_at: None,
            channel: event.channel,
            mode: None,
        }
    }

    /// What a supervisor's own snapshot says.
    pub(super) fn of_agent_event(seen: &LegSeen, event_id: Option<&String>, learnt_at: Timestamp) -> Self {
        let sighting = |(sighting, vendor_stamp): &(Sighting, Option<Timestamp>)| Evidence {
            source: Source::AgentEvent,
            sighting: *sighting,
            learnt_at,
            vendor_stamp: *vendor_stamp,
            disconnect_reason: None,
            event_id: event_id.cloned(),
            carrier: None,
        };
        Self {
            evidence: seen.sightings.iter().map(sighting).collect(),
            alive_at: None,
            channel: seen.channel,
            mode: seen.sightings.iter().find_map(|(s, since)| Some((s.mode()?, *since))),
        }
    }

    /// What a DescribeContact of the leg says. It was sent at `asked_at`; the data of the answer may be `staleness` old.
    pub(crate) fn of_description(
        seen: &ContactSeen,
        asked_at: Timestamp,
        learnt_at: Timestamp,
        staleness: SignedDuration,
    ) -> Self {
        let sighting = |sighting, vendor_stamp, disconnect_reason| Evidence {
            source: Source::DescribeContact,
            sighting,
            learnt_at,
            vendor_stamp,
            disconnect_reason,
            event_id: None,
            carrier: None,
        };
        let mut evidence = Vec::new();
        if seen.initiated_at.is_some() {
            evidence.push(sighting(Sighting::Exists, seen.initiated_at, None));
        }
        if seen.connected_at.is_some() {
            evidence.push(sighting(Sighting::Joined, seen.connected_at, None));
        }
        for (mode, since) in &seen.modes {
            evidence.push(sighting(Sighting::of_mode(*mode), *since, None));
        }
        if seen.disconnected_at.is_some() {
            evidence.push(sighting(
                Sighting::Dropped,
                seen.disconnected_at,
                seen.disconnect_reason.clone(),
            ));
        }
        let alive_at = seen.disconnected_at.is_none().then(|| asked_at - staleness);
        Self {
            evidence,
            alive_at,
            channel: seen.channel,
            mode: seen.mode,
        }
    }
}

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
            let known = self.ctx.store().evidence(instance, leg).await?;
            let fresh: Vec<Evidence> = observation
                .evidence
                .iter()
                .filter(|e| !known.iter().any(|k| k.repeats(e)))
                .cloned()
                .collect();
            let all: Vec<Evidence> = known.into_iter().chain(fresh.iter().cloned()).collect();
            let StoredSupervision {
                mut supervision,
                revision,
                ..
            } = stored.clone();
            let record_due = self.apply_evidence(&mut supervision, &all, &observation, now, &mut learnt);
            if supervision == stored.supervision && fresh.is_empty() && event.is_none() && learnt.is_empty() {
                return Ok(EventOutcome::Accepted);
            }
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
            if before != after {
                let outcome = supervision.departure.as_ref().map_or_else(String::new, describe);
                change
                    .audit
                    .push(self.ctx.audit_own(AuditAction::SupervisionLeft, id, outcome));
            }
            learnt.write_with(&mut change);
            let departed = supervision.departure.clone();
            change.supervision = Some(SupervisionWrite::Update(Box::new(supervision), revision));
            match self.ctx.store().transact(change).await? {
                CommitOutcome::Done => {
                    self.ctx.signals.check.notify_one();
                    if newly_conflicting {
                        tracing::warn!(supervision_id = %id, "the evidence of {id} contradicts itself; the departure uses only the order of cause and effect");
                    }
                    if let (false, Some(departure)) = (before == after, &departed) {
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
        match self.ctx.store().transact(change).await? {
            CommitOutcome::Duplicate => Ok(EventOutcome::Duplicate),
            _ => {
                self.ctx.signals.check.notify_one();
                Ok(EventOutcome::Accepted)
            }
        }
    }

    /// Applies all evidence to a supervision. Returns when its Salesforce record is due, if the record changed.
    fn apply_evidence(
        &self,
        s: &mut Supervision,
        all: &[Evidence],
        observation: &Observation,
        now: Timestamp,
        learnt: &mut LearntSamples,
    ) -> Option<Timestamp> {
        let mut record_due = None;
        s.channel = s.channel.or(observation.channel);
        if let Some(alive_at) = observation.alive_at {
            s.note_alive(alive_at);
        }
        for (sighting, field) in [(Sighting::Exists, "initiated"), (Sighting::Joined, "connected")] {
            for evidence in all.iter().filter(|e| e.sighting == sighting) {
                self.clocks.learn_from_join(s, evidence, field, learnt);
            }
        }
        if let Some(joined) = self.joined(s, all)
            && s.note_joined(joined)
        {
            record_due = Some(now + self.ctx.settings.intervals.join_row);
        }
        let had_barged = s.has_barged;
        // The newest observation decides the mode; older stored evidence counts only while no mode is known.
        match observation.mode {
            Some(mode) => s.note_mode(mode, observation.alive_at, now),
            None if s.mode_since.is_none() => last_mode(all).into_iter().for_each(|mode| s.note_mode(mode, None, now)),
            None => {}
        }
        s.has_barged |= all.iter().any(|e| e.sighting == Sighting::Barged);
        if s.has_barged != had_barged {
            record_due = record_due.or(Some(now + self.ctx.settings.intervals.join_row));
        }
        let Some(facts) = drop_facts(s, all) else {
            return record_due;
        };
        self.clocks.learn_from_drop(s, &facts, learnt);
        // Only new facts change a departure here; a better calibration is handled by `clocks::recalibrate`.
        if s.departure.as_ref().is_some_and(|d| rests_on(d, &facts)) {
            return record_due;
        }
        let was = s.state;
        match s.conclude(self.departure_of(s, &facts)) {
            Ok(true) if was != State::Left => {
                // The after-check is due now; the record waits briefly, so that one write contains both.
                s.next_check_at = Some(now);
                Some(now + self.ctx.settings.after_check_grace)
            }
            Ok(true) => Some(now),
            Ok(false) | Err(_) => record_due,
        }
    }

    fn joined(&self, s: &Supervision, all: &[Evidence]) -> Option<Joined> {
        let first = all
            .iter()
            .filter(|e| e.sighting == Sighting::Joined)
            .min_by_key(|e| e.learnt_at)?;
        let sent = s
            .join
            .as_ref()
            .and_then(|j| j.first_sent_at)
            .map(|t| (t, AliveBy::Join));
        let stamps: Vec<VendorStamp> = first
            .vendor_stamp
            .map(|at| stamp(s, first, at, "connected"))
            .into_iter()
            .collect();
        let (estimate, _) = self
            .clocks
            .estimate_instant(sent, first.learnt_at, &stamps, AliveBy::Join);
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
        let (estimate, basis) = self
            .clocks
            .estimate_instant(facts.alive, facts.gone_by, &stamps, AliveBy::Browser);
        Departure {
            disconnected_at: timestamp(estimate.point),
            uncertainty_ms: estimate.uncertainty_ms,
            earliest: estimate.earliest.map(timestamp),
            latest: timestamp(estimate.latest),
            vendor_timestamp,
            source: facts.source,
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
}

/// Whether a departure was computed from exactly these facts.
fn rests_on(departure: &Departure, facts: &DropFacts) -> bool {
    let basis = &departure.basis;
    basis.alive_at == facts.alive.map(|(t, _)| t)
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
