//! Six simple estimators of a departure's instant, and an oracle, on the same samples.

use std::collections::VecDeque;

use super::history::Departure;
use super::world::HOUR;
use crate::Limits;

/// The number of simple estimators.
pub(crate) const BASELINES: usize = 6;
/// Their names, in the order of their columns.
pub(crate) const NAMES: [&str; BASELINES] = [
    "time of receipt",
    "raw stamp",
    "running median",
    "least bracket of 64",
    "NTP min filter",
    "regression",
];
/// How many samples the estimators remember.
const MEMORY: usize = 64;

/// A sample of the offset by the middle of its bracket and of its quantum.
#[derive(Debug, Clone, Copy)]
struct Middle {
    at: f64,
    offset: f64,
    width: f64,
    quantum: f64,
    commanded: bool,
}

/// The simple estimators of one clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Baselines {
    last: VecDeque<Middle>,
    commanded: VecDeque<Middle>,
}

impl Baselines {
    /// Learns from a departure.
    pub(crate) fn learn(&mut self, d: &Departure) {
        let Some(from) = d.not_before else { return };
        let middle = Middle {
            at: d.learnt,
            offset: d.stamp + d.quantum / 2.0 - f64::midpoint(from, d.learnt),
            width: d.learnt - from,
            quantum: d.quantum,
            commanded: d.commanded,
        };
        for queue in [Some(&mut self.last), middle.commanded.then_some(&mut self.commanded)]
            .into_iter()
            .flatten()
        {
            queue.push_back(middle);
            if queue.len() > MEMORY {
                queue.pop_front();
            }
        }
    }

    /// The instant of a departure by each estimator, in ms after the start.
    pub(crate) fn instants(&self, d: &Departure) -> [f64; BASELINES] {
        let by = |offset: Option<f64>| offset.map_or(d.gone_by, |o| d.stamp + d.quantum / 2.0 - o);
        let least = |queue: &VecDeque<Middle>, n: usize| {
            let last = queue.iter().rev().take(n);
            last.min_by(|a, b| a.width.total_cmp(&b.width)).map(|m| m.offset)
        };
        [
            d.gone_by,
            d.stamp,
            by(self.median()),
            by(least(&self.commanded, MEMORY)),
            by(least(&self.last, 8)),
            by(self.regression(d.learnt)),
        ]
    }

    fn median(&self) -> Option<f64> {
        let mut offsets: Vec<f64> = self.last.iter().map(|m| m.offset).collect();
        let middle = offsets.len() / 2;
        (!offsets.is_empty()).then(|| *offsets.select_nth_unstable_by(middle, f64::total_cmp).1)
    }

    /// A weighted regression, similar to chrony: weights fall with the width above the least.
    fn regression(&self, now: f64) -> Option<f64> {
        let least = self.last.iter().map(|m| m.width).fold(f64::INFINITY, f64::min);
        let (mut s0, mut s1, mut s2, mut y0, mut y1) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for m in &self.last {
            let spread = m.quantum / 12.0_f64.sqrt() + (m.width - least) / 2.0 + 1.0;
            let (w, t) = (1.0 / (spread * spread), (m.at - now) / HOUR);
            s0 += w;
            s1 += w * t;
            s2 += w * t * t;
            y0 += w * m.offset;
            y1 += w * t * m.offset;
        }
        let det = s0 * s2 - s1 * s1;
        match self.last.len() {
            0 => None,
            n if n < 4 || det < 1e-9 * s0 * s0 => Some(y0 / s0),
            _ => Some((s2 * y0 - s1 * y1) / det),
        }
    }
}

/// What a perfect estimator could say about a departure, in ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OracleClaim {
    /// Half-width if the offset is known exactly, with the same bracket.
    pub half_width: f64,
    /// Error of the middle of that interval.
    pub error: f64,
    /// Half-width if only the *changes* of the offset are known exactly, and which stamps are wrong. The offset itself
    /// must be learned from the same samples, so no guaranteed interval can be narrower.
    pub least_half_width: f64,
}

/// The residues of a sample: how far the offset may be below and above the true one.
#[derive(Debug, Clone, Copy)]
struct Residue {
    at: f64,
    low: f64,
    high: f64,
}

/// An oracle that knows how the clocks move.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    window: VecDeque<Residue>,
    limits: Limits,
    clock_error: f64,
}

impl Oracle {
    pub(crate) fn new(limits: &Limits, clock_error: f64) -> Self {
        Self {
            window: VecDeque::new(),
            limits: limits.clone(),
            clock_error,
        }
    }

    /// Learns from a sample that allows offsets from `low` to `high`, both relative to the true one. The oracle knows
    /// that zero is right; a sample that excludes it was read on two scales of ours or by two hosts.
    pub(crate) fn learn(&mut self, at: f64, low: f64, high: f64) {
        self.window.push_back(Residue {
            at,
            low: low.min(0.0),
            high: high.max(0.0),
        });
        let (window, sparse) = (
            self.limits.window.as_secs_f64() * 1e3,
            self.limits.sparse_window.as_secs_f64() * 1e3,
        );
        while let Some(oldest) = self.window.front() {
            let most = if self.window.len() > self.limits.enough_samples {
                window
            } else {
                sparse
            };
            if at - oldest.at <= most && self.window.len() <= self.limits.max_samples {
                break;
            }
            self.window.pop_front();
        }
    }

    /// What it says about a departure whose stamp read the clock with the offset `offset`, on our time scale.
    pub(crate) fn claim(&self, d: &Departure, offset: f64, truth: f64) -> OracleClaim {
        let (low, high) = self
            .window
            .iter()
            .fold((f64::NEG_INFINITY, f64::INFINITY), |(low, high), r| {
                (low.max(r.low), high.min(r.high))
            });
        let ends = |low: f64, high: f64| {
            let from = (d.stamp - offset - high).max(d.not_before.unwrap_or(f64::NEG_INFINITY));
            let to = (d.stamp + d.quantum - offset - low).min(d.gone_by);
            (from, to.max(from))
        };
        let half = |(from, to): (f64, f64)| (to - from) / 2.0 + self.clock_error;
        let known = ends(0.0, 0.0);
        OracleClaim {
            half_width: half(known),
            error: (f64::midpoint(known.0, known.1) - truth).abs(),
            least_half_width: half(ends(low, high)),
        }
    }
}
