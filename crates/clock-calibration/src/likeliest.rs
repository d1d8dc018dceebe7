//! The likeliest offset inside the guaranteed interval, and its standard error.
//!
//! Two opinions are weighed, each by its own certainty: the polygon's middle, which knows only what is impossible, and the
//! line through what the learnt delays make likely. A middle far from the line has been cut by a lie, and counts less.

use super::latency::Latency;
use super::line::Line;
use super::posterior::{Known, weigh};
use super::sample::{Cause, Sample, ms_between};

/// Where only notices hold one side of the polygon and only commands the other, the slower path's least delay is the
/// greater. Of the way from the middle to where the edges' shares would equal the typical delays', this much is gone.
const SKEW: f64 = 0.2;

/// The offset at `at` hours and its standard error, ms. `middle` is (offset, drift) in the middle of the polygon, `plain` its
/// range at that moment, `delays` the typical delays of command and notice if these alone hold the polygon, `bias` the
/// learnt delays' own error.
pub fn likeliest(
    middle: (f64, f64),
    plain: (f64, f64),
    line: Option<&Line>,
    at: f64,
    delays: Option<(f64, f64)>,
    bias: f64,
) -> (f64, f64) {
    let width = plain.1 - plain.0;
    let skew = delays.map_or(0.0, |(command, notice)| {
        SKEW * (notice - command) / (notice + command) * width / 2.0
    });
    let middle = middle.1.mul_add(at, middle.0) + skew;
    // The spread of a triangle as wide as the polygon.
    let spread = width * width / 24.0;
    let Some(line) = line else {
        return (middle, spread.sqrt());
    };
    let (centre, variance) = line.at(at);
    let variance = variance + bias * bias;
    let apart = (middle - centre).abs() / (variance + spread).sqrt();
    let by_middle = 1.0 / (spread * 2.0_f64.mul_add((apart - 1.5).max(0.0).powi(2), 1.0)).max(1e-6);
    let by_line = 1.0 / variance.max(1e-6);
    let sum = by_middle + by_line;
    ((middle * by_middle + centre * by_line) / sum, sum.recip().sqrt())
}

/// The mean (ms) and variance (ms²) of the offset by one sample alone: where in its bracket the event likely was, and where
/// in its quantum the clock.
pub fn likely_offset(sample: &Sample, quantum: f64, command: &Latency, notice: &Latency) -> (f64, f64) {
    /// Nobody waits longer for a departure that nobody commanded; only the notice's delay matters then.
    const LONG: f64 = 60_000.0;
    let sent = sample.not_before.map_or(-LONG, |t| -ms_between(t, sample.not_after));
    let weighed = weigh(&Known {
        within: (sent.min(-1e-3), 0.0),
        command: (sample.cause == Cause::Command).then_some((sent, command)),
        notice: (sample.cause != Cause::Exchange).then_some((0.0, notice)),
        stamp: None,
    });
    let mean = ms_between(sample.not_after, sample.stamp) + quantum / 2.0 - weighed.mean;
    (mean, weighed.variance + quantum * quantum / 12.0)
}
