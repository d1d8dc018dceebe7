//! Plays hard worlds and prints their table and the missed targets.
//!
//! ```text
//! cargo run --release -p clock-calibration --features simulator --example hard_worlds -- --worlds 40 --days 5 --seed 1
//! ```
//!
//! `--threads 2` uses two threads. `--misses 1` describes the first silent misses of each world.
//! `--plot FILE` writes the picture.

use std::sync::OnceLock;
use std::time::Instant;

use clock_calibration::simulator::hard_worlds::{Plan, Target, check, markdown, run, svg};

#[allow(clippy::disallowed_methods, reason = "the cost of a sample is measured in real time")]
fn clock_us() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e6
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|a| a == name);
        place.and_then(|i| arguments.get(i + 1))
    };
    let option = |name: &str, default: f64| value(name).map_or(default, |v| v.parse().expect("a number"));
    let (worlds, days, seed) = (option("--worlds", 40.0), option("--days", 5.0), option("--seed", 1.0));
    let plan = Plan {
        worlds: worlds as usize,
        days,
        seed: seed as u64,
        threads: option("--threads", 1.0) as usize,
        clock_us: Some(clock_us),
    };
    let started = clock_us();
    let results = run(&plan);
    let missed = check(&results, &Target::ALL);
    let command = format!("`--worlds {worlds} --days {days} --seed {seed}`.");
    print!("{}", markdown(&results, &missed, &command));
    if let Some(file) = value("--plot") {
        std::fs::write(file, svg(&results)).expect("could not write the picture");
    }
    if option("--misses", 0.0) > 0.0 {
        for result in &results {
            let misses = result.first_misses.iter();
            misses.for_each(|miss| println!("seed {}: {miss}", result.seed));
        }
    }
    eprintln!("{:.1} s", (clock_us() - started) / 1e6);
}
