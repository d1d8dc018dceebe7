//! From a window of samples to the set of (offset, drift) that they allow, and to the few samples that contradict the
//! rest.
//!
//! Samples are intersected one after another. A sample that would leave nothing contradicts those before it. Then
//! either it is an outlier or one of the samples that hold the polygon in place is. The explanation with fewer
//! outliers is taken, which is Marzullo's algorithm in two dimensions. Two orders are tried: oldest first, and least
//! deviating first. By Helly's theorem three half-planes are enough to prove that no point satisfies all of them; they
//! are kept as the *witness* of a rejection.
//!
//! A sample that deviates from what the learned delays make likely may contradict but never cuts the polygon. Leaving a
//! sample out is always safe, because that can only widen the result, and a deviating honest sample is a late one,
//! which bounds little.
//!
//! Besides the polygon of all agreeing samples there is one polygon for each sample of its *support* (the samples
//! whose cuts are its edges), computed without that sample. The hull of their ranges is the *leave-one-out* interval:
//! it contains the truth even if any one agreeing sample is wrong, by however little. Leaving out a sample that is not
//! in the support changes nothing, so it is enough to try the support.

use super::polygon::{BOX, Cut, HalfPlane, Label, Polygon};

/// How many times a fit searches for a better explanation.
const ROUNDS: usize = 6;

/// A sample that deviates by more standard deviations than this never cuts.
pub(crate) const MAX_DEVIATION: f64 = 2.5;

/// What one sample says: at most one lower and one upper bound. The lower bound is never above the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Strip {
    /// `offset(t) ≥ bound`.
    pub lower: Option<HalfPlane>,
    /// `offset(t) ≤ bound`.
    pub upper: Option<HalfPlane>,
}

impl Strip {
    fn sides(&self) -> impl Iterator<Item = HalfPlane> {
        self.lower.into_iter().chain(self.upper)
    }

    /// The side that would leave nothing of `polygon`, if one does. The sides need not be tested together: a polygon
    /// that reaches above the lower line and below the upper line is connected, so it also has a point between them.
    fn contradicts(&self, polygon: &Polygon) -> Option<HalfPlane> {
        self.sides().find(|half| polygon.against(half) == Cut::Contradiction)
    }

    /// Cuts `polygon` with both sides, or with neither if one of them contradicts it.
    pub(crate) fn cut_into(&self, polygon: &mut Polygon, label: Label) -> Cut {
        let how = |side: Option<HalfPlane>, p: &Polygon| side.map_or(Cut::Nothing, |half| p.against(&half));
        let (lower, upper) = (how(self.lower, polygon), how(self.upper, polygon));
        if lower == Cut::Contradiction || upper == Cut::Contradiction {
            return Cut::Contradiction;
        }
        let mut done = Cut::Nothing;
        for (side, cuts) in [(self.lower, lower), (self.upper, upper)] {
            if let (Some(half), Cut::Smaller) = (side, cuts) {
                polygon.cut(&half, label);
                done = Cut::Smaller;
            }
        }
        done
    }
}

/// A sample of the window, ready to cut the polygon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// The sample's number.
    pub label: Label,
    /// What the sample says.
    pub strip: Strip,
    /// Distance from the likely offset, in standard deviations.
    pub deviation: f64,
    /// Whether the sample may cut; a deviating one may only contradict.
    pub cuts: bool,
}

impl Candidate {
    fn would_cut(&self, polygon: &Polygon) -> bool {
        self.cuts && self.strip.sides().any(|half| polygon.against(&half) == Cut::Smaller)
    }

    fn cut_into(&self, polygon: &mut Polygon) -> Cut {
        if self.cuts {
            return self.strip.cut_into(polygon, self.label);
        }
        if self.strip.contradicts(polygon).is_some() {
            Cut::Contradiction
        } else {
            Cut::Nothing
        }
    }
}

/// A sample that contradicts the agreeing ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// The sample's number in its clock series.
    pub label: Label,
    /// The two samples with which it excludes every possible clock; `u32::MAX` stands for the bound on the drift.
    pub witness: [Label; 2],
}

/// The agreeing samples' polygons, and the outliers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    whole: Polygon,
    without: Vec<(Label, Polygon)>,
    outliers: Vec<Outlier>,
    /// Indexes in `without` of polygons that depend on a dropped sample.
    stale: Vec<usize>,
}

/// How much of the fit depended on a dropped sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Forgotten {
    /// Nothing: the fit is unchanged.
    Nothing,
    /// Only leave-one-out polygons; see [`Fit::rebuild_stale`].
    Part,
    /// The main polygon, so that the window must be fitted again.
    Whole,
}

impl Fit {
    /// A fit without samples, which allows every offset.
    pub(crate) fn empty(max_drift: f64) -> Self {
        Self {
            whole: Polygon::unbounded(max_drift),
            without: Vec::new(),
            outliers: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// Fits a window, given oldest first.
    pub(crate) fn of(window: &[Candidate], max_drift: f64) -> Self {
        let (_, excluded) = agreement(window, max_drift);
        // Every contradicting sample is excluded already. A deviating sample may come before the one it contradicts,
        // but it cuts nothing.
        Self::without(window, &excluded, max_drift).0
    }

    /// Fits a window without the excluded samples. The second value says whether all others agree.
    pub(crate) fn without(window: &[Candidate], excluded: &[Label], max_drift: f64) -> (Self, bool) {
        let agree: Vec<&Candidate> = window.iter().filter(|c| !excluded.contains(&c.label)).collect();
        let mut whole = Polygon::unbounded(max_drift);
        let mut all_agree = true;
        for candidate in &agree {
            all_agree &= candidate.cut_into(&mut whole) != Cut::Contradiction;
        }
        let support = whole.support();
        let disagree = window.iter().filter(|c| excluded.contains(&c.label));
        let outliers = disagree.map(|c| outlier(&whole, c)).collect();
        let one_less = |label: &Label| (*label, all_but(&agree, &[*label], &support, max_drift));
        let without = if all_agree {
            support.iter().map(one_less).collect()
        } else {
            Vec::new()
        };
        (
            Self {
                without,
                whole,
                outliers,
                stale: Vec::new(),
            },
            all_agree,
        )
    }

    /// Recomputes the leave-one-out polygons that [`Fit::forget`] marked as stale.
    pub(crate) fn rebuild_stale(&mut self, window: &[Candidate], max_drift: f64) {
        let agree: Vec<&Candidate> = window.iter().filter(|c| !self.is_outlier(c.label)).collect();
        for place in std::mem::take(&mut self.stale) {
            if let Some((label, polygon)) = self.without.get_mut(place) {
                *polygon = all_but(&agree, &[*label], &polygon.support(), max_drift);
            }
        }
    }

    /// Adds a sample that is newer than all others. Returns `false` if it contradicts them; then it is only recorded
    /// as an outlier.
    pub(crate) fn add(&mut self, candidate: &Candidate) -> bool {
        if candidate.strip.contradicts(&self.whole).is_some() {
            self.outliers.push(outlier(&self.whole, candidate));
            return false;
        }
        for (_, polygon) in &mut self.without {
            candidate.cut_into(polygon);
        }
        if candidate.would_cut(&self.whole) {
            let before = self.whole.clone();
            candidate.cut_into(&mut self.whole);
            // The new support consists of old edges and the new one. The old polygon is now the polygon without the
            // new sample.
            self.without.retain(|(l, _)| self.whole.rests_on(*l));
            if self.whole.rests_on(candidate.label) {
                self.without.push((candidate.label, before));
            }
        }
        true
    }

    /// Drops a sample.
    pub(crate) fn forget(&mut self, label: Label) -> Forgotten {
        self.outliers.retain(|o| o.label != label);
        if self.whole.rests_on(label) {
            return Forgotten::Whole;
        }
        let held = (0..self.without.len()).filter(|i| self.without[*i].1.rests_on(label));
        let mut stale: Vec<usize> = held.collect();
        stale.retain(|place| !self.stale.contains(place));
        self.stale.extend(stale);
        if self.stale.is_empty() {
            Forgotten::Nothing
        } else {
            Forgotten::Part
        }
    }

    /// Whether this sample is an outlier.
    pub(crate) fn is_outlier(&self, label: Label) -> bool {
        self.outliers.iter().any(|o| o.label == label)
    }

    /// The set that all agreeing samples allow.
    pub(crate) fn polygon(&self) -> &Polygon {
        &self.whole
    }

    /// Heap memory used, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let polygons = std::iter::once(&self.whole).chain(self.without.iter().map(|(_, p)| p));
        polygons.map(Polygon::memory).sum::<usize>() + self.outliers.capacity() * size_of::<Outlier>()
    }

    /// The samples that contradict the agreeing ones.
    pub(crate) fn outliers(&self) -> &[Outlier] {
        &self.outliers
    }

    /// The guaranteed offset interval at `t`, in ms; `None` while a single outlier could move it anywhere.
    pub(crate) fn guaranteed(&self, t: f64) -> Option<(f64, f64)> {
        let bounded = !self.without.is_empty() && self.without.iter().all(|(_, p)| p.is_bounded());
        let all = self.without.iter().map(|(_, p)| p.range(t));
        bounded.then(|| all.fold(self.whole.range(t), |(low, high), (l, h)| (low.min(l), high.max(h))))
    }

    /// A wider interval for windows with many outliers, several of which may hold the polygon: it leaves out the whole
    /// support and, if `very`, also the support of what then remains.
    pub(crate) fn cautious(&self, window: &[Candidate], max_drift: f64, t: f64, very: bool) -> Option<(f64, f64)> {
        let (low, high) = self.guaranteed(t)?;
        let agree: Vec<&Candidate> = window.iter().filter(|c| !self.is_outlier(c.label)).collect();
        let mut support = self.whole.support();
        let mut bare = all_but(&agree, &support, &[], max_drift);
        if very {
            support.extend(bare.support());
            bare = all_but(&agree, &support, &[], max_drift);
        }
        let (l, h) = bare.is_bounded().then(|| bare.range(t))?;
        Some((low.min(l), high.max(h)))
    }

    /// The mean (offset, drift) over the polygon, weighted by area. The leave-one-out polygons count a little, by
    /// their size, because an undetected outlier that cuts deep leaves only a small polygon.
    pub(crate) fn middle(&self) -> (f64, f64) {
        const DOUBT: f64 = 0.3;
        let (area, o, d) = self.whole.mass();
        let first = (area.max(1e-9), o * area.max(1e-9), d * area.max(1e-9));
        let others = self
            .without
            .iter()
            .filter(|(_, p)| p.is_bounded())
            .map(|(_, p)| p.mass());
        let (area, o, d) = others.fold(first, |sum, (area, o, d)| {
            let weight = DOUBT * area;
            (sum.0 + weight, sum.1 + weight * o, sum.2 + weight * d)
        });
        (o / area, d / area)
    }
}

/// Intersects all samples except those left out. The order does not change the result. Samples that likely hold it
/// come first, so that most others have nothing left to cut.
fn all_but(agree: &[&Candidate], left_out: &[Label], likely: &[Label], max_drift: f64) -> Polygon {
    let mut polygon = Polygon::unbounded(max_drift);
    let (first, rest): (Vec<&Candidate>, Vec<&Candidate>) = agree
        .iter()
        .copied()
        .filter(|c| !left_out.contains(&c.label))
        .partition(|c| likely.contains(&c.label));
    for candidate in first.into_iter().chain(rest) {
        candidate.cut_into(&mut polygon);
    }
    polygon
}

/// The largest agreement found: its polygon, and the samples that are not part of it.
pub(crate) fn agreement(window: &[Candidate], max_drift: f64) -> (Polygon, Vec<Label>) {
    let by_time = greedy(window, max_drift);
    if by_time.1.is_empty() {
        return by_time;
    }
    let mut least_deviating_first = window.to_vec();
    least_deviating_first.sort_by(|a, b| a.deviation.total_cmp(&b.deviation));
    let by_deviation = greedy(&least_deviating_first, max_drift);
    if by_deviation.1.len() < by_time.1.len() {
        by_deviation
    } else {
        by_time
    }
}

/// The samples that contradict those before them, oldest first.
pub(crate) fn contradictions(window: &[Candidate], max_drift: f64) -> Vec<Label> {
    cut_all(window, &[], max_drift).1
}

fn greedy(window: &[Candidate], max_drift: f64) -> (Polygon, Vec<Label>) {
    let mut left_out: Vec<Label> = Vec::new();
    let (mut whole, mut against) = cut_all(window, &left_out, max_drift);
    for _ in 0..ROUNDS {
        if against.len() < 2 {
            break;
        }
        let Some(removed) = better_explanation(window, &left_out, &whole, &against, max_drift) else {
            break;
        };
        left_out.extend(removed);
        (whole, against) = cut_all(window, &left_out, max_drift);
    }
    left_out.extend(against);
    (whole, left_out)
}

/// Cuts with all samples except `left_out`, in the given order. Returns the polygon and the samples that contradict
/// it.
fn cut_all(window: &[Candidate], left_out: &[Label], max_drift: f64) -> (Polygon, Vec<Label>) {
    let mut polygon = Polygon::unbounded(max_drift);
    let mut against = Vec::new();
    for candidate in window.iter().filter(|c| !left_out.contains(&c.label)) {
        if candidate.cut_into(&mut polygon) == Cut::Contradiction {
            against.push(candidate.label);
        }
    }
    // A deviating sample may come before the one it contradicts, so test it again at the end.
    let silent = window
        .iter()
        .filter(|c| !c.cuts && !left_out.contains(&c.label) && !against.contains(&c.label));
    let odd: Vec<Label> = silent
        .filter(|c| c.strip.contradicts(&polygon).is_some())
        .map(|c| c.label)
        .collect();
    against.extend(odd);
    (polygon, against)
}

/// One or two support samples without which more samples agree than are left out.
fn better_explanation(
    window: &[Candidate],
    left_out: &[Label],
    whole: &Polygon,
    against: &[Label],
    max_drift: f64,
) -> Option<Vec<Label>> {
    let gain = |removed: &[Label]| {
        let out: Vec<Label> = left_out.iter().chain(removed).copied().collect();
        let (_, still) = cut_all(window, &out, max_drift);
        against.len().saturating_sub(still.len())
    };
    let support = whole.support();
    // If leaving out the whole support gains little, no part of it can gain more. This settles most cases.
    let most = gain(&support);
    if most < 2 {
        return None;
    }
    let best = |candidates: &mut dyn Iterator<Item = Vec<Label>>| {
        candidates
            .map(|removed| (gain(&removed), removed))
            .max_by_key(|(gain, _)| *gain)
    };
    if let Some((gain, removed)) = best(&mut support.iter().map(|l| vec![*l]))
        && gain >= 2
    {
        return Some(removed);
    }
    if most < 3 {
        return None;
    }
    let mut pairs = support
        .iter()
        .enumerate()
        .flat_map(|(i, a)| support[i + 1..].iter().map(|b| vec![*a, *b]));
    best(&mut pairs)
        .filter(|(gain, _)| *gain >= 3)
        .map(|(_, removed)| removed)
}

fn outlier(whole: &Polygon, candidate: &Candidate) -> Outlier {
    let witness = candidate
        .strip
        .contradicts(whole)
        .map_or([BOX; 2], |half| whole.nearest_edges(&half));
    Outlier {
        label: candidate.label,
        witness,
    }
}

/// The share of samples that deviate.
pub(crate) fn share_deviating(deviation: impl Iterator<Item = f64>) -> f64 {
    let (odd, all) = deviation.fold((0_u32, 0_u32), |(odd, all), z| {
        (odd + u32::from(z > MAX_DEVIATION), all + 1)
    });
    f64::from(odd) / f64::from(all.max(1))
}
