//! Do several machines answer behind one name? Their clocks differ, so no single offset is right.
//!
//! A sample's two slacks are how far its lower bound lies below the clock and its upper bound above it: the delay of the
//! notice and that of the command. For one clock they are independent, or grow together when the network is slow. If some
//! samples come from a clock that is ahead, their lower slack is smaller *and* their upper slack is larger, so the slacks are
//! negatively correlated. The rank correlation (Spearman) of `n` samples has a standard deviation of `1/√(n − 1)` for any
//! delays. A stamp's quantum `q` has the same effect: what was cut off lies in both slacks, with opposite signs, so that
//! their covariance is `−q²/12`. That much correlation is allowed for, so very coarse stamps say nothing.

use crate::shift_test::EQUAL;

/// Fewer samples than this say too little.
pub(crate) const ENOUGH: usize = 64;
/// Standard deviations below zero from which the samples count as mixed. Chance reaches it in one of 740 tests, and the
/// clock is then doubted for some hours. Where machines really are mixed, every hour without a doubt is one of wrong
/// intervals.
const CERTAIN: f64 = 3.0;
/// The same for samples that counted as mixed before.
const STILL: f64 = 2.0;
/// The correlation that the quantum causes is taken times this, because ranks and spreads are not moments.
const QUANTUM_SAFETY: f64 = 1.5;

/// Whether samples with these slacks (lower, upper), in ms, come from several clocks. `quantum` is that of their stamps and
/// `before` the last answer.
#[allow(clippy::cast_precision_loss, reason = "a window")]
pub(crate) fn is_mixed(slacks: &[(f64, f64)], quantum: f64, before: bool) -> bool {
    if slacks.len() < ENOUGH {
        return false;
    }
    let ((lower, lower_spread), (upper, upper_spread)) = (ranks(slacks, |s| s.0), ranks(slacks, |s| s.1));
    let n = slacks.len() as f64;
    let mean = (n - 1.0) / 2.0;
    let covariance: f64 = lower.iter().zip(&upper).map(|(a, b)| (a - mean) * (b - mean)).sum();
    let variance = (n * n - 1.0) / 12.0 * n;
    // The spreads of coarse stamps consist of little else than the quantum, so this is generous there.
    let by_quantum = QUANTUM_SAFETY * quantum * quantum / 12.0 / (lower_spread * upper_spread).max(1e-6);
    let least = if before { STILL } else { CERTAIN };
    (covariance / variance + by_quantum) * (n - 1.0).sqrt() < -least
}

/// The rank of each sample, and half the distance between the ranks one standard deviation away from the middle. Equal ones share the middle of their ranks, because the order of their rounding errors says nothing.
#[allow(clippy::cast_precision_loss, reason = "a window")]
fn ranks(slacks: &[(f64, f64)], side: impl Fn(&(f64, f64)) -> f64) -> (Vec<f64>, f64) {
    let mut sorted: Vec<(f64, usize)> = slacks.iter().map(side).zip(0..).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; slacks.len()];
    let mut begin = 0;
    while let Some((least, _)) = sorted.get(begin) {
        let equal = sorted[begin..].partition_point(|(slack, _)| *slack <= least + EQUAL);
        let middle = begin as f64 + (equal as f64 - 1.0) / 2.0;
        for (_, place) in &sorted[begin..begin + equal] {
            ranks[*place] = middle;
        }
        begin += equal.max(1);
    }
    let tail = sorted.len() * 16 / 100;
    let spread = (sorted[sorted.len() - 1 - tail].0 - sorted[tail].0) / 2.0;
    (ranks, spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slacks(apart: f64) -> Vec<(f64, f64)> {
        let mut random = fastrand::Rng::with_seed(4);
        let mut delay = move |typical: f64| typical * (2.0 * random.f64() - 1.0).exp();
        let ahead = |i: i32| if i % 2 == 0 { apart } else { 0.0 };
        (0..400)
            .map(|i| (delay(400.0) - ahead(i), delay(200.0) + ahead(i)))
            .collect()
    }

    #[test]
    fn two_clocks_are_told_from_one() {
        assert!(!is_mixed(&slacks(0.0), 1.0, false));
        assert!(is_mixed(&slacks(300.0), 1.0, false));
    }

    #[test]
    fn coarse_stamps_say_nothing() {
        let fraction = |i: u16| f64::from(i % 97) / 97.0 * 1000.0;
        let cut: Vec<(f64, f64)> = (0..400)
            .map(|i| {
                (
                    f64::from(i % 13) + fraction(i),
                    f64::from(i % 17) + 1000.0 - fraction(i),
                )
            })
            .collect();
        assert!(!is_mixed(&cut, 1000.0, false) && is_mixed(&cut, 1.0, false));
    }

    #[test]
    fn clock_without_noise_is_one() {
        let equal: Vec<(f64, f64)> = (0..400)
            .map(|i| f64::from(i) * 1e-6)
            .map(|error| (50.0 + error, 50.0 - error))
            .collect();
        assert!(!is_mixed(&equal, 1.0, false));
    }
}
