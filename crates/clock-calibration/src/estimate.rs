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
    /// When the request was sent whose answer showed that the event had not happened yet, if `not_before` allows for an
    /// answer older than the request; see [`super::Sample::asked`]. Only the point uses it.
    pub asked: Option<Moment>,
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

impl<'s> Calibrated<'s> {
    /// Reads the stamp with the clock's offset at the event, not at the notice, because a notice may come hours late and
    /// the clock drifts meanwhile. The moment of the event depends on the offset, so the offset is read twice: first at
    /// the notice, then at the moment that the first reading gives. The rest of the error is the drift over the error of
    /// that moment: 200 ppm of a second.
    fn of(
        stamp: &'s Stamp,
        bracket: &Bracket,
        known: &impl Fn(&ClockId, Moment) -> Option<ClockReading<'s>>,
    ) -> Option<Self> {
        let zero = bracket.not_after;
        let first = known(&stamp.clock, stamp.learnt_at)?;
        let (below, above) = first.granularity.read_within(stamp.at);
        let (at, quantum) = (stamp.at.ms_since(zero) + below, above - below);
        let lowest = bracket.not_before.filter(|t| *t <= zero);
        let event = later(zero, at + quantum / 2.0 - first.offset.best).min(zero);
        let reading = known(&stamp.clock, lowest.map_or(event, |t| event.max(t)))?;
        let (low, high) = reading.offset.guaranteed;
        Some(Self {
            stamp,
            reading,
            read: (at, quantum),
            within: (at - high, at + quantum - low),
        })
    }
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
    let asked = bracket.asked.filter(|t| *t <= zero).map(|t| t.ms_since(zero));
    let calibrated: Vec<Calibrated<'_>> = stamps
        .iter()
        .filter_map(|stamp| Calibrated::of(stamp, &bracket, &known))
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
    // The answer was probably as fresh as it looks, so the point lies after the request, if that is possible at all.
    let likely_low = asked.map_or(low, |t| t.max(low));
    let posterior = posterior(&PosteriorInput {
        within: (if likely_low < high { likely_low } else { low }, high),
        command: sent.filter(|_| bracket.commanded).map(|t| (t, best.reading.command)),
        notice: Some((best.stamp.learnt_at.ms_since(zero), best.reading.notice)),
        stamp: Some((best.read.0, best.read.1, (offset - sigma, offset + sigma))),
    });
    let (earliest, latest) = (down(zero, low - own), up(zero, high + own));
    let (median, from, to) = (posterior.median, posterior.quartiles.0, posterior.quartiles.1);
    let [point, from, to] = [median, from, to].map(|t| later(zero, t).clamp(earliest, latest));
    let point = with_best_grade(point, (from, to), (earliest, latest), clock_error_ms, thresholds);
    let uncertainty = distance(point, earliest).max(distance(latest, point));
    #[allow(clippy::cast_possible_truncation, reason = "an offset in ms")]
    Estimate {
        point,
        earliest: Some(earliest),
        latest,
        uncertainty_ms: Some(uncertainty),
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
        grade: Grade::Uncalibrated,
        offset_ms: None,
        version: 0,
        clock: None,
        conflicting,
    }
}

/// The instant between the quartiles whose bound earns the best grade, as near to `point` as that allows. Inside the quartiles
/// all instants are nearly as likely, and how likely depends on learned delays, but the bound is certain.
fn with_best_grade(
    point: Moment,
    (from, to): (Moment, Moment),
    (earliest, latest): (Moment, Moment),
    clock_error_ms: i64,
    thresholds: &Thresholds,
) -> Moment {
    let grade = |t: Moment| thresholds.grade(distance(t, earliest).max(distance(latest, t)), clock_error_ms);
    let mut best = point;
    for within_ms in [thresholds.exact_ms, thresholds.calibrated_ms] {
        let reach = within_ms.saturating_mul(1_000_000);
        let (first, last) = (latest.plus_nanos(-reach).max(from), earliest.plus_nanos(reach).min(to));
        let nearest = if first <= last { point.clamp(first, last) } else { point };
        if grade(nearest) > grade(best) {
            best = nearest;
        }
    }
    best
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
mod tests;
