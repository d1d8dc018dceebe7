//! `sidedoor timing`: simulate, explain, replay. It only reads a store and never takes the store's lock, so it can run
//! while the service runs.

mod simulate;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Subcommand;
use clock_calibration::simulator::run::quantile;
use clock_calibration::{ClockId, ClockSeries, Limits, SampleOutcome};
use jiff::Timestamp;
use sidedoor_domain::departure::{AliveBy, Departure};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::Comparison;
use sidedoor_domain::supervision::Supervision;

use crate::config::Config;
use crate::store::sqlite::StoreView;

pub use simulate::SimulateOptions;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Greatest number of samples of each clock that a replay reads.
const REPLAYED: u32 = 200_000;

/// Subcommands of `sidedoor timing`.
#[derive(Debug, Subcommand)]
pub enum Timing {
    /// Play simulated worlds in which the truth is known, and compare with simpler estimators and an oracle.
    Simulate(SimulateOptions),
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
        Timing::Simulate(options) => simulate::run(&options),
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
            quantile(&mut brackets, 0.5),
            quantile(&mut plain, 0.5),
            quantile(&mut guaranteed, 0.5),
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
