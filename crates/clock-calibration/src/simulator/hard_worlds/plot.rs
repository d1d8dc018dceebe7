//! The hard worlds as an SVG picture: how many worlds have at most which error, by estimator, and the silent misses.

use std::fmt::Write;

use super::comparison::NAMES;
use super::measured::{WorldResult, share};

const LEFT: f64 = 60.0;
const WIDTH: f64 = 840.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 320.0;
const COLOURS: [&str; 8] = [
    "#9aa0a6", "#c58af9", "#fbbc04", "#f28b82", "#81c995", "#78d9ec", "#202124", "#1a73e8",
];
/// The greatest share of silent misses in the picture: 1 in 10. The least one is 1 in 100,000.
const DECADES: f64 = 4.0;

/// Draws the picture.
pub fn svg(results: &[WorldResult]) -> String {
    let mut out = String::new();
    let height = TOP + HEIGHT + 270.0;
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0} {height:.0}" font-family="sans-serif" font-size="10"><rect width="100%" height="100%" fill="#fff"/>"##,
        LEFT + WIDTH + 20.0
    );
    curves(&mut out, results);
    silent(&mut out, results, TOP + HEIGHT + 90.0);
    out.push_str("</svg>\n");
    out
}

/// For each estimator the worlds by their error at p95: the share of worlds whose error is at most that of the axis.
fn curves(out: &mut String, results: &[WorldResult]) {
    text(
        out,
        LEFT,
        18.0,
        13,
        "Share of the hard worlds (up) in which 95 % of a departure's errors are at most … ms (across)",
    );
    for decade in [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0] {
        let x = across(decade);
        line(out, (x, TOP), (x, TOP + HEIGHT), "#e0e0e0", 1);
        text(out, x - 10.0, TOP + HEIGHT + 14.0, 10, &format!("{decade}"));
    }
    let names: Vec<&str> = NAMES.iter().copied().chain(["oracle", "Sidedoor"]).collect();
    for (i, (name, colour)) in names.iter().zip(COLOURS).enumerate() {
        let error = |r: &WorldResult| match i {
            6 => r.oracle.p95,
            7 => r.point.p95,
            _ => r.baselines[i].p95,
        };
        let mut errors: Vec<f64> = results.iter().map(error).filter(|e| e.is_finite()).collect();
        errors.sort_by(f64::total_cmp);
        let count = errors.len() as f64;
        let place =
            |(i, e): (usize, &f64)| format!("{:.1},{:.1}", across(*e), TOP + HEIGHT * (1.0 - (i + 1) as f64 / count));
        let points: Vec<String> = errors.iter().enumerate().map(place).collect();
        let thick = if i == 7 { 4 } else { 2 };
        let _ = writeln!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{thick}"><title>{name}</title></polyline>"#,
            points.join(" ")
        );
        let x = LEFT + 105.0 * i as f64;
        let y = TOP + HEIGHT + 32.0;
        let _ = writeln!(
            out,
            r#"<rect x="{x:.0}" y="{y:.0}" width="10" height="10" fill="{colour}"/>"#
        );
        text(out, x + 14.0, y + 9.0, 10, name);
    }
}

/// Each world's share of silent misses, in the order of the seeds.
fn silent(out: &mut String, results: &[WorldResult], top: f64) {
    const TALL: f64 = 140.0;
    text(
        out,
        LEFT,
        top - 12.0,
        13,
        "Silent misses by world (blue: keeps the declared assumptions, red: breaks one); below the axis: none",
    );
    for (label, decade) in [
        ("1 in 10", 0.0),
        ("100", 1.0),
        ("1,000", 2.0),
        ("10,000", 3.0),
        ("100,000", 4.0),
    ] {
        let y = top + TALL * decade / DECADES;
        line(out, (LEFT, y), (LEFT + WIDTH, y), "#e0e0e0", 1);
        text(out, 8.0, y + 3.0, 10, label);
    }
    for (i, r) in results.iter().enumerate() {
        let misses = share(r.counts.silent, r.counts.departures);
        let down = if misses > 0.0 {
            (-misses.log10() - 1.0).clamp(0.0, DECADES)
        } else {
            DECADES + 0.4
        };
        let x = LEFT + WIDTH * (i as f64 + 0.5) / results.len() as f64;
        let colour = if r.keeps_assumptions() { "#1a73e8" } else { "#d93025" };
        let _ = writeln!(
            out,
            r#"<circle cx="{x:.1}" cy="{:.1}" r="3" fill="{colour}"><title>seed {}: {} of {}</title></circle>"#,
            top + TALL * down / DECADES,
            r.seed,
            r.counts.silent,
            r.counts.departures
        );
    }
}

fn text(out: &mut String, x: f64, y: f64, size: u32, words: &str) {
    let _ = writeln!(
        out,
        r##"<text x="{x:.0}" y="{y:.0}" font-size="{size}" fill="#444">{words}</text>"##
    );
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, thick: u32) {
    let _ = writeln!(
        out,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}" stroke-width="{thick}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

/// The position of an error on the logarithmic axis, which goes from 1 ms to 100 s.
fn across(ms: f64) -> f64 {
    LEFT + (ms.max(1.0).log10() / 5.0).min(1.0) * WIDTH
}
