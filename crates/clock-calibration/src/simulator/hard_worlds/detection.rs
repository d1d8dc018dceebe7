//! How soon a step could be noticed at all.
//!
//! A detector that raises on average one false alarm in `n` samples needs at least about `ln(n) / I` samples to notice
//! a change, if each sample brings the information `I`: the Kullback–Leibler divergence between the distributions of
//! a sample after the change and before it (Lorden 1971). A sample has two ends, which depend on different delays, so
//! their information is added. The distributions are histograms of the world's own samples.

/// Bins of a histogram for each size of the step.
const BINS_PER_STEP: f64 = 8.0;
/// The histogram reaches this many steps to either side.
const REACH: f64 = 12.0;
/// Later samples are not needed for the histograms.
const ENOUGH: usize = 20_000;

/// How far each sample's bounds of the offset are from the true one, in ms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Residues {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Residues {
    /// Adds a sample that allows offsets from `low` to `high`, relative to the true one.
    pub(crate) fn add(&mut self, low: f64, high: f64) {
        if self.low.len() < ENOUGH {
            self.low.push(low as f32);
            self.high.push(high as f32);
        }
    }

    /// The least number of samples until a step of `by` ms can be noticed with one false alarm in `samples`.
    pub(crate) fn least_delay(&self, by: f64, samples: f64) -> f64 {
        let information = information(&self.low, by) + information(&self.high, by);
        samples.max(2.0).ln() / information
    }
}

/// The information of one value about a shift by `by`, in nats.
fn information(values: &[f32], by: f64) -> f64 {
    let (before, after) = (histogram(values, 0.0, by.abs()), histogram(values, by, by.abs()));
    let (n, bins) = (values.len() as f64, before.len() as f64);
    let of = |(p, q): (&f64, &f64)| {
        // Half a sample in every bin, because a bin without a sample is not impossible.
        let q = (q + 0.5) / (n + 0.5 * bins);
        if *p > 0.0 { p / n * (p / n / q).ln() } else { 0.0 }
    };
    after.iter().zip(&before).map(of).sum::<f64>().max(1e-9)
}

fn histogram(values: &[f32], shift: f64, step: f64) -> Vec<f64> {
    let bins = (2.0 * REACH * BINS_PER_STEP) as usize;
    let mut counts = vec![0.0; bins];
    for value in values.iter().map(|v| f64::from(*v)) {
        let place = ((value + shift) / step + REACH) * BINS_PER_STEP;
        // A conversion from a number below zero gives zero.
        counts[(place as usize).min(bins - 1)] += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::hard_worlds::random::Random;

    fn spread(width: f64) -> Residues {
        let mut random = Random::new(1, 1);
        let mut residues = Residues::default();
        for _ in 0..5000 {
            residues.add(-width * random.share(), width * random.share());
        }
        residues
    }

    #[test]
    fn detection_of_large_step_needs_few_samples() {
        assert!(spread(100.0).least_delay(1000.0, 20_000.0) < 3.0);
    }

    #[test]
    fn detection_of_small_step_needs_more_samples() {
        let delay = |by: f64| spread(1000.0).least_delay(by, 20_000.0);
        assert!(delay(20.0) > 3.0 * delay(200.0), "{} {}", delay(20.0), delay(200.0));
        assert!(delay(20.0) > 10.0);
    }
}
