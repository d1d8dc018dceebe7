//! From a window of samples to the set of (offset, drift) that they allow, and to the few samples that contradict the
//! rest.
//!
//! Samples are intersected one after another. A sample that would leave nothing contradicts those before it, and the
//! largest agreeing set is kept: see [`super::marzullo`]. By Helly's theorem three half-planes are enough to prove that no
//! point satisfies all of them; they are kept as the *witness* of a rejection.
//!
//! Besides the polygon of all agreeing samples there are *cautious* polygons, which allow for agreeing samples that are
//! wrong, because a small error hides in the delays:
//!
//! - In a small window, one polygon for each sample of the *support* (the samples whose cuts are edges), computed without
//!   that sample. The hull contains the truth even if any one agreeing sample is wrong, by however little.
//! - In a large window, one polygon from which the support was removed, layer by layer: a relaxed intersection that
//!   leaves out some of the tightest samples on each side. It has as many layers as the outliers found so far make
//!   necessary; where these are many, so many of the tightest bounds are left out at once.

use super::marzullo::outside_largest_agreement;
use super::polygon::{BOX, Cut, HalfPlane, Label, Polygon};

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
    pub(crate) fn contradicts(&self, polygon: &Polygon) -> Option<HalfPlane> {
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

/// How many agreeing samples may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Any one.
    One,
    /// So many layers of the support.
    Layers(usize),
    /// So many of the tightest bounds on each side.
    Tightest(usize),
}

/// A sample of the window, ready to cut the polygon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// The sample's number.
    pub label: Label,
    /// What the sample says.
    pub strip: Strip,
    /// The upper bound if the answer was as fresh as it looks, only for the point.
    pub asked: Option<HalfPlane>,
}

/// A sample that contradicts the agreeing ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// The sample's number in its clock series.
    pub label: Label,
    /// The two samples with which it excludes every possible clock; `u32::MAX` is the bound on the drift.
    pub witness: [Label; 2],
    /// By how many ms it misses the agreeing samples. For each that misses them by little, others are hidden by the delays.
    pub(crate) excess_ms: u32,
}

/// The agreeing samples' polygon, and the outliers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    whole: Polygon,
    outliers: Vec<Outlier>,
    /// The polygon with the bounds by requests; only for the point.
    asked: Polygon,
    /// Whether any such bound is in it, and how many contradict it.
    has_asked: bool,
    asked_conflicts: usize,
}

impl Fit {
    /// A fit without samples, which allows every offset.
    pub(crate) fn empty(max_drift: f64) -> Self {
        Self {
            whole: Polygon::unbounded(max_drift),
            outliers: Vec::new(),
            asked: Polygon::unbounded(max_drift),
            has_asked: false,
            asked_conflicts: 0,
        }
    }

    /// Fits a window, given oldest first. `drift` is a guess, in ms per hour.
    pub(crate) fn of(window: &[Candidate], drift: f64, max_drift: f64) -> Self {
        let excluded = outside_largest_agreement(window, &[drift, 0.0], max_drift);
        Self::without(window, excluded, &[], max_drift).0
    }

    /// Fits a window without the excluded samples. The second value says whether all others agree. The samples in `likely`
    /// are used first, so that most others have nothing left to cut; the order does not change the result.
    pub(crate) fn without(
        window: &[Candidate],
        mut excluded: Vec<Label>,
        likely: &[Label],
        max_drift: f64,
    ) -> (Self, bool) {
        excluded.sort_unstable();
        let is_excluded = |c: &&Candidate| excluded.binary_search(&c.label).is_ok();
        let agree: Vec<&Candidate> = window.iter().filter(|c| !is_excluded(c)).collect();
        let mut fit = Self::empty(max_drift);
        let (whole, all_agree) = all_but(&agree, &[], likely, max_drift);
        fit.whole = whole;
        let disagree = window.iter().filter(is_excluded);
        fit.outliers = disagree.map(|c| outlier(&fit.whole, c)).collect();
        fit.build_asked(&agree);
        (fit, all_agree)
    }

    /// Builds the polygon for the point. Bounds by requests that contradict the certain ones came from old answers. For
    /// each of these, some other old answers do not contradict, so the tightest are left out too.
    fn build_asked(&mut self, agree: &[&Candidate]) {
        self.asked = self.whole.clone();
        self.has_asked = false;
        let mut bounds: Vec<HalfPlane> = agree.iter().filter_map(|c| c.asked).collect();
        if bounds.is_empty() {
            return;
        }
        let against = |h: &&HalfPlane| self.whole.against(h) == Cut::Contradiction;
        self.asked_conflicts = bounds.iter().filter(against).count();
        if self.asked_conflicts > 0 {
            let (_, o, d) = self.whole.mass();
            let slack = |h: &HalfPlane| h.bound - (d * h.t + o);
            let left_out = (2 * self.asked_conflicts + 2).min(bounds.len() - 1);
            bounds.select_nth_unstable_by(left_out, |a, b| slack(a).total_cmp(&slack(b)));
            bounds.drain(..left_out);
        }
        for half in &bounds {
            self.cut_asked(half);
        }
    }

    fn cut_asked(&mut self, half: &HalfPlane) {
        self.has_asked = true;
        match self.asked.against(half) {
            Cut::Smaller => self.asked.cut(half, BOX),
            Cut::Contradiction => self.asked_conflicts += 1,
            Cut::Nothing => {}
        }
    }

    /// Adds a sample that is newer than all others. Returns the side that contradicts them, if one does; then the sample
    /// is only recorded as an outlier.
    pub(crate) fn add(&mut self, candidate: &Candidate) -> Option<HalfPlane> {
        if let Some(half) = candidate.strip.contradicts(&self.whole) {
            self.outliers.push(outlier(&self.whole, candidate));
            return Some(half);
        }
        candidate.strip.cut_into(&mut self.whole, candidate.label);
        candidate.strip.cut_into(&mut self.asked, BOX);
        if let Some(half) = candidate.asked
            && self.asked_conflicts == 0
        {
            self.cut_asked(&half);
        }
        None
    }

    /// Drops a sample. Returns whether the polygon depended on it, so that the window must be fitted again.
    pub(crate) fn forget(&mut self, label: Label) -> bool {
        self.outliers.retain(|o| o.label != label);
        self.whole.rests_on(label)
    }

    /// Whether this sample is an outlier.
    pub(crate) fn is_outlier(&self, label: Label) -> bool {
        self.outliers.iter().any(|o| o.label == label)
    }

    /// The set that all agreeing samples allow.
    pub(crate) fn polygon(&self) -> &Polygon {
        &self.whole
    }

    /// Moves the zero of the hours by `by` hours.
    pub(crate) fn move_zero(&mut self, by: f64) {
        self.whole.move_zero(by);
        self.asked.move_zero(by);
    }

    /// Heap memory used, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let polygons = [&self.whole, &self.asked].into_iter();
        polygons.map(Polygon::memory).sum::<usize>() + self.outliers.capacity() * size_of::<Outlier>()
    }

    /// The samples that contradict the agreeing ones.
    pub(crate) fn outliers(&self) -> &[Outlier] {
        &self.outliers
    }

    /// The polygons that allow for agreeing samples that are wrong: see the head of this file. `likely` as in
    /// [`Fit::without`].
    pub(crate) fn cautious(
        &self,
        window: &[Candidate],
        allowance: Allowance,
        likely: &[Label],
        max_drift: f64,
    ) -> Vec<Polygon> {
        let mut outliers: Vec<Label> = self.outliers.iter().map(|o| o.label).collect();
        outliers.sort_unstable();
        let agrees = |c: &&Candidate| outliers.binary_search(&c.label).is_err();
        let agree: Vec<&Candidate> = window.iter().filter(agrees).collect();
        let mut left_out = self.whole.support();
        match allowance {
            Allowance::One => {
                let without = |label: &Label| all_but(&agree, &[*label], &left_out, max_drift).0;
                left_out.iter().map(without).collect()
            }
            Allowance::Layers(layers) => {
                let mut polygon = all_but(&agree, &left_out, likely, max_drift).0;
                for _ in 1..layers {
                    left_out.extend(polygon.support());
                    polygon = all_but(&agree, &left_out, likely, max_drift).0;
                }
                vec![polygon]
            }
            Allowance::Tightest(q) => vec![self.relaxed(&agree, q, max_drift)],
        }
    }

    /// The polygon without the `q` tightest lower and the `q` tightest upper bounds: those nearest to the polygon at their
    /// moment.
    fn relaxed(&self, agree: &[&Candidate], q: usize, max_drift: f64) -> Polygon {
        let gap = |h: &HalfPlane| {
            let (low, high) = self.whole.range(h.t);
            if h.above { h.bound - high } else { low - h.bound }
        };
        let mut polygon = Polygon::unbounded(max_drift);
        let sides: [fn(&Candidate) -> Option<HalfPlane>; 2] = [|c| c.strip.lower, |c| c.strip.upper];
        for side in sides {
            let halves = agree.iter().filter_map(|c| side(c));
            let mut halves: Vec<(f64, HalfPlane)> = halves.map(|h| (gap(&h), h)).collect();
            if q >= halves.len() {
                continue;
            }
            halves.select_nth_unstable_by(q, |a, b| a.0.total_cmp(&b.0));
            for (_, half) in &halves[q..] {
                if polygon.against(half) == Cut::Smaller {
                    polygon.cut(half, BOX);
                }
            }
        }
        polygon
    }

    /// The set in which the clock most likely is: with the bounds by requests, if there are any.
    pub(crate) fn likely_polygon(&self) -> &Polygon {
        if self.has_asked { &self.asked } else { &self.whole }
    }

    /// The mean (offset, drift) over that set, weighted by area.
    pub(crate) fn middle(&self) -> (f64, f64) {
        let (_, o, d) = self.likely_polygon().mass();
        (o, d)
    }
}

/// Intersects all samples except those left out; the order does not change the result, but the cost. The second value says
/// whether all of them agree.
fn all_but(agree: &[&Candidate], left_out: &[Label], likely: &[Label], max_drift: f64) -> (Polygon, bool) {
    let mut polygon = Polygon::unbounded(max_drift);
    let mut all_agree = true;
    for first in [true, false] {
        for candidate in agree.iter().filter(|c| likely.contains(&c.label) == first) {
            if !left_out.contains(&candidate.label) {
                all_agree &= candidate.strip.cut_into(&mut polygon, candidate.label) != Cut::Contradiction;
            }
        }
    }
    (polygon, all_agree)
}

fn outlier(whole: &Polygon, candidate: &Candidate) -> Outlier {
    let Some(half) = candidate.strip.contradicts(whole) else {
        return Outlier {
            label: candidate.label,
            witness: [BOX; 2],
            excess_ms: 0,
        };
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    Outlier {
        label: candidate.label,
        witness: whole.nearest_edges(&half),
        excess_ms: whole.excess(&half) as u32,
    }
}
