//! `sidedoor timing simulate`: the fixed scenarios and the hard worlds, as tables and pictures.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use clap::Args;
use clock_calibration::simulator::{hard_worlds, plot, report, run, scenario};

use super::Done;

/// Number of worlds whose samples are added to measure the cost of a sample, and number of measurements.
const COST_SEEDS: u64 = 8;
const COST_ROUNDS: usize = 3;
/// The value of `--only` that leaves out the fixed scenarios.
const HARD: &str = "hard";

/// Options of `sidedoor timing simulate`.
#[derive(Debug, Args)]
pub struct SimulateOptions {
    /// Folder for the tables (timing.md, hard-worlds.md) and the plots (timing.svg, hard-worlds.svg).
    #[arg(long, default_value = "target/timing")]
    folder: PathBuf,
    /// Days to simulate in each world. In the fixed scenarios one seed is a day, or about eight hours in the first set.
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// Number of hard worlds; each has its own seed.
    #[arg(long, default_value_t = 200)]
    worlds: usize,
    /// The first seed; default: 0 for the fixed scenarios, 1 for the hard worlds.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of threads for the hard worlds; more than one makes the measured cost of a sample less reliable.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Play only the scenario of this name, for example 2G, or only the hard worlds (`hard`).
    #[arg(long)]
    only: Option<String>,
    /// Exit with an error if a target is missed.
    #[arg(long)]
    check: bool,
}

/// Plays the worlds, and writes and prints the tables.
///
/// # Errors
/// A file that cannot be written, an unknown scenario, and with `--check` a missed target.
pub(super) fn run(options: &SimulateOptions) -> Done {
    std::fs::create_dir_all(&options.folder)?;
    let only = options.only.as_deref();
    let mut missed = 0;
    if only != Some(HARD) {
        missed += fixed_scenarios(options, only)?;
    }
    if only.is_none_or(|only| only == HARD) && options.worlds > 0 {
        missed += hard(options)?;
    }
    println!("Written to {}.", options.folder.display());
    if options.check && missed > 0 {
        return Err(format!("targets were missed ({missed}); see the tables").into());
    }
    Ok(())
}

/// Plays the fixed scenarios. Returns the number of missed targets.
fn fixed_scenarios(options: &SimulateOptions, only: Option<&str>) -> Done<usize> {
    let (days, seed) = (options.days, options.seed.unwrap_or(0));
    let mut results = Vec::new();
    for world in scenario::all().into_iter().filter(|s| only.is_none_or(|o| o == s.name)) {
        let seeds = ((days as f64 * 24.0 / world.hours).ceil() as u64).max(1);
        let measured = run::run(&world, seed..seed + seeds);
        let result = report::summarize(&world, measured).with_cost(cost_us(&world, seed));
        eprintln!(
            "{} {}: {} targets missed",
            result.name,
            result.description,
            result.missed.len()
        );
        results.push(result);
    }
    if results.is_empty() {
        let known: Vec<&str> = scenario::all().iter().map(|s| s.name).collect();
        return Err(format!(
            "unknown scenario `{}`; expected {HARD} or one of {}",
            only.unwrap_or_default(),
            known.join(", ")
        )
        .into());
    }
    let command = format!("`sidedoor timing simulate --days {days} --seed {seed}`: {days} days of each world.");
    let table = report::markdown(&results, &command);
    write(&options.folder, "timing", &table, &plot::svg(&results))?;
    Ok(results.iter().map(|r| r.missed.len()).sum())
}

/// What adding a sample of a scenario costs, in µs.
fn cost_us(world: &scenario::Scenario, seed: u64) -> f64 {
    let worlds: Vec<_> = (seed..seed + COST_SEEDS)
        .map(|seed| run::samples_of(world, seed))
        .collect();
    // Take the fastest measurement, because other work on the machine can only slow one down.
    let taking = (0..COST_ROUNDS).map(|_| {
        let started = clock_us();
        let taken: u32 = worlds.iter().map(|samples| run::take_all(samples)).sum();
        (clock_us() - started) / f64::from(taken.max(1))
    });
    taking.fold(f64::INFINITY, f64::min)
}

/// Plays the hard worlds. Returns the number of missed targets.
fn hard(options: &SimulateOptions) -> Done<usize> {
    let (worlds, days, seed) = (options.worlds, options.days, options.seed.unwrap_or(1));
    let plan = hard_worlds::Plan {
        worlds,
        days: days as f64,
        seed,
        threads: options.threads,
        clock_us: Some(clock_us),
    };
    let results = hard_worlds::run(&plan);
    let missed = hard_worlds::check(&results, &hard_worlds::Target::ALL);
    let command = format!("`sidedoor timing simulate --only hard --worlds {worlds} --days {days} --seed {seed}`.");
    let table = hard_worlds::markdown(&results, &missed, &command);
    write(&options.folder, "hard-worlds", &table, &hard_worlds::svg(&results))?;
    Ok(missed.len())
}

/// Prints a table, and writes it and its picture.
fn write(folder: &Path, name: &str, table: &str, picture: &str) -> Done {
    std::fs::write(folder.join(format!("{name}.md")), table)?;
    std::fs::write(folder.join(format!("{name}.svg")), picture)?;
    println!("{table}");
    Ok(())
}

/// Microseconds since the first call.
#[allow(clippy::disallowed_methods, reason = "the cost of a sample is measured in real time")]
fn clock_us() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e6
}
