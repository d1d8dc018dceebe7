//! What departures, joins, `Date` headers and probes teach about the vendors' clocks, and what is known of them.
//!
//! The calibrator is in memory and pure; every sample it takes is in the store, in the transaction of the evidence it
//! comes from, and every epoch too. A restart takes the last samples again and knows what it knew.

use crate::usecases::error::UseCaseError;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use crate::usecases::clocks::ClockService;
use clock_calibration::{
    Aim, Bracket, Calibrator, Cause, ClockId, ClockOutcome, Estimate, Sample, SampleOutcome, Stamp, Thresholds,
    VendorSettings, estimate,
};
use sidedoor_domain::departure::{AliveBy, Basis, ClockBasis, DropFacts, StampBasis};
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::moment::{moment, timestamp};
use sidedoor_domain::ports::store::{ClockEpoch, EpochCause};
use sidedoor_domain::ports::{DateSeen, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Supervision};

/// How far back samples are taken again at a start, and of each clock how many.
const TAKE_AGAIN: SignedDuration = SignedDuration::from_hours(24);
const TAKE_AGAIN_MOST: u32 = 512;
/// How often our own clock is compared with the machine's.
const OWN_CLOCK_EVERY: Duration = Duration::from_secs(10);
/// Of `Date` headers of ordinary calls, at most one in so long is kept from each instance: they come with every call.
const DATES_APART: SignedDuration = SignedDuration::from_secs(60);
/// A usual round trip to a vendor's endpoint, until one is known, ms.
const ROUND_TRIP_MS: f64 = 60.0;

/// The settings of timing.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// By vendor; partner carriers are known only from here.
    pub vendors: BTreeMap<String, VendorSettings>,
    /// When a grade is given.
    pub thresholds: Thresholds,
    /// How often a vendor whose `Date`s bound its other stamps is asked for one; `None` for never.
    pub probe_every: Option<Duration>,
}

/// The clocks, shared by the flows of one process.
#[derive(Debug, Default)]
pub(crate) struct ClockState {
    calibrator: Mutex<Calibrator>,
    aims: Mutex<HashMap<InstanceName, Aim>>,
    last_dates: Mutex<HashMap<InstanceName, Timestamp>>,
    /// Steps of our own clock in this process: when, on the new scale, and by how much.
    own_steps: Mutex<Vec<(Timestamp, SignedDuration)>>,
    /// Wakes regrading: something was learnt that may make an earlier departure better, or show it wrong.
    pub(crate) learnt: tokio::sync::Notify,
    /// The earliest departure that a step may have made wrong.
    doubted_since: Mutex<Option<Timestamp>>,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClockState {
    pub(crate) fn new(vendors: &BTreeMap<String, VendorSettings>) -> Self {
        Self {
            calibrator: Mutex::new(Calibrator::new(vendors.clone())),
            ..Self::default()
        }
    }

    pub(crate) fn calibrator(&self) -> MutexGuard<'_, Calibrator> {
        held(&self.calibrator)
    }

    /// What was concluded since then may rest on a clock that was stepped.
    pub(crate) fn doubt_since(&self, since: Timestamp) {
        let mut doubted = held(&self.doubted_since);
        *doubted = Some(doubted.map_or(since, |t| t.min(since)));
    }

    /// The doubt, to be acted on.
    pub(crate) fn take_doubt(&self) -> Option<Timestamp> {
        held(&self.doubted_since).take()
    }

    /// A lower bound that our clock showed, perhaps before it was stepped, as it would show it now.
    fn not_before(&self, t: Timestamp) -> Timestamp {
        self.on_todays_scale(t, Timestamp::min)
    }

    /// The same of an upper bound.
    fn not_after(&self, t: Timestamp) -> Timestamp {
        self.on_todays_scale(t, Timestamp::max)
    }

    /// After a step back our clock shows some moments twice. Which of the two is meant cannot be told from the moment, so
    /// `safe` chooses.
    fn on_todays_scale(&self, t: Timestamp, safe: impl Fn(Timestamp, Timestamp) -> Timestamp) -> Timestamp {
        let steps = held(&self.own_steps);
        steps.iter().fold(t, |t, (at, step)| {
            let (before, after) = (t < *at - *step, t >= *at);
            match (before, after) {
                (true, true) => safe(t, t + *step),
                (true, false) => t + *step,
                _ => t,
            }
        })
    }
}

/// What was learnt while a change was made; it is written with it.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    samples: Vec<(ClockId, Sample)>,
    epochs: Vec<ClockEpoch>,
}

impl Learnt {
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.epochs.is_empty()
    }

    pub(crate) fn write_with(&self, change: &mut Transaction) {
        change.samples.clone_from(&self.samples);
        change.epochs.clone_from(&self.epochs);
    }
}

/// A vendor's stamp of an event, before it is converted for the calibrator.
#[derive(Debug, Clone)]
pub(crate) struct VendorStamp {
    /// The clock that it was read from.
    pub(crate) clock: ClockId,
    /// The stamp as the vendor sent it.
    pub(crate) at: Timestamp,
    /// When its notice reached us.
    pub(crate) learnt_at: Timestamp,
}

impl VendorStamp {
    fn as_stamp(&self) -> Stamp {
        Stamp {
            clock: self.clock.clone(),
            at: moment(self.at),
            learnt_at: moment(self.learnt_at),
        }
    }
}

/// The name of the clock a piece of evidence was stamped by.
pub(crate) fn stream_of(s: &Supervision, evidence: &Evidence, field: &str) -> ClockId {
    let vendor = evidence.carrier.as_deref().unwrap_or(AMAZON_CONNECT);
    ClockId::new(vendor, s.instance.as_str(), evidence.source.as_str(), field)
}

impl ClockService {
    /// Takes a sample and notes what is to be written.
    pub(crate) fn learn(&self, key: &ClockId, sample: Sample, learnt: &mut Learnt) {
        let outcomes = self.state.calibrator().add(key, sample);
        if outcomes.first().is_some_and(|o| o.outcome != SampleOutcome::Ignored) {
            learnt.samples.push((key.clone(), sample));
            self.state.learnt.notify_one();
        }
        for ClockOutcome { clock, outcome } in outcomes {
            if let SampleOutcome::Stepped { corroborated } = outcome {
                self.note_step(clock, timestamp(corroborated), learnt);
            }
        }
    }

    fn note_step(&self, stream: ClockId, corroborated: Timestamp, learnt: &mut Learnt) {
        let calibrator = self.state.calibrator();
        let Some(clock) = calibrator.clock(&stream).map(|t| &t.series) else {
            return;
        };
        let (version, since) = (clock.version(), clock.since().map_or(corroborated, timestamp));
        drop(calibrator);
        tracing::warn!(%stream, version, "the clock of {stream} was stepped: epoch {version}; what was concluded since {corroborated} is looked at again");
        self.state.doubt_since(corroborated);
        learnt.epochs.push(ClockEpoch {
            stream,
            version,
            since,
            corroborated,
            cause: EpochCause::VendorStep,
        });
    }

    /// Learns from the stamps of a drop, each with the bracket of its own notice.
    pub(crate) fn learn_from_drop(&self, s: &Supervision, facts: &DropFacts, learnt: &mut Learnt) {
        for evidence in &facts.stamps {
            let Some(stamp) = evidence.vendor_stamp else { continue };
            let not_after = self.state.not_after(evidence.learnt_at);
            let alive = facts
                .alive
                .map(|(t, by)| (self.state.not_before(t), by))
                .filter(|(t, _)| *t <= not_after);
            let cause = if alive.is_some_and(|(_, by)| by == AliveBy::Browser) {
                Cause::Command
            } else {
                Cause::Spontaneous
            };
            let sample = Sample {
                not_before: alive.map(|(t, _)| moment(t)),
                not_after: moment(not_after),
                stamp: moment(stamp),
                cause,
            };
            self.learn(&stream_of(s, evidence, "disconnected"), sample, learnt);
        }
    }

    /// Learns from a stamp of a leg's beginning: MonitorContact was the command that made it.
    pub(crate) fn learn_from_join(&self, s: &Supervision, evidence: &Evidence, field: &str, learnt: &mut Learnt) {
        let (Some(stamp), Some(sent)) = (evidence.vendor_stamp, s.join.as_ref().and_then(|j| j.first_sent_at)) else {
            return;
        };
        let sent = self.state.not_before(sent);
        let not_after = self.state.not_after(evidence.learnt_at);
        let sample = Sample {
            not_before: Some(sent).filter(|t| *t <= not_after).map(moment),
            not_after: moment(not_after),
            stamp: moment(stamp),
            cause: Cause::Command,
        };
        self.learn(&stream_of(s, evidence, field), sample, learnt);
    }

    /// Concludes an instant from a bracket and its stamps, and what it was concluded from. `command` says what the bracket
    /// must begin with for its beginning to be the command that made the event happen.
    pub(crate) fn conclude_instant(
        &self,
        alive: Option<(Timestamp, AliveBy)>,
        gone_by: Timestamp,
        stamps: &[VendorStamp],
        command: AliveBy,
    ) -> (Estimate, Basis) {
        let alive = alive.map(|(t, by)| (self.state.not_before(t), by));
        let gone_by = self.state.not_after(gone_by);
        let bracket = Bracket {
            not_before: alive.map(|(t, _)| moment(t)),
            not_after: moment(gone_by),
            commanded: alive.is_some_and(|(_, by)| by == command),
        };
        let calibrator = self.state.calibrator();
        let known = |key: &ClockId, at| calibrator.reading(key, at);
        let thresholds = &self.ctx.settings.timing.thresholds;
        let moments: Vec<Stamp> = stamps.iter().map(VendorStamp::as_stamp).collect();
        let estimate = estimate(bracket, &moments, known, self.ctx.settings.clock_error_ms, thresholds);
        #[allow(clippy::cast_possible_truncation, reason = "an offset in ms")]
        let of = |stamp: &VendorStamp| {
            let clock = calibrator.reading(&stamp.clock, moment(stamp.learnt_at)).map(|r| {
                let (low, high) = r.offset.guaranteed;
                ClockBasis {
                    quantum_ms: r.granularity.quantum_ms(moment(stamp.at)),
                    offset_low_ms: low.floor() as i64,
                    offset_high_ms: high.ceil() as i64,
                    epoch: r.version,
                }
            });
            StampBasis {
                clock_id: stamp.clock.clone(),
                at: stamp.at,
                learnt_at: stamp.learnt_at,
                clock,
            }
        };
        let basis = Basis {
            alive_at: alive.map(|(t, _)| t),
            alive_by: alive.map(|(_, by)| by),
            gone_by: Some(gone_by),
            modelled: estimate.modelled.map(|(from, to)| (timestamp(from), timestamp(to))),
            stamps: stamps.iter().map(of).collect(),
        };
        (estimate, basis)
    }

    /// Takes the last samples of an earlier process again.
    pub(crate) async fn recall_clocks(&self) -> Result<(), UseCaseError> {
        let epochs = self.ctx.store().clock_epochs().await?;
        let samples = self
            .ctx
            .store()
            .clock_samples(self.ctx.now() - TAKE_AGAIN, TAKE_AGAIN_MOST)
            .await?;
        let mut calibrator = self.state.calibrator();
        for epoch in epochs {
            calibrator.start_epoch(&epoch.stream, epoch.version, moment(epoch.since));
            // Whether the process before came to looking again is not known; looking twice changes nothing.
            if epoch.cause == EpochCause::VendorStep && epoch.since >= self.ctx.now() - TAKE_AGAIN {
                self.state.doubt_since(epoch.corroborated);
                self.state.learnt.notify_one();
            }
        }
        for (key, sample) in samples {
            calibrator.add(&key, sample);
        }
        Ok(())
    }

    /// Takes the `Date`s of ordinary calls, asks for more where they are of use, and watches our own clock, until the
    /// process stops.
    pub async fn calibrate_until_stopped(self, mut dates: mpsc::Receiver<DateSeen>) {
        let mut own_clock = tokio::time::interval(OWN_CLOCK_EVERY);
        let every = self
            .ctx
            .settings
            .timing
            .probe_every
            .unwrap_or(Duration::from_secs(3600));
        let mut probes = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        loop {
            tokio::select! {
                seen = dates.recv() => match seen {
                    Some(seen) => self.take_date(&seen, true),
                    None => return,
                },
                _ = own_clock.tick() => self.follow_own_step(),
                _ = probes.tick() => self.probe_where_of_use(),
                () = self.ctx.parts.stopping.cancelled() => return,
            }
        }
    }

    /// A `Date` bounds other stamps only where a setting couples them; elsewhere a few are enough.
    fn take_date(&self, seen: &DateSeen, by_the_way: bool) {
        if by_the_way {
            let mut last = held(&self.state.last_dates);
            let newest = last.get(&seen.instance).copied();
            if newest.is_some_and(|t| seen.received_at < t + DATES_APART) {
                return;
            }
            last.insert(seen.instance.clone(), seen.received_at);
        }
        let key = ClockId::http_date(AMAZON_CONNECT, seen.instance.as_str());
        let sample = Sample {
            not_before: Some(moment(seen.sent_at)),
            not_after: moment(seen.received_at),
            stamp: moment(seen.date),
            cause: Cause::Exchange,
        };
        self.learn_alone(&key, sample);
    }

    /// Learns from a sample that comes with no other news. It may be lost in a crash: the next one says the same.
    pub(crate) fn learn_alone(&self, key: &ClockId, sample: Sample) {
        let mut learnt = Learnt::default();
        self.learn(key, sample, &mut learnt);
        if !learnt.is_empty() {
            let mut change = Transaction::default();
            learnt.write_with(&mut change);
            self.ctx.store().transact_later(change);
        }
    }

    fn probe_where_of_use(&self) {
        let settings = &self.ctx.settings.timing;
        let coupled = settings
            .vendors
            .get(AMAZON_CONNECT)
            .is_some_and(|v| v.date_bound_ms.is_some());
        if settings.probe_every.is_none() || !coupled {
            return;
        }
        for instance in self.ctx.settings.instances.keys() {
            let (this, instance) = (self.clone(), instance.clone());
            self.ctx.spawn(async move {
                if let Err(e) = this.probe(&instance).await {
                    tracing::debug!(%instance, code = %e.code, "no Date from {instance}: {}", e.message);
                }
            });
        }
    }

    /// Asks an instance for one `Date`, at the moment at which it teaches most; less than a second from now.
    pub(crate) async fn probe(&self, instance: &InstanceName) -> Result<DateSeen, sidedoor_domain::ports::VendorError> {
        let now = self.ctx.now();
        let wait = {
            let calibrator = self.state.calibrator();
            let key = ClockId::http_date(AMAZON_CONNECT, instance.as_str());
            let target = calibrator.clock(&key).and_then(|t| t.series.probe_target(moment(now)));
            let mut aims = held(&self.state.aims);
            let aim = aims.entry(instance.clone()).or_default();
            target.map_or(Duration::ZERO, |target| aim.wait(moment(now), &target, ROUND_TRIP_MS))
        };
        tokio::time::sleep(wait).await;
        let seen = self.ctx.telephony().ask_date(instance).await?;
        self.take_date(&seen, false);
        Ok(seen)
    }

    /// A step of our own clock: what was learnt says nothing about the new one.
    fn follow_own_step(&self) {
        let Some(step) = self.ctx.parts.clock.follow_step() else {
            return;
        };
        let now = self.ctx.now();
        tracing::warn!(
            step_ms = step.as_millis(),
            "this machine's clock was stepped by {} ms: every vendor clock is learnt anew",
            step.as_millis()
        );
        let mut steps = held(&self.state.own_steps);
        // A clock stepped more often than this in one process is not a clock; what is older has no open bracket.
        if steps.len() >= 64 {
            steps.remove(0);
        }
        steps.push((now, step));
        drop(steps);
        let mut calibrator = self.state.calibrator();
        calibrator.own_clock_stepped(moment(now));
        let of = |(stream, tracked): (&ClockId, &clock_calibration::TrackedClock)| ClockEpoch {
            stream: stream.clone(),
            version: tracked.series.version(),
            since: now,
            corroborated: now,
            cause: EpochCause::OwnStep,
        };
        let epochs = calibrator.clocks().map(of).collect();
        drop(calibrator);
        self.ctx.store().transact_later(Transaction {
            epochs,
            ..Transaction::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + s).expect("in range")
    }

    fn stepped(now: i64, by: i64) -> ClockState {
        let clocks = ClockState::default();
        held(&clocks.own_steps).push((at(now), SignedDuration::from_secs(by)));
        clocks
    }

    #[test]
    fn a_step_forward_moves_what_was_shown_before_it() {
        // At 100 the clock was set to 150.
        let clocks = stepped(150, 50);
        assert_eq!(
            (clocks.not_before(at(90)), clocks.not_after(at(90))),
            (at(140), at(140))
        );
        assert_eq!(
            (clocks.not_before(at(160)), clocks.not_after(at(160))),
            (at(160), at(160))
        );
    }

    #[test]
    fn after_a_step_back_a_moment_shown_twice_never_tightens_a_bracket() {
        // At 150 the clock was set to 100: everything from 100 to 150 is shown twice.
        let clocks = stepped(100, -50);
        assert_eq!((clocks.not_before(at(90)), clocks.not_after(at(90))), (at(40), at(40)));
        assert_eq!(
            (clocks.not_before(at(120)), clocks.not_after(at(120))),
            (at(70), at(120))
        );
        assert_eq!(
            (clocks.not_before(at(160)), clocks.not_after(at(160))),
            (at(160), at(160))
        );
    }
}
