//! From causal facts and calibrated stamps to an instant with an honest uncertainty.
//!
//! The event lies in the causal bracket whatever any vendor says. A stamp `s` cut to `q`, read off a clock whose offset
//! lies in `O`, puts it into `[s, s+q) − O` as well; so it lies in the intersection of all of these. If they do not meet,
//! the bracket stands, since causality needs no vendor's honesty, and the estimate is marked `conflicting`.
//!
//! Where in that interval it most likely lies is another question; see [`super::posterior`]. The uncertainty is the
//! distance to the farther end, whatever is likely.

use jiff::{SignedDuration, Timestamp};

use super::granularity::Granularity;
use super::key::ClockId;
use super::latency::Latency;
use super::limits::Offset;
use super::posterior::{Known, weigh};
use super::sample::ms_between;
use super::{Grade, Thresholds};

/// Two moments of our own clock around an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// The event had surely not happened yet. `None` if nothing bounds it from below, as for a leg that we first hear
    /// of when it is gone.
    pub not_before: Option<Timestamp>,
    /// The event had surely happened.
    pub not_after: Timestamp,
    /// Whether `not_before` is the sending of the command that made it happen.
    pub commanded: bool,
}

/// A vendor's stamp of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Which clock.
    pub stream: ClockId,
    /// What it read, cut to its quantum.
    pub at: Timestamp,
    /// When its notice reached us; it shares the bracket's lower end.
    pub learnt_at: Timestamp,
}

/// What is known of a stream's clock at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'c> {
    /// Its offset.
    pub offset: Offset,
    /// Its epoch.
    pub version: u32,
    /// What its stamps are cut to.
    pub granularity: &'c Granularity,
    /// How long commands take on its path.
    pub command: &'c Latency,
    /// How long notices take on its path.
    pub notice: &'c Latency,
}

/// An instant and how far off it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The best single instant.
    pub point: Timestamp,
    /// The event was not before this; `None` if unbounded.
    pub earliest: Option<Timestamp>,
    /// The event was not after this.
    pub latest: Timestamp,
    /// The greatest distance of the truth from `point`, ms; `None` if unbounded.
    pub uncertainty_ms: Option<i64>,
    /// Between these with odds of 95 in 100, if the learnt delays are right; `None` without a calibrated stamp.
    pub modelled: Option<(Timestamp, Timestamp)>,
    /// How it was arrived at.
    pub grade: Grade,
    /// The clock offset applied to the stamp, ms; `None` when no stamp was used.
    pub offset_ms: Option<i64>,
    /// The calibration used; 0 for none.
    pub version: u32,
    /// The stream whose stamp narrowed it most.
    pub stream: Option<ClockId>,
    /// The kinds of evidence exclude each other: the bracket was kept.
    pub conflicting: bool,
}

/// A calibrated stamp as an interval, ms on our clock from the bracket's upper end.
struct Calibrated<'s> {
    stamp: &'s Stamp,
    reading: Reading<'s>,
    /// The stamp and its quantum.
    read: (f64, f64),
    within: (f64, f64),
}

/// Draws the conclusion. Both ends are widened by `clock_error_ms`, our own clock's greatest error.
pub fn estimate<'c>(
    bracket: Bracket,
    stamps: &'c [Stamp],
    known: impl Fn(&ClockId, Timestamp) -> Option<Reading<'c>>,
    clock_error_ms: i64,
    thresholds: &Thresholds,
) -> Estimate {
    let zero = bracket.not_after;
    #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
    let own = clock_error_ms.max(0) as f64;
    // A lower bound above the upper one is no bound: the evidence it came from was out of date.
    let sent = bracket.not_before.filter(|t| *t <= zero).map(|t| ms_between(zero, t));
    let calibrated: Vec<Calibrated<'_>> = stamps
        .iter()
        .filter_map(|stamp| {
            let reading = known(&stamp.stream, stamp.learnt_at)?;
            #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
            let quantum = reading.granularity.quantum_ms(stamp.at) as f64;
            let at = ms_between(zero, stamp.at);
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
    let weighed = weigh(&Known {
        within: (low, high),
        command: sent.filter(|_| bracket.commanded).map(|t| (t, best.reading.command)),
        notice: Some((ms_between(zero, best.stamp.learnt_at), best.reading.notice)),
        stamp: Some((best.read.0, best.read.1, (offset - sigma, offset + sigma))),
    });
    let (earliest, latest) = (down(zero, low - own), up(zero, high + own));
    let point = later(zero, weighed.median).clamp(earliest, latest);
    let uncertainty = distance(point, earliest).max(distance(latest, point));
    #[allow(clippy::cast_possible_truncation, reason = "an offset in ms")]
    Estimate {
        point,
        earliest: Some(earliest),
        latest,
        uncertainty_ms: Some(uncertainty),
        modelled: Some((down(zero, weighed.modelled.0 - own), up(zero, weighed.modelled.1 + own))),
        grade: thresholds.of_uncertainty(uncertainty, clock_error_ms),
        offset_ms: Some(offset.round() as i64),
        version: best.reading.version,
        stream: Some(best.stamp.stream.clone()),
        conflicting: false,
    }
}

fn bracket_only(zero: Timestamp, sent: Option<f64>, own: f64, conflicting: bool) -> Estimate {
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
        stream: None,
        conflicting,
    }
}

fn width((low, high): (f64, f64)) -> f64 {
    high - low
}

/// `b` after `a`, in whole milliseconds rounded up: an uncertainty is never understated.
fn distance(a: Timestamp, b: Timestamp) -> i64 {
    let nanos = a.duration_since(b).abs().as_nanos();
    i64::try_from((nanos + 999_999) / 1_000_000).unwrap_or(i64::MAX)
}

/// `zero + ms`, to the microsecond, held at the ends of the calendar.
fn later(zero: Timestamp, ms: f64) -> Timestamp {
    #[allow(clippy::cast_possible_truncation, reason = "saturates")]
    let by = SignedDuration::from_micros((ms * 1000.0).round() as i64);
    zero.saturating_add(by).unwrap_or(zero)
}

/// The same, rounded to the safe side of a lower end; the ends that rounding errors could move are a microsecond wide.
fn down(zero: Timestamp, ms: f64) -> Timestamp {
    later(zero, ms - 0.0015)
}

/// And of an upper end.
fn up(zero: Timestamp, ms: f64) -> Timestamp {
    later(zero, ms + 0.0015)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(t: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + t).expect("in range")
    }

    fn bracket(from: Option<i64>, to: i64) -> Bracket {
        Bracket {
            not_before: from.map(ms),
            not_after: ms(to),
            commanded: true,
        }
    }

    fn stamp(at: Timestamp, learnt_at: Timestamp) -> Stamp {
        Stamp {
            stream: ClockId::new("v", "i", "s", "f"),
            at,
            learnt_at,
        }
    }

    fn alone(bracket: Bracket, error: i64) -> Estimate {
        estimate(bracket, &[], |_, _| None, error, &Thresholds::default())
    }

    fn near(a: Timestamp, b: Timestamp) -> bool {
        ms_between(a, b).abs() < 0.01
    }

    #[test]
    fn the_bracket_alone_gives_its_middle_and_its_half_width() {
        let got = alone(bracket(Some(0), 1000), 50);
        assert_eq!(got.point, ms(500));
        assert!(near(got.earliest.expect("bounded"), ms(-50)) && near(got.latest, ms(1050)));
        assert_eq!((got.uncertainty_ms, got.grade), (Some(551), Grade::Uncalibrated));
    }

    #[test]
    fn a_stamp_is_not_trusted_until_a_calibration_says_so() {
        let stamps = [stamp(ms(-90_000), ms(1000))];
        let got = estimate(bracket(Some(0), 1000), &stamps, |_, _| None, 50, &Thresholds::default());
        assert_eq!(got, alone(bracket(Some(0), 1000), 50));
    }

    #[test]
    fn without_a_lower_bound_no_uncertainty_is_claimed() {
        let got = alone(bracket(None, 1000), 50);
        assert_eq!((got.point, got.earliest, got.uncertainty_ms), (ms(1000), None, None));
    }

    #[test]
    fn a_calibrated_stamp_that_contradicts_causality_loses() {
        let (granularity, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
        let offset = Offset {
            guaranteed: (-10.0, 10.0),
            plain: (-5.0, 5.0),
            best: 0.0,
            sigma: 3.0,
        };
        let reading = Reading {
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

    /// Two clocks that are known, each by name: `one` is 1,000 ms ahead give or take 100, `other` 5,000 ms behind, ± 50.
    fn two_clocks(at_one: i64, at_other: i64) -> Estimate {
        let (fine, latency) = (Granularity::new(Some(1)), Latency::guess(300.0));
        let reading = |low: f64, high: f64, version| Reading {
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
            stream: ClockId::new("v", "i", source, "f"),
            at: ms(at),
            learnt_at: ms(2000),
        });
        let known = |key: &ClockId, _| Some(if key.source == "one" { one } else { other });
        estimate(bracket(Some(0), 2000), &stamps, known, 0, &Thresholds::default())
    }

    #[test]
    fn several_kinds_of_evidence_are_intersected() {
        // By one clock the event was at 400 to 601, by the other at 550 to 651.
        let got = two_clocks(1500, -4400);
        assert!(
            near(got.earliest.expect("bounded"), ms(550)) && near(got.latest, ms(601)),
            "{got:?}"
        );
        assert_eq!((got.conflicting, got.version, got.grade), (false, 7, Grade::Exact));
        assert_eq!(
            got.stream.map(|s| s.source).as_deref(),
            Some("other"),
            "the narrower one is named"
        );
    }

    #[test]
    fn kinds_of_evidence_that_do_not_meet_leave_the_bracket() {
        let got = two_clocks(1500, -3400);
        assert!(got.conflicting);
        assert!(
            near(got.earliest.expect("bounded"), ms(0)) && near(got.latest, ms(2000)),
            "{got:?}"
        );
        assert_eq!((got.grade, got.offset_ms), (Grade::Uncalibrated, None));
    }

    proptest! {
        /// Whatever the delays, the offset, the quantum and our own clock's error: the truth is inside.
        #[test]
        fn the_truth_is_inside(
            before in 0_i64..60_000, after in 0_i64..60_000, offset in -5_000_i64..5_000,
            slack_low in 0_i64..2_000, slack_high in 0_i64..2_000,
            quantum in prop::sample::select(vec![1_i64, 1000]), truth in 0_i64..100_000,
            error in 0_i64..200, e0 in -1.0_f64..1.0, e1 in -1.0_f64..1.0, calibrated: bool, commanded: bool,
        ) {
            // Our clock reads wrong by at most `error` at each end.
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a few hundred ms")]
            let off = |share: f64| (share * error as f64) as i64;
            let not_after = ms(truth + after + off(e1));
            let bracket = Bracket { not_before: Some(ms(truth - before + off(e0))), not_after, commanded };
            prop_assume!(bracket.not_before.expect("set") <= bracket.not_after);
            let vendor = ms(truth + offset).as_millisecond();
            let at = Timestamp::from_millisecond(vendor - vendor.rem_euclid(quantum)).expect("in range");
            let (granularity, latency) = (Granularity::new(Some(quantum)), Latency::guess(300.0));
            #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
            let offset = Offset {
                guaranteed: ((offset - slack_low) as f64, (offset + slack_high) as f64),
                plain: (offset as f64, offset as f64),
                best: offset as f64,
                sigma: 1.0,
            };
            let reading =
                Reading { offset, version: 1, granularity: &granularity, command: &latency, notice: &latency };
            let stamps = [stamp(at, not_after)];
            let known = |_: &ClockId, _| calibrated.then_some(reading);
            let got = estimate(bracket, &stamps, known, error, &Thresholds::default());
            prop_assert!(got.earliest.expect("bounded") <= ms(truth) && ms(truth) <= got.latest);
            let claimed = got.uncertainty_ms.expect("bounded");
            prop_assert!((ms(truth).as_millisecond() - got.point.as_millisecond()).abs() <= claimed);
            // A stamp never makes the claim worse than the bracket's own ends.
            prop_assert!(ms_between(ms(truth + after + off(e1) + error), got.latest) < 0.01);
        }
    }
}
