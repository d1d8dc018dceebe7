//! The table of the hard worlds, in Markdown.

use std::fmt::Write;

use super::comparison::NAMES;
use super::measured::{Quantiles, WorldResult, share};
use super::targets::{MissedTarget, Target, is_checked};

/// The table. `command` says how to produce it again.
pub fn markdown(results: &[WorldResult], missed: &[MissedTarget], command: &str) -> String {
    let mut out = format!("## Hard worlds\n\n{command} Milliseconds, p50 / p95 / p99.\n\n");
    summary(&mut out, results);
    promises(&mut out, results);
    errors(&mut out, results);
    out_of_reach(&mut out, results);
    targets(&mut out, results, missed);
    out
}

fn summary(out: &mut String, results: &[WorldResult]) {
    out.push_str("### All worlds together\n\n| | assumptions kept | assumptions broken |\n|---|---|---|\n");
    let groups = [true, false].map(|kept| {
        results
            .iter()
            .filter(|r| r.keeps_assumptions() == kept)
            .collect::<Vec<_>>()
    });
    let mut row = |name: &str, cell: &dyn Fn(&[&WorldResult]) -> String| {
        let _ = writeln!(out, "| {name} | {} | {} |", cell(&groups[0]), cell(&groups[1]));
    };
    let sum = |g: &[&WorldResult], of: &dyn Fn(&WorldResult) -> usize| g.iter().map(|r| of(r)).sum::<usize>();
    let departures = |g: &[&WorldResult]| sum(g, &|r| r.counts.departures);
    row("worlds", &|g| g.len().to_string());
    row("departures with true evidence", &|g| departures(g).to_string());
    row("uncovered", &|g| sum(g, &|r| r.counts.uncovered).to_string());
    row("of these outside latent windows", &|g| {
        sum(g, &|r| r.counts.uncovered_later).to_string()
    });
    row("of these silent", &|g| {
        let silent = sum(g, &|r| r.counts.silent);
        format!("{silent} ({:.2} in 10,000)", share(silent, departures(g)) * 1e4)
    });
    row("of these never announced or corrected within a day", &|g| {
        sum(g, &|r| r.counts.never_announced).to_string()
    });
    row("worlds with a silent miss", &|g| {
        g.iter().filter(|r| r.counts.silent > 0).count().to_string()
    });
    row("CALIBRATED or better", &|g| {
        format!(
            "{:.1} %",
            share(sum(g, &|r| r.counts.calibrated), departures(g)) * 100.0
        )
    });
    row("of these, lied", &|g| {
        let (lied, all) = (sum(g, &|r| r.counts.lied), sum(g, &|r| r.counts.calibrated));
        format!("{lied} ({:.2} in 1,000)", share(lied, all) * 1e3)
    });
    row("departures with false evidence: missed silently", &|g| {
        format!("{} of {}", sum(g, &|r| r.counts.misled), sum(g, &|r| r.counts.wrong))
    });
    row("claims with an announced doubt", &|g| {
        format!("{:.2} %", share(sum(g, &|r| r.counts.announced), departures(g)) * 100.0)
    });
    row("false steps", &|g| sum(g, &|r| r.counts.false_steps).to_string());
    row("steps ≥ 100 ms with > 10 uncovered", &|g| {
        let steps = || g.iter().flat_map(|r| &r.steps);
        format!(
            "{} of {}",
            steps().filter(|s| s.uncovered > 10).count(),
            steps().count()
        )
    });
    row("later estimates not inside the first", &|g| {
        format!(
            "{} of {}",
            sum(g, &|r| r.counts.not_nested),
            sum(g, &|r| r.counts.again)
        )
    });
    row("right claims replaced by wrong ones", &|g| {
        format!(
            "{} of {} written again",
            sum(g, &|r| r.counts.made_wrong),
            sum(g, &|r| r.counts.reissued)
        )
    });
    row("half-width, times the least possible: median, most", &|g| {
        let ratios = sorted(g, |r| r.width_ratios().0);
        format!(
            "{:.2}, {:.1}",
            middle(&ratios),
            ratios.last().copied().unwrap_or(f64::NAN)
        )
    });
    row("an hour after an announced doubt: median", &|g| {
        format!("{:.2}", middle(&sorted(g, |r| r.width_ratios().1)))
    });
    row("cost of a sample: mean, p99 of the slowest world", &|g| {
        let costs = sorted(g, |r| r.cost_us.0);
        let slowest = sorted(g, |r| r.cost_us.1).last().copied().unwrap_or(f64::NAN);
        format!(
            "{:.1} µs, {slowest:.0} µs",
            costs.iter().sum::<f64>() / costs.len() as f64
        )
    });
}

fn sorted(group: &[&WorldResult], of: impl Fn(&WorldResult) -> f64) -> Vec<f64> {
    let mut all: Vec<f64> = group.iter().map(|r| of(r)).filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn promises(out: &mut String, results: &[WorldResult]) {
    out.push_str("\n### Promises\n\n| seed | world | breaks | departures | coverage outside latent windows | silent | never announced | ");
    out.push_str("modelled holds | CALIBRATED | lied | most uncovered after a step | false steps | announced | not nested | made wrong | ");
    out.push_str("half-width: ours, least possible, known offset | cost: mean, p99 |\n|");
    out.push_str(&"---|".repeat(17));
    out.push('\n');
    for r in results {
        let c = &r.counts;
        let broken: Vec<&str> = r.broken.iter().map(|a| a.as_str()).collect();
        let most = r.most_uncovered().map_or_else(|| "—".into(), |n| n.to_string());
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {:.5} | {} | {} | {:.1} % | {:.0} % | {} | {most} of {} | {} | {} | {} of {} | {} of {} | {:.0}, {:.0}, {:.0} | {:.1}, {:.0} µs |",
            r.seed,
            r.description,
            if broken.is_empty() {
                "—".into()
            } else {
                broken.join(", ")
            },
            c.departures,
            r.coverage(),
            c.silent,
            c.never_announced,
            r.modelled_coverage() * 100.0,
            r.calibrated() * 100.0,
            c.lied,
            r.steps.len(),
            c.false_steps,
            c.announced,
            c.not_nested,
            c.again,
            c.made_wrong,
            c.reissued,
            r.half_width.p50,
            r.least_half_width.p50,
            r.oracle_half_width.p50,
            r.cost_us.0,
            r.cost_us.1,
        );
    }
}

fn errors(out: &mut String, results: &[WorldResult]) {
    let _ = writeln!(
        out,
        "\n### Error of a departure's instant\n\n| seed | Sidedoor | {} | oracle |\n|---|---|{}---|",
        NAMES.join(" | "),
        "---|".repeat(NAMES.len())
    );
    let shown = |q: &Quantiles| format!("{:.0} / {:.0} / {:.0}", q.p50, q.p95, q.p99);
    for r in results {
        let others: Vec<String> = r.baselines.iter().map(shown).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            r.seed,
            shown(&r.point),
            others.join(" | "),
            shown(&r.oracle)
        );
    }
}

/// Steps that no detector could have noticed within the target, with the computation.
fn out_of_reach(out: &mut String, results: &[WorldResult]) {
    let mut rows = String::new();
    for r in results {
        let alarms = r.counts.departures as f64 / r.days * 30.0;
        for s in r.steps.iter().filter(|s| s.least_delay > 10.0 && s.uncovered > 10) {
            let information = alarms.ln() / s.least_delay;
            let (seed, by, uncovered, least) = (r.seed, s.by, s.uncovered, s.least_delay);
            let _ = writeln!(
                rows,
                "| {seed} | {by:+.0} | {uncovered} | {least:.0} = ln({alarms:.0}) ÷ {information:.3} |"
            );
        }
    }
    if !rows.is_empty() {
        out.push_str("\n### Steps that cannot be noticed within 10 departures\n\n");
        out.push_str(
            "The least delay is ln(samples between false alarms) ÷ information of a sample about the step.\n\n",
        );
        out.push_str("| seed | step, ms | uncovered | least delay, departures |\n|---|---|---|---|\n");
        out.push_str(&rows);
    }
}

fn targets(out: &mut String, results: &[WorldResult], missed: &[MissedTarget]) {
    out.push_str("\n### Targets\n\n| target | missed by | figures |\n|---|---|---|\n");
    for target in Target::ALL {
        let of: Vec<&MissedTarget> = missed.iter().filter(|m| m.target == target).collect();
        let by = match of.as_slice() {
            [] if !is_checked(target, results) => "not checked".to_owned(),
            [] => "met".to_owned(),
            [one] if one.seed.is_none() => "all worlds together".to_owned(),
            many => format!("{} worlds", many.len()),
        };
        let figures: Vec<String> = of
            .iter()
            .take(12)
            .map(|m| {
                m.seed
                    .map_or_else(|| m.figures.clone(), |seed| format!("seed {seed}: {}", m.figures))
            })
            .collect();
        let more = if of.len() > 12 { "; …" } else { "" };
        let _ = writeln!(out, "| {} | {by} | {}{more} |", target.as_str(), figures.join("; "));
    }
}
