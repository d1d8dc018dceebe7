//! The delays of one path, learned online: how long a command takes to act, or how long a notice takes to arrive.
//!
//! Delays are positive and skewed. A lognormal distribution needs two numbers and is good enough to weigh the instants
//! inside an interval that is guaranteed without it. Nothing that is guaranteed depends on this file.

/// The weight of all remembered delays; older ones fade.
const MEMORY: f64 = 400.0;
/// Shorter delays count as this, in ms.
const LEAST: f64 = 1.0;

/// A lognormal distribution, learned by weighted moments of the logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    weight: f64,
    mean: f64,
    square: f64,
}

impl Latency {
    /// A prior with the weight of a few samples.
    pub fn guess(median_ms: f64) -> Self {
        let (mean, sigma, weight) = (median_ms.max(LEAST).ln(), 1.0_f64, 4.0);
        Self {
            weight,
            mean,
            square: mean.mul_add(mean, sigma * sigma),
        }
    }

    /// A distribution that is known exactly and learns nothing more; the simulator's oracle uses it.
    pub fn exact(median_ms: f64, sigma: f64) -> Self {
        let mean = median_ms.max(LEAST).ln();
        Self {
            weight: f64::INFINITY,
            mean,
            square: mean.mul_add(mean, sigma * sigma),
        }
    }

    /// Adds one delay: the expectation of its logarithm, and of the logarithm's square.
    pub fn learn(&mut self, log: f64, log_square: f64) {
        self.weight = (self.weight + 1.0).min(MEMORY);
        let share = 1.0 / self.weight;
        self.mean += (log - self.mean) * share;
        self.square += (log_square - self.square) * share;
    }

    /// The median, in ms.
    pub fn median_ms(&self) -> f64 {
        self.mean.exp()
    }

    /// The standard deviation of the logarithm.
    pub fn sigma(&self) -> f64 {
        (self.square - self.mean * self.mean).max(0.01).sqrt()
    }

    /// The density, with its constants computed.
    pub fn density(&self) -> Density {
        Density {
            mean: self.mean,
            precision: 1.0 / self.sigma(),
        }
    }
}

/// The density of a lognormal distribution.
#[derive(Debug, Clone, Copy)]
pub struct Density {
    mean: f64,
    precision: f64,
}

impl Density {
    /// The logarithm of the density at a delay with this logarithm, up to a constant.
    pub(crate) fn of_log(&self, log: f64) -> f64 {
        let z = (log - self.mean) * self.precision;
        -0.5 * z * z - log
    }
}

/// A delay in ms as it counts: its logarithm must be finite.
pub(crate) fn least_delay(delay_ms: f64) -> f64 {
    delay_ms.max(LEAST)
}
