//! A vendor's clock as it really runs.

use super::world::HOUR;

/// A change of a clock that its drift does not explain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// When it begins, in ms after the start.
    pub at: f64,
    /// How long it takes, in ms. Zero: a step.
    pub over: f64,
    /// By how much the clock's offset changes, in ms.
    pub by: f64,
}

impl Change {
    /// How much of the change has happened at `t`, in ms.
    fn done(&self, t: f64) -> f64 {
        if t < self.at {
            0.0
        } else if t >= self.at + self.over {
            self.by
        } else {
            self.by * (t - self.at) / self.over
        }
    }
}

/// The offset of a vendor's clock, as a function of true time.
#[derive(Debug, Clone, Default)]
pub(crate) struct VendorClock {
    /// The offset at the start, in ms.
    pub offset: f64,
    /// The drift, in ppm.
    pub drift_ppm: f64,
    /// A slow change of the drift: amplitude in ppm, period in hours.
    pub wander: Option<(f64, f64)>,
    /// Steps and slews, in the order of time.
    pub changes: Vec<Change>,
}

impl VendorClock {
    /// Vendor − truth at `t` ms after the start, in ms.
    pub(crate) fn offset_at(&self, t: f64) -> f64 {
        self.smooth_at(t) + self.changes.iter().map(|c| c.done(t)).sum::<f64>()
    }

    /// The same without steps. Slews are part of it.
    pub(crate) fn without_steps(&self, t: f64) -> f64 {
        let slews = self.changes.iter().filter(|c| c.over > 0.0);
        self.smooth_at(t) + slews.map(|c| c.done(t)).sum::<f64>()
    }

    fn smooth_at(&self, t: f64) -> f64 {
        let mut offset = self.offset + self.drift_ppm * 1e-6 * t;
        if let Some((ppm, period)) = self.wander {
            // The integral of amplitude · sin(turn · hours / period).
            let turn = std::f64::consts::TAU / period;
            offset += ppm * 3.6 / turn * (1.0 - (turn * t / HOUR).cos());
        }
        offset
    }

    /// The steps, each with its time in ms after the start and its size in ms.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (f64, f64)> {
        self.changes.iter().filter(|c| c.over <= 0.0).map(|c| (c.at, c.by))
    }

    /// The greatest rate at which the offset changes, apart from steps, in ppm.
    pub(crate) fn max_rate_ppm(&self) -> f64 {
        let slews = self.changes.iter().filter(|c| c.over > 0.0);
        let slew = slews.map(|c| (c.by / c.over * 1e6).abs()).fold(0.0, f64::max);
        self.drift_ppm.abs() + self.wander.map_or(0.0, |(ppm, _)| ppm.abs()) + slew
    }

    /// How far the offset deviates from a straight line within any window of `window` ms before `end`, in ms. Steps do
    /// not count, because they begin a new line.
    pub(crate) fn deviation_from_line(&self, window: f64, end: f64) -> f64 {
        const POINTS: usize = 24;
        if self.wander.is_none() && self.changes.iter().all(|c| c.over <= 0.0) {
            return 0.0;
        }
        let mut most: f64 = 0.0;
        let mut from = 0.0;
        while from < end {
            let at = |i: usize| from + window * i as f64 / (POINTS - 1) as f64;
            let values: Vec<f64> = (0..POINTS).map(|i| self.without_steps(at(i))).collect();
            most = most.max(deviation(&values));
            from += window / 4.0;
        }
        most
    }
}

/// Half the height of the lowest band around the least-squares line that contains all values, which are equally
/// spaced.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let middle = (n - 1.0) / 2.0;
    let square: f64 = (0..values.len()).map(|i| (i as f64 - middle).powi(2)).sum();
    let product: f64 = values.iter().enumerate().map(|(i, v)| (i as f64 - middle) * v).sum();
    let slope = product / square;
    let rest = values
        .iter()
        .enumerate()
        .map(|(i, v)| v - mean - slope * (i as f64 - middle));
    let (low, high) = rest.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), r| (l.min(r), h.max(r)));
    (high - low) / 2.0
}
