//! The delays of one path, learnt online: how long a command takes to act, how long a notice takes to arrive.
//!
//! Delays are positive and skewed; a lognormal is described by two numbers and is good enough to weigh the instants inside
//! an interval that is guaranteed without it. Nothing guaranteed ever rests on this file.

/// How many samples are remembered, in weight: older ones fade.
const MEMORY: f64 = 400.0;
/// Shorter delays are counted as this, ms.
const LEAST: f64 = 1.0;

/// A lognormal, learnt by weighted moments of the logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    weight: f64,
    mean: f64,
    square: f64,
}

impl Latency {
    /// A weak guess to begin with, worth a few samples.
    pub fn guess(median_ms: f64) -> Self {
        let (mean, sigma, weight) = (median_ms.max(LEAST).ln(), 1.0_f64, 4.0);
        Self {
            weight,
            mean,
            square: mean.mul_add(mean, sigma * sigma),
        }
    }

    /// One that is known exactly and learns no more; for oracles.
    pub fn exact(median_ms: f64, sigma: f64) -> Self {
        let mean = median_ms.max(LEAST).ln();
        Self {
            weight: f64::INFINITY,
            mean,
            square: mean.mul_add(mean, sigma * sigma),
        }
    }

    /// Takes the moments of one delay's logarithm: its expectation and that of its square.
    pub fn learn(&mut self, log: f64, log_square: f64) {
        self.weight = (self.weight + 1.0).min(MEMORY);
        let share = 1.0 / self.weight;
        self.mean += (log - self.mean) * share;
        self.square += (log_square - self.square) * share;
    }

    /// The median, ms.
    pub fn median_ms(&self) -> f64 {
        self.mean.exp()
    }

    /// The spread of the logarithm.
    pub fn sigma(&self) -> f64 {
        (self.square - self.mean * self.mean).max(0.01).sqrt()
    }

    /// Its density.
    pub fn density(&self) -> Density {
        Density {
            mean: self.mean,
            precision: 1.0 / self.sigma(),
        }
    }
}

/// A lognormal's density, ready to be asked often.
#[derive(Debug, Clone, Copy)]
pub struct Density {
    mean: f64,
    precision: f64,
}

impl Density {
    /// Its logarithm at a delay, up to a constant.
    pub fn log(&self, delay_ms: f64) -> f64 {
        let log = delay_ms.max(LEAST).ln();
        let z = (log - self.mean) * self.precision;
        -0.5 * z * z - log
    }
}
