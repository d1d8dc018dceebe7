//! A world unrolled: what happened, and what reached us of it, in the order in which it reached us.

use jiff::{SignedDuration, Timestamp};

use super::scenario::{Delay, Scenario};
use crate::sample::{Cause, Sample};

/// Where the invented time begins, epoch seconds.
const START: i64 = 1_790_000_000;

/// One departure, as we learnt of it.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    /// When it really happened, ms after the start, on a perfect clock.
    pub truth: f64,
    /// The bracket and the stamp.
    pub sample: Sample,
    /// The stamp is of another moment.
    pub lies: bool,
    /// It told us twice; this is the second time.
    pub again: bool,
}

/// Something that reached us.
#[derive(Debug, Clone, Copy)]
pub enum Arrival {
    /// A departure's notice.
    Departure(Departure),
    /// The moment to send a `Date` probe.
    Probe,
}

/// A seeded world.
pub struct World<'s> {
    scenario: &'s Scenario,
    random: fastrand::Rng,
    phase: f64,
}

impl<'s> World<'s> {
    /// The world of one seed.
    pub fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x51DE_D00A);
        let phase = random.f64();
        Self {
            scenario,
            random,
            phase,
        }
    }

    /// All arrivals, with the moment (ms after the start) at which each reached us.
    pub fn arrivals(&mut self) -> Vec<(f64, Arrival)> {
        let s = self.scenario;
        let end = s.hours * 3_600_000.0;
        let mut all = Vec::new();
        for (rate, cause) in [(s.commanded, Cause::Command), (s.spontaneous, Cause::Spontaneous)] {
            let mut t = 0.0;
            loop {
                // None an hour is a gap without end.
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
                // Not quite regular, as real timers are not.
                t += gap * (0.9 + 0.2 * self.random.f64());
            }
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    fn departure(&mut self, sent: f64, cause: Cause, all: &mut Vec<(f64, Arrival)>) {
        let s = self.scenario;
        // Nobody commanded: all that is known is the last look, up to a minute before.
        let truth = match cause {
            Cause::Command => sent + self.delay(s.command),
            _ => sent + self.random.f64() * 60_000.0,
        };
        let lies = self.random.f64() < s.lying;
        let off = if lies {
            let size = 300.0 + 4_700.0 * self.random.f64();
            if self.random.bool() { size } else { -size }
        } else {
            0.0
        };
        let stamped = truth + off;
        let stamp = s.cutting.stamp(stamped + s.offset_at(stamped));
        let mut learnt = truth + self.delay(s.notice);
        if self.random.f64() < s.late {
            learnt += self.random.f64() * 60_000.0;
        }
        let lost = self.random.f64() < s.loss;
        let twice = self.random.f64() < s.duplicates;
        let sample = |learnt: f64, world: &Self| Sample {
            not_before: Some(world.own(sent)),
            not_after: world.own(learnt),
            stamp: moment(stamp),
            cause,
        };
        if !lost {
            let sample = sample(learnt, self);
            all.push((
                learnt,
                Arrival::Departure(Departure {
                    truth,
                    sample,
                    lies,
                    again: false,
                }),
            ));
        }
        if twice {
            let later = learnt + self.delay(s.notice);
            let sample = sample(later, self);
            all.push((
                later,
                Arrival::Departure(Departure {
                    truth,
                    sample,
                    lies,
                    again: !lost,
                }),
            ));
        }
    }

    /// One `Date` exchange, begun at `sent` ms after the start. `None` if it is lost.
    pub fn exchange(&mut self, sent: f64) -> Option<Sample> {
        let s = self.scenario;
        let read = sent + self.delay(s.way);
        let back = read + self.delay(s.way);
        if self.random.f64() < s.loss {
            return None;
        }
        let stamp = ((read + s.offset_at(read)) / 1000.0).floor() * 1000.0;
        Some(Sample {
            not_before: Some(self.own(sent)),
            not_after: self.own(back),
            stamp: moment(stamp),
            cause: Cause::Exchange,
        })
    }

    /// What our own clock shows.
    pub fn own(&self, t: f64) -> Timestamp {
        let turn = std::f64::consts::TAU * (t / 1_800_000.0 + self.phase);
        moment(t + self.scenario.own_clock * turn.sin())
    }

    fn delay(&mut self, d: Delay) -> f64 {
        d.floor + d.median * (d.sigma * self.normal()).exp()
    }

    /// A standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let (u, v) = (self.random.f64().max(1e-300), self.random.f64());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// `ms` after the start.
pub fn moment(ms: f64) -> Timestamp {
    let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
    #[allow(clippy::cast_possible_truncation, reason = "a few days in microseconds")]
    let micros = (ms * 1000.0).round() as i64;
    start
        .saturating_add(SignedDuration::from_micros(micros))
        .unwrap_or(start)
}

/// The inverse of [`moment`].
pub fn since_start(t: Timestamp) -> f64 {
    let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
    t.duration_since(start).as_secs_f64() * 1000.0
}
