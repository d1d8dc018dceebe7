//! Learns the vendors' clocks from departures, joins, `Date` headers and probes, and estimates moments with them.
//!
//! Guarantee: the calibrator is a pure structure in memory. Every sample that it accepts and every epoch is in the store, in
//! the transaction of the evidence that it comes from, so a restart replays the last samples and knows the same.

use std::collections::BTreeMap;
use std::time::Duration;

use clock_calibration::{
    Bracket, Cause, ClockId, ClockOutcome, Estimate, Sample, SampleOutcome, Stamp, Thresholds, VendorSettings, estimate,
};
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::departure::{AliveBy, Basis, ClockBasis, DropFacts, StampBasis};
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::moment::{moment, timestamp};
use sidedoor_domain::ports::store::{ClockEpoch, EpochCause};
use sidedoor_domain::ports::{DateSeen, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Supervision};
use tokio::sync::mpsc;

use crate::usecases::clocks::ClockService;
use crate::usecases::clocks::state::lock;
use crate::usecases::error::UseCaseError;

/// How far back samples are replayed at a start, and how many of each clock.
const REPLAY_WINDOW: SignedDuration = SignedDuration::from_hours(24);
const REPLAYED_SAMPLES: u32 = 512;
/// How often our own clock is compared with the machine's.
const OWN_CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two stored `Date` samples of ordinary calls, by instance, because every call has a `Date`.
const DATE_INTERVAL: SignedDuration = SignedDuration::from_secs(60);
/// The assumed round trip to a vendor's endpoint, in ms, until one was measured.
const ROUND_TRIP_MS: f64 = 60.0;

/// The settings of clock calibration.
#[derive(Debug, Clone, Default)]
pub struct TimingSettings {
    /// By vendor. A partner carrier is known only if it is configured here.
    pub vendors: BTreeMap<String, VendorSettings>,
    /// The limits of the grades.
    pub thresholds: Thresholds,
    /// How often to request a `Date` from a vendor whose `Date`s bound its other stamps; `None` for never.
    pub probe_every: Option<Duration>,
}

/// Samples and epochs of one evaluation, to be written in its transaction.
#[derive(Debug, Default)]
pub(crate) struct LearntSamples {
    samples: Vec<(ClockId, Sample)>,
    epochs: Vec<ClockEpoch>,
}

impl LearntSamples {
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

/// What our own clock shows about an event: the last moment before it, with what shows that, and the first moment after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventBounds {
    /// The last moment at which the event had certainly not happened, and what shows that.
    pub(crate) alive: Option<(Timestamp, AliveBy)>,
    /// As in [`DropFacts::asked`].
    pub(crate) asked: Option<Timestamp>,
    /// The first moment at which it had certainly happened.
    pub(crate) gone_by: Timestamp,
}

/// The clock that stamped a piece of evidence.
pub(crate) fn clock_id_of(s: &Supervision, evidence: &Evidence, field: &str) -> ClockId {
    let vendor = evidence.carrier.as_deref().unwrap_or(AMAZON_CONNECT);
    ClockId::new(vendor, s.instance.as_str(), evidence.source.as_str(), field)
}

impl ClockService {
    /// Gives a sample to the calibrator and notes what to write.
    pub(crate) fn learn(&self, key: &ClockId, sample: Sample, learnt: &mut LearntSamples) {
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

    fn note_step(&self, stream: ClockId, corroborated: Timestamp, learnt: &mut LearntSamples) {
        let calibrator = self.state.calibrator();
        let Some(clock) = calibrator.clock(&stream).map(|t| &t.series) else {
            return;
        };
        let (version, since) = (clock.version(), clock.since().map_or(corroborated, timestamp));
        drop(calibrator);
        tracing::warn!(%stream, version, "the clock of {stream} was stepped and starts epoch {version}; recalibrating departures since {corroborated}");
        self.state.doubt_since(corroborated);
        learnt.epochs.push(ClockEpoch {
            stream,
            version,
            since,
            corroborated,
            cause: EpochCause::VendorStep,
        });
    }

    /// Learns from the stamps of a drop, each with the bracket of its own notification.
    pub(crate) fn learn_from_drop(&self, s: &Supervision, facts: &DropFacts, learnt: &mut LearntSamples) {
        for evidence in &facts.stamps {
            let Some(stamp) = evidence.vendor_stamp else { continue };
            let not_after = self.state.not_after(evidence.learnt_at);
            let alive = facts
                .alive
                .map(|(t, by)| (self.state.not_before(t), by))
                .filter(|(t, _)| *t <= not_after);
            let asked = facts.asked.map(|t| self.state.not_before(t));
            let cause = if alive.is_some_and(|(_, by)| by == AliveBy::Browser) {
                Cause::Command
            } else {
                Cause::Spontaneous
            };
            let sample = Sample {
                not_before: alive.map(|(t, _)| moment(t)),
                asked: asked.filter(|t| alive.is_some() && *t <= not_after).map(moment),
                not_after: moment(not_after),
                stamp: moment(stamp),
                cause,
            };
            self.learn(&clock_id_of(s, evidence, "disconnected"), sample, learnt);
        }
    }

    /// Learns from a stamp of a leg's start, which MonitorContact caused.
    pub(crate) fn learn_from_join(
        &self,
        s: &Supervision,
        evidence: &Evidence,
        field: &str,
        learnt: &mut LearntSamples,
    ) {
        let (Some(stamp), Some(sent)) = (evidence.vendor_stamp, s.leg_begun_after()) else {
            return;
        };
        let sent = self.state.not_before(sent);
        let not_after = self.state.not_after(evidence.learnt_at);
        let sample = Sample {
            not_before: Some(sent).filter(|t| *t <= not_after).map(moment),
            asked: None,
            not_after: moment(not_after),
            stamp: moment(stamp),
            cause: Cause::Command,
        };
        self.learn(&clock_id_of(s, evidence, field), sample, learnt);
    }

    /// Estimates a moment from a bracket and its stamps, and returns the basis of the estimate. `command` names the lower bound
    /// that proves that our command caused the event.
    pub(crate) fn estimate_instant(
        &self,
        bounds: EventBounds,
        stamps: &[VendorStamp],
        command: AliveBy,
    ) -> (Estimate, Basis) {
        let alive = bounds.alive.map(|(t, by)| (self.state.not_before(t), by));
        let gone_by = self.state.not_after(bounds.gone_by);
        let bracket = Bracket {
            not_before: alive.map(|(t, _)| moment(t)),
            asked: bounds.asked.map(|t| moment(self.state.not_before(t))),
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
            modelled: None,
            stamps: stamps.iter().map(of).collect(),
        };
        (estimate, basis)
    }

    /// Replays the last samples of earlier processes.
    pub(crate) async fn recall_clocks(&self) -> Result<(), UseCaseError> {
        let epochs = self.ctx.store().clock_epochs().await?;
        let samples = self
            .ctx
            .store()
            .clock_samples(self.ctx.now() - REPLAY_WINDOW, REPLAYED_SAMPLES)
            .await?;
        let mut calibrator = self.state.calibrator();
        for epoch in epochs {
            calibrator.start_epoch(&epoch.stream, epoch.version, moment(epoch.since));
            // It is unknown whether the earlier process recalibrated after this step; doing it twice is harmless.
            if epoch.cause == EpochCause::VendorStep && epoch.since >= self.ctx.now() - REPLAY_WINDOW {
                self.state.doubt_since(epoch.corroborated);
                self.state.learnt.notify_one();
            }
        }
        for (key, sample) in samples {
            calibrator.add(&key, sample);
        }
        Ok(())
    }

    /// Takes `Date`s of ordinary calls, probes where that is useful, and watches our own clock, until the process stops.
    pub async fn calibrate_until_stopped(self, mut dates: mpsc::Receiver<DateSeen>) {
        let mut own_clock = tokio::time::interval(OWN_CLOCK_INTERVAL);
        let every = self
            .ctx
            .settings
            .timing
            .probe_every
            .unwrap_or(Duration::from_secs(3600));
        let mut probes = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        loop {
            tokio::select! {
                biased;
                seen = dates.recv() => match seen {
                    Some(seen) => self.take_date(&seen, true),
                    None => return,
                },
                _ = own_clock.tick() => self.follow_own_step(),
                _ = probes.tick() => self.probe_where_of_use(),
                () = self.ctx.deps.stopping.cancelled() => return,
            }
        }
    }

    /// Learns from a `Date`. One of an ordinary call is used at most once a minute; a probe's always.
    fn take_date(&self, seen: &DateSeen, from_ordinary_call: bool) {
        if from_ordinary_call {
            let mut last = lock(&self.state.last_dates);
            let newest = last.get(&seen.instance).copied();
            if newest.is_some_and(|t| seen.received_at < t + DATE_INTERVAL) {
                return;
            }
            last.insert(seen.instance.clone(), seen.received_at);
        }
        let key = ClockId::http_date(AMAZON_CONNECT, seen.instance.as_str());
        let sample = Sample {
            not_before: Some(moment(seen.sent_at)),
            asked: None,
            not_after: moment(seen.received_at),
            stamp: moment(seen.date),
            cause: Cause::Exchange,
        };
        self.learn_alone(&key, sample);
    }

    /// Learns from a sample without evidence. A crash may lose it, which is acceptable because the next sample says the same.
    pub(super) fn learn_alone(&self, key: &ClockId, sample: Sample) {
        let mut learnt = LearntSamples::default();
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
                    tracing::debug!(%instance, code = %e.code, "could not probe the clock of {instance}; the next probe tries again: {}", e.for_operators());
                }
            });
        }
    }

    /// Requests one `Date` from an instance at the moment that narrows the offset most, less than a second from now.
    pub(crate) async fn probe(&self, instance: &InstanceName) -> Result<DateSeen, sidedoor_domain::ports::VendorError> {
        let now = self.ctx.now();
        let wait = {
            let calibrator = self.state.calibrator();
            let key = ClockId::http_date(AMAZON_CONNECT, instance.as_str());
            let target = calibrator.clock(&key).and_then(|t| t.series.probe_target(moment(now)));
            let mut aims = lock(&self.state.aims);
            let aim = aims.entry(instance.clone()).or_default();
            target.map_or(Duration::ZERO, |target| aim.wait(moment(now), &target, ROUND_TRIP_MS))
        };
        tokio::time::sleep(wait).await;
        let seen = self.ctx.telephony().ask_date(instance).await?;
        self.take_date(&seen, false);
        Ok(seen)
    }

    /// Handles a step of our own clock: earlier samples do not apply to the new scale.
    fn follow_own_step(&self) {
        let max_error = SignedDuration::from_millis(self.ctx.settings.clock_error_ms);
        let Some(step) = self.ctx.deps.clock.follow_step(max_error) else {
            return;
        };
        let now = self.ctx.now();
        self.ctx.signals.clock_steps.note(step, now, self.ctx.elapsed());
        self.ctx.signals.jobs.wake();
        tracing::warn!(
            step_ms = step.as_millis(),
            "this machine's clock was stepped by {} ms; every vendor clock starts a new epoch",
            step.as_millis()
        );
        let mut steps = lock(&self.state.own_steps);
        // Old steps no longer matter, because no open bracket reaches back to them.
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
