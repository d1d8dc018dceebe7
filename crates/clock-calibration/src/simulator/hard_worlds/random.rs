//! Random numbers.

use super::world::{RandomDelay, Tail};

/// A generator with the distributions that the worlds need.
#[derive(Debug, Clone)]
pub(crate) struct Random(fastrand::Rng);

impl Random {
    /// The generator of one seed and one purpose, so that two purposes get independent numbers.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose.rotate_left(32));
        // The first numbers of similar seeds are similar.
        for _ in 0..4 {
            rng.u64(..);
        }
        Self(rng)
    }

    /// Between 0 and 1.
    pub(crate) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// Uniform between two values.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Between two positive values, with a uniform logarithm.
    pub(crate) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// −1 or 1.
    pub(crate) fn sign(&mut self) -> f64 {
        if self.0.bool() { 1.0 } else { -1.0 }
    }

    /// One of the values.
    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.0.usize(0..values.len())]
    }

    /// A standard normal variable (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.share().max(1e-300), self.share());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// The time to the next event of a Poisson process, if `rate` events are expected in a unit of time.
    pub(crate) fn gap(&mut self, rate: f64) -> f64 {
        -self.share().max(1e-12).ln() / rate
    }

    /// A delay, in ms.
    pub(crate) fn delay(&mut self, delay: RandomDelay) -> f64 {
        /// Longer delays are losses.
        const LONGEST: f64 = 600_000.0;
        let above = match delay.tail {
            Tail::Lognormal(median, sigma) => median * (sigma * self.normal()).exp(),
            Tail::Pareto(scale, exponent) => scale * (self.share().max(1e-9).powf(-1.0 / exponent) - 1.0),
            Tail::TwoPaths(fast, slow, share) => {
                let median = if self.chance(share) { slow } else { fast };
                median * (0.3 * self.normal()).exp()
            }
        };
        delay.floor + above.min(LONGEST)
    }
}
