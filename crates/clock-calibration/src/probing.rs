//! When to send the next `Date` probe, so that it teaches most.
//!
//! A `Date` has whole seconds, so a probe only shows on which side of a second boundary the vendor's clock was. If the
//! probe is sent so that the boundary would fall in the middle of the exchange for an offset `x`, the answer shows
//! whether the offset is above or below `x`, give or take half the round trip. Aiming at the middle of the known
//! interval halves it, but never looks outside, so that a step of less than a second would stay undetected. Therefore
//! probes alternate between the middle and a little beyond either end. While a step is suspected, they aim beyond the
//! end at which it would be.

use std::time::Duration;

use super::moment::Moment;

/// How far beyond the ends of the interval the outer probes aim, in ms.
const BEYOND: f64 = 60.0;

/// While the interval is wider than this, in ms, probes only halve it.
const WIDE: f64 = 300.0;

/// What the next probe of a clock should find out: see [`crate::ClockSeries::probe_target`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbeTarget {
    /// The guaranteed interval of the offset if there was no step, in ms.
    pub guaranteed: (f64, f64),
    /// Whether a suspected step would put the offset notably below that interval.
    pub suspected_below: bool,
    /// Whether a suspected step would put the offset notably above that interval.
    pub suspected_above: bool,
}

/// Decides in turn which part of the interval the next probe tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aim {
    turn: u8,
}

impl Aim {
    /// How long to wait from `now` before the probe is sent: less than a second. `round_trip` is the usual one, in ms.
    pub fn wait(&mut self, now: Moment, target: &ProbeTarget, round_trip: f64) -> Duration {
        let (known, below, above) = (target.guaranteed, target.suspected_below, target.suspected_above);
        let suspected = (below || above).then_some(below && (!above || self.turn == 0));
        let wide = known.1 - known.0 > WIDE;
        let aim_at = match (suspected, self.turn) {
            (Some(true), _) => known.0 - BEYOND,
            (Some(false), _) => known.1 + BEYOND,
            (None, 0) if !wide => known.0 - BEYOND,
            (None, 1) if !wide => known.1 + BEYOND,
            (None, _) => f64::midpoint(known.0, known.1),
        };
        self.turn = (self.turn + 1) % 3;
        // What the vendor's clock shows, within its second, in the middle of an exchange that starts now.
        #[allow(clippy::cast_precision_loss, reason = "microseconds within a second")]
        let within = (now.as_nanos() / 1000).rem_euclid(1_000_000) as f64 / 1000.0;
        let reads = (within + round_trip / 2.0 + aim_at).rem_euclid(1000.0);
        #[allow(clippy::cast_possible_truncation, reason = "below a second")]
        let micros = ((1000.0 - reads) * 1000.0) as i64;
        Duration::from_micros(micros.rem_euclid(1_000_000).unsigned_abs())
    }
}
