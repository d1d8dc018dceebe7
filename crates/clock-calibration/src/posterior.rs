//! Where in its interval an instant most likely lies.
//!
//! The interval is guaranteed; inside it the learnt delays weigh: an instant soon after the command and long before the
//! notice is more or less likely than the middle. The stamp weighs too, with the offset spread over what is possible.

use super::latency::Latency;

/// Cells the interval is cut into.
const CELLS: usize = 32;

/// What is known about one instant. All in ms on one axis of our clock.
#[derive(Debug, Clone, Copy)]
pub struct Known<'l> {
    /// It lies here.
    pub within: (f64, f64),
    /// When the command was sent, and how long commands take.
    pub command: Option<(f64, &'l Latency)>,
    /// When we learnt of it, and how long notices take.
    pub notice: Option<(f64, &'l Latency)>,
    /// The stamp, its quantum, and the possible offsets.
    pub stamp: Option<(f64, f64, (f64, f64))>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighed {
    /// As likely before as after.
    pub median: f64,
    /// With these odds of 95 in 100 in between, if the learnt delays are right.
    pub modelled: (f64, f64),
    /// The mean and the variance.
    pub mean: f64,
    /// ms².
    pub variance: f64,
    /// Expected logarithm of the command's delay and its square, if there was one.
    pub command_log: Option<(f64, f64)>,
    /// The same of the notice's.
    pub notice_log: Option<(f64, f64)>,
}

/// Weighs every instant of the interval.
#[allow(clippy::cast_precision_loss, reason = "a few cells")]
pub fn weigh(known: &Known<'_>) -> Weighed {
    let (low, high) = known.within;
    let width = (high - low).max(1e-6);
    let at = |i: usize| low + width * (i as f64 + 0.5) / CELLS as f64;
    let mut weights = [0.0_f64; CELLS];
    let mut most = f64::NEG_INFINITY;
    let command = known.command.map(|(sent, l)| (sent, l.density()));
    let notice = known.notice.map(|(learnt, l)| (learnt, l.density()));
    for (i, w) in weights.iter_mut().enumerate() {
        let x = at(i);
        let command = command.map_or(0.0, |(sent, d)| d.log(x - sent));
        let notice = notice.map_or(0.0, |(learnt, d)| d.log(learnt - x));
        *w = command + notice + known.stamp.map_or(0.0, |s| stamp_weight(x, s).ln());
        most = most.max(*w);
    }
    let mut sum = 0.0;
    for w in &mut weights {
        *w = if most.is_finite() { (*w - most).exp() } else { 1.0 };
        sum += *w;
    }
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
    let moments = |delay: &dyn Fn(f64) -> f64| {
        let (mut log, mut square) = (0.0, 0.0);
        for (i, w) in weights.iter().enumerate() {
            let l = delay(at(i)).max(1.0).ln();
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
    Weighed {
        mean,
        variance,
        median: quantile(0.5),
        modelled: (quantile(0.025), quantile(0.975)),
        command_log: known.command.map(|(sent, _)| moments(&|x| x - sent)),
        notice_log: known.notice.map(|(learnt, _)| moments(&|x| learnt - x)),
    }
}

/// How much of the possible offsets puts `x` under the stamp.
fn stamp_weight(x: f64, (stamp, quantum, (low, high)): (f64, f64, (f64, f64))) -> f64 {
    // stamp ≤ x + offset < stamp + quantum
    let (from, to) = (stamp - x, stamp + quantum - x);
    let width = (high - low).max(1.0);
    ((to.min(high) - from.max(low)) / width).max(0.0)
}
