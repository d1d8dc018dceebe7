//! The most likely offset inside the guaranteed interval, and its standard error.
//!
//! Two values are averaged, weighted by their certainty: the polygon's middle, which excludes only impossible values,
//! and the line through what the learned delays make likely. A middle far from the line was probably moved by an
//! outlier, so it counts less.
//!
//! The delays are learned from the middle. If it is wrong by `b`, the learned command delays are too long by `b` and the
//! notice delays too short by `b`, so the line has up to twice that error. It confirms the middle, but says little more. Only
//! if no commands bound the polygon above, and the age of polled answers does, or if it is bounded by `Date`s whose rounding is not known, the middle is so far off that the line through
//! the notices is the better of the two.

use super::latency::Latency;
use super::line::Line;
use super::posterior::{PosteriorInput, posterior};
use super::sample::{Cause, Sample};

/// If only notices bound one side of the polygon and only commands the other, the slower path also has the greater
/// least delay, so the middle is biased. This share of the bias that the typical delays suggest is corrected.
const SKEW: f64 = 0.2;

/// The line's error as a multiple of the middle's, from which its delays were learned.
const LINE_ERROR: f64 = 2.0;

/// The offset at `at` hours and its standard error, in ms. `middle` is the mean (offset, drift) of the polygon and
/// `plain` its range at that moment. `delays` are the typical delays of command and notice, if only these bound the
/// polygon. `bias` is the error of the learned delays, and `has_commands` tells whether commands bound the polygon above.
pub(crate) fn point_estimate(
    middle: (f64, f64),
    plain: (f64, f64),
    line: Option<&Line>,
    at: f64,
    delays: Option<(f64, f64)>,
    bias: f64,
    has_commands: bool,
) -> (f64, f64) {
    let width = plain.1 - plain.0;
    let skew = delays.map_or(0.0, |(command, notice)| {
        SKEW * (notice - command) / (notice + command) * width / 2.0
    });
    let middle = middle.1.mul_add(at, middle.0) + skew;
    // The variance of a triangular distribution as wide as the polygon.
    let spread = width * width / 24.0;
    let Some(line) = line else {
        return (middle, spread.sqrt());
    };
    let (centre, variance) = line.at(at);
    let inherited = if has_commands {
        LINE_ERROR * LINE_ERROR * spread
    } else {
        0.0
    };
    let variance = variance + bias * bias + inherited;
    let apart = (middle - centre).abs() / (variance + spread).sqrt();
    let by_middle = 1.0 / (spread * 2.0_f64.mul_add((apart - 1.5).max(0.0).powi(2), 1.0)).max(1e-6);
    let by_line = 1.0 / variance.max(1e-6);
    let sum = by_middle + by_line;
    ((middle * by_middle + centre * by_line) / sum, sum.recip().sqrt())
}

/// Where in its bracket the event likely was according to one sample alone, in ms before the bracket's end, and the
/// variance (ms²) of the offset that follows, with the place of the clock in its quantum.
pub(crate) fn likely_offset(sample: &Sample, quantum: f64, command: &Latency, notice: &Latency) -> (f64, f64) {
    /// Bound for a departure without a known lower end, so that only the notice's delay matters.
    const LONG: f64 = 60_000.0;
    let sent = sample
        .likely_not_before()
        .map_or(-LONG, |t| t.ms_since(sample.not_after));
    let posterior = posterior(&PosteriorInput {
        within: (sent.min(-1e-3), 0.0),
        command: (sample.cause == Cause::Command).then_some((sent, command)),
        notice: (sample.cause != Cause::Exchange).then_some((0.0, notice)),
        stamp: None,
    });
    (-posterior.mean, posterior.variance + quantum * quantum / 12.0)
}
