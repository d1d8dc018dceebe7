//! Plays a history through the service and compares every claim with the truth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::comparison::{Baselines, Oracle};
use super::detection::Residues;
use super::history::{Arrival, Departure, History};
use super::measured::{Counts, Series, WorldResult};
use super::random::Random;
use super::service::{Claim, Service};
use super::steps::Disturbances;
use super::world::{HOUR, HardWorld};
use crate::{Grade, Rounding};

/// A departure is estimated again this long after its first claim, in ms.
const AGAIN_AFTER: [f64; 3] = [0.25 * HOUR, 3.0 * HOUR, 20.0 * HOUR];
/// About so many departures of a world are estimated again.
const AGAIN: f64 = 1500.0;
/// Points and widths are measured after this many departures.
const WARM_UP: usize = 40;
/// After an announced doubt a wide interval is expected for this long, in ms.
const DOUBTFUL: f64 = HOUR;

/// So many silent misses of a world are described.
const DESCRIBED_MISSES: usize = 10;

/// Plays a world.
pub(crate) fn play(world: &HardWorld, clock_us: Option<fn() -> f64>) -> WorldResult {
    let mut history = History::new(world);
    let arrivals = history.arrivals();
    let departures = arrivals
        .iter()
        .filter(|(_, a)| matches!(a, Arrival::Departure(_)))
        .count();
    let mut playback = Playback {
        world,
        service: Service::new(world),
        disturbances: Disturbances::new(world, &history),
        series: BTreeMap::new(),
        random: Random::new(world.seed, 3),
        again_share: AGAIN / departures.max(1) as f64,
        pending: BinaryHeap::new(),
        claims: Vec::new(),
        epochs: 0,
        last_doubt: f64::NEG_INFINITY,
        counts: Counts::default(),
        measured: Series::default(),
        residues: Residues::default(),
        first_misses: Vec::new(),
        clock_us,
        memory: 0,
        history,
    };
    for (now, arrival) in arrivals {
        playback.arrive(now, &arrival);
    }
    playback.finish()
}

/// What other estimators know about one clock series.
struct Others {
    baselines: Baselines,
    oracle: Oracle,
}

struct Playback<'w> {
    world: &'w HardWorld,
    history: History<'w>,
    service: Service<'w>,
    disturbances: Disturbances,
    series: BTreeMap<usize, Others>,
    random: Random,
    again_share: f64,
    /// When to estimate which claim again, in µs, earliest first.
    pending: BinaryHeap<Reverse<(i64, usize)>>,
    claims: Vec<(Departure, Claim, bool)>,
    epochs: usize,
    last_doubt: f64,
    counts: Counts,
    measured: Series,
    residues: Residues,
    first_misses: Vec<String>,
    clock_us: Option<fn() -> f64>,
    memory: usize,
}

impl Playback<'_> {
    fn arrive(&mut self, now: f64, arrival: &Arrival) {
        self.disturbances.advance(now);
        self.estimate_again(now);
        match arrival {
            Arrival::Departure(d) => self.departure(now, d),
            Arrival::Probe => self.probe(now),
            Arrival::Restart => {
                self.service.restart(self.history.scale(0).reading(now));
                self.epochs = self.epochs_now();
            }
            Arrival::OwnStep(host, by) => {
                let reading = self.history.scale(*host).reading(now);
                self.service.own_clock_stepped(*host, reading, *by);
                self.series.clear();
                self.epochs = self.epochs_now();
                self.last_doubt = now;
            }
        }
    }

    fn epochs_now(&self) -> usize {
        self.service.versions().iter().map(|v| *v as usize - 1).sum()
    }

    /// Counts the epochs that began since the last call.
    fn note_epochs(&mut self, now: f64) {
        let epochs = self.epochs_now();
        if epochs > self.epochs {
            self.disturbances.note_epochs(epochs - self.epochs, now);
            self.last_doubt = now;
        }
        self.epochs = epochs;
    }

    fn probe(&mut self, now: f64) {
        let wait = self.service.wait_before_probe(self.history.scale(0).reading(now));
        let Some(exchange) = self.history.exchange(now + wait) else {
            return;
        };
        self.timed(|this| this.service.learn_date(&exchange));
        self.note_epochs(now);
        let Some(bound) = self.world.dates.as_ref().and_then(|d| d.declared_bound) else {
            return;
        };
        // The oracle knows how the first machine moves; of the front end it knows the declared distance.
        let error = self.history.scale(0).error_at(exchange.truth);
        let offset = self.world.machines[0].clock.offset_at(exchange.truth) - error;
        let low = exchange.stamp - exchange.received - offset - bound;
        let high = exchange.stamp + 1000.0 - exchange.sent - offset + bound;
        self.series
            .values_mut()
            .for_each(|s| s.oracle.learn(exchange.received, low, high));
    }

    /// Runs something that adds a sample, and measures its cost.
    fn timed(&mut self, add: impl FnOnce(&mut Self)) {
        let before = self.clock_us.map(|now| now());
        add(self);
        if let (Some(before), Some(now)) = (before, self.clock_us) {
            self.measured.cost.push((now() - before) as f32);
        }
    }

    /// The offset that a stamp's machine really has against our time scale. Rounded stamps look as if the clock were
    /// half a quantum ahead.
    fn offset(&self, d: &Departure) -> f64 {
        let format = self.world.stamps;
        let ahead = if format.rounding == Rounding::Rounded {
            d.quantum / 2.0
        } else {
            0.0
        };
        self.world.machines[d.machine].clock.offset_at(d.truth) - d.our_error + ahead
    }

    fn departure(&mut self, now: f64, d: &Departure) {
        self.timed(|this| this.service.learn(d));
        self.note_epochs(now);
        self.memory = self.memory.max(self.service.memory());
        let offset = self.offset(d);
        let declared = &self.world.declared;
        let others = self.series.entry(self.service.series_of(d)).or_insert_with(|| Others {
            baselines: Baselines::default(),
            oracle: Oracle::new(&declared.limits, declared.clock_error_ms as f64),
        });
        if d.again {
            return;
        }
        others.baselines.learn(d);
        let low = d.stamp - d.learnt - offset;
        let above = |t: f64| d.stamp + d.quantum - t - offset;
        let high = d.not_before.map_or(f64::INFINITY, above);
        self.residues.add(low, high);
        if d.is_sound {
            others.oracle.learn(d.learnt, low, high);
        }
        let claim = self.service.claim(d);
        self.judge(now, d, &claim, offset);
    }

    fn judge(&mut self, now: f64, d: &Departure, claim: &Claim, offset: f64) {
        let covered = claim.contains(d.truth);
        if claim.announced {
            self.counts.announced += 1;
            self.last_doubt = now;
        }
        if !d.is_sound {
            self.counts.wrong += 1;
            self.counts.misled += usize::from(!covered && !claim.announced);
            return;
        }
        let is_latent = self.disturbances.note_departure(d, covered);
        let counts = &mut self.counts;
        counts.departures += 1;
        counts.uncovered += usize::from(!covered);
        let is_missed = !covered && !is_latent;
        counts.uncovered_later += usize::from(is_missed);
        let is_silent = is_missed && !claim.announced;
        counts.silent += usize::from(is_silent);
        let is_calibrated = claim.grade >= Grade::Calibrated;
        counts.calibrated += usize::from(is_calibrated);
        counts.lied += usize::from(is_calibrated && is_missed);
        let bracket = d.not_before.map(|t| (d.gone_by - t) / 2.0 - 0.01);
        let is_narrower = claim
            .half_width
            .zip(bracket)
            .is_some_and(|(ours, bracket)| ours < bracket);
        counts.narrow_uncalibrated += usize::from(claim.grade == Grade::Uncalibrated && is_narrower);
        if let Some((from, to)) = claim.modelled {
            counts.modelled += 1;
            counts.modelled_right += usize::from(from <= d.truth && d.truth <= to);
        }
        if counts.departures > WARM_UP {
            self.measure(now, d, claim, offset);
        }
        if is_silent && self.first_misses.len() < DESCRIBED_MISSES {
            self.first_misses.push(describe(now, d, claim, offset));
        }
        if is_silent || self.random.chance(self.again_share) {
            let index = self.claims.len();
            self.claims.push((*d, claim.clone(), is_silent));
            self.counts.never_announced += usize::from(is_silent);
            let due = AGAIN_AFTER.map(|after| Reverse((((now + after) * 1e3) as i64, index)));
            self.pending.extend(due);
        }
    }

    fn measure(&mut self, now: f64, d: &Departure, claim: &Claim, offset: f64) {
        let others = &self.series[&self.service.series_of(d)];
        let oracle = others.oracle.claim(d, offset, d.truth + d.our_error);
        let measured = &mut self.measured;
        measured.point.push((claim.point - d.truth).abs() as f32);
        for (errors, instant) in measured.baselines.iter_mut().zip(others.baselines.instants(d)) {
            errors.push((instant - d.truth).abs() as f32);
        }
        measured.oracle.push(oracle.error as f32);
        let Some(half_width) = claim.half_width else { return };
        measured.half_width.push(half_width as f32);
        measured.oracle_half_width.push(oracle.half_width as f32);
        measured.least_half_width.push(oracle.least_half_width as f32);
        if now - self.last_doubt > DOUBTFUL {
            measured.calm_half_width.push(half_width as f32);
            measured.calm_least_half_width.push(oracle.least_half_width as f32);
        }
    }

    /// Estimates earlier departures again that are due, as the service does after new samples.
    fn estimate_again(&mut self, now: f64) {
        while self
            .pending
            .peek()
            .is_some_and(|Reverse((due, _))| *due as f64 / 1e3 <= now)
        {
            let Some(Reverse((_, index))) = self.pending.pop() else {
                return;
            };
            let (d, old, is_silent) = &self.claims[index];
            let new = self.service.claim(d);
            let says_so = new.announced || new.version != old.version;
            let reissued = self.service.is_worth_reissuing(d, old, &new);
            let is_corrected = says_so || (reissued && new.contains(d.truth));
            if *is_silent && is_corrected {
                self.counts.never_announced -= 1;
                self.claims[index].2 = false;
                continue;
            }
            self.counts.again += 1;
            self.counts.not_nested += usize::from(!says_so && !new.is_inside(old));
            self.counts.reissued += usize::from(reissued);
            self.counts.reissued_outside += usize::from(reissued && !says_so && !new.is_inside(old));
            self.counts.made_wrong += usize::from(reissued && old.contains(d.truth) && !new.contains(d.truth));
        }
    }

    fn finish(mut self) -> WorldResult {
        self.counts.false_steps = self.disturbances.false_steps;
        let world = self.world;
        let named = (world.seed, world.days, world.description.clone());
        let samples = self.counts.departures as f64 / world.days * 30.0;
        WorldResult {
            steps: self.disturbances.results(&self.residues, samples),
            memory: self.memory,
            first_misses: self.first_misses,
            ..WorldResult::new(named, world.broken(), self.counts, &self.measured)
        }
    }
}

/// A missed departure in one line: hours after the start, then ms after the true instant.
fn describe(now: f64, d: &Departure, claim: &Claim, offset: f64) -> String {
    let after = |t: Option<f64>| t.map_or_else(|| "—".into(), |t| format!("{:.0}", t - d.truth));
    format!(
        "{:.3} h: claim {} to {:.0}, bracket {} to {:.0}, heard at {:.0}; stamp − clock {:.0}, quantum {:.0}, our error {:.0}, machine {}, \
         epoch {}, {}{}",
        now / HOUR,
        after(claim.earliest),
        claim.latest - d.truth,
        after(d.not_before),
        d.gone_by - d.truth,
        d.learnt - d.truth,
        d.stamp - d.truth - offset - d.our_error,
        d.quantum,
        d.our_error,
        d.machine,
        claim.version,
        claim.grade.as_str(),
        if d.commanded { ", commanded" } else { "" },
    )
}
