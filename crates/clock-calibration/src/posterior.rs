//! Where in its interval an instant most likely lies.
//!
//! The interval is guaranteed. Inside it the learned delays give each instant a weight, because an instant soon after
//! the command and long before the notice may be more or less likely than the middle. The stamp adds a weight too,
//! with the offset spread evenly over its possible values.

use super::elementary::{exponentials, logarithms};
use super::latency::{Density, Latency, least_delay};

/// The interval is divided into this many cells.
const CELLS: usize = 32;

/// The facts about one instant; all times in ms on one axis of our clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PosteriorInput<'l> {
    /// The interval in which the instant certainly lies.
    pub within: (f64, f64),
    /// When the command was sent, and the delay from command to event.
    pub command: Option<(f64, &'l Latency)>,
    /// When the notice reached us, and the delay from event to notice.
    pub notice: Option<(f64, &'l Latency)>,
    /// The stamp, its quantum and the possible offsets.
    pub stamp: Option<(f64, f64, (f64, f64))>,
}

/// The distribution of the instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Posterior {
    /// The median, in ms.
    pub median: f64,
    /// The lower and the upper quartile, in ms.
    pub quartiles: (f64, f64),
    /// The mean, in ms.
    pub mean: f64,
    /// The variance, in ms².
    pub variance: f64,
    /// Expected logarithm of the command's delay and of its square; `None` without a command.
    pub command_log: Option<(f64, f64)>,
    /// The same for the notice's delay.
    pub notice_log: Option<(f64, f64)>,
}

/// Computes the distribution of the instant over its interval.
#[allow(clippy::cast_precision_loss, reason = "a few cells")]
pub(crate) fn posterior(known: &PosteriorInput<'_>) -> Posterior {
    let (low, high) = known.within;
    let width = (high - low).max(1e-6);
    let at = |i: usize| low + width * (i as f64 + 0.5) / CELLS as f64;
    // The logarithms of the delays are needed twice and cost most of this function.
    let delays = |path: Option<(f64, &Latency)>, sign: f64| {
        path.map(|(end, l)| {
            let delays: [f64; CELLS] = std::array::from_fn(|i| least_delay(sign * (at(i) - end)));
            (l.density(), logarithms(&delays))
        })
    };
    let command: Option<(Density, [f64; CELLS])> = delays(known.command, 1.0);
    let notice: Option<(Density, [f64; CELLS])> = delays(known.notice, -1.0);
    let mut weights = [0.0_f64; CELLS];
    for (density, logs) in [&command, &notice].into_iter().flatten() {
        weights
            .iter_mut()
            .zip(logs)
            .for_each(|(w, log)| *w += density.of_log(*log));
    }
    if let Some(stamp) = known.stamp {
        let shares: [f64; CELLS] = std::array::from_fn(|i| stamp_weight(at(i), stamp));
        let logs = logarithms(&shares);
        weights.iter_mut().zip(logs).for_each(|(w, log)| *w += log);
    }
    let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most.is_finite() {
        weights = exponentials(&weights.map(|w| w - most));
    } else {
        weights = [1.0; CELLS];
    }
    let sum: f64 = weights.iter().sum();
    let quantile = |share: f64| {
        let mut left = share * sum;
        for (i, w) in weights.iter().enumerate() {
            if left <= *w {
                let within = if *w > 0.0 { left / w } else { 0.5 };
                return at(i) + width * (within - 0.5) / CELLS as f64;
            }
            left -= w;
        }
        high
    };
    let moments = |(_, logs): (Density, [f64; CELLS])| {
        let (mut log, mut square) = (0.0, 0.0);
        for (w, l) in weights.iter().zip(logs) {
            log += w * l;
            square += w * l * l;
        }
        (log / sum, square / sum)
    };
    let mean = weights.iter().enumerate().map(|(i, w)| w * at(i)).sum::<f64>() / sum;
    let variance = weights
        .iter()
        .enumerate()
        .map(|(i, w)| w * (at(i) - mean).powi(2))
        .sum::<f64>()
        / sum;
    Posterior {
        mean,
        variance,
        median: quantile(0.5),
        quartiles: (quantile(0.25), quantile(0.75)),
        command_log: command.map(moments),
        notice_log: notice.map(moments),
    }
}

/// The share of the possible offsets with which the clock shows this stamp at `x`.
fn stamp_weight(x: f64, (stamp, quantum, (low, high)): (f64, f64, (f64, f64))) -> f64 {
    // stamp ≤ x + offset < stamp + quantum
    let (from, to) = (stamp - x, stamp + quantum - x);
    let width = (high - low).max(1.0);
    ((to.min(high) - from.max(low)) / width).max(0.0)
}
