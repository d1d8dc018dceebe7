//! Which departures follow a disturbance, and which new epochs have a cause.

use super::detection::Residues;
use super::history::{Departure, History};
use super::measured::StepResult;
use super::world::{HOUR, HardWorld};

/// A latent window ends after this many departures, whether or not one of them contradicts the old offset.
pub(crate) const LATENT: usize = 10;
/// Steps from this size on must be noticed, in ms.
pub(crate) const NOTABLE: f64 = 100.0;
/// A smaller disturbance is no reason for a new epoch, in ms.
const NOTICEABLE: f64 = 15.0;
/// A new epoch may follow a disturbance by this long, in ms.
const EXPLAINS_FOR: f64 = 48.0 * HOUR;

/// Something that moved the offset.
#[derive(Debug, Clone, Copy)]
struct Disturbance {
    /// When, in ms after the start.
    at: f64,
    /// By how much, in ms.
    by: f64,
    /// Whether it happened at once; otherwise the clock was slewed.
    is_step: bool,
    /// The machine of the vendor; `None`: our own time scale, or the clock of the `Date` headers.
    machine: Option<usize>,
    /// Departures since then.
    departures: usize,
    /// How many of these have an interval that misses the truth, until the next notable disturbance.
    uncovered: usize,
    /// Whether a new epoch followed.
    is_explained: bool,
}

/// All disturbances of a world.
#[derive(Debug, Clone)]
pub(crate) struct Disturbances {
    /// In the order of time.
    all: Vec<Disturbance>,
    /// The number of disturbances that already began.
    begun: usize,
    /// Whether `Date`s bound the clock of the event stamps.
    is_coupled: bool,
    /// New epochs without a cause.
    pub(crate) false_steps: usize,
}

impl Disturbances {
    pub(crate) fn new(world: &HardWorld, history: &History<'_>) -> Self {
        let mut all = Vec::new();
        let mut add = |at: f64, by: f64, is_step: bool, machine: Option<usize>| {
            all.push(Disturbance {
                at,
                by,
                is_step,
                machine,
                departures: 0,
                uncovered: 0,
                is_explained: by.abs() < NOTICEABLE,
            });
        };
        for (i, machine) in world.machines.iter().enumerate() {
            machine
                .clock
                .changes
                .iter()
                .for_each(|c| add(c.at, c.by, c.over <= 0.0, Some(i)));
        }
        let coupled = world.dates.iter().filter(|d| d.declared_bound.is_some());
        coupled
            .flat_map(|d| d.clock.steps())
            .for_each(|(at, by)| add(at, by, true, None));
        history
            .own_jumps()
            .into_iter()
            .for_each(|(at, by)| add(at, by, true, None));
        all.sort_by(|a, b| a.at.total_cmp(&b.at));
        Self {
            all,
            begun: 0,
            is_coupled: world.dates.iter().any(|d| d.declared_bound.is_some()),
            false_steps: 0,
        }
    }

    /// Moves on to `now`.
    pub(crate) fn advance(&mut self, now: f64) {
        while self.all.get(self.begun).is_some_and(|d| d.at <= now) {
            self.begun += 1;
        }
    }

    /// Notes `count` new epochs at `now`.
    pub(crate) fn note_epochs(&mut self, count: usize, now: f64) {
        for _ in 0..count {
            let begun = self.all[..self.begun].iter_mut();
            let cause = begun.rev().find(|d| !d.is_explained && d.at >= now - EXPLAINS_FOR);
            match cause {
                Some(cause) => cause.is_explained = true,
                None => self.false_steps += 1,
            }
        }
    }

    /// Notes a departure whose interval was judged. Returns whether it is in the latent window of a disturbance.
    pub(crate) fn note_departure(&mut self, d: &Departure, covered: bool) -> bool {
        let (mut is_latent, mut is_counted) = (false, covered);
        for disturbance in self.all[..self.begun].iter_mut().rev() {
            if disturbance.at > d.truth || disturbance.machine.is_some_and(|m| m != d.machine) {
                continue;
            }
            is_latent |= disturbance.departures < LATENT && disturbance.by.abs() >= NOTICEABLE;
            disturbance.departures += 1;
            if disturbance.by.abs() >= NOTABLE {
                disturbance.uncovered += usize::from(!is_counted);
                is_counted = true;
            }
        }
        is_latent
    }

    /// What followed each notable step of the vendor's clocks, if any departure did. A false alarm is allowed once in
    /// `samples`. Coupled `Date`s also show a step, so then no least delay is claimed.
    pub(crate) fn results(&self, residues: &Residues, samples: f64) -> Vec<StepResult> {
        let steps = self.all[..self.begun]
            .iter()
            .filter(|d| d.is_step && d.machine.is_some());
        let notable = steps.filter(|d| d.by.abs() >= NOTABLE && d.departures > 0);
        let of = |d: &Disturbance| StepResult {
            by: d.by,
            uncovered: d.uncovered,
            least_delay: if self.is_coupled {
                0.0
            } else {
                residues.least_delay(d.by, samples)
            },
        };
        notable.map(of).collect()
    }
}
