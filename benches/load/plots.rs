//! Writes the plots of docs/performance.md.

use std::path::PathBuf;

use crate::Outcome;
use crate::growth::Growth;
use crate::pairs::Measured;
use crate::svg::{Plot, Series};

/// `docs/images`, or the folder that `BENCH_PLOTS` names. It is created if it is missing.
pub(crate) fn folder() -> Outcome<PathBuf> {
    let named = std::env::var("BENCH_PLOTS").ok();
    let folder = named.map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images").into(),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Writes CPU and latencies of a pair by program and pace.
pub(crate) fn write_pairs(all: &[Measured]) -> Outcome<()> {
    let mut groups: Vec<String> = Vec::new();
    let mut programs: Vec<&str> = Vec::new();
    for m in all {
        if !groups.iter().any(|g| g == m.pace) {
            groups.push(m.pace.to_owned());
        }
        if !programs.contains(&m.program) {
            programs.push(m.program);
        }
    }
    let write = |name: &str, title: &str, value: fn(&Measured) -> f64| {
        let of = |program: &str, pace: &str| {
            let found = all.iter().find(|m| m.program == program && m.pace == pace);
            found.map_or(f64::NAN, value)
        };
        let series: Vec<Series> = programs
            .iter()
            .map(|program| Series {
                name: (*program).to_owned(),
                values: groups.iter().map(|pace| of(program, pace)).collect(),
            })
            .collect();
        let plot = Plot {
            title,
            groups: &groups,
            series: &series,
        };
        plot.write_bars(&folder()?.join(name))
    };
    write("bench-cpu.svg", "CPU of a pair, ms, by pairs at a time", |m| m.cpu_ms)?;
    write(
        "bench-start.svg",
        "Latency of a start, p50, ms, by pairs at a time",
        |m| m.start.p50,
    )?;
    write(
        "bench-disconnect.svg",
        "Latency of a disconnect, p50, ms, by pairs at a time",
        |m| m.disconnect.map_or(f64::NAN, |d| d.p50),
    )
}

/// Writes CPU and latency of a pair by the size of the store.
pub(crate) fn write_growth(growth: &Growth) -> Outcome<()> {
    let label = |p: &crate::growth::Point| match p.active {
        0 => format!("{} finished", p.history),
        active => format!("{active} active"),
    };
    let groups: Vec<String> = growth.points.iter().map(label).collect();
    let series = [
        Series {
            name: "CPU of a pair, ms".into(),
            values: growth.points.iter().map(|p| p.cpu_ms).collect(),
        },
        Series {
            name: "start, p50, ms".into(),
            values: growth.points.iter().map(|p| p.start.p50).collect(),
        },
    ];
    let plot = Plot {
        title: "A pair of Sidedoor by the size of its store, 4 at a time",
        groups: &groups,
        series: &series,
    };
    plot.write_lines(&folder()?.join("bench-growth.svg"))
}
