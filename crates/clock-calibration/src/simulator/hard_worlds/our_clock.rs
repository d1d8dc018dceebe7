//! The clocks of our own machines as they really run, and the time scale that the service makes of them.
//!
//! The service reads the machine's clock when it starts and counts on with a monotonic clock, so it does not see a
//! later correction of the machine's clock unless it follows the correction or starts again.

use super::service::follows_own_step;
use super::world::HOUR;

/// The clock of one machine of ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostClock {
    /// The error at the start, in ms: its reading − truth.
    pub error: f64,
    /// A slow oscillation of the error: amplitude in ms, period in hours, phase as a share of the period.
    pub wobble: (f64, f64, f64),
    /// Corrections, in the order of time: when, in ms after the start, and by how many ms.
    pub corrections: Vec<(f64, f64)>,
}

/// A jump of the service's time scale on one host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Jump {
    /// When, in ms after the start.
    pub at: f64,
    /// By how many ms.
    pub by: f64,
    /// Whether the service noticed it: it followed a correction. A jump at a restart goes unnoticed.
    pub followed: bool,
}

/// The service's time scale on one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scale {
    host: HostClock,
    /// In the order of time.
    pub jumps: Vec<Jump>,
}

impl Scale {
    /// The scale on `host` if the service starts again at each moment of `restarts` and our clock is declared to be
    /// wrong by at most `max_error_ms`.
    pub(crate) fn new(host: &HostClock, restarts: &[f64], max_error_ms: f64) -> Self {
        /// How often the service compares the two clocks, in ms.
        const COMPARED_EVERY: f64 = 10_000.0;
        let mut moments: Vec<(f64, Option<f64>)> = host.corrections.iter().map(|(at, by)| (*at, Some(*by))).collect();
        moments.extend(restarts.iter().map(|at| (*at, None)));
        moments.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut apart, mut jumps) = (0.0, Vec::new());
        for (at, correction) in moments {
            apart += correction.unwrap_or(0.0);
            let restart = correction.is_none();
            if apart != 0.0 && (restart || follows_own_step(apart, max_error_ms)) {
                jumps.push(Jump {
                    at: if restart { at } else { at + COMPARED_EVERY / 2.0 },
                    by: apart,
                    followed: !restart,
                });
                apart = 0.0;
            }
        }
        Self {
            host: host.clone(),
            jumps,
        }
    }

    /// The error of the service's time at `t` ms after the start, in ms.
    pub(crate) fn error_at(&self, t: f64) -> f64 {
        let (amplitude, period, phase) = self.host.wobble;
        let turn = std::f64::consts::TAU * (t / HOUR / period.max(0.1) + phase);
        let jumps = self.jumps.iter().filter(|j| j.at <= t).map(|j| j.by).sum::<f64>();
        self.host.error + amplitude * turn.sin() + jumps
    }

    /// What the service reads at `t`, in ms after the start.
    pub(crate) fn reading(&self, t: f64) -> f64 {
        t + self.error_at(t)
    }

    /// The greatest error up to `end`, in ms.
    pub(crate) fn greatest_error(&self, end: f64) -> f64 {
        let just_around = self.jumps.iter().flat_map(|j| [j.at - 1.0, j.at]);
        let regular = (0..=2000).map(|i| end * f64::from(i) / 2000.0);
        regular
            .chain(just_around)
            .map(|t| self.error_at(t).abs())
            .fold(0.0, f64::max)
    }
}
