//! From a window of samples to the set of (offset, drift) that they allow, and to the few samples that contradict the
//! rest.
//!
//! Samples are intersected one after another. A sample that would leave nothing contradicts those before it, and the
//! largest agreeing set is kept: see [`super::marzullo`]. By Helly's theorem three half-planes are enough to prove that no
//! point satisfies all of them; they are kept as the *witness* of a rejection.

use super::label_set::LabelSet;
use super::marzullo::outside_largest_agreement;
use super::packed_sample::PackedSample;
use super::polygon::{BOX, Cut, HalfPlane, Label, Polygon};

/// Samples, oldest first. It is cloned to go through them again.
pub(crate) trait Window<'w>: Iterator<Item = &'w PackedSample> + Clone {}

impl<'w, I: Iterator<Item = &'w PackedSample> + Clone> Window<'w> for I {}

/// What a new sample does to a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Addition {
    /// It says less than is known.
    Agrees,
    /// It makes the polygon smaller.
    Cuts,
    /// This side of it contradicts the others.
    Contradicts(HalfPlane),
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
    pub(crate) fn of<'w>(window: &impl Window<'w>, drift: f64, max_drift: f64) -> Self {
        let excluded = outside_largest_agreement(window, &[drift, 0.0], max_drift);
        Self::without(window, excluded, &[], max_drift).0
    }

    /// Fits a window without the excluded samples. The second value says whether all others agree. The samples in `likely`
    /// are used first, so that most others have nothing left to cut; the order does not change the result.
    pub(crate) fn without<'w>(
        window: &impl Window<'w>,
        excluded: Vec<Label>,
        likely: &[Label],
        max_drift: f64,
    ) -> (Self, bool) {
        let (mut fit, all_agree) = Self::bounded_by(window, excluded, likely, max_drift);
        fit.build_asked(window);
        (fit, all_agree)
    }

    /// The same without the polygon for the point.
    pub(crate) fn bounded_by<'w>(
        window: &impl Window<'w>,
        excluded: Vec<Label>,
        likely: &[Label],
        max_drift: f64,
    ) -> (Self, bool) {
        let excluded = LabelSet::of(excluded);
        let mut fit = Self::empty(max_drift);
        let (whole, all_agree) = all_but(window, &[&excluded], likely, max_drift);
        fit.whole = whole;
        if !excluded.is_empty() {
            let disagree = window.clone().filter(|k| excluded.contains(k.label));
            fit.outliers = disagree.map(|k| outlier(&fit.whole, k)).collect();
        }
        (fit, all_agree)
    }

    /// Builds the polygon for the point. Bounds by requests that contradict the certain ones came from old answers. For
    /// each of these, some other old answers do not contradict, so the tightest are left out too.
    fn build_asked<'w>(&mut self, window: &impl Window<'w>) {
        self.asked = self.whole.clone();
        self.has_asked = false;
        let outliers = LabelSet::of(self.outliers.iter().map(|o| o.label));
        let agree = window.clone().filter(|k| !outliers.contains(k.label));
        let mut bounds: Vec<HalfPlane> = agree.filter_map(PackedSample::asked_bound).collect();
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

    /// Adds a sample. A sample that contradicts the others is only recorded as an outlier.
    pub(crate) fn add(&mut self, packed: &PackedSample) -> Addition {
        if let Some(half) = packed.bounds.contradicts(&self.whole) {
            self.outliers.push(outlier(&self.whole, packed));
            return Addition::Contradicts(half);
        }
        let cut = packed.bounds.cut_into(&mut self.whole, packed.label);
        packed.bounds.cut_into(&mut self.asked, BOX);
        if self.asked_conflicts == 0
            && let Some(half) = packed.asked_bound()
        {
            self.cut_asked(&half);
        }
        if cut == Cut::Nothing {
            Addition::Agrees
        } else {
            Addition::Cuts
        }
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
pub(crate) fn all_but<'w>(
    window: &impl Window<'w>,
    left_out: &[&LabelSet],
    likely: &[Label],
    max_drift: f64,
) -> (Polygon, bool) {
    let likely = LabelSet::of(likely.iter().copied());
    let mut polygon = Polygon::unbounded(max_drift);
    let mut all_agree = true;
    for first in [true, false] {
        if first && likely.is_empty() {
            continue;
        }
        for k in window.clone() {
            // The cheapest test comes first, because nearly all samples say less than is known already.
            if (first || !k.bounds.are_known(&polygon))
                && likely.contains(k.label) == first
                && !left_out.iter().any(|set| set.contains(k.label))
            {
                all_agree &= k.bounds.cut_into(&mut polygon, k.label) != Cut::Contradiction;
            }
        }
    }
    (polygon, all_agree)
}

fn outlier(whole: &Polygon, packed: &PackedSample) -> Outlier {
    let label = packed.label;
    let Some(half) = packed.bounds.contradicts(whole) else {
        return Outlier {
            label,
            witness: [BOX; 2],
            excess_ms: 0,
        };
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    Outlier {
        label,
        witness: whole.nearest_edges(&half),
        excess_ms: whole.excess(&half) as u32,
    }
}
