//! A straight line through what each sample makes likely: not guaranteed, but hard to mislead.
//!
//! Each sample, weighed by the learnt delays, points at an offset with a variance. A line through these points by least
//! absolute deviations (iteratively reweighted least squares) is held by the many, not by the few that lie. It says which
//! samples are odd, and where in the guaranteed interval the offset most likely is.

/// A sample's likely offset: hours, ms, ms².
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// When, hours.
    pub t: f64,
    /// The likely offset, ms.
    pub mean: f64,
    /// Its variance, ms².
    pub variance: f64,
}

/// The line, with the uncertainty of its two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    o: f64,
    d: f64,
    /// Of o; of both; of d.
    covariance: [f64; 3],
}

/// Rounds of reweighting by least absolute deviations, and then of leaving out what is far.
const ABSOLUTE: usize = 6;
const TRIMMED: usize = 2;
/// Left out beyond so many standard deviations.
const FAR: f64 = 3.0;

impl Line {
    /// Fits `points`. `drift` is the spread of drifts to be expected, ms per hour: it steadies a line through few points.
    pub fn through(points: impl Iterator<Item = Point> + Clone, drift: f64) -> Option<Self> {
        // The median is hard to mislead, so it is where to start from.
        let mut means: Vec<f64> = points.clone().map(|p| p.mean).collect();
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
        for round in 0..ABSOLUTE + TRIMMED {
            let weight = |p: &Point| {
                let z = line.oddness(p);
                let robust = if round < ABSOLUTE {
                    1.0 / z.max(0.5)
                } else {
                    f64::from(u8::from(z <= FAR))
                };
                robust / p.variance
            };
            let (mut s0, mut s1, mut s2, mut y0, mut y1) = (0.0, 0.0, 1.0 / (drift * drift), 0.0, 0.0);
            for p in points.clone() {
                let w = weight(&p);
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

    /// The offset at `t` hours and its variance.
    pub fn at(&self, t: f64) -> (f64, f64) {
        let [o, both, d] = self.covariance;
        (self.o + self.d * t, o + 2.0 * t * both + t * t * d)
    }

    /// Moves the zero of the hours by `by`.
    pub fn move_zero(&mut self, by: f64) {
        let [o, both, d] = self.covariance;
        self.o += self.d * by;
        self.covariance = [o + 2.0 * by * both + by * by * d, both + by * d, d];
    }

    /// How far off the line a point is, in its standard deviations.
    pub fn oddness(&self, p: &Point) -> f64 {
        (p.mean - (self.o + self.d * p.t)).abs() / p.variance.sqrt()
    }
}
