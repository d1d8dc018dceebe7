//! Tables and targets of the comparison of pairs.

use crate::pairs::Measured;
use crate::target::{Limit, Target};

/// Prints what each program needed.
pub(crate) fn print_table(all: &[Measured]) {
    println!(
        "\nA pair, all work counted until no vendor is called any more. CPU and counts are those of the service's process.\n"
    );
    println!(
        "| at a time | program | CPU ms | start p50 / p99 ms | disconnect p50 / p99 ms | Monitor, Describe, GetCurrentUserData, other, Salesforce calls | fsyncs | WAL pages | context switches |"
    );
    println!("|---|---|---:|---:|---:|---|---:|---:|---:|");
    let number = |n: Option<f64>, digits: usize| n.map_or("–".to_owned(), |n| format!("{n:.digits$}"));
    for m in all {
        let disconnect = m
            .disconnect
            .map_or("–".to_owned(), |d| format!("{:.2} / {:.1}", d.p50, d.p99));
        let calls = m.calls.map_or("–".to_owned(), |c| {
            let parts = [c.monitors, c.describes, c.polls, c.others, c.salesforce];
            format!("{}: {:.2}", parts.map(|n| format!("{n:.2}")).join(", "), c.all())
        });
        println!(
            "| {} | {} | {:.2} | {:.2} / {:.1} | {disconnect} | {calls} | {} | {} | {} |",
            m.pace,
            m.program,
            m.cpu_ms,
            m.start.p50,
            m.start.p99,
            number(m.fsyncs, 1),
            number(m.frames, 1),
            number(m.switches, 0),
        );
    }
}

/// The targets of a pair, with what was measured.
pub(crate) fn targets(all: &[Measured]) -> Vec<Target> {
    let mut targets = Vec::new();
    let find = |program: &str, pace: &str| all.iter().find(|m| m.program == program && m.pace == pace);
    for ours in all.iter().filter(|m| m.program == "Sidedoor") {
        let pace = ours.pace;
        let mut add = |what: String, measured: f64, limit: Limit| {
            targets.push(Target {
                what: format!("{what}, {pace} at a time"),
                measured,
                limit,
            });
        };
        let unpaced = pace.contains("unpaced");
        if let Some(floor) = find("floor", pace) {
            add("CPU ÷ floor".into(), ours.cpu_ms / floor.cpu_ms, Limit::AtMost(1.5));
            if pace == "1" || pace == "4" {
                add(
                    "start p50 ÷ floor".into(),
                    ours.start.p50 / floor.start.p50,
                    Limit::AtMost(1.3),
                );
                let (a, b) = (p50_of_disconnect(ours), p50_of_disconnect(floor));
                add("disconnect p50 ÷ floor".into(), a / b, Limit::AtMost(1.3));
            }
        }
        if let Some(bare) = find("bare calls", pace) {
            let limit = if pace == "1" { Limit::AtMost(2.0) } else { Limit::None };
            add(
                "ms added to a start, p50".into(),
                ours.start.p50 - bare.start.p50,
                limit,
            );
            let limit = if pace == "1" { Limit::AtMost(10.0) } else { Limit::None };
            add(
                "ms added to a start, p99".into(),
                ours.start.p99 - bare.start.p99,
                limit,
            );
            add("CPU ÷ bare calls".into(), ours.cpu_ms / bare.cpu_ms, Limit::None);
        }
        for (peer, cpu, latency, rate) in [("Python", 0.4, 0.9, 2.5), ("Node", 0.5, 1.0, 2.0)] {
            let Some(peer) = find(peer, pace) else { continue };
            let name = peer.program;
            if unpaced {
                let measured = peer.cpu_ms / ours.cpu_ms;
                add(
                    format!("pairs per core-second ÷ {name}"),
                    measured,
                    Limit::AtLeast(rate),
                );
                continue;
            }
            let latency = Limit::AtMost(if pace == "32" { 0.7 } else { latency });
            add(format!("CPU ÷ {name}"), ours.cpu_ms / peer.cpu_ms, Limit::AtMost(cpu));
            add(format!("start p50 ÷ {name}"), ours.start.p50 / peer.start.p50, latency);
            let (a, b) = (p50_of_disconnect(ours), p50_of_disconnect(peer));
            add(format!("disconnect p50 ÷ {name}"), a / b, latency);
        }
        if pace == "1" {
            add("fsyncs".into(), ours.fsyncs.unwrap_or(f64::NAN), Limit::AtMost(8.0));
            add("WAL pages".into(), ours.frames.unwrap_or(f64::NAN), Limit::AtMost(40.0));
            add(
                "context switches".into(),
                ours.switches.unwrap_or(f64::NAN),
                Limit::AtMost(90.0),
            );
        }
    }
    targets
}

fn p50_of_disconnect(m: &Measured) -> f64 {
    m.disconnect.map_or(f64::NAN, |d| d.p50)
}
