//! Hard worlds: generated from a seed over ranges, so that an estimator cannot be tuned to a list of them.
//!
//! A [`HardWorld`] combines troubles that real vendors and real operations cause: departures without a command,
//! notices that arrive hours late, steps of the clock, clocks that are set once a day, several machines behind one
//! name, wrong stamps, restarts, corrections of our own clock, and others. Each world knows which of the declared
//! assumptions it breaks ([`HardWorld::broken`]).
//!
//! | module | contains |
//! |---|---|
//! | `world`, `random_world` | the properties of a world, and how a seed chooses them |
//! | `clock`, `our_clock` | the vendor's clocks and ours, as they really run |
//! | `history` | what happened in a world, and what reached us of it |
//! | `service` | the only part that calls the estimator, in the way in which the service does |
//! | `playback`, `steps` | plays a history through the service and compares every claim with the truth |
//! | `comparison` | six simple estimators and an oracle on the same samples |
//! | `detection` | how soon a step could be noticed at all |
//! | `measured`, `targets` | the measurements of a world, and the targets |
//! | `table`, `plot` | the table and the picture |

mod clock;
mod comparison;
mod detection;
mod history;
mod measured;
mod our_clock;
mod playback;
mod plot;
mod random;
mod random_world;
mod service;
mod steps;
mod table;
mod targets;
#[cfg(test)]
mod tests;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use measured::{Counts, Quantiles, StepResult, WorldResult};
pub use plot::svg;
pub use table::markdown;
pub use targets::{MissedTarget, Target, check};
pub use world::{Assumption, HardWorld};

/// Which worlds to play.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Number of worlds.
    pub worlds: usize,
    /// Simulated days in each world.
    pub days: f64,
    /// The seed of the first world; the others follow.
    pub seed: u64,
    /// Number of threads.
    pub threads: usize,
    /// Reads a clock in microseconds, to measure the cost of a sample. This crate reads no clock itself.
    pub clock_us: Option<fn() -> f64>,
}

/// Plays the worlds of a plan. The results are in the order of the seeds and do not depend on the number of threads.
pub fn run(plan: &Plan) -> Vec<WorldResult> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, WorldResult)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= plan.worlds {
                return;
            }
            let world = HardWorld::random(plan.seed.wrapping_add(index as u64), plan.days);
            let result = playback::play(&world, plan.clock_us);
            results
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..plan.threads {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
