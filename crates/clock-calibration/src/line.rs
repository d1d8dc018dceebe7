//! A straight line through what each sample makes likely. It is not guaranteed, but outliers hardly move it.
//!
//! With the learned delays each sample gives an offset and a variance. The line through these points is fitted by least
//! absolute deviations (iteratively reweighted least squares), so that the majority determines it. It shows which
//! samples deviate, and where in the guaranteed interval the offset most likely is.

/// The likely offset according to one sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// The moment, in hours.
    pub t: f64,
    /// The likely offset, in ms.
    pub mean: f64,
    /// Its variance, in ms².
    pub variance: f64,
}

/// The line with the covariance of its two parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    o: f64,
    d: f64,
    /// Variance of `o`, covariance of `o` and `d`, variance of `d`.
    covariance: [f64; 3],
}

/// Rounds by least absolute deviations, followed by rounds that leave far points out.
const ABSOLUTE: usize = 6;
const TRIMMED: usize = 2;
/// Points beyond this many standard deviations are left out.
const FAR: f64 = 3.0;

impl Line {
    /// Fits a line to `points`. `drift` is the standard deviation of the drifts to expect, in ms per hour; it
    /// stabilises a line through few points. `None` without points.
    pub(crate) fn through(points: &[Point], drift: f64) -> Option<Self> {
        // Start from the median, because outliers hardly move it.
        let mut means: Vec<f64> = points.iter().map(|p| p.mean).collect();
        if means.is_empty() {
            return None;
        }
        let half = means.len() / 2;
        let (_, median, _) = means.select_nth_unstable_by(half, f64::total_cmp);
        let mut line = Self {
            o: *median,
            d: 0.0,
            covariance: [0.0; 3],
        };
        // Divisions and roots cost most, so they are not repeated in each round.
        let precision: Vec<f64> = points.iter().map(|p| p.variance.sqrt().recip()).collect();
        for round in 0..ABSOLUTE + TRIMMED {
            let weight = |p: &Point, precision: f64| {
                let z = (p.mean - (line.o + line.d * p.t)).abs() * precision;
                let robust = if round < ABSOLUTE {
                    z.max(0.5).recip()
                } else {
                    f64::from(u8::from(z <= FAR))
                };
                robust * precision * precision
            };
            let (mut s0, mut s1, mut s2, mut y0, mut y1) = (0.0, 0.0, 1.0 / (drift * drift), 0.0, 0.0);
            for (p, precision) in points.iter().zip(&precision) {
                let w = weight(p, *precision);
                s0 += w;
                s1 += w * p.t;
                s2 += w * p.t * p.t;
                y0 += w * p.mean;
                y1 += w * p.t * p.mean;
            }
            let det = s0 * s2 - s1 * s1;
            if s0 <= 0.0 || det <= 0.0 {
                return Some(line);
            }
            line = Self {
                o: (s2 * y0 - s1 * y1) / det,
                d: (s0 * y1 - s1 * y0) / det,
                covariance: [s2 / det, -s1 / det, s0 / det],
            };
        }
        Some(line)
    }

    /// The offset at `t` hours, in ms, and its variance, in ms².
    pub(crate) fn at(&self, t: f64) -> (f64, f64) {
        let [o, both, d] = self.covariance;
        (self.o + self.d * t, o + 2.0 * t * both + t * t * d)
    }

    /// Moves the zero of the hours by `by` hours.
    pub(crate) fn move_zero(&mut self, by: f64) {
        let [o, both, d] = self.covariance;
        self.o += self.d * by;
        self.covariance = [o + 2.0 * by * both + by * by * d, both + by * d, d];
    }
}
