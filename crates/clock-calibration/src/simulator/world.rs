//! A generated world: what happened, and what reached us of it, in the order of arrival.

use super::scenario::{Delay, Scenario};
use crate::Moment;
use crate::sample::{Cause, Sample};

/// The start of simulated time, in seconds since the Unix epoch: a whole hour, because vendors cut stamps to whole minutes
/// of UTC.
const START: i64 = 1_789_999_200;

/// One departure, as we received it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    /// When it really happened, in ms after the start, on a perfect clock.
    pub truth: f64,
    /// The bracket and the stamp.
    pub sample: Sample,
    /// Whether the stamp is of another moment.
    pub is_outlier: bool,
    /// Whether this is a duplicate of an earlier notice.
    pub again: bool,
}

/// Something that reached us.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    /// The notice of a departure.
    Departure(Departure),
    /// The time to send a `Date` probe.
    Probe,
}

/// A world generated from a seed.
pub(crate) struct World<'s> {
    scenario: &'s Scenario,
    random: fastrand::Rng,
    phase: f64,
}

impl<'s> World<'s> {
    /// The world of one seed.
    pub(crate) fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x51DE_D00A);
        let phase = random.f64();
        Self {
            scenario,
            random,
            phase,
        }
    }

    /// All arrivals, each with the moment at which it reached us, in ms after the start.
    pub(crate) fn arrivals(&mut self) -> Vec<(f64, Arrival)> {
        let s = self.scenario;
        let end = s.hours * 3_600_000.0;
        let mut all = Vec::new();
        for (rate, cause) in [(s.commanded, Cause::Command), (s.spontaneous, Cause::Spontaneous)] {
            let mut t = 0.0;
            loop {
                // A rate of zero gives an infinite gap.
                t += -self.random.f64().max(1e-12).ln() * 3_600_000.0 / rate;
                if t >= end {
                    break;
                }
                self.departure(t, cause, &mut all);
            }
        }
        if s.dates > 0.0 {
            let gap = 3_600_000.0 / s.dates;
            let mut t = gap * self.random.f64();
            while t < end {
                all.push((t, Arrival::Probe));
                // Not quite regular, because real timers are not.
                t += gap * (0.9 + 0.2 * self.random.f64());
            }
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    fn departure(&mut self, sent: f64, cause: Cause, all: &mut Vec<(f64, Arrival)>) {
        let s = self.scenario;
        // Without a command only the last poll is known, up to a minute before.
        let truth = match cause {
            Cause::Command => sent + self.delay(s.command),
            _ => sent + self.random.f64() * 60_000.0,
        };
        let is_outlier = self.random.f64() < s.outliers;
        let off = if is_outlier {
            let size = 300.0 + 4_700.0 * self.random.f64();
            if self.random.bool() { size } else { -size }
        } else {
            0.0
        };
        let stamped = truth + off;
        let stamp = s.rounding.stamp(stamped + s.offset_at(stamped));
        let mut learned = truth + self.delay(s.notice);
        if self.random.f64() < s.late {
            learned += self.random.f64() * 60_000.0;
        }
        let lost = self.random.f64() < s.loss;
        let twice = self.random.f64() < s.duplicates;
        let sample = |learned: f64, world: &Self| Sample {
            not_before: Some(world.own(sent)),
            asked: None,
            not_after: world.own(learned),
            stamp: moment(stamp),
            cause,
        };
        if !lost {
            let sample = sample(learned, self);
            all.push((
                learned,
                Arrival::Departure(Departure {
                    truth,
                    sample,
                    is_outlier,
                    again: false,
                }),
            ));
        }
        if twice {
            let later = learned + self.delay(s.notice);
            let sample = sample(later, self);
            all.push((
                later,
                Arrival::Departure(Departure {
                    truth,
                    sample,
                    is_outlier,
                    again: !lost,
                }),
            ));
        }
    }

    /// One `Date` exchange that starts at `sent` ms after the start. `None` if it is lost.
    pub(crate) fn exchange(&mut self, sent: f64) -> Option<Sample> {
        let s = self.scenario;
        let read = sent + self.delay(s.way);
        let back = read + self.delay(s.way);
        if self.random.f64() < s.loss {
            return None;
        }
        let stamp = ((read + s.offset_at(read)) / 1000.0).floor() * 1000.0;
        Some(Sample {
            not_before: Some(self.own(sent)),
            asked: None,
            not_after: self.own(back),
            stamp: moment(stamp),
            cause: Cause::Exchange,
        })
    }

    /// What our own clock shows.
    pub(crate) fn own(&self, t: f64) -> Moment {
        let turn = std::f64::consts::TAU * (t / 1_800_000.0 + self.phase);
        moment(t + self.scenario.own_clock * turn.sin())
    }

    fn delay(&mut self, d: Delay) -> f64 {
        d.floor + d.median * (d.sigma * self.normal()).exp()
    }

    /// A standard normal variable (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (u, v) = (self.random.f64().max(1e-300), self.random.f64());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// The moment `ms` after the start, to the microsecond.
pub(crate) fn moment(ms: f64) -> Moment {
    #[allow(clippy::cast_possible_truncation, reason = "a few days in microseconds")]
    let micros = (ms * 1000.0).round() as i64;
    Moment::from_millis(START * 1000).plus_nanos(micros * 1000)
}

/// The inverse of [`moment`].
pub(crate) fn since_start(t: Moment) -> f64 {
    t.ms_since(Moment::from_millis(START * 1000))
}
