//! Other estimators on the same samples: simple, well-known ways to estimate a clock's offset.
//!
//! Each one gets the window of samples (oldest first) and the current time in ms after the start, and returns an
//! offset in ms. All of them get the same samples as the calibrator, including `Date` exchanges.

/// A sample in ms after the start. The stamp has the same shift as in the calibrator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaselineSample {
    /// Lower end of the bracket.
    pub from: f64,
    /// Upper end of the bracket.
    pub to: f64,
    /// The vendor's stamp.
    pub stamp: f64,
    /// The quantum of the stamp.
    pub quantum: f64,
}

impl BaselineSample {
    /// The offset if the event was in the middle of its bracket and the clock in the middle of its quantum.
    fn middle(&self) -> f64 {
        self.stamp + self.quantum / 2.0 - f64::midpoint(self.from, self.to)
    }

    fn width(&self) -> f64 {
        self.to - self.from
    }
}

/// A name and an estimator.
pub(crate) type Baseline = (&'static str, fn(&[BaselineSample], f64) -> f64);

/// All baselines, in the order of the report.
pub(crate) const ALL: [Baseline; 6] = [
    ("raw", |_, _| 0.0),
    ("mean", |w, _| mean(w)),
    ("median", |w, _| median(w)),
    ("NTP min-of-8", |w, _| least_delay(w)),
    ("regression", regression),
    ("one-sided hull", one_sided_hull),
];

/// The mean of the middles: "subtract the average difference".
pub(crate) fn mean(window: &[BaselineSample]) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a window")]
    let n = window.len().max(1) as f64;
    window.iter().map(BaselineSample::middle).sum::<f64>() / n
}

fn median(window: &[BaselineSample]) -> f64 {
    let mut middles: Vec<f64> = window.iter().map(BaselineSample::middle).collect();
    middles.sort_by(f64::total_cmp);
    middles.get(middles.len() / 2).copied().unwrap_or(0.0)
}

/// NTP's clock filter: of the last eight samples, the one with the least delay.
fn least_delay(window: &[BaselineSample]) -> f64 {
    let last = &window[window.len().saturating_sub(8)..];
    let best = last.iter().min_by(|a, b| a.width().total_cmp(&b.width()));
    best.map_or(0.0, BaselineSample::middle)
}

/// A weighted regression over the last 64 samples, similar to chrony: weights fall with the delay above the least.
fn regression(window: &[BaselineSample], now: f64) -> f64 {
    let last = &window[window.len().saturating_sub(64)..];
    let least = last.iter().map(BaselineSample::width).fold(f64::INFINITY, f64::min);
    let (mut s0, mut s1, mut s2, mut y0, mut y1) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for s in last {
        let spread = s.quantum / 12.0_f64.sqrt() + (s.width() - least) / 2.0 + 1.0;
        let (w, t, m) = (1.0 / (spread * spread), (s.to - now) / 3.6e6, s.middle());
        s0 += w;
        s1 += w * t;
        s2 += w * t * t;
        y0 += w * m;
        y1 += w * t * m;
    }
    let det = s0 * s2 - s1 * s1;
    if det > 1e-12 {
        (s2 * y0 - s1 * y1) / det
    } else {
        mean(window)
    }
}

/// Moon, Skelly and Towsley 1999: the line above all lower bounds and closest to them, from their convex hull.
fn one_sided_hull(window: &[BaselineSample], now: f64) -> f64 {
    let points: Vec<(f64, f64)> = window.iter().map(|s| (s.to - now, s.stamp - s.to)).collect();
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for p in &points {
        while let [.., a, b] = hull[..]
            && (b.0 - a.0) * (p.1 - a.1) >= (b.1 - a.1) * (p.0 - a.0)
        {
            hull.pop();
        }
        hull.push(*p);
    }
    #[allow(clippy::cast_precision_loss, reason = "a window")]
    let mean_t = points.iter().map(|p| p.0).sum::<f64>() / points.len().max(1) as f64;
    let edge = hull.windows(2).find(|e| e[0].0 <= mean_t && mean_t <= e[1].0);
    match (edge, hull.last()) {
        (Some([a, b]), _) if b.0 > a.0 => (b.1 - a.1) / (b.0 - a.0) * (0.0 - a.0) + a.1,
        (_, Some(last)) => last.1,
        _ => 0.0,
    }
}
