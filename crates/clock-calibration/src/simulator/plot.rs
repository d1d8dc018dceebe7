//! The report as an SVG picture: for each scenario the errors of each estimator, p50 and p95, on a logarithmic scale.

use std::fmt::Write;

use super::report::{OURS, ScenarioResult};

const LEFT: f64 = 90.0;
const WIDTH: f64 = 820.0;
const ROW: f64 = 13.0;
const COLOURS: [&str; 7] = [
    "#9aa0a6", "#c58af9", "#fbbc04", "#f28b82", "#81c995", "#78d9ec", "#1a73e8",
];

/// Draws the picture.
pub fn svg(lines: &[ScenarioResult]) -> String {
    let rows = lines.first().map_or(0, |l| l.offsets.len());
    #[allow(clippy::cast_precision_loss, reason = "a few dozen")]
    let (count, per) = (lines.len() as f64, rows as f64 * ROW + 16.0);
    let height = count * per + 90.0;
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0} {height:.0}" font-family="sans-serif" font-size="10">"#,
        LEFT + WIDTH + 20.0
    );
    let _ = writeln!(out, r##"<rect width="100%" height="100%" fill="#fff"/>"##);
    let _ = writeln!(
        out,
        r#"<text x="{LEFT}" y="18" font-size="13">Error of the vendor clock's offset, ms: from p50 (dot) to p95 (end)</text>"#
    );
    for decade in [1.0, 10.0, 100.0, 1000.0, 10_000.0] {
        let x = place(decade);
        let _ = writeln!(
            out,
            r##"<line x1="{x:.1}" y1="44" x2="{x:.1}" y2="{:.0}" stroke="#e0e0e0"/><text x="{x:.1}" y="40" text-anchor="middle" fill="#666">{decade}</text>"##,
            height - 40.0
        );
    }
    let mut y = 56.0;
    for line in lines {
        let _ = writeln!(
            out,
            r#"<text x="8" y="{:.1}" font-size="12">{}</text>"#,
            y + per / 2.0 - 8.0,
            line.name
        );
        for ((name, p50, p95), colour) in line.offsets.iter().zip(COLOURS) {
            let (from, to) = (place(*p50), place(*p95));
            let thick = if *name == OURS { 5 } else { 3 };
            let _ = writeln!(
                out,
                r#"<line x1="{from:.1}" y1="{y:.1}" x2="{to:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="{thick}"/><circle cx="{from:.1}" cy="{y:.1}" r="4" fill="{colour}"><title>{} {name}: {p50:.0} / {p95:.0} ms</title></circle>"#,
                line.name
            );
            y += ROW;
        }
        y += 16.0;
    }
    let mut x = LEFT;
    if let Some(line) = lines.first() {
        for ((name, ..), colour) in line.offsets.iter().zip(COLOURS) {
            let _ = writeln!(
                out,
                r#"<rect x="{x:.0}" y="{:.0}" width="10" height="10" fill="{colour}"/><text x="{:.0}" y="{:.0}">{name}</text>"#,
                height - 28.0,
                x + 14.0,
                height - 19.0
            );
            x += 118.0;
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The position of an error on the logarithmic axis, which goes from 1 ms to 10 s.
fn place(ms: f64) -> f64 {
    LEFT + (ms.max(1.0).log10() / 4.0).min(1.0) * WIDTH
}
