//! From a causal bracket and calibrated stamps to an instant with a true uncertainty.
//!
//! The event lies in the causal bracket, whatever a vendor says. A stamp `s` with quantum `q`, read from a clock whose
//! offset lies in the interval `O`, also puts it into `[s, s+q) − O`. So the event lies in the intersection of all
//! these intervals. If the intersection is empty, the bracket alone is used, because causality does not depend on any
//! vendor, and the estimate is marked `conflicting`.
//!
//! [`super::posterior`] says where in that interval the event most likely was. The uncertainty is always the distance
//! to the farther end of the interval.

use super::clock_id::ClockId;
use super::granularity::Granularity;
use super::latency::Latency;
use super::limits::Offset;
use super::moment::Moment;
use super::posterior::{PosteriorInput, posterior};
use super::{Grade, Thresholds};

/// Two moments of our own clock with the event between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// The event had certainly not happened yet. `None` if there is no lower bound, for example for a leg that was
    /// first heard of after its end.
    pub not_before: Option<Moment>,
    /// The event had certainly happened.
    pub not_after: Moment,
    /// Whether `not_before` is when the command was sent that caused the event.
    pub commanded: bool,
}

/// A vendor's stamp of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The clock that it was read from.
    pub clock: ClockId,
    /// The stamp, reduced to its quantum by the vendor.
    pub at: Moment,
    /// When the notice with this stamp reached us, on our clock.
    pub learnt_at: Moment,
}

/// Knowledge about a clock at one moment.
#[derive(Debug, Clone, Copy)]
pub struct ClockReading<'c> {
    /// Its offset.
    pub offset: Offset,
    /// The number of its epoch.
    pub version: u32,
    /// The quantum of its stamps.
    pub granularity: &'c Granularity,
    /// How long commands take until the event happens.
    pub command: &'c Latency,
    /// How long notices take to reach us.
    pub notice: &'c Latency,
}

/// An instant and its uncertainty.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The best single instant, on our clock.
    pub point: Moment,
    /// The event was not before this; `None` if there is no lower bound.
    pub earliest: Option<Moment>,
    /// The event was not after this.
    pub latest: Moment,
    /// Greatest distance of the truth from `point`, in ms; `None` if there is no lower bound.
    pub uncertainty_ms: Option<i64>,
    /// The event was between these with a probability of 95 % if the learned delays are right; `None` without a
    /// calibrated stamp.
    pub modelled: Option<(Moment, Moment)>,
    /// How far the instant may be trusted.
    pub grade: Grade,
    /// The clock offset that was applied to the stamp, in ms; `None` if no stamp was used.
    pub offset_ms: Option<i64>,
    /// The epoch number of the clock that was used; 0 if none was.
    pub version: u32,
    /// The clock whose stamp gives the narrowest interval.
    pub clock: Option<ClockId>,
    /// The stamps contradict the bracket or each other, so that only the bracket was used.
    pub conflicting: bool,
}

/// A calibrated stamp as an interval, in ms on our clock relative to the bracket's upper end.
struct Calibrated<'s> {
    stamp: &'s Stamp,
    reading: ClockReading<'s>,
    /// The stamp and its quantum.
    read: (f64, f64),
    within: (f64, f64),
}

/// Estimates when an event happened. `known` returns a clock's reading at a moment, or `None` if it is not known. Both ends of
/// the result are widened by `clock_error_ms`, the greatest error of our own clock.
pub fn estimate<'c>(
    bracket: Bracket,
    stamps: &'c [Stamp],
    known: impl Fn(&ClockId, Moment) -> Option<ClockReading<'c>>,
    clock_error_ms: i64,
    thresholds: &Thresholds,
) -> Estimate {
    let zero = bracket.not_after;
    #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
    let own = clock_error_ms.max(0) as f64;
    // A lower bound above the upper bound came from outdated evidence, so it is not used.
    let sent = bracket.not_before.filter(|t| *t <= zero).map(|t| t.ms_since(zero));
    let calibrated: Vec<Calibrated<'_>> = stamps
        .iter()
        .filter_map(|stamp| {
            let reading = known(&stamp.clock, stamp.learnt_at)?;
            #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
            let quantum = reading.granularity.quantum_ms(stamp.at) as f64;
            let at = stamp.at.ms_since(zero);
            let (low, high) = reading.offset.guaranteed;
            Some(Calibrated {
                stamp,
                reading,
                read: (at, quantum),
                within: (at - high, at + quantum - low),
            })
        })
        .collect();
    let low = calibrated
        .iter()
        .map(|c| c.within.0)
        .chain(sent)
        .fold(f64::NEG_INFINITY, f64::max);
    let high = calibrated.iter().map(|c| c.within.1).fold(0.0, f64::min);
    let narrowest = calibrated
        .iter()
        .min_by(|a, b| width(a.within).total_cmp(&width(b.within)));
    let Some(best) = narrowest.filter(|_| low - own <= high + own) else {
        return bracket_only(zero, sent, own, !calibrated.is_empty());
    };
    let Offset {
        best: offset, sigma, ..
    } = best.reading.offset;
    let (low, high) = (low.min(high), high.max(low));
    let posterior = posterior(&PosteriorInput {
        within: (low, high),
        command: sent.filter(|_| bracket.commanded).map(|t| (t, best.reading.command)),
        notice: Some((best.stamp.learnt_at.ms_since(zero), best.reading.notice)),
        stamp: Some((best.read.0, best.read.1, (offset - sigma, offset + sigma))),
    });
    let (earliest, latest) = (down(zero, low - own), up(zero, high + own));
    let point = later(zero, posterior.median).clamp(earliest, latest);
    let uncertainty = distance(point, earliest).max(distance(latest, point));
    #[allow(clippy::cast_possible_truncation, reason = "an offset in ms")]
    Estimate {
        point,
        earliest: Some(earliest),
        latest,
        uncertainty_ms: Some(uncertainty),
        modelled: Some((
            down(zero, posterior.modelled.0 - own),
            up(zero, posterior.modelled.1 + own),
        )),
        grade: thresholds.grade(uncertainty, clock_error_ms),
        offset_ms: Some(offset.round() as i64),
        version: best.reading.version,
        clock: Some(best.stamp.clock.clone()),
        conflicting: false,
    }
}

fn bracket_only(zero: Moment, sent: Option<f64>, own: f64, conflicting: bool) -> Estimate {
    let earliest = sent.map(|t| down(zero, t - own));
    let latest = up(zero, own);
    let point = sent.map_or(zero, |t| later(zero, t / 2.0));
    Estimate {
        point,
        earliest,
        latest,
        uncertainty_ms: earliest.map(|e| distance(point, e).max(distance(latest, point))),
        modelled: None,
        grade: Grade::Uncalibrated,
        offset_ms: None,
        version: 0,
        clock: None,
        conflicting,
    }
}

fn width((low, high): (f64, f64)) -> f64 {
    high - low
}

/// Distance in whole milliseconds, rounded up so that an uncertainty is never understated.
fn distance(a: Moment, b: Moment) -> i64 {
    let nanos = a.nanos_since(b).unsigned_abs();
    i64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// `zero + ms`, to the microsecond; saturates.
fn later(zero: Moment, ms: f64) -> Moment {
    #[allow(clippy::cast_possible_truncation, reason = "saturates")]
    let micros = (ms * 1000.0).round() as i64;
    zero.plus_nanos(micros.saturating_mul(1000))
}

/// The same for a lower end: moved down by 1.5 µs, because floating-point errors could have moved it up.
fn down(zero: Moment, ms: f64) -> Moment {
    later(zero, ms - 0.0015)
}

/// The same for an upper end.
fn up(zero: Moment, ms: f64) -> Moment {
    later(zero, ms + 0.0015)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(t: i64) -> Moment {
        Moment::from_millis(1_790_000_000_000 + t)
    }

    fn bracket(from: Option<i64>, to: i64) -> Bracket {
        Bracket {
            not_before: from.map(ms),
            not_after: ms(to),
            commanded: true,
        }
    }

    fn stamp(at: Moment, learnt_at: Moment) -> Stamp {
        Stamp {
            clock: ClockId::new("v", "i", "s", "f"),
            at,
            learnt_at,
        }
    }

    fn alone(bracket: Bracket, error: i64) -> Estimate {
        estimate(bracket, &[], |_, _| None, error, &Thresholds::default())
    }

    fn near(a: Moment, b: Moment) -> bool {
        b.ms_since(a).abs() < 0.01
    }

    #[test]
    fn bracket_alone_gives_middle_and_half_width() {
        let got = alone(bracket(Some(0), 1000), 50);
        assert_eq!(got.point, ms(500));
        assert!(near(got.earliest.expect("bounded"), ms(-50)) && near(got.latest, ms(1050)));
        assert_eq!((got.uncertainty_ms, got.grade), (Some(551), Grade::Uncalibrated));
    }

    #[test]
    fn stamp_of_unknown_clock_is_ignored() {
        let stamps = [stamp(ms(-90_000), ms(1000))];
        let got = estimate(bracket(Some(0), 1000), &stamps, |_, _| None, 50, &Thresholds::default());
        assert_eq!(got, alone(bracket(Some(0), 1000), 50));
    }

    #[test]
    fn no_lower_bound_gives_no_uncertainty() {
        let got = alone(bracket(None, 1000), 50);
        assert_eq!((got.point, got.earliest, got.uncertainty_ms), (ms(1000), None, None));
    }

    #[test]
    fn stamp_contradicting_causality_is_ignored() {
        let (granularity, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
        let offset = Offset {
            guaranteed: (-10.0, 10.0),
            plain: (-5.0, 5.0),
            best: 0.0,
            sigma: 3.0,
        };
        let reading = ClockReading {
            offset,
            version: 3,
            granularity: &granularity,
            command: &latency,
            notice: &latency,
        };
        let stamps = [stamp(ms(9000), ms(1000))];
        let got = estimate(
            bracket(Some(0), 1000),
            &stamps,
            |_, _| Some(reading),
            0,
            &Thresholds::default(),
        );
        assert!(got.conflicting);
        assert_eq!((got.grade, got.version), (Grade::Uncalibrated, 0));
    }

    /// Two known clocks: `one` is 1,000 ms ahead ± 100 ms, `other` is 5,000 ms behind ± 50 ms.
    fn two_clocks(at_one: i64, at_other: i64) -> Estimate {
        let (fine, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
        let reading = |low: f64, high: f64, version| ClockReading {
            offset: Offset {
                guaranteed: (low, high),
                plain: (low, high),
                best: f64::midpoint(low, high),
                sigma: 10.0,
            },
            version,
            granularity: &fine,
            command: &latency,
            notice: &latency,
        };
        let (one, other) = (reading(900.0, 1100.0, 4), reading(-5050.0, -4950.0, 7));
        let stamps = [(at_one, "one"), (at_other, "other")].map(|(at, source)| Stamp {
            clock: ClockId::new("v", "i", source, "f"),
            at: ms(at),
            learnt_at: ms(2000),
        });
        let known = |id: &ClockId, _| Some(if id.source == "one" { one } else { other });
        estimate(bracket(Some(0), 2000), &stamps, known, 0, &Thresholds::default())
    }

    #[test]
    fn several_stamps_are_intersected() {
        // According to one clock the event was at 400 to 601, according to the other at 550 to 651.
        let got = two_clocks(1500, -4400);
        assert!(
            near(got.earliest.expect("bounded"), ms(550)) && near(got.latest, ms(601)),
            "{got:?}"
        );
        assert_eq!((got.conflicting, got.version, got.grade), (false, 7, Grade::Exact));
        assert_eq!(
            got.clock.map(|s| s.source).as_deref(),
            Some("other"),
            "the estimate names the clock with the narrower interval"
        );
    }

    #[test]
    fn disjoint_stamps_leave_the_bracket() {
        let got = two_clocks(1500, -3400);
        assert!(got.conflicting);
        assert!(
            near(got.earliest.expect("bounded"), ms(0)) && near(got.latest, ms(2000)),
            "{got:?}"
        );
        assert_eq!((got.grade, got.offset_ms), (Grade::Uncalibrated, None));
    }

    proptest! {
        /// The interval contains the truth for any delays, offset, quantum and error of our own clock.
        #[test]
        fn interval_contains_the_truth(
            before in 0_i64..60_000, after in 0_i64..60_000, offset in -5_000_i64..5_000,
            slack_low in 0_i64..2_000, slack_high in 0_i64..2_000,
            quantum in prop::sample::select(vec![1_i64, 1000]), truth in 0_i64..100_000,
            error in 0_i64..200, e0 in -1.0_f64..1.0, e1 in -1.0_f64..1.0, calibrated: bool, commanded: bool,
        ) {
            // Our clock is wrong by at most `error` at each end.
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a few hundred ms")]
            let off = |share: f64| (share * error as f64) as i64;
            let not_after = ms(truth + after + off(e1));
            let bracket = Bracket { not_before: Some(ms(truth - before + off(e0))), not_after, commanded };
            prop_assume!(bracket.not_before.expect("set") <= bracket.not_after);
            let vendor = ms(truth + offset).as_nanos();
            let at = Moment::from_nanos(vendor - vendor.rem_euclid(quantum * 1_000_000));
            let (granularity, latency) = (Granularity::new(Some(quantum)), Latency::guess(300.0));
            #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
            let offset = Offset {
                guaranteed: ((offset - slack_low) as f64, (offset + slack_high) as f64),
                plain: (offset as f64, offset as f64),
                best: offset as f64,
                sigma: 1.0,
            };
            let reading =
                ClockReading { offset, version: 1, granularity: &granularity, command: &latency, notice: &latency };
            let stamps = [stamp(at, not_after)];
            let known = |_: &ClockId, _| calibrated.then_some(reading);
            let got = estimate(bracket, &stamps, known, error, &Thresholds::default());
            prop_assert!(got.earliest.expect("bounded") <= ms(truth) && ms(truth) <= got.latest);
            let claimed = got.uncertainty_ms.expect("bounded");
            prop_assert!(ms(truth).nanos_since(got.point).abs() <= claimed * 1_000_000);
            // A stamp never makes the interval wider than the bracket.
            prop_assert!(got.latest.ms_since(ms(truth + after + off(e1) + error)) < 0.01);
        }
    }
}
