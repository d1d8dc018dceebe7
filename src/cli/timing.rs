//! `sidedoor timing`: simulate, explain, replay. Reads a store at most, and never takes its lock: it runs beside the
//! service or without it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use crate::config::Config;
use crate::store::sqlite::StoreView;
use clock_calibration::simulator::{plot, report, run, scenario};
use clock_calibration::{ClockId, ClockSeries, Limits, Taken};
use sidedoor_domain::departure::{AliveBy, Departure};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::Comparison;
use sidedoor_domain::supervision::Supervision;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Worlds whose samples are taken to measure what that costs, and how often.
const COST_SEEDS: u64 = 8;
const COST_ROUNDS: usize = 3;
/// Samples read of each clock by a replay.
const REPLAYED: u32 = 200_000;

/// What `sidedoor timing` does.
#[derive(Debug, Subcommand)]
pub enum Timing {
    /// Play invented worlds in which the truth is known, beside simpler estimators and an oracle.
    Simulate {
        /// Where the table (timing.md) and the plot (timing.svg) go.
        #[arg(long, default_value = "target/timing")]
        folder: PathBuf,
        /// Days of each world; a seed is a day, or eight hours of the first set.
        #[arg(long, default_value_t = 30)]
        days: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Only this scenario.
        #[arg(long)]
        only: Option<String>,
        /// End with an error if a reach is missed.
        #[arg(long)]
        check: bool,
    },
    /// Tell why a departure has its instant and its error.
    Explain {
        /// The supervision.
        supervision: String,
        /// The configuration file; without it sidedoor.toml, if there is one.
        #[arg(long, env = "SIDEDOOR_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Play a store's real samples through the calibrator again.
    Replay {
        /// The configuration file; without it sidedoor.toml, if there is one.
        #[arg(long, env = "SIDEDOOR_CONFIG")]
        config: Option<PathBuf>,
    },
}

/// Runs it.
///
/// # Errors
/// What went wrong; with `--check`, a missed reach.
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
            let id = SupervisionId::parse(&supervision).ok_or("that is not a supervision's id")?;
            let stored = view.supervision(id).await?.ok_or("there is no such supervision")?;
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

#[allow(
    clippy::disallowed_methods,
    reason = "how long the calibrator takes is measured here"
)]
fn simulate(folder: &Path, days: u64, seed: u64, only: Option<&str>, check: bool) -> Done {
    std::fs::create_dir_all(folder)?;
    let mut lines = Vec::new();
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
        // The least of a few: what else the machine does is not the calibrator's.
        let taking = (0..COST_ROUNDS).map(|_| {
            let begun = std::time::Instant::now();
            let taken: u32 = worlds.iter().map(|samples| run::take_all(samples)).sum();
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(taken.max(1))
        });
        let taking = taking.fold(f64::INFINITY, f64::min);
        let line = report::line(&world, measured).with_cost(taking);
        eprintln!("{} {}: {} missed", line.name, line.story, line.missed.len());
        lines.push(line);
    }
    if lines.is_empty() {
        return Err("there is no such scenario".into());
    }
    let command = format!("`sidedoor timing simulate --days {days} --seed {seed}`: {days} days of each world.");
    let table = report::markdown(&lines, &command);
    std::fs::write(folder.join("timing.md"), &table)?;
    std::fs::write(folder.join("timing.svg"), plot::svg(&lines))?;
    println!("{table}");
    println!("Written to {}.", folder.display());
    if check && lines.iter().any(|l| !l.missed.is_empty()) {
        return Err("a reach was missed".into());
    }
    Ok(())
}

/// Why a departure has its instant and its error, in words.
fn explain(s: &Supervision) -> String {
    let mut out = format!("Supervision {} ({}, {})\n\n", s.id, s.vendor, s.state.as_str());
    let Some(d) = &s.departure else {
        out.push_str("The supervisor has not left yet, or never listened: there is nothing to explain.\n");
        return out;
    };
    let _ = writeln!(
        out,
        "They left at {}{}, by {}.",
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
    d.uncertainty_ms
        .map_or_else(|| " (nothing bounds the error)".into(), |ms| format!(" ± {ms} ms"))
}

fn causality(out: &mut String, d: &Departure) {
    let by = match d.basis.alive_by {
        Some(AliveBy::Join) => "MonitorContact was sent then, and it gave the leg",
        Some(AliveBy::Poll) => "a poll sent then still showed it, the poll's possible staleness taken off",
        Some(AliveBy::Browser) => "the directive was given out then, and the browser that obeyed it saw the leg alive",
        None => "",
    };
    match d.basis.alive_at {
        Some(t) => drop(writeln!(out, "Surely alive at {} of our clock: {by}.", shown(t))),
        None => {
            out.push_str("Nothing says that the leg was alive at any moment: we first heard of it when it was gone.\n")
        }
    }
    if let Some(t) = d.basis.gone_by {
        let _ = writeln!(
            out,
            "Surely gone at {} of our clock: the first proof had reached us.",
            shown(t)
        );
    }
}

fn clocks(out: &mut String, d: &Departure) {
    for stamp in &d.basis.stamps {
        let _ = writeln!(
            out,
            "\nThe clock {} read {} at the drop.",
            stamp.clock_id,
            shown(stamp.at)
        );
        match stamp.clock {
            Some(clock) => {
                let (quantum, low, high) = (clock.quantum_ms, clock.offset_low_ms, clock.offset_high_ms);
                let _ = writeln!(
                    out,
                    "  Its stamps are cut to {quantum} ms. It was {low} to {high} ms ahead of ours (epoch {}), so the drop was \
                     at the earliest {high} ms before that stamp by our clock, and at the latest {} ms after.",
                    clock.epoch,
                    quantum - low
                );
            }
            None => out.push_str("  Not enough was known of it then: the stamp is recorded, not used.\n"),
        }
    }
}

fn conclusion(out: &mut String, d: &Departure) {
    out.push('\n');
    if d.conflicting {
        out.push_str("These exclude each other. Causality needs no vendor's honesty, so the bracket stands alone.\n");
    }
    let earliest = d.earliest.map_or_else(|| "unbounded".into(), shown);
    let _ = writeln!(
        out,
        "All of that leaves {earliest} to {}, our own clock's error included: that is guaranteed.",
        shown(d.latest)
    );
    if let Some((from, to)) = d.basis.modelled {
        let _ = writeln!(
            out,
            "If commands and notices take as long as they usually do, it was {} to {} with odds of 95 in 100: that is modelled.",
            shown(from),
            shown(to)
        );
    }
    let _ = writeln!(out, "Grade {}.", d.grade.as_str());
}

/// What the org itself has of it, if it was compared.
fn compared(beside: Option<&Comparison>) -> String {
    let Some(c) = beside else {
        return String::new();
    };
    let record = c.participant_id.as_deref().unwrap_or("none");
    match (c.left_at, c.inside) {
        (Some(theirs), Some(inside)) => format!(
            "\nSalesforce's own record (ConversationParticipant {record}) says {}: {} ms from the {} it was compared with, {} what \
             is guaranteed. It is compared only; nothing is written there.\n",
            shown(theirs),
            theirs.as_millisecond() - c.ours_at.as_millisecond(),
            shown(c.ours_at),
            if inside { "inside" } else { "outside" },
        ),
        _ => format!(
            "\nSalesforce's own record of it (ConversationParticipant) was looked for at {} and not found.\n",
            shown(c.looked_at)
        ),
    }
}

fn shown(t: Timestamp) -> String {
    t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// What the calibrator makes of a store's real samples.
fn replay(samples: Vec<(ClockId, clock_calibration::Sample)>) -> String {
    let mut streams: BTreeMap<ClockId, Vec<clock_calibration::Sample>> = BTreeMap::new();
    for (key, sample) in samples {
        streams.entry(key).or_default().push(sample);
    }
    let mut out = String::from("Milliseconds unless said otherwise. Each clock from its first sample kept.\n");
    for (key, samples) in &streams {
        let mut clock = ClockSeries::new(Limits::default());
        let (mut against, mut steps, mut plain, mut guaranteed, mut brackets) =
            (0, 0, Vec::new(), Vec::new(), Vec::new());
        for sample in samples {
            match clock.take(*sample) {
                Taken::Contradicts => against += 1,
                Taken::Stepped { .. } => steps += 1,
                Taken::Agrees | Taken::Useless => {}
            }
            if let Some(offset) = clock.offset(sample.not_after) {
                plain.push((offset.plain.1 - offset.plain.0) / 2.0);
                guaranteed.push((offset.guaranteed.1 - offset.guaranteed.0) / 2.0);
            }
            let width = sample
                .not_before
                .map(|t| sample.not_after.duration_since(t).as_secs_f64() * 1000.0);
            brackets.extend(width);
        }
        let _ = writeln!(
            out,
            "\n{key}: {} samples, {against} contradicted the others, {steps} steps",
            samples.len()
        );
        let _ = writeln!(
            out,
            "  stamps cut to {}, brackets p50 {:.0}; half-width p50: plain {:.0}, guaranteed {:.0}",
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
                "  at the end: {:.0} ({:.0} to {:.0}), drift {low:.1} to {high:.1} ppm",
                offset.best, offset.guaranteed.0, offset.guaranteed.1
            );
        }
        let (command, notice) = clock.latencies();
        let _ = writeln!(
            out,
            "  learnt delays, median: command {:.0}, notice {:.0}",
            command.median_ms(),
            notice.median_ms()
        );
    }
    if streams.is_empty() {
        out.push_str("\nThe store holds no samples yet.\n");
    }
    out
}
