//! Outliers or a step? Samples that contradict the rest may be outliers, or the vendor's clock was stepped before the
//! first of them.
//!
//! Every contradicting sample is a possible moment of a step. For each, the window is explained by two clocks, one
//! before and one from that sample on, and the samples that fit neither are counted. How many samples more the two
//! clocks explain than outliers do is the hypothesis' *gain*. Steps are rarer than outliers, so a step is accepted
//! only if it explains several samples more. Until then the clock is suspected of a step, and its interval covers both
//! possibilities.

use super::fit::{Candidate, Fit, agreement, contradictions};
use super::polygon::{Cut, Label, Polygon};

/// A step is accepted if it explains this many more samples than the assumption that they are outliers. A few samples
/// in a hundred are outliers and one in tens of thousands follows a step, so three would be enough by these
/// odds alone. But outliers look like a step by chance more often than a step occurs. Chosen by simulation:
/// `docs/timing.md` has the figures for three, four and five.
pub(crate) const DECISIVE: f64 = 5.0;
/// One sample less is enough if the polygon is tightened by the weight of at least this many samples.
const TIGHTENED: f64 = 0.5;
/// A step that explains `g` samples more is suspected for this many samples times g².
const PATIENCE: f64 = 40.0;
/// Only this many possible moments of a step are tested: the latest.
const MOMENTS: usize = 8;

/// The hypothesis that the clock was stepped right before a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepHypothesis {
    /// The first sample after the step.
    pub first: Label,
    /// The set that this sample and the newer ones allow.
    pub polygon: Polygon,
    /// How many samples more the step explains than outliers do.
    pub gain: f64,
    /// How much smaller the polygon of the fit is than the one before the step: see [`tightening`].
    tightening: f64,
    /// How many samples came since the step.
    age: u32,
}

impl StepHypothesis {
    /// All hypotheses under which a step explains more than outliers do, oldest first. `scored` returns the samples
    /// from an index on, with their deviations computed from these samples only.
    pub(crate) fn all(
        window: &[Candidate],
        fit: &Fit,
        max_drift: f64,
        scored: impl Fn(usize) -> Vec<Candidate>,
    ) -> Vec<Self> {
        let outliers = fit.outliers().len();
        let mut moments = contradictions(window, max_drift);
        moments.extend(fit.outliers().iter().map(|o| o.label));
        let mut places: Vec<usize> = (0..window.len())
            .filter(|i| moments.contains(&window[*i].label))
            .collect();
        places.drain(..places.len().saturating_sub(MOMENTS));
        let mut old = Before::new(max_drift);
        let mut found = Vec::new();
        for from in places {
            old.advance(window, fit, from);
            let (before, tightening) = old.judge(fit);
            // First assume that everything newer agrees: if the hypothesis is not plausible even then, the full test
            // is not needed.
            let age = u32::try_from(window.len() - from).unwrap_or(u32::MAX);
            #[allow(clippy::cast_precision_loss, reason = "at most a window")]
            let gain = |after: usize| outliers as f64 - (before + after) as f64;
            let mut hypothesis = Self {
                first: window[from].label,
                polygon: Polygon::unbounded(max_drift),
                gain: gain(0),
                tightening,
                age,
            };
            if hypothesis.is_plausible() {
                let (polygon, after) = agreement(&scored(from), max_drift);
                (hypothesis.polygon, hypothesis.gain) = (polygon, gain(after.len()));
                found.extend(hypothesis.is_plausible().then_some(hypothesis));
            }
        }
        found
    }

    /// Adds a sample that agrees with the fit. Returns whether the hypothesis is still plausible.
    pub(crate) fn add(&mut self, candidate: &Candidate) -> bool {
        self.age += 1;
        if candidate.strip.cut_into(&mut self.polygon, candidate.label) == Cut::Contradiction {
            self.gain -= 1.0;
        }
        self.is_plausible()
    }

    fn is_plausible(&self) -> bool {
        let gain = self.gain + self.tightening;
        gain >= 0.9 && f64::from(self.age) <= PATIENCE * gain * gain
    }

    /// The accepted hypothesis, if one explains enough. Of those that explain about as much as the best, the latest is
    /// taken, because an outlier shortly before a step looks like its beginning.
    pub(crate) fn decided(all: &[Self]) -> Option<&Self> {
        let most = all.iter().map(|c| c.gain).fold(0.0, f64::max);
        let tightened = all.iter().any(|c| c.tightening >= TIGHTENED);
        let decided = most >= if tightened { DECISIVE - 1.0 } else { DECISIVE };
        all.iter().rev().find(|c| decided && c.gain + 1.0 >= most)
    }
}

/// The clock before a step: the polygon of the fit's samples up to there, and the outliers up to there.
struct Before<'w> {
    polygon: Polygon,
    outliers: Vec<&'w Candidate>,
    done: usize,
}

impl<'w> Before<'w> {
    fn new(max_drift: f64) -> Self {
        Self {
            polygon: Polygon::unbounded(max_drift),
            outliers: Vec::new(),
            done: 0,
        }
    }

    fn advance(&mut self, window: &'w [Candidate], fit: &Fit, to: usize) {
        for candidate in &window[self.done..to] {
            if fit.is_outlier(candidate.label) {
                self.outliers.push(candidate);
            } else {
                candidate.strip.cut_into(&mut self.polygon, candidate.label);
            }
        }
        self.done = to;
    }

    /// How many of its outliers remain outliers, and how much smaller the fit's polygon is than its own.
    fn judge(&self, fit: &Fit) -> (usize, f64) {
        let mut polygon = self.polygon.clone();
        let is_still_outlier = |c: &&&Candidate| c.strip.cut_into(&mut polygon, c.label) == Cut::Contradiction;
        let outliers = self.outliers.iter().filter(is_still_outlier).count();
        (outliers, tightening(&polygon, fit.polygon()))
    }
}

/// How much smaller the fit's polygon is than the one before the step, as a number of samples. Honest samples leave a
/// polygon of some size; a polygon tightened between two clocks has hardly any area. The evidence for a hypothesis is
/// the area it leaves times the odds of the outliers it needs; one outlier, at odds of a few in a hundred, weighs as
/// much as a factor of thirty in area.
fn tightening(old: &Polygon, current: &Polygon) -> f64 {
    const OUTLIER: f64 = 3.4;
    let size = |p: &Polygon| p.mass().0.max(1.0).ln();
    ((size(old) - size(current)) / OUTLIER).max(0.0)
}
