//! The report: each scenario compared with the baselines and the oracle, and the targets that were missed.

use std::fmt::Write;

use super::baselines;
use super::run::{Measured, quantile};
use super::scenario::Scenario;

/// The results of one scenario.
#[derive(Debug, Clone)]
pub struct ScenarioResult {
    /// The scenario's name.
    pub name: &'static str,
    /// The scenario in a few words.
    pub description: &'static str,
    /// The set of scenarios that it belongs to: 1 or 2.
    pub set: u8,
    /// Error of the offset by estimator, in ms: p50 and p95. The calibrator's is the last.
    pub offsets: Vec<(&'static str, f64, f64)>,
    /// The median half-width, in ms, of the plain intervals, the guaranteed ones and the oracle's.
    pub half_widths: [f64; 3],
    /// Error of a departure's instant by estimator, in ms: p50 and p95.
    pub events: Vec<(&'static str, f64, f64)>,
    /// Share of offset intervals that contain the truth, except between a step and its detection.
    pub coverage: f64,
    /// The number of intervals behind `coverage`.
    pub asked: usize,
    /// Share of departure intervals that contain the truth, for honest stamps.
    pub event_coverage: f64,
    /// Epochs that began without a step, and the number of simulated days.
    pub false_steps: (usize, f64),
    /// Commanded departures between a step and its detection whose interval misses the truth: median, 90th percentile
    /// and greatest over the seeds.
    pub latent: Option<[usize; 3]>,
    /// Steps that were detected, and all steps.
    pub found: (usize, usize),
    /// Greatest memory of a clock, in bytes.
    pub memory: usize,
    /// Cost of adding one sample, in microseconds.
    pub cost_us: f64,
    /// The targets that were missed, in words.
    pub missed: Vec<String>,
}

/// Greatest cost of adding one sample, in microseconds.
const MAX_COST_US: f64 = 10.0;

/// The name of the calibrator's column.
pub const OURS: &str = "Sidedoor";

/// Summarises a scenario and checks it against the targets.
pub fn summarize(scenario: &Scenario, mut m: Measured) -> ScenarioResult {
    let both = |v: &mut Vec<f64>| (quantile(v, 0.5), quantile(v, 0.95));
    let mut offsets = Vec::new();
    for ((name, _), errors) in baselines::ALL.iter().zip(&mut m.baselines) {
        let (p50, p95) = both(errors);
        offsets.push((*name, p50, p95));
    }
    let (p50, p95) = both(&mut m.offset);
    offsets.push((OURS, p50, p95));
    let mut events = Vec::new();
    for (name, errors) in [
        ("stamp as is", &mut m.as_is),
        ("receipt", &mut m.receipt),
        ("mean offset", &mut m.mean_corrected),
        (OURS, &mut m.event),
        ("oracle, middle", &mut m.oracle_middle),
        ("oracle, posterior", &mut m.oracle_posterior),
    ] {
        let (p50, p95) = both(errors);
        events.push((name, p50, p95));
    }
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    let share = |part: usize, all: usize| if all == 0 { 1.0 } else { part as f64 / all as f64 };
    m.latent.sort_unstable();
    let latent = (!m.latent.is_empty()).then(|| {
        let at = |percent: usize| m.latent[(m.latent.len() - 1) * percent / 100];
        [at(50), at(90), at(100)]
    });
    let mut result = ScenarioResult {
        name: scenario.name,
        description: scenario.description,
        set: scenario.set,
        offsets,
        half_widths: [&mut m.plain, &mut m.guaranteed, &mut m.oracle].map(|v| quantile(v, 0.5)),
        events,
        coverage: share(m.covered, m.asked),
        asked: m.asked,
        event_coverage: share(m.honest_covered, m.honest),
        false_steps: (m.false_steps, m.hours / 24.0),
        found: (m.found_steps, m.latent.len()),
        latent,
        memory: m.memory,
        cost_us: f64::NAN,
        missed: Vec::new(),
    };
    result.missed = missed_targets(&result);
    result
}

impl ScenarioResult {
    /// Adds the cost of one sample. The caller measures it, because this crate reads no clock.
    pub fn with_cost(mut self, us: f64) -> Self {
        self.cost_us = us;
        // A debug build says nothing about speed.
        if us > MAX_COST_US && !cfg!(debug_assertions) {
            self.missed.push(format!(
                "{}: one sample costs {us:.1} µs, more than {MAX_COST_US}",
                self.name
            ));
        }
        self
    }

    fn offset(&self, name: &str) -> (f64, f64) {
        self.offsets
            .iter()
            .find(|(n, ..)| *n == name)
            .map_or((f64::NAN, f64::NAN), |(_, a, b)| (*a, *b))
    }

    fn event(&self, name: &str) -> (f64, f64) {
        self.events
            .iter()
            .find(|(n, ..)| *n == name)
            .map_or((f64::NAN, f64::NAN), |(_, a, b)| (*a, *b))
    }
}

/// The targets that a result misses, in words.
fn missed_targets(result: &ScenarioResult) -> Vec<String> {
    let mut missed = Vec::new();
    let mut at_most = |what: &str, is: f64, most: f64| {
        if is.is_nan() || is > most {
            missed.push(format!("{}: {what} is {is:.4}, more than {most:.4}", result.name));
        }
    };
    at_most("uncovered share", 1.0 - result.coverage, 1e-4);
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    if result.found.1 == 0 {
        at_most(
            "false steps in 30 days",
            result.false_steps.0 as f64 / result.false_steps.1 * 30.0,
            1.0,
        );
    }
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    if let Some([_, p90, _]) = result.latent {
        at_most("uncovered departures after a step (9 of 10 seeds)", p90 as f64, 10.0);
    }
    at_most("memory of a clock, KiB", (result.memory / 1024) as f64, 64.0);
    let event = result.event(OURS).1;
    match result.name {
        "1A" => at_most("event error p95, ms", event, 45.0),
        "1B" | "1C" | "1D" => {
            at_most(
                "event error p95 against the posterior oracle",
                event / result.event("oracle, posterior").1,
                1.1,
            );
        }
        "1E" => at_most("event error p95, ms", event, 65.0),
        _ => {}
    }
    if result.set == 2 && result.latent.is_none() {
        let polygon = [
            ("2A", 23.0),
            ("2B", 129.0),
            ("2C", 95.0),
            ("2D", 28.0),
            ("2F", 24.0),
            ("2G", 27.0),
            ("2H", 149.0),
        ];
        let (p50, p95) = result.offset(OURS);
        if let Some((_, most)) = polygon.iter().find(|(name, _)| *name == result.name) {
            at_most("offset error p50, ms", p50, *most);
        }
        at_most(
            "half-width against the oracle",
            result.half_widths[0] / result.half_widths[2],
            2.0,
        );
        for (name, other50, other95) in result.offsets.iter().filter(|(n, ..)| *n != OURS) {
            at_most(&format!("offset error p50 against {name}"), p50, *other50);
            at_most(&format!("offset error p95 against {name}"), p95, *other95);
        }
    }
    missed
}

/// The report in Markdown.
pub fn markdown(lines: &[ScenarioResult], seeds: &str) -> String {
    let mut out = String::from("# Timing, simulated\n\nMilliseconds, p50 / p95. ");
    let _ = writeln!(
        out,
        "{seeds} Latencies are simulated, so compare the ratios and not the absolute figures.\n"
    );
    out.push_str("## Error of the offset\n\n");
    let names =
        |pick: &dyn Fn(&ScenarioResult) -> Vec<&'static str>| lines.first().map(pick).unwrap_or_default().join(" | ");
    let pairs = |pairs: &[(&str, f64, f64)]| {
        let cells: Vec<String> = pairs.iter().map(|(_, a, b)| format!("{a:.0} / {b:.0}")).collect();
        cells.join(" | ")
    };
    let header = names(&|l| l.offsets.iter().map(|o| o.0).collect());
    let _ = writeln!(out, "| scenario | {header} | half-width: plain (guaranteed) | oracle |");
    let _ = writeln!(out, "|---|{}---|---|", "---|".repeat(baselines::ALL.len() + 1));
    for l in lines {
        let [plain, guaranteed, oracle] = l.half_widths;
        let offsets = pairs(&l.offsets);
        let _ = writeln!(
            out,
            "| {} {} | {offsets} | {plain:.0} ({guaranteed:.0}) | {oracle:.0} |",
            l.name, l.description
        );
    }
    out.push_str("\n## Error of a departure's instant\n\n");
    let header = names(&|l| l.events.iter().map(|o| o.0).collect());
    let _ = writeln!(out, "| scenario | {header} |\n|---|{}", "---|".repeat(6));
    for l in lines {
        let _ = writeln!(out, "| {} {} | {} |", l.name, l.description, pairs(&l.events));
    }
    out.push_str("\n## Promises\n\n| scenario | offset interval contains the truth | of | departure interval does (honest stamps) | ");
    out.push_str("false steps | steps found | uncovered before that: p50, p90, max | memory | cost of a sample |\n|---|---|---|---|---|---|---|---|---|\n");
    for l in lines {
        let latent = l
            .latent
            .map_or_else(|| "—".into(), |[a, b, c]| format!("{a}, {b}, {c}"));
        let found = if l.found.1 == 0 {
            "—".into()
        } else {
            format!("{} of {}", l.found.0, l.found.1)
        };
        let _ = writeln!(
            out,
            "| {} | {:.5} | {} | {:.5} | {} in {:.0} days | {found} | {latent} | {} KiB | {:.1} µs |",
            l.name,
            l.coverage,
            l.asked,
            l.event_coverage,
            l.false_steps.0,
            l.false_steps.1,
            l.memory.div_ceil(1024),
            l.cost_us
        );
    }
    let missed: Vec<&String> = lines.iter().flat_map(|l| &l.missed).collect();
    if missed.is_empty() {
        out.push_str("\nEvery target is met.\n");
    } else {
        out.push_str("\n**Missed:**\n\n");
        for m in missed {
            let _ = writeln!(out, "- {m}");
        }
    }
    out
}
