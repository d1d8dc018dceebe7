//! From a window of samples to the set of (offset, drift) they leave, and to the few that do not agree with the rest.
//!
//! Samples are cut in one after another. One that would leave nothing contradicts those before it. Then either it lies,
//! or one that holds the polygon in place does: whichever explanation leaves fewer samples out is taken, which is
//! Marzullo's idea in two dimensions. Two orders are tried, oldest first and least odd first. By Helly's theorem three
//! half-planes suffice to show that no point of the plane satisfies all; those three are kept as the *witness* of a
//! rejection.
//!
//! A sample far from what the delays make likely is *odd*: it may contradict, but it never cuts. Leaving a sample out
//! is always safe, it can only widen, and an odd honest sample is a late one, which says little anyway.
//!
//! Next to the polygon of all agreeing samples stand the polygons with one of its support samples left out. The hull of
//! their ranges is the *leave-one-out* interval: it contains the truth even if any one agreeing sample lies, however
//! slightly. Leaving out a sample that does not hold the polygon changes nothing, so the support is all there is to try.

use super::polygon::{BOX, Cut, HalfPlane, Label, Polygon};

/// How often a fit looks for a better explanation.
const ROUNDS: usize = 6;

/// Odder than this, in standard deviations, a sample never cuts.
pub const ODD: f64 = 2.5;

/// What one sample says: at most one bound from below and one from above, the lower never above the upper.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Strip {
    /// `offset(t) ≥ bound`.
    pub lower: Option<HalfPlane>,
    /// `offset(t) ≤ bound`.
    pub upper: Option<HalfPlane>,
}

impl Strip {
    fn sides(&self) -> impl Iterator<Item = HalfPlane> {
        self.lower.into_iter().chain(self.upper)
    }

    /// The side that leaves nothing of `polygon`, if one does. A polygon that reaches above the lower line and below the
    /// upper one is connected, so it has a point between them: the sides need not be tried together.
    fn contradicts(&self, polygon: &Polygon) -> Option<HalfPlane> {
        self.sides().find(|half| polygon.against(half) == Cut::Contradiction)
    }

    /// Cuts it into `polygon`, whole or not at all.
    pub fn cut_into(&self, polygon: &mut Polygon, label: Label) -> Cut {
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

/// A sample of a window, ready to be cut in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub label: Label,
    /// What it says.
    pub strip: Strip,
    /// How far it is from what is likely, in standard deviations.
    pub oddness: f64,
    /// Whether it may cut; an odd one may only contradict.
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

/// A sample that does not agree with the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// Which.
    pub label: Label,
    /// With these it leaves no possible clock; [`BOX`] stands for the greatest drift.
    pub witness: [Label; 2],
}

/// The samples' agreement.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    whole: Polygon,
    without: Vec<(Label, Polygon)>,
    outliers: Vec<Outlier>,
    /// The places in `without` that rest on a forgotten sample.
    stale: Vec<usize>,
}

/// What a forgotten sample had held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forgotten {
    /// Nothing: all is as it was.
    Nothing,
    /// Only polygons that leave something out; see [`Fit::mend`].
    Part,
    /// The polygon itself: the window is to be fitted anew.
    Whole,
}

impl Fit {
    /// No samples: everything is possible.
    pub fn empty(max_drift: f64) -> Self {
        Self {
            whole: Polygon::unbounded(max_drift),
            without: Vec::new(),
            outliers: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// Fits a window, given oldest first.
    pub fn of(window: &[Candidate], max_drift: f64) -> Self {
        let (_, excluded) = agreement(window, max_drift);
        // Whoever contradicts is excluded already; an odd one that comes before what it contradicts cuts nothing.
        Self::without(window, &excluded, max_drift).0
    }

    /// Fits a window all of whose samples agree but the excluded ones. Says whether they do.
    pub fn without(window: &[Candidate], excluded: &[Label], max_drift: f64) -> (Self, bool) {
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

    /// Makes good what [`Fit::forget`] found that a forgotten sample had held.
    pub fn mend(&mut self, window: &[Candidate], max_drift: f64) {
        let agree: Vec<&Candidate> = window.iter().filter(|c| !self.is_outlier(c.label)).collect();
        for place in std::mem::take(&mut self.stale) {
            if let Some((label, polygon)) = self.without.get_mut(place) {
                *polygon = all_but(&agree, &[*label], &polygon.support(), max_drift);
            }
        }
    }

    /// Adds a sample that is newer than all before. `false`: it contradicts them, and only that was noted.
    pub fn add(&mut self, candidate: &Candidate) -> bool {
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
            // The support is made of old edges and the new one; what was the whole is now "all but the new one".
            self.without.retain(|(l, _)| self.whole.rests_on(*l));
            if self.whole.rests_on(candidate.label) {
                self.without.push((candidate.label, before));
            }
        }
        true
    }

    /// Forgets a sample.
    pub fn forget(&mut self, label: Label) -> Forgotten {
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

    /// Whether this sample does not agree.
    pub fn is_outlier(&self, label: Label) -> bool {
        self.outliers.iter().any(|o| o.label == label)
    }

    /// The set that all agreeing samples leave.
    pub fn polygon(&self) -> &Polygon {
        &self.whole
    }

    /// How much memory it holds beyond itself, bytes.
    pub fn memory(&self) -> usize {
        let polygons = std::iter::once(&self.whole).chain(self.without.iter().map(|(_, p)| p));
        polygons.map(Polygon::memory).sum::<usize>() + self.outliers.capacity() * size_of::<Outlier>()
    }

    /// The samples that do not agree.
    pub fn outliers(&self) -> &[Outlier] {
        &self.outliers
    }

    /// The guaranteed offset at `t`, ms; `None` while one lie could put it anywhere.
    pub fn guaranteed(&self, t: f64) -> Option<(f64, f64)> {
        let bounded = !self.without.is_empty() && self.without.iter().all(|(_, p)| p.is_bounded());
        let all = self.without.iter().map(|(_, p)| p.range(t));
        bounded.then(|| all.fold(self.whole.range(t), |(low, high), (l, h)| (low.min(l), high.max(h))))
    }

    /// The same without any of the support, or (`very`) even without what then holds it: for a window with many lies, of
    /// which several may hold the polygon.
    pub fn cautious(&self, window: &[Candidate], max_drift: f64, t: f64, very: bool) -> Option<(f64, f64)> {
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

    /// (offset, drift) in the middle: the mean over the polygon, each point as likely as any other, and with a little
    /// doubt over the polygons without one sample, by their size: a lie that cuts deep leaves a small polygon behind.
    pub fn middle(&self) -> (f64, f64) {
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

/// What some samples leave, but for those left out. The order does not matter; with those that likely hold it first, most
/// of the others have nothing left to cut.
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

/// The largest agreement found: what it leaves, and the samples that are not in it.
pub fn agreement(window: &[Candidate], max_drift: f64) -> (Polygon, Vec<Label>) {
    let by_time = greedy(window, max_drift);
    if by_time.1.is_empty() {
        return by_time;
    }
    let mut least_odd_first = window.to_vec();
    least_odd_first.sort_by(|a, b| a.oddness.total_cmp(&b.oddness));
    let by_oddness = greedy(&least_odd_first, max_drift);
    if by_oddness.1.len() < by_time.1.len() {
        by_oddness
    } else {
        by_time
    }
}

/// The samples that contradict those before them, oldest first, none of those before doubted.
pub fn contradictions(window: &[Candidate], max_drift: f64) -> Vec<Label> {
    cut_all(window, &[], max_drift).1
}

fn greedy(window: &[Candidate], max_drift: f64) -> (Polygon, Vec<Label>) {
    let mut left_out: Vec<Label> = Vec::new();
    let (mut whole, mut against) = cut_all(window, &left_out, max_drift);
    for _ in 0..ROUNDS {
        if against.len() < 2 {
            break;
        }
        let Some(liars) = better_explanation(window, &left_out, &whole, &against, max_drift) else {
            break;
        };
        left_out.extend(liars);
        (whole, against) = cut_all(window, &left_out, max_drift);
    }
    left_out.extend(against);
    (whole, left_out)
}

/// Cuts everything but `left_out` in, in the given order. Returns what is left and who contradicts it.
fn cut_all(window: &[Candidate], left_out: &[Label], max_drift: f64) -> (Polygon, Vec<Label>) {
    let mut polygon = Polygon::unbounded(max_drift);
    let mut against = Vec::new();
    for candidate in window.iter().filter(|c| !left_out.contains(&c.label)) {
        if candidate.cut_into(&mut polygon) == Cut::Contradiction {
            against.push(candidate.label);
        }
    }
    // An odd sample may come before what it contradicts.
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

/// One or two support samples without which more samples agree than are lost.
fn better_explanation(
    window: &[Candidate],
    left_out: &[Label],
    whole: &Polygon,
    against: &[Label],
    max_drift: f64,
) -> Option<Vec<Label>> {
    let gain = |liars: &[Label]| {
        let out: Vec<Label> = left_out.iter().chain(liars).copied().collect();
        let (_, still) = cut_all(window, &out, max_drift);
        against.len().saturating_sub(still.len())
    };
    let support = whole.support();
    // Without any of the support no fewer agree than without some of it: mostly that settles it.
    let most = gain(&support);
    if most < 2 {
        return None;
    }
    let best = |candidates: &mut dyn Iterator<Item = Vec<Label>>| {
        candidates
            .map(|liars| (gain(&liars), liars))
            .max_by_key(|(gain, _)| *gain)
    };
    if let Some((gain, liars)) = best(&mut support.iter().map(|l| vec![*l]))
        && gain >= 2
    {
        return Some(liars);
    }
    if most < 3 {
        return None;
    }
    let mut pairs = support
        .iter()
        .enumerate()
        .flat_map(|(i, a)| support[i + 1..].iter().map(|b| vec![*a, *b]));
    best(&mut pairs).filter(|(gain, _)| *gain >= 3).map(|(_, liars)| liars)
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

/// How many of some samples are odd.
pub fn share_of_odd(oddness: impl Iterator<Item = f64>) -> f64 {
    let (odd, all) = oddness.fold((0_u32, 0_u32), |(odd, all), z| (odd + u32::from(z > ODD), all + 1));
    f64::from(odd) / f64::from(all.max(1))
}
