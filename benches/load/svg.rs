//! Plots as SVG: grouped bars, and lines over a logarithmic axis.

use std::fmt::Write;
use std::path::Path;

use crate::Outcome;

const COLOURS: [&str; 6] = ["#1a73e8", "#9aa0a6", "#fbbc04", "#81c995", "#c58af9", "#f28b82"];
const LEFT: f64 = 60.0;
const WIDTH: f64 = 720.0;
const TOP: f64 = 50.0;
const HEIGHT: f64 = 240.0;

/// One series: a name, and a value for each group or point. A value that was not measured is NaN and is not drawn.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

/// A picture with a title and the names of its groups or points.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) groups: &'a [String],
    pub(crate) series: &'a [Series],
}

impl Plot<'_> {
    fn highest(&self) -> f64 {
        let all = self.series.iter().flat_map(|s| &s.values).filter(|v| v.is_finite());
        all.fold(f64::MIN_POSITIVE, |most, v| most.max(*v)) * 1.1
    }

    fn place(&self, value: f64) -> f64 {
        TOP + HEIGHT * (1.0 - value / self.highest())
    }

    fn frame(&self) -> String {
        let mut out = String::new();
        let (width, height) = (LEFT + WIDTH + 20.0, TOP + HEIGHT + 70.0);
        let _ = writeln!(
            out,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="24" font-size="14">{}</text>"##,
            self.title
        );
        for line in 0..=4 {
            let value = self.highest() * f64::from(line) / 4.0;
            let (y, digits) = (self.place(value), if self.highest() < 10.0 { 1 } else { 0 });
            let _ = writeln!(
                out,
                r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.0}" y2="{y:.1}" stroke="#e0e0e0"/><text x="{:.0}" y="{:.1}" text-anchor="end" fill="#666">{value:.digits$}</text>"##,
                LEFT + WIDTH,
                LEFT - 6.0,
                y + 4.0
            );
        }
        let mut x = LEFT;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let y = TOP + HEIGHT + 44.0;
            let _ = writeln!(
                out,
                r#"<rect x="{x:.0}" y="{:.0}" width="10" height="10" fill="{colour}"/><text x="{:.0}" y="{y:.0}">{}</text>"#,
                y - 9.0,
                x + 14.0,
                series.name
            );
            x += 40.0 + 7.0 * series.name.chars().count() as f64;
        }
        for (group, name) in self.groups.iter().enumerate() {
            let (x, y) = (self.middle(group), TOP + HEIGHT + 18.0);
            let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.0}" text-anchor="middle">{name}</text>"#);
        }
        out
    }

    fn middle(&self, group: usize) -> f64 {
        LEFT + WIDTH * (group as f64 + 0.5) / self.groups.len().max(1) as f64
    }

    /// Writes a group of bars for each group.
    pub(crate) fn write_bars(&self, path: &Path) -> Outcome<()> {
        let mut out = self.frame();
        let slot = WIDTH / self.groups.len().max(1) as f64;
        let bar = slot * 0.8 / self.series.len().max(1) as f64;
        for (at, (series, colour)) in self.series.iter().zip(COLOURS).enumerate() {
            for (group, value) in series.values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                let x = LEFT + slot * (group as f64 + 0.1) + bar * at as f64;
                let y = self.place(*value);
                let _ = writeln!(
                    out,
                    r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{colour}"/><text x="{:.1}" y="{:.1}" text-anchor="middle" font-size="9">{value:.1}</text>"#,
                    bar * 0.9,
                    TOP + HEIGHT - y,
                    x + bar * 0.45,
                    y - 3.0
                );
            }
        }
        out.push_str("</svg>\n");
        Ok(std::fs::write(path, out)?)
    }

    /// Writes a line for each series through the points, which are evenly spaced.
    pub(crate) fn write_lines(&self, path: &Path) -> Outcome<()> {
        let mut out = self.frame();
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let points = series.values.iter().enumerate().filter(|(_, v)| v.is_finite());
            let points: Vec<(f64, f64, f64)> = points.map(|(n, v)| (self.middle(n), self.place(*v), *v)).collect();
            let line: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                out,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                line.join(" ")
            );
            for (x, y, value) in points {
                let _ = writeln!(
                    out,
                    r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="9">{value:.1}</text>"#,
                    y - 7.0
                );
            }
        }
        out.push_str("</svg>\n");
        Ok(std::fs::write(path, out)?)
    }
}
