//! Uses the estimator as the service does: `src/usecases/clocks` and `src/usecases/evidence` of the service. Nothing else
//! in this folder calls the estimator, so a change of its API needs a change only here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::{Departure, Exchange};
use super::world::HardWorld;
use crate::simulator::world::{moment, since_start};
use crate::{
    Aim, Bracket, Calibrator, Cause, ClockId, Estimate, Grade, Moment, Revision, Sample, SampleOutcome, Stamp,
    Thresholds, VendorSettings, estimate,
};

const VENDOR: &str = "vendor";
const INSTANCE: &str = "main";
/// The round trip of a `Date` exchange that the service assumes, in ms.
const ROUND_TRIP: f64 = 60.0;
/// What a restart replays: samples received within this time in ms, and how many of each clock.
const REPLAY_WINDOW: f64 = 24.0 * 3_600_000.0;
const REPLAYED_SAMPLES: usize = 512;

/// Whether the service follows when the machine's clock is `by` ms apart from its own time scale.
pub(crate) fn follows_own_step(by: f64, max_error_ms: f64) -> bool {
    by.abs() > max_error_ms.max(10.0)
}

/// What the service says about a departure. Times are readings of our clock in ms after the start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    /// The most likely instant.
    pub point: f64,
    /// The guaranteed ends.
    pub earliest: Option<f64>,
    pub latest: f64,
    /// The interval of 95 %, if it is published.
    pub modelled: Option<(f64, f64)>,
    pub grade: Grade,
    /// The epoch of the clock that was used; 0 if none was.
    pub version: u32,
    /// Half the distance of the ends, in ms.
    pub half_width: Option<f64>,
    /// Whether the claim says that something is wrong: the evidence conflicts, or a step of the clock is suspected.
    pub announced: bool,
}

impl Claim {
    /// Whether the guaranteed interval contains a moment.
    pub(crate) fn contains(&self, truth: f64) -> bool {
        self.earliest.is_none_or(|t| t <= truth) && truth <= self.latest
    }

    /// Whether the guaranteed interval is inside another one, give or take half a millisecond.
    pub(crate) fn is_inside(&self, other: &Self) -> bool {
        const ROUNDING: f64 = 0.5;
        let low = |c: &Self| c.earliest.unwrap_or(f64::NEG_INFINITY);
        low(self) >= low(other) - ROUNDING && self.latest <= other.latest + ROUNDING
    }
}

/// The service of one process, with what its store keeps across restarts.
pub(crate) struct Service<'w> {
    world: &'w HardWorld,
    calibrator: Calibrator,
    aim: Aim,
    thresholds: Thresholds,
    stored_samples: Vec<(ClockId, Sample)>,
    stored_epochs: Vec<(ClockId, u32, Moment)>,
    /// For each epoch that a step began: its clock's epoch number, and when the last sample was received that supports the
    /// one before. Departures since then are doubtful.
    doubts: Vec<(u32, Moment)>,
    /// Steps of each host's clock that this process has followed: when, on the new scale, and by how many ms.
    own_steps: BTreeMap<usize, Vec<(f64, f64)>>,
}

impl<'w> Service<'w> {
    pub(crate) fn new(world: &'w HardWorld) -> Self {
        Self {
            world,
            calibrator: Self::calibrator(world),
            aim: Aim::default(),
            thresholds: Thresholds::default(),
            stored_samples: Vec::new(),
            stored_epochs: Vec::new(),
            doubts: Vec::new(),
            own_steps: BTreeMap::new(),
        }
    }

    fn calibrator(world: &HardWorld) -> Calibrator {
        let settings = VendorSettings {
            limits: world.declared.limits.clone(),
            date_bound_ms: world.dates.as_ref().and_then(|d| d.declared_bound),
            rounding: world.declared.rounding,
        };
        Calibrator::new([(VENDOR.to_owned(), settings)].into())
    }

    /// The clock that stamped a departure: one for each machine, if evidence names it.
    fn clock_of(&self, d: &Departure) -> ClockId {
        let clock = ClockId::new(VENDOR, INSTANCE, "CONTACT_EVENT", "disconnected");
        if self.world.names_machines {
            clock.on_machine(&d.machine.to_string())
        } else {
            clock
        }
    }

    /// A number for each clock series: departures with the same number are calibrated together.
    pub(crate) fn series_of(&self, d: &Departure) -> usize {
        if self.world.names_machines { d.machine } else { 0 }
    }

    /// By how much the ends of a sample are widened: hosts have different errors, so where there are several, samples of one
    /// are wrong by the errors of both for another.
    #[allow(clippy::cast_precision_loss, reason = "a few ms")]
    fn between_hosts(&self) -> f64 {
        if self.world.hosts.len() > 1 {
            self.world.declared.clock_error_ms as f64
        } else {
            0.0
        }
    }

    /// Learns from the stamp of a departure.
    pub(crate) fn learn(&mut self, d: &Departure) {
        let not_after = self.not_after(d.heard_by, d.learnt);
        let not_before = self.not_before(d).filter(|t| *t <= not_after);
        let sample = Sample {
            not_before: not_before.map(|t| moment(t - self.between_hosts())),
            asked: self.asked(d).map(moment),
            not_after: moment(not_after + self.between_hosts()),
            stamp: moment(d.stamp),
            cause: if d.commanded {
                Cause::Command
            } else {
                Cause::Spontaneous
            },
        };
        self.add(self.clock_of(d), sample);
    }

    /// The lower end of a bracket, read from a host's clock, on that clock's present scale.
    fn not_before(&self, d: &Departure) -> Option<f64> {
        d.not_before.map(|t| self.on_todays_scale(d.asked_by, t, f64::min))
    }

    /// When the poll was sent whose answer showed the leg alive.
    fn asked(&self, d: &Departure) -> Option<f64> {
        let asked = d.asked.filter(|_| !d.commanded)?;
        Some(self.on_todays_scale(d.asked_by, asked, f64::min))
    }

    /// The same for an upper end.
    fn not_after(&self, host: usize, t: f64) -> f64 {
        self.on_todays_scale(host, t, f64::max)
    }

    /// After a step back a clock shows some moments twice; `safe` chooses the moment that does not tighten a bracket.
    fn on_todays_scale(&self, host: usize, t: f64, safe: impl Fn(f64, f64) -> f64) -> f64 {
        let steps = self.own_steps.get(&host).into_iter().flatten();
        steps.fold(t, |t, (at, by)| match (t < at - by, t >= *at) {
            (true, true) => safe(t, t + by),
            (true, false) => t + by,
            _ => t,
        })
    }

    /// Learns from a `Date` exchange.
    pub(crate) fn learn_date(&mut self, e: &Exchange) {
        let sample = Sample {
            not_before: Some(moment(e.sent)),
            asked: None,
            not_after: moment(e.received),
            stamp: moment(e.stamp),
            cause: Cause::Exchange,
        };
        self.add(ClockId::http_date(VENDOR, INSTANCE), sample);
    }

    fn add(&mut self, clock: ClockId, sample: Sample) {
        let outcomes = self.calibrator.add(&clock, sample);
        if outcomes.first().is_some_and(|o| o.outcome != SampleOutcome::Ignored) {
            self.stored_samples.push((clock, sample));
        }
        for outcome in outcomes {
            if let SampleOutcome::Stepped { corroborated } = outcome.outcome {
                let version = self.store_epoch(outcome.clock);
                self.doubts.push((version, corroborated));
            }
        }
    }

    /// Stores the epoch of a clock and returns its number.
    fn store_epoch(&mut self, clock: ClockId) -> u32 {
        let series = self.calibrator.clock(&clock).map(|t| &t.series);
        let Some((version, since)) = series.and_then(|s| Some((s.version(), s.since()?))) else {
            return 0;
        };
        self.stored_epochs.push((clock, version, since));
        version
    }

    /// How long to wait before a probe is sent, in ms.
    pub(crate) fn wait_before_probe(&mut self, now: f64) -> f64 {
        let dates = ClockId::http_date(VENDOR, INSTANCE);
        let target = self
            .calibrator
            .clock(&dates)
            .and_then(|t| t.series.probe_target(moment(now)));
        let wait = target.map_or(Duration::ZERO, |target| self.aim.wait(moment(now), &target, ROUND_TRIP));
        wait.as_secs_f64() * 1000.0
    }

    /// The service follows a correction of a host's clock. `now` is on the new scale.
    pub(crate) fn own_clock_stepped(&mut self, host: usize, now: f64, by: f64) {
        self.own_steps.entry(host).or_default().push((now, by));
        self.calibrator.own_clock_stepped(moment(now));
        let clocks: Vec<ClockId> = self.calibrator.clocks().map(|(id, _)| id.clone()).collect();
        for clock in clocks {
            self.store_epoch(clock);
        }
    }

    /// The process stops, and a new one replays the stored samples.
    pub(crate) fn restart(&mut self, now: f64) {
        self.calibrator = Self::calibrator(self.world);
        self.aim = Aim::default();
        self.own_steps.clear();
        for (clock, version, since) in &self.stored_epochs {
            self.calibrator.start_epoch(clock, *version, *since);
        }
        let since = moment(now - REPLAY_WINDOW);
        self.stored_samples.retain(|(_, s)| s.not_after >= since);
        self.stored_samples.sort_by_key(|(_, s)| s.not_after);
        let mut left: BTreeMap<&ClockId, usize> = BTreeMap::new();
        for (clock, _) in &self.stored_samples {
            *left.entry(clock).or_default() += 1;
        }
        for (clock, sample) in &self.stored_samples {
            let left = left.entry(clock).or_default();
            if *left <= REPLAYED_SAMPLES {
                self.calibrator.add(clock, *sample);
            }
            *left -= 1;
        }
    }

    /// The claim about a departure, with the present calibration.
    pub(crate) fn claim(&self, d: &Departure) -> Claim {
        let bracket = Bracket {
            not_before: self.not_before(d).map(moment),
            asked: self.asked(d).map(moment),
            not_after: moment(self.not_after(d.heard_by, d.gone_by)),
            commanded: d.commanded,
        };
        let stamps = [Stamp {
            clock: self.clock_of(d),
            at: moment(d.stamp),
            learnt_at: moment(d.learnt),
        }];
        let known = |id: &ClockId, at| self.calibrator.reading(id, at);
        let got = estimate(
            bracket,
            &stamps,
            known,
            self.world.declared.clock_error_ms,
            &self.thresholds,
        );
        let series = self.calibrator.clock(&stamps[0].clock).map(|t| &t.series);
        let is_suspect = got.clock.is_some() && series.is_some_and(|s| s.suspects_step());
        claim_of(&got, got.conflicting || is_suspect)
    }

    /// Whether the service writes a claim again: its uncertainty is halved inside the old bounds, or its clock was stepped
    /// before the departure.
    pub(crate) fn is_worth_reissuing(&self, d: &Departure, old: &Claim, new: &Claim) -> bool {
        let halved = match (old.half_width, new.half_width) {
            (Some(old), Some(new)) => new * 2.0 <= old,
            (None, Some(_)) => true,
            _ => false,
        };
        let gone_by = moment(d.gone_by);
        let doubtful = || {
            self.doubts
                .iter()
                .any(|(version, since)| *version > old.version && gone_by >= *since)
        };
        let bounds = |c: &Claim| crate::Claim {
            earliest: c.earliest.map(moment),
            latest: moment(c.latest),
        };
        let is_inside = bounds(old).revised_by(bounds(new)) == Revision::Replace;
        (halved && is_inside) || (old.version != 0 && old.version != new.version && doubtful())
    }

    /// The epoch of each clock of event stamps.
    pub(crate) fn versions(&self) -> Vec<u32> {
        let clocks = self.calibrator.clocks().filter(|(id, _)| !id.is_http_date());
        clocks.map(|(_, t)| t.series.version()).collect()
    }

    /// Greatest memory of a clock, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.calibrator
            .clocks()
            .map(|(_, t)| t.series.memory())
            .max()
            .unwrap_or(0)
    }
}

fn claim_of(got: &Estimate, announced: bool) -> Claim {
    let (earliest, latest) = (got.earliest.map(since_start), since_start(got.latest));
    Claim {
        point: since_start(got.point),
        earliest,
        latest,
        modelled: None,
        grade: got.grade,
        version: got.version,
        half_width: earliest.map(|t| (latest - t) / 2.0),
        announced,
    }
}
