//! Lies or a step? Samples that contradict the rest may lie, or the vendor's clock was stepped before the first of them.
//!
//! Every contradicting sample is a possible moment of a step. The window is then explained as two clocks, one before and
//! one from that sample on, and the samples that fit neither are counted. What that explains more than lies do is the
//! challenger's *gain*. Steps are rarer than lies, so a step must explain several samples more. Until then the stream is
//! suspect and answers with the hull of all that is possible.

use super::fit::{Candidate, Fit, agreement, contradictions};
use super::polygon::{Cut, Label, Polygon};

/// A step must explain so many samples more than lies do. Lies are a few in a hundred and steps one in tens of
/// thousands, so by the odds alone three would do; but lies find more ways to agree than steps do. Chosen by simulation:
/// `docs/timing.md` has the figures for three, four and five.
pub const DECISIVE: f64 = 5.0;
/// … one less if the champion is squeezed so that its room counts as much as this sample.
const SQUEEZED: f64 = 0.5;
/// A step that explains one sample more is suspected for so many samples, two for twice as many, and so on.
const PATIENCE: f64 = 40.0;
/// At most so many moments of a step are kept in mind, the latest.
const MOMENTS: usize = 8;

/// The hypothesis that the clock was stepped right before a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Challenger {
    /// That sample.
    pub first: Label,
    /// What it and the newer ones leave.
    pub polygon: Polygon,
    /// How many samples more it explains than lies do.
    pub gain: f64,
    /// And what it explains beyond that: see [`room`].
    room: f64,
    /// How many samples ago the step was.
    age: u32,
}

impl Challenger {
    /// All moments at which a step explains more than lies do, oldest first. `scored` gives the end of the window its own
    /// oddness, as a window of its own.
    pub fn all(window: &[Candidate], fit: &Fit, max_drift: f64, scored: impl Fn(usize) -> Vec<Candidate>) -> Vec<Self> {
        let lies = fit.outliers().len();
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
            let (before, room) = old.judge(fit);
            // Even if everything newer agreed, would it be plausible?
            let age = u32::try_from(window.len() - from).unwrap_or(u32::MAX);
            #[allow(clippy::cast_precision_loss, reason = "at most a window")]
            let gain = |after: usize| lies as f64 - (before + after) as f64;
            let mut challenger = Self {
                first: window[from].label,
                polygon: Polygon::unbounded(max_drift),
                gain: gain(0),
                room,
                age,
            };
            if challenger.is_plausible() {
                let (polygon, after) = agreement(&scored(from), max_drift);
                (challenger.polygon, challenger.gain) = (polygon, gain(after.len()));
                found.extend(challenger.is_plausible().then_some(challenger));
            }
        }
        found
    }

    /// Takes a sample that the champion explains. Whether the challenger is still plausible.
    pub fn take(&mut self, candidate: &Candidate) -> bool {
        self.age += 1;
        if candidate.strip.cut_into(&mut self.polygon, candidate.label) == Cut::Contradiction {
            self.gain -= 1.0;
        }
        self.is_plausible()
    }

    fn is_plausible(&self) -> bool {
        let gain = self.gain + self.room;
        gain >= 0.9 && f64::from(self.age) <= PATIENCE * gain * gain
    }

    /// The moment of the step, once one explains enough: the latest of those that explain about as much as the best, as
    /// a lie shortly before a step looks like its beginning.
    pub fn decided(all: &[Self]) -> Option<&Self> {
        let most = all.iter().map(|c| c.gain).fold(0.0, f64::max);
        let squeezed = all.iter().any(|c| c.room >= SQUEEZED);
        let decided = most >= if squeezed { DECISIVE - 1.0 } else { DECISIVE };
        all.iter().rev().find(|c| decided && c.gain + 1.0 >= most)
    }
}

/// The clock before a step: what the champion's samples up to there leave, and its outliers up to there.
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

    /// How many of its outliers lie even so, and how much less room than it the champion has.
    fn judge(&self, fit: &Fit) -> (usize, f64) {
        let mut polygon = self.polygon.clone();
        let lie = |c: &&&Candidate| c.strip.cut_into(&mut polygon, c.label) == Cut::Contradiction;
        let lies = self.outliers.iter().filter(lie).count();
        (lies, room(&polygon, fit.polygon()))
    }
}

/// What it counts that the champion has almost no room left, in samples: a set of honest samples leaves a polygon of some
/// size, and one squeezed between two clocks hardly any. The evidence for a hypothesis is the area it leaves times the
/// odds of the lies it needs; a lie, at odds of a few in a hundred, weighs as much as a factor of thirty in area.
fn room(old: &Polygon, champion: &Polygon) -> f64 {
    const LIE: f64 = 3.4;
    let size = |p: &Polygon| p.mass().0.max(1.0).ln();
    ((size(old) - size(champion)) / LIE).max(0.0)
}
