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
    // If one sample contradicts the others, no agreement has all of them.
    if by_order.len() <= 1 {
        return by_order;
    }
    let mut least = by_order;
    for drift in drifts {
        let Some(mut outside) = outside_best_offset(window, *drift, least.len()) else {
            continue;
        };
        outside.extend(contradictions(window, &outside, max_drift));
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

/// The samples whose interval does not contain the offset that lies in most intervals, if these are fewer than `below`.
///
/// Then fewer than `below` intervals begin after that offset, and fewer end before it. So only the `below` greatest lower ends
/// and the `below` smallest upper ends are sorted.
fn outside_best_offset<'w>(window: &impl Window<'w>, drift: f64, below: usize) -> Option<Vec<Label>> {
    // A bound that a sample does not have is infinite.
    let interval = |b: &Bounds| (b.lower - drift * b.lower_t, b.upper - drift * b.upper_t);
    let intervals = window.clone().map(|k| interval(&k.bounds));
    let (mut lows, mut highs): (Vec<i64>, Vec<i64>) = intervals.map(|(low, high)| (key(low), key(high))).unzip();
    let n = lows.len();
    let first = n.saturating_sub(below);
    if first > 0 {
        lows.select_nth_unstable(first - 1);
        highs.select_nth_unstable(below - 1);
        highs.truncate(below);
    }
    lows[first..].sort_unstable();
    highs.sort_unstable();
    // At the n-th lower end, n intervals have begun and those with a smaller upper end have ended.
    let (mut most, mut ended, mut best) = (first, 0, None);
    for (begun, low) in lows.iter().enumerate().skip(first) {
        while highs.get(ended).is_some_and(|high| high < low) {
            ended += 1;
        }
        let Some(high) = highs.get(ended) else { break };
        if begun + 1 - ended > most {
            most = begun + 1 - ended;
            best = Some((value(*low), value(*high)));
        }
    }
    let best = best?;
    let inside = |(low, high): (f64, f64)| low <= best.0 && best.0 <= high || low <= best.1 && best.1 <= high;
    let outside = window.clone().filter(|k| !inside(interval(&k.bounds)));
    let outside: Vec<Label> = outside.map(|k| k.label).collect();
    (outside.len() < below).then_some(outside)
}

/// An integer that is ordered as the number is, because integers are sorted faster.
fn key(number: f64) -> i64 {
    #[allow(clippy::cast_possible_wrap, reason = "a pattern of bits")]
    let bits = (number + 0.0).to_bits() as i64;
    // The bits of negative numbers grow with their size.
    bits ^ ((bits >> 63) & i64::MAX)
}

/// The number of a key.
fn value(key: i64) -> f64 {
    #[allow(clippy::cast_sign_loss, reason = "a pattern of bits")]
    f64::from_bits((key ^ ((key >> 63) & i64::MAX)) as u64)
}
