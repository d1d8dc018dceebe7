//! Compares four ways to compute the feasible set of a window and the offset's range: clipping a polygon, adding one
//! sample to an existing polygon, envelopes by sorting, and a linear program. They must agree; the cost of each is
//! printed.

use std::hint::black_box;
use std::time::Instant;

use clock_calibration::simulator::{Cut, HalfPlane, Polygon, run, scenario};
use clock_calibration::{Moment, Sample};
use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome};

const WINDOW: usize = 512;
const ROUNDS: u32 = 200;
/// 200 ppm, in ms per hour.
const MAX_DRIFT: f64 = 720.0;
const SLACK: f64 = 4.0;

fn half_planes(samples: &[Sample], quantum: f64) -> Vec<HalfPlane> {
    let zero = samples.last().expect("a window").not_after;
    #[allow(clippy::cast_precision_loss, reason = "a window in nanoseconds")]
    let ms = |a: Moment, b: Moment| b.nanos_since(a) as f64 / 1e6;
    let hours = |t: Moment| ms(zero, t) / 3.6e6;
    let of = |s: &Sample| {
        let sent = s.not_before.expect("commanded");
        [
            HalfPlane {
                t: hours(s.not_after),
                bound: ms(s.not_after, s.stamp) - SLACK,
                above: false,
            },
            HalfPlane {
                t: hours(sent),
                bound: ms(sent, s.stamp) + quantum + SLACK,
                above: true,
            },
        ]
    };
    samples.iter().flat_map(of).collect()
}

fn clipped(halves: &[HalfPlane]) -> Polygon {
    let mut polygon = Polygon::unbounded(MAX_DRIFT);
    for (label, half) in (0..).zip(halves) {
        if polygon.against(half) == Cut::Smaller {
            polygon.cut(half, label);
        }
    }
    polygon
}

/// For a drift `d` the offset lies between the greatest `bound − d·t` of the lower half-planes and the least of the
/// upper ones. These are two envelopes of lines over `d`, each found by sorting the slopes; the corners of the set are
/// their corners.
fn by_sorting(halves: &[HalfPlane]) -> (f64, f64) {
    let upper = envelope(halves.iter().filter(|h| h.above).map(|h| (-h.t, h.bound)).collect());
    let lower = envelope(halves.iter().filter(|h| !h.above).map(|h| (h.t, -h.bound)).collect());
    let least = |d: f64| upper.iter().map(|(m, c)| m * d + c).fold(f64::INFINITY, f64::min);
    let most = |d: f64| -lower.iter().map(|(m, c)| m * d + c).fold(f64::INFINITY, f64::min);
    let corners = |e: &[(f64, f64)]| {
        e.windows(2)
            .map(|w| (w[1].1 - w[0].1) / (w[0].0 - w[1].0))
            .collect::<Vec<_>>()
    };
    let mut drifts = corners(&upper);
    drifts.extend(corners(&lower));
    drifts.extend(
        upper
            .iter()
            .flat_map(|u| lower.iter().map(move |l| -(u.1 + l.1) / (u.0 + l.0))),
    );
    drifts.extend([-MAX_DRIFT, MAX_DRIFT]);
    let possible = drifts
        .into_iter()
        .filter(|d| d.abs() <= MAX_DRIFT && most(*d) <= least(*d) + 1e-6);
    possible.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), d| {
        (low.min(most(d)), high.max(least(d)))
    })
}

/// The lines that are lowest somewhere, by slope.
fn envelope(mut lines: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    lines.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
    lines.dedup_by(|b, a| a.0 == b.0);
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for line in lines {
        while let [.., a, b] = kept[..]
            && (line.1 - a.1) * (a.0 - b.0) <= (b.1 - a.1) * (a.0 - line.0)
        {
            kept.pop();
        }
        kept.push(line);
    }
    kept
}

fn by_program(halves: &[HalfPlane]) -> (f64, f64) {
    let solve = |direction| {
        let mut problem = Problem::new(direction);
        let offset = problem.add_var(1.0, (-1e7, 1e7));
        let drift = problem.add_var(0.0, (-MAX_DRIFT, MAX_DRIFT));
        for h in halves {
            let op = if h.above { ComparisonOp::Le } else { ComparisonOp::Ge };
            problem.add_constraint([(offset, 1.0), (drift, h.t)], op, h.bound);
        }
        match problem.solve() {
            Ok(SolveOutcome::Solution(solution)) => solution.objective(),
            _ => panic!("honest samples leave a solution"),
        }
    };
    (
        solve(OptimizationDirection::Minimize),
        solve(OptimizationDirection::Maximize),
    )
}

fn micros<T>(rounds: u32, mut work: impl FnMut() -> T) -> f64 {
    #[allow(clippy::disallowed_methods, reason = "a benchmark")]
    let started = Instant::now();
    for _ in 0..rounds {
        black_box(work());
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
}

fn main() {
    for (name, quantum) in [("1A", 1.0), ("1B", 1000.0)] {
        let mut world = scenario::all().into_iter().find(|s| s.name == name).expect("there");
        (world.outliers, world.late) = (0.0, 0.0);
        let samples = run::samples_of(&world, 1);
        let halves = half_planes(&samples[samples.len() - WINDOW..], quantum);
        let answers = [clipped(&halves).range(0.0), by_sorting(&halves), by_program(&halves)];
        for other in &answers[1..] {
            let apart = (answers[0].0 - other.0).abs().max((answers[0].1 - other.1).abs());
            assert!(apart < 1e-2, "{name}: the algorithms disagree: {answers:?}");
        }
        let polygon = clipped(&halves);
        let one_more = halves[halves.len() - 1];
        println!(
            "{name}, {WINDOW} samples, µs: clipping {:.1}, one more sample {:.3}, sorting {:.1}, linear program {:.0}",
            micros(ROUNDS, || clipped(black_box(&halves)).range(0.0)),
            micros(ROUNDS * 100, || black_box(&polygon).against(&one_more)),
            micros(ROUNDS, || by_sorting(black_box(&halves))),
            micros(5, || by_program(black_box(&halves))),
        );
    }
}
