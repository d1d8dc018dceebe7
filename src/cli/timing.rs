//! `sidedoor timing`: simulate, explain, replay. It only reads a store and never takes the store's lock, so it can run
//! while the service runs.

mod replay;
mod simulate;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Subcommand;
use clock_calibration::{ClockId, Sample};
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::departure::{AliveBy, Departure};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::moment::timestamp;
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
            let doubts = doubts(&stored.supervision, &view.clock_samples(REPLAYED).await?);
            print!("{}{doubts}{}", explain(&stored.supervision), compared(beside.as_ref()));
            Ok(())
        }
        Timing::Replay { config } => {
            let view = StoreView::open(&store(config)?).await?;
            print!("{}", replay::report(view.clock_samples(REPLAYED).await?));
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

/// When and why the clocks of a departure were doubted within a day of it.
fn doubts(s: &Supervision, samples: &[(ClockId, Sample)]) -> String {
    let mut out = String::new();
    let Some(d) = &s.departure else { return out };
    let near = SignedDuration::from_hours(24);
    for stamp in &d.basis.stamps {
        let own = samples.iter().filter(|(clock, _)| *clock == stamp.clock_id);
        for period in replay::doubts_of(own.map(|(_, sample)| *sample)) {
            let (from, until) = (timestamp(period.from), timestamp(period.until));
            if from <= d.latest + near && until >= d.latest - near {
                let _ = writeln!(
                    out,
                    "The clock {} was doubted from {} to {}: {}.",
                    stamp.clock_id,
                    shown(from),
                    shown(until),
                    replay::reason(period.why)
                );
            }
        }
    }
    out
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
