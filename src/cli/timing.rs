//! `sidedoor timing`: simulate, explain, replay. It only reads a store and never takes the store's lock, so it can run
//! while the service runs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use clock_calibration::simulator::{plot, report, run, scenario};
use clock_calibration::{ClockId, ClockSeries, Limits, SampleOutcome};
use jiff::Timestamp;
use sidedoor_domain::departure::{AliveBy, Departure};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::Comparison;
use sidedoor_domain::supervision::Supervision;

use crate::config::Config;
use crate::store::sqlite::StoreView;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Number of worlds whose samples are added to measure the cost of a sample, and number of measurements.
const COST_SEEDS: u64 = 8;
const COST_ROUNDS: usize = 3;
/// Greatest number of samples of each clock that a replay reads.
const REPLAYED: u32 = 200_000;

/// Subcommands of `sidedoor timing`.
#[derive(Debug, Subcommand)]
pub enum Timing {
    /// Play simulated worlds in which the truth is known, and compare with simpler estimators and an oracle.
    Simulate {
        /// Folder for the table (timing.md) and the plot (timing.svg).
        #[arg(long, default_value = "target/timing")]
        folder: PathBuf,
        /// Days to simulate in each world; one seed is a day, or about eight hours in the first set of scenarios.
        #[arg(long, default_value_t = 30)]
        days: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Play only the scenario of this name, for example 2G.
        #[arg(long)]
        only: Option<String>,
        /// Exit with an error if a target is missed.
        #[arg(long)]
        check: bool,
    },
    /// Explain why a departure has its instant and its uncertainty.
    Explain {
        /// The supervision's id.
        supervision: String,
        /// The configuration file; default: sidedoor.toml, if it exists.
        #[arg(long, env = "SIDEDOOR_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Play the samples of a store through the calibrator again.
    Replay {
        /// The configuration file; default: sidedoor.toml, if it exists.
        #[arg(long, env = "SIDEDOOR_CONFIG")]
        config: Option<PathBuf>,
    },
}

/// Runs a subcommand.
///
/// # Errors
/// A store, configuration or file that cannot be read or written, an unknown supervision or scenario, and with `--check` a
/// missed target.
pub async fn run(what: Timing) -> Done {
    match what {
        Timing::Simulate {
            folder,
            days,
            seed,
            only,
            check,
        } => simulate(&folder, days, seed, only.as_deref(), check),
        Timing::Explain { supervision, config } => {
            let view = StoreView::open(&store(config)?).await?;
            let id = SupervisionId::parse(&supervision)
                .ok_or_else(|| format!("`{supervision}` is not a supervision id; expected a UUID"))?;
            let stored = view
                .supervision(id)
                .await?
                .ok_or_else(|| format!("unknown supervision `{supervision}`"))?;
            let beside = view.comparison(id).await?;
            print!("{}{}", explain(&stored.supervision), compared(beside.as_ref()));
            Ok(())
        }
        Timing::Replay { config } => {
            let view = StoreView::open(&store(config)?).await?;
            print!("{}", replay(view.clock_samples(REPLAYED).await?));
            Ok(())
        }
    }
}

fn store(config: Option<PathBuf>) -> Done<String> {
    let path = config.or_else(|| Some(PathBuf::from("sidedoor.toml")).filter(|p| p.exists()));
    Ok(Config::load(path.as_deref(), std::env::vars())?.store.url)
}

#[allow(clippy::disallowed_methods, reason = "the cost of a sample is measured in real time")]
fn simulate(folder: &Path, days: u64, seed: u64, only: Option<&str>, check: bool) -> Done {
    std::fs::create_dir_all(folder)?;
    let mut results = Vec::new();
    for world in scenario::all().into_iter().filter(|s| only.is_none_or(|o| o == s.name)) {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "days"
        )]
        let seeds = ((days as f64 * 24.0 / world.hours).ceil() as u64).max(1);
        let measured = run::run(&world, seed..seed + seeds);
        let worlds: Vec<_> = (seed..seed + COST_SEEDS)
            .map(|seed| run::samples_of(&world, seed))
            .collect();
        // Take the fastest measurement, because other work on the machine can only slow one down.
        let taking = (0..COST_ROUNDS).map(|_| {
            let started = std::time::Instant::now();
            let taken: u32 = worlds.iter().map(|samples| run::take_all(samples)).sum();
            started.elapsed().as_secs_f64() * 1e6 / f64::from(taken.max(1))
        });
        let taking = taking.fold(f64::INFINITY, f64::min);
        let result = report::summarize(&world, measured).with_cost(taking);
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
            "unknown scenario `{}`; expected one of {}",
            only.unwrap_or_default(),
            known.join(", ")
        )
        .into());
    }
    let command = format!("`sidedoor timing simulate --days {days} --seed {seed}`: {days} days of each world.");
    let table = report::markdown(&results, &command);
    std::fs::write(folder.join("timing.md"), &table)?;
    std::fs::write(folder.join("timing.svg"), plot::svg(&results))?;
    println!("{table}");
    println!("Written to {}.", folder.display());
    if check && results.iter().any(|r| !r.missed.is_empty()) {
        return Err("a target was missed; see the end of the table".into());
    }
    Ok(())
}

/// Explains in words why a departure has its instant and its uncertainty.
fn explain(s: &Supervision) -> String {
    let mut out = format!("Supervision {} ({}, {})\n\n", s.id, s.vendor, s.state.as_str());
    let Some(d) = &s.departure else {
        out.push_str("The supervisor has not left yet or never joined, so there is no departure to explain.\n");
        return out;
    };
    let _ = writeln!(
        out,
        "The supervisor left at {}{}; source: {}.",
        shown(d.disconnected_at),
        plus_minus(d),
        d.source.as_str()
    );
    out.push('\n');
    causality(&mut out, d);
    clocks(&mut out, d);
    conclusion(&mut out, d);
    out
}

fn plus_minus(d: &Departure) -> String {
    d.uncertainty_ms.map_or_else(
        || " (uncertainty unknown: nothing bounds it from below)".into(),
        |ms| format!(" ± {ms} ms"),
    )
}

fn causality(out: &mut String, d: &Departure) {
    let by = match d.basis.alive_by {
        Some(AliveBy::Join) => "MonitorContact was sent then, and its answer named the leg",
        Some(AliveBy::Poll) => "a poll that was sent then, less the poll's possible staleness, still showed it",
        Some(AliveBy::Browser) => "the directive was sent to the browser then, and the browser still saw the leg alive",
        None => "",
    };
    match d.basis.alive_at {
        Some(t) => drop(writeln!(
            out,
            "The leg was certainly alive at {} on our clock: {by}.",
            shown(t)
        )),
        None => out.push_str(
            "There is no proof that the leg was alive at any moment, because we first heard of it after its end.\n",
        ),
    }
    if let Some(t) = d.basis.gone_by {
        let _ = writeln!(
            out,
            "The leg had certainly ended at {} on our clock: the first proof had reached us by then.",
            shown(t)
        );
    }
}

fn clocks(out: &mut String, d: &Departure) {
    for stamp in &d.basis.stamps {
        let _ = writeln!(
            out,
            "\nThe clock {} read {} when the leg ended.",
            stamp.clock_id,
            shown(stamp.at)
        );
        match stamp.clock {
            Some(clock) => {
                let (quantum, low, high) = (clock.quantum_ms, clock.offset_low_ms, clock.offset_high_ms);
                let _ = writeln!(
                    out,
                    "  Its stamps are multiples of {quantum} ms. It was {low} to {high} ms ahead of our clock (epoch {}), so the leg \
                     ended at the earliest {high} ms before that stamp on our clock, and at the latest {} ms after it.",
                    clock.epoch,
                    quantum - low
                );
            }
            None => out.push_str("  Not enough was known about this clock, so the stamp is recorded but not used.\n"),
        }
    }
}

fn conclusion(out: &mut String, d: &Departure) {
    out.push('\n');
    if d.conflicting {
        out.push_str("These contradict each other. Causality does not depend on any vendor, so only the two moments on our clock are used.\n");
    }
    let earliest = d.earliest.map_or_else(|| "unbounded".into(), shown);
    let _ = writeln!(
        out,
        "Together this leaves {earliest} to {}, including our own clock's error: that is guaranteed.",
        shown(d.latest)
    );
    if let Some((from, to)) = d.basis.modelled {
        let _ = writeln!(
            out,
            "If commands and notices take as long as usual, it was {} to {} with a probability of 95 %: that is modelled.",
            shown(from),
            shown(to)
        );
    }
    let _ = writeln!(out, "Grade {}.", d.grade.as_str());
}

/// The comparison with Salesforce's own record of the departure, if there was one.
fn compared(beside: Option<&Comparison>) -> String {
    let Some(c) = beside else {
        return String::new();
    };
    let record = c.participant_id.as_deref().unwrap_or("none");
    match (c.left_at, c.inside) {
        (Some(theirs), Some(inside)) => format!(
            "\nSalesforce's own record (ConversationParticipant {record}) says {}: {} ms from Sidedoor's time {}, and {} the guaranteed \
             interval. Sidedoor only compares the two; it does not change that record.\n",
            shown(theirs),
            theirs.as_millisecond() - c.ours_at.as_millisecond(),
            shown(c.ours_at),
            if inside { "inside" } else { "outside" },
        ),
        _ => format!(
            "\nSalesforce's own record (ConversationParticipant) was not found when Sidedoor looked for it at {}.\n",
            shown(c.looked_at)
        ),
    }
}

fn shown(t: Timestamp) -> String {
    t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Plays the samples of a store through the calibrator and describes the result for each clock.
fn replay(samples: Vec<(ClockId, clock_calibration::Sample)>) -> String {
    let mut by_clock: BTreeMap<ClockId, Vec<clock_calibration::Sample>> = BTreeMap::new();
    for (key, sample) in samples {
        by_clock.entry(key).or_default().push(sample);
    }
    let mut out =
        String::from("In milliseconds unless a unit is given. Each clock starts with its oldest stored sample.\n");
    for (key, samples) in &by_clock {
        let mut clock = ClockSeries::new(Limits::default());
        let (mut against, mut steps, mut plain, mut guaranteed, mut brackets) =
            (0, 0, Vec::new(), Vec::new(), Vec::new());
        for sample in samples {
            match clock.add(*sample) {
                SampleOutcome::Contradicts => against += 1,
                SampleOutcome::Stepped { .. } => steps += 1,
                SampleOutcome::Agrees | SampleOutcome::Ignored => {}
            }
            if let Some(offset) = clock.offset(sample.not_after) {
                plain.push((offset.plain.1 - offset.plain.0) / 2.0);
                guaranteed.push((offset.guaranteed.1 - offset.guaranteed.0) / 2.0);
            }
            #[allow(clippy::cast_precision_loss, reason = "a bracket in nanoseconds")]
            let width = sample.not_before.map(|t| sample.not_after.nanos_since(t) as f64 / 1e6);
            brackets.extend(width);
        }
        let _ = writeln!(
            out,
            "\n{key}: {} samples, {against} contradicted the others, {steps} steps",
            samples.len()
        );
        let _ = writeln!(
            out,
            "  stamps are multiples of {}, brackets p50 {:.0}; half-width p50: plain {:.0}, guaranteed {:.0}",
            clock
                .granularity()
                .typical_ms()
                .map_or_else(|| "?".into(), |q| q.to_string()),
            run::quantile(&mut brackets, 0.5),
            run::quantile(&mut plain, 0.5),
            run::quantile(&mut guaranteed, 0.5),
        );
        if let Some(offset) = samples.last().and_then(|s| clock.offset(s.not_after)) {
            let (low, high) = clock.drift_ppm();
            let _ = writeln!(
                out,
                "  offset at the end: {:.0} ({:.0} to {:.0}), drift {low:.1} to {high:.1} ppm",
                offset.best, offset.guaranteed.0, offset.guaranteed.1
            );
        }
        let (command, notice) = clock.latencies();
        let _ = writeln!(
            out,
            "  learned delays, median: command {:.0}, notice {:.0}",
            command.median_ms(),
            notice.median_ms()
        );
    }
    if by_clock.is_empty() {
        out.push_str("\nThe store has no clock samples yet.\n");
    }
    out
}
