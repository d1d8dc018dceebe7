//! Polygons that allow for agreeing samples that are wrong, because a small error hides in the delays.
//!
//! - In a small window, one polygon for each sample of the *support* (the samples whose cuts are edges), computed without
//!   that sample. The hull contains the truth even if any one agreeing sample is wrong, by however little.
//! - In a large window, one polygon from which the support was removed, layer by layer: a relaxed intersection that
//!   leaves out some of the tightest samples on each side. It has as many layers as the outliers found so far make
//!   necessary; where these are many, so many of the tightest bounds are left out at once.
//!
//! Most samples say less than is known, so most polygons stay as they are when one is added or expires. A layer is
//! computed again only if a sample of its own support or of an outer layer's came or went.

use super::fit::{Fit, Window, all_but};
use super::label_set::LabelSet;
use super::packed_sample::{Bounds, PackedSample};
use super::polygon::{BOX, Cut, HalfPlane, Label, Polygon};

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

/// A layer holds about three samples of each side. If one sample is far outside, it is alone, and a second wrong one behind
/// it would bound the layer. So the last layer must be below at least this many of each side; up to so many more are added
/// for that.
const LEAST_OF_A_SIDE: usize = 3;
const MOST_EXTRA: usize = 2;

/// The cautious polygons of a fit. Of layers each contains the one before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cautious {
    polygons: Vec<Polygon>,
    /// So many of the polygons are right. The others were, before some sample went.
    valid: usize,
    /// The samples that bounded the polygons when they were completed; most of them still do.
    support: Vec<Label>,
    allowance: Option<Allowance>,
}

impl Cautious {
    /// The polygons, of which those that are still right were computed before. The samples in `likely` are used first: see
    /// [`Fit::without`].
    pub(crate) fn completed<'w>(
        &self,
        fit: &Fit,
        window: &impl Window<'w>,
        allowance: Allowance,
        likely: &[Label],
        max_drift: f64,
    ) -> Self {
        let outliers = LabelSet::of(fit.outliers().iter().map(|o| o.label));
        let support = fit.polygon().support();
        let without = |left_out: &[Label], likely: &[Label]| {
            let left_out = LabelSet::of(left_out.iter().copied());
            all_but(window, &[&outliers, &left_out], likely, max_drift).0
        };
        let right = || self.polygons[..self.valid].to_vec();
        let polygons = match (allowance, self.allowance) {
            (Allowance::One, Some(Allowance::One)) if self.valid > 0 => right(),
            (Allowance::One, _) => support.iter().map(|label| without(&[*label], &support)).collect(),
            (Allowance::Layers(most), before) => {
                let is_same = before == Some(allowance);
                let mut known = if is_same { right() } else { Vec::new() }.into_iter();
                let mut layers: Vec<Polygon> = Vec::new();
                let [mut lower, mut upper] = fit.polygon().sides();
                loop {
                    let left_out = [lower.as_slice(), upper.as_slice()].concat();
                    let few = |side: &[Label]| side.len() < LEAST_OF_A_SIDE && layers.len() < most + MOST_EXTRA;
                    let (few_lower, few_upper) = (few(&lower), few(&upper));
                    let layer = known.next().unwrap_or_else(|| without(&left_out, likely));
                    let [next_lower, next_upper] = layer.sides();
                    layers.push(layer);
                    let more = layers.len() < most;
                    if !more && !few_lower && !few_upper {
                        break layers;
                    }
                    if more || few_lower {
                        lower.extend(next_lower);
                    }
                    if more || few_upper {
                        upper.extend(next_upper);
                    }
                }
            }
            (Allowance::Tightest(q), _) => {
                let agree = window.clone().filter(|k| !outliers.contains(k.label));
                vec![relaxed(fit.polygon(), &agree, q, max_drift)]
            }
        };
        Self {
            support: polygons.iter().flat_map(Polygon::support).collect(),
            valid: polygons.len(),
            polygons,
            allowance: Some(allowance),
        }
    }

    /// Least and greatest offset at `t`, in hours; `None` if there is no bound.
    pub(crate) fn range(&self, t: f64) -> Option<(f64, f64)> {
        let bounded = !self.polygons.is_empty() && self.polygons.iter().all(Polygon::is_bounded);
        let ranges = self.polygons.iter().map(|p| p.range(t));
        bounded.then(|| {
            ranges.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (l, h)| {
                (low.min(l), high.max(h))
            })
        })
    }

    /// Whether a sample would agree if the tightest ones were wrong. If not, it is certainly the outlier.
    pub(crate) fn agrees_with(&self, bounds: &Bounds) -> bool {
        let agrees = |polygon: &Polygon| bounds.contradicts(polygon).is_none();
        self.polygons.is_empty() || self.polygons.iter().any(agrees)
    }

    /// The samples that bounded the polygons when they were completed.
    pub(crate) fn support(&self) -> &[Label] {
        &self.support
    }

    /// Notes that a sample left the window. The polygons that it bounded stay, until a sample is added.
    pub(crate) fn forget(&mut self, label: Label) {
        if let Some(place) = self.polygons[..self.valid].iter().position(|p| p.rests_on(label)) {
            self.keep(place);
        }
    }

    /// Adds a sample that agrees with the fit and does not bound it.
    pub(crate) fn add(&mut self, packed: &PackedSample) {
        self.polygons.truncate(self.valid);
        let layered = matches!(self.allowance, Some(Allowance::Layers(_)));
        for place in 0..self.polygons.len() {
            let cut = packed.bounds.cut_into(&mut self.polygons[place], packed.label);
            if layered && cut != Cut::Nothing {
                // The sample is now left out of the layers below.
                self.keep(place + usize::from(cut == Cut::Smaller));
                self.polygons.truncate(self.valid);
                return;
            }
        }
        if matches!(self.allowance, Some(Allowance::Tightest(_))) {
            self.clear();
        }
    }

    /// Forgets all polygons, because the fit changed.
    pub(crate) fn clear(&mut self) {
        self.polygons.clear();
        self.valid = 0;
    }

    /// Moves the zero of the hours by `by` hours.
    pub(crate) fn move_zero(&mut self, by: f64) {
        self.polygons.iter_mut().for_each(|p| p.move_zero(by));
    }

    /// Heap memory used, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.polygons.iter().map(Polygon::memory).sum()
    }

    /// Of layers the outer ones stay right; the polygons without one sample each do so only together.
    fn keep(&mut self, outer: usize) {
        let layered = matches!(self.allowance, Some(Allowance::Layers(_)));
        self.valid = if layered { outer } else { 0 };
    }
}

/// The polygon without the `q` tightest lower and the `q` tightest upper bounds: those nearest to `whole` at their moment.
pub(crate) fn relaxed<'w>(whole: &Polygon, agree: &impl Window<'w>, q: usize, max_drift: f64) -> Polygon {
    let gap = |h: &HalfPlane| {
        let (low, high) = whole.range(h.t);
        if h.above { h.bound - high } else { low - h.bound }
    };
    let mut polygon = Polygon::unbounded(max_drift);
    for side in [Bounds::lower, Bounds::upper] {
        let halves = agree.clone().map(|k| side(&k.bounds));
        let finite = halves.filter(|h| h.bound.is_finite());
        let mut halves: Vec<(f64, HalfPlane)> = finite.map(|h| (gap(&h), h)).collect();
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
