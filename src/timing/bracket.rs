//! From a causal bracket, and a stamp if its clock is calibrated, to an instant with an honest uncertainty.

use jiff::{SignedDuration, Timestamp};

use super::{Calibration, Grade, Stamp};

/// Two moments of our own clock around an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// The event had surely not happened yet. `None` if nothing bounds it from below, as for a leg that we first hear
    /// of when it is gone.
    pub not_before: Option<Timestamp>,
    /// The event had surely happened.
    pub not_after: Timestamp,
}

/// An instant and how far off it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The best single instant.
    pub point: Timestamp,
    /// The event was not before this; `None` if unbounded.
    pub earliest: Option<Timestamp>,
    /// The event was not after this.
    pub latest: Timestamp,
    /// The greatest distance of the truth from `point`, ms; `None` if unbounded.
    pub uncertainty_ms: Option<i64>,
    /// How it was arrived at.
    pub grade: Grade,
    /// The clock offset applied to the stamp, ms; `None` when no stamp was used.
    pub offset_ms: Option<i64>,
    /// The calibration used; 0 for none.
    pub version: u32,
    /// The calibrated stamp and the bracket exclude each other: the bracket was kept.
    pub conflicting: bool,
}

/// Draws the conclusion. Both ends are widened by `clock_error_ms`, our own clock's greatest error.
///
/// With a calibration, the event lies in `[s, s+q) − offset` as well, so in the intersection. If the two do not meet,
/// the bracket stands, since causality needs no vendor's honesty, and the estimate is marked `conflicting`.
pub fn estimate(bracket: Bracket, stamp: Option<&Stamp>, known: &dyn Calibration, clock_error_ms: i64) -> Estimate {
    let own_error = SignedDuration::from_millis(clock_error_ms.max(0));
    let latest = later(bracket.not_after, own_error);
    // A lower bound above the upper one is no bound: the evidence it came from was out of date.
    let earliest = bracket
        .not_before
        .filter(|t| *t <= bracket.not_after)
        .map(|t| later(t, -own_error));
    let bracket_only = |conflicting| {
        let point = earliest.map_or(bracket.not_after, |e| midpoint(e, latest));
        finish(point, earliest, latest, Grade::Uncalibrated, None, 0, conflicting)
    };
    let Some((stamp, offset)) = stamp.and_then(|s| known.offset(&s.stream, s.at).map(|o| (s, o))) else {
        return bracket_only(false);
    };
    let from = later(
        later(stamp.at, -SignedDuration::from_millis(offset.high_ms)),
        -own_error,
    );
    let to = later(
        later(stamp.at, SignedDuration::from_millis(stamp.quantum_ms - offset.low_ms)),
        own_error,
    );
    let low = earliest.map_or(from, |e| e.max(from));
    let high = latest.min(to);
    if low > high {
        return bracket_only(true);
    }
    let guess = later(
        stamp.at,
        SignedDuration::from_millis(stamp.quantum_ms / 2 - offset.best_ms),
    );
    let point = guess.clamp(low, high);
    let uncertainty = distance(point, low).max(distance(high, point));
    finish(
        point,
        Some(low),
        high,
        Grade::of_calibrated(uncertainty),
        Some(offset.best_ms),
        offset.version,
        false,
    )
}

fn finish(
    point: Timestamp,
    earliest: Option<Timestamp>,
    latest: Timestamp,
    grade: Grade,
    offset_ms: Option<i64>,
    version: u32,
    conflicting: bool,
) -> Estimate {
    let uncertainty_ms = earliest.map(|e| distance(point, e).max(distance(latest, point)));
    Estimate {
        point,
        earliest,
        latest,
        uncertainty_ms,
        grade,
        offset_ms,
        version,
        conflicting,
    }
}

/// `b` after `a`, in whole milliseconds rounded up: an uncertainty is never understated.
fn distance(a: Timestamp, b: Timestamp) -> i64 {
    let nanos = a.duration_since(b).abs().as_nanos();
    i64::try_from((nanos + 999_999) / 1_000_000).unwrap_or(i64::MAX)
}

fn midpoint(a: Timestamp, b: Timestamp) -> Timestamp {
    let half = b.duration_since(a).as_millis() / 2;
    later(a, SignedDuration::from_millis(i64::try_from(half).unwrap_or(0)))
}

/// `t + by`, held at the ends of the calendar.
fn later(t: Timestamp, by: SignedDuration) -> Timestamp {
    t.saturating_add(by).unwrap_or(t)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::timing::{OffsetInterval, Stream, Uncalibrated};

    fn ms(t: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + t).expect("in range")
    }

    fn stream() -> Stream {
        Stream {
            vendor: "v",
            instance: "i".into(),
            source: "s",
            field: "f",
        }
    }

    struct Known(OffsetInterval);
    impl Calibration for Known {
        fn offset(&self, _: &Stream, _: Timestamp) -> Option<OffsetInterval> {
            Some(self.0)
        }
    }

    #[test]
    fn the_bracket_alone_gives_its_middle_and_its_half_width() {
        let got = estimate(
            Bracket {
                not_before: Some(ms(0)),
                not_after: ms(1000),
            },
            None,
            &Uncalibrated,
            50,
        );
        assert_eq!(got.point, ms(500));
        assert_eq!((got.earliest, got.latest), (Some(ms(-50)), ms(1050)));
        assert_eq!(got.uncertainty_ms, Some(550));
        assert_eq!(got.grade, Grade::Uncalibrated);
    }

    #[test]
    fn a_stamp_is_not_trusted_until_a_calibration_says_so() {
        let stamp = Stamp::read(stream(), ms(-90_000));
        let bracket = Bracket {
            not_before: Some(ms(0)),
            not_after: ms(1000),
        };
        assert_eq!(
            estimate(bracket, Some(&stamp), &Uncalibrated, 50),
            estimate(bracket, None, &Uncalibrated, 50)
        );
    }

    #[test]
    fn without_a_lower_bound_no_uncertainty_is_claimed() {
        let got = estimate(
            Bracket {
                not_before: None,
                not_after: ms(1000),
            },
            None,
            &Uncalibrated,
            50,
        );
        assert_eq!((got.point, got.earliest, got.uncertainty_ms), (ms(1000), None, None));
    }

    #[test]
    fn a_calibrated_stamp_that_contradicts_causality_loses() {
        let known = Known(OffsetInterval {
            low_ms: -10,
            high_ms: 10,
            best_ms: 0,
            version: 3,
        });
        let stamp = Stamp {
            stream: stream(),
            at: ms(9000),
            quantum_ms: 1,
        };
        let got = estimate(
            Bracket {
                not_before: Some(ms(0)),
                not_after: ms(1000),
            },
            Some(&stamp),
            &known,
            0,
        );
        assert!(got.conflicting);
        assert_eq!((got.grade, got.version), (Grade::Uncalibrated, 0));
    }

    proptest! {
        /// Whatever the delays, the offset, the quantum and our own clock's error: the truth is inside.
        #[test]
        fn the_truth_is_inside(
            before in 0_i64..60_000, after in 0_i64..60_000, offset in -5_000_i64..5_000,
            slack_low in 0_i64..2_000, slack_high in 0_i64..2_000,
            quantum in prop::sample::select(vec![1_i64, 1000]), truth in 0_i64..100_000,
            error in 0_i64..200, e0 in -1.0_f64..1.0, e1 in -1.0_f64..1.0, calibrated: bool,
        ) {
            // Our clock reads wrong by at most `error` at each end.
            #[allow(clippy::cast_possible_truncation, reason = "a few hundred ms")]
            let off = |share: f64| (share * error as f64) as i64;
            let bracket = Bracket { not_before: Some(ms(truth - before + off(e0))), not_after: ms(truth + after + off(e1)) };
            prop_assume!(bracket.not_before.expect("set") <= bracket.not_after);
            let vendor = ms(truth + offset).as_millisecond();
            let stamp = Stamp {
                stream: stream(),
                at: Timestamp::from_millisecond(vendor - vendor.rem_euclid(quantum)).expect("in range"),
                quantum_ms: quantum,
            };
            let known = Known(OffsetInterval {
                low_ms: offset - slack_low, high_ms: offset + slack_high, best_ms: offset, version: 1,
            });
            let known: &dyn Calibration = if calibrated { &known } else { &Uncalibrated };
            let got = estimate(bracket, Some(&stamp), known, error);
            prop_assert!(got.earliest.expect("bounded") <= ms(truth) && ms(truth) <= got.latest);
            let claimed = got.uncertainty_ms.expect("bounded");
            prop_assert!((ms(truth).as_millisecond() - got.point.as_millisecond()).abs() <= claimed);
            // A stamp never makes the claim worse than the bracket's own ends.
            prop_assert!(got.latest <= ms(truth + after + off(e1) + error));
        }
    }
}
