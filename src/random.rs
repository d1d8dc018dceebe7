//! The process's random numbers.

use sidedoor_domain::ports::Random;

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn bits(&self) -> u64 {
        fastrand::u64(..)
    }
}
