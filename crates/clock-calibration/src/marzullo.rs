//! The largest set of samples that agree (Marzullo 1984), for a window in which some contradict each other.
//!
//! For a fixed drift every sample is an interval of offsets, and the offset that lies in most intervals is found by one
//! sweep over their ends. The drift is known well enough for that: a wrong drift only leaves out more samples, and to
//! leave out an honest sample is always safe, because it widens the result.

use super::fit::Window;
use super::label_set::LabelSet;
use super::packed_sample::Bounds;
use super::polygon::{Cut, Label, Polygon};

/// The samples outside the largest agreement. Of the given drifts (ms per hour) the one with the fewest is taken; the
/// samples in their order of arrival are one more attempt.
pub(crate) fn outside_largest_agreement<'w>(window: &impl Window<'w>, drifts: &[f64], max_drift: f64) -> Vec<Label> {
    let by_order = contradictions(window, &[], max_drift);
    if by_order.is_empty() {
        return by_order;
    }
    let mut least = by_order;
    for drift in drifts {
        let mut outside = outside_best_offset(window, *drift);
        if outside.len() < least.len() {
            outside.extend(contradictions(window, &outside, max_drift));
        }
        if outside.len() < least.len() {
            least = outside;
        }
    }
    least
}

/// The samples that contradict those before them, without those in `left_out`.
pub(crate) fn contradictions<'w>(window: &impl Window<'w>, left_out: &[Label], max_drift: f64) -> Vec<Label> {
    let left_out = LabelSet::of(left_out.iter().copied());
    let mut polygon = Polygon::unbounded(max_drift);
    let mut against = Vec::new();
    for k in window.clone() {
        if !k.bounds.are_known(&polygon)
            && !left_out.contains(k.label)
            && k.bounds.cut_into(&mut polygon, k.label) == Cut::Contradiction
        {
            against.push(k.label);
        }
    }
    against
}

/// The samples whose interval does not contain the offset that lies in most intervals.
fn outside_best_offset<'w>(window: &impl Window<'w>, drift: f64) -> Vec<Label> {
    // A bound that a sample does not have is infinite.
    let interval = |b: &Bounds| (b.lower - drift * b.lower_t, b.upper - drift * b.upper_t);
    let intervals = window.clone().map(|k| interval(&k.bounds));
    let (mut lows, mut highs): (Vec<f64>, Vec<f64>) = intervals.unzip();
    lows.sort_unstable_by(f64::total_cmp);
    highs.sort_unstable_by(f64::total_cmp);
    // At the n-th lower end, n intervals have begun and those with a smaller upper end have ended.
    let (mut most, mut ended, mut best) = (0, 0, (f64::NEG_INFINITY, f64::INFINITY));
    for (begun, low) in lows.iter().enumerate() {
        while highs[ended] < *low {
            ended += 1;
        }
        if begun + 1 - ended > most {
            most = begun + 1 - ended;
            best = (*low, highs[ended]);
        }
    }
    let inside = |(low, high): (f64, f64)| low <= best.0 && best.0 <= high || low <= best.1 && best.1 <= high;
    let outside = window.clone().filter(|k| !inside(interval(&k.bounds)));
    outside.map(|k| k.label).collect()
}
