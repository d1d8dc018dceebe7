//! When to send the next `Date` probe, so that it teaches the most.
//!
//! A `Date` has whole seconds, so a probe tells only on which side of a second boundary the vendor's clock stood. Sent so
//! that the boundary would fall in the middle of the exchange if the offset were `x`, the answer says whether the offset
//! is above or below `x`, give or take half the round trip. Aiming at the middle of the known interval halves it, but
//! never looks outside: a step smaller than a second would go unseen. So probes alternate between a little beyond either
//! end and the middle; and when a step is suspected, they ask right there.

use jiff::{SignedDuration, Timestamp};

/// How far beyond the ends of the interval the outer probes aim, ms.
const BEYOND: f64 = 60.0;

/// While the interval is wider than this, ms, halving it comes first.
const WIDE: f64 = 300.0;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aim {
    turn: u8,
}

impl Aim {
    /// How long to wait from `now` before sending: less than a second. `known` is the clock's interval, ms; the flags say
    /// whether a step below or above it is suspected; `round_trip` is the usual one, ms.
    pub fn wait(
        &mut self,
        now: Timestamp,
        known: (f64, f64),
        (below, above): (bool, bool),
        round_trip: f64,
    ) -> SignedDuration {
        let suspected = (below || above).then_some(below && (!above || self.turn == 0));
        let wide = known.1 - known.0 > WIDE;
        let target = match (suspected, self.turn) {
            (Some(true), _) => known.0 - BEYOND,
            (Some(false), _) => known.1 + BEYOND,
            (None, 0) if !wide => known.0 - BEYOND,
            (None, 1) if !wide => known.1 + BEYOND,
            (None, _) => f64::midpoint(known.0, known.1),
        };
        self.turn = (self.turn + 1) % 3;
        // The vendor's clock in the middle of an exchange begun now, within its second.
        #[allow(clippy::cast_precision_loss, reason = "microseconds within a second")]
        let within = now.as_microsecond().rem_euclid(1_000_000) as f64 / 1000.0;
        let reads = (within + round_trip / 2.0 + target).rem_euclid(1000.0);
        #[allow(clippy::cast_possible_truncation, reason = "below a second")]
        let micros = ((1000.0 - reads) * 1000.0) as i64;
        SignedDuration::from_micros(micros.rem_euclid(1_000_000))
    }
}
