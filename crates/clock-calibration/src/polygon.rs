//! A convex polygon in the (offset, drift) plane, cut by half-planes.
//!
//! A vendor's clock reads `V(t) = t + offset(t)` with `offset(t) = o + d·t`. One sample says `offset(t₁) ≥ a` or
//! `offset(t₀) ≤ b`: each is a half-plane over `(o, d)`. Their intersection is convex. The offset at any moment `t` is
//! the polygon's range along `(1, t)`, and the extremes of a linear function over a polygon are at its vertices.
//!
//! Units: `o` in ms, `d` in ms per hour, `t` in hours from the polygon's own zero. Each edge remembers which cut made
//! it, so that the samples that hold the polygon in place (its *support*) can be named.

/// Which cut made an edge: a sample's number, or [`BOX`].
pub(crate) type Label = u32;

/// The label of the edges of the starting box, which belong to no sample.
pub(crate) const BOX: Label = Label::MAX;

/// 100 days, in ms: more than any clock is wrong. A side of the starting box that is still an edge means "not bounded
/// yet".
const FAR: f64 = 100.0 * 86_400_000.0;

/// A cut closer than this to a vertex, in ms, goes through the vertex; otherwise floating-point errors would decide.
const TOLERANCE: f64 = 1e-6;

/// `offset(t) ≤ bound` or `offset(t) ≥ bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfPlane {
    /// The moment of the bound, in hours.
    pub t: f64,
    /// The bound, in ms.
    pub bound: f64,
    /// Whether it is an upper bound.
    pub above: bool,
}

impl HalfPlane {
    /// How far a point is outside, in ms; negative inside.
    fn outside(&self, o: f64, d: f64) -> f64 {
        let offset = o + d * self.t;
        if self.above {
            offset - self.bound
        } else {
            self.bound - offset
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Vertex {
    o: f64,
    d: f64,
    /// Label of the edge from this vertex to the next.
    edge: Label,
}

/// The effect of a half-plane on a polygon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// None: the polygon lies inside the half-plane.
    Nothing,
    /// It cuts a part off.
    Smaller,
    /// It would leave nothing, so it contradicts the earlier cuts.
    Contradiction,
}

/// All (offset, drift) that no sample has excluded. Never empty.
#[derive(Debug, PartialEq)]
pub struct Polygon {
    vertices: Vec<Vertex>,
    chord_test: ChordTest,
}

/// Room for the vertices of most polygons, so that a cut rarely needs memory.
const ROOM: usize = 16;

impl Clone for Polygon {
    fn clone(&self) -> Self {
        let mut vertices = Vec::with_capacity(ROOM.max(self.vertices.len() + 2));
        vertices.extend_from_slice(&self.vertices);
        Self {
            vertices,
            chord_test: self.chord_test,
        }
    }
}

/// A cheap sufficient test for "the polygon lies inside". The greatest offset over the polygon is a convex function of
/// the moment, so between two moments it is below the chord of its values there; the least offset is above its chord.
/// Most samples of a window say less than is known already, and this test skips them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ChordTest {
    low: [Chord; 2],
    high: [Chord; 2],
}

/// A chord over one of the two spans between [`ENDS`]: `start + slope · t`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Chord {
    start: f64,
    slope: f64,
}

/// The ends of two chords, in hours from the polygon's zero: the longest window and the usual one. Outside them every
/// vertex is tested.
const ENDS: [f64; 3] = [-24.5, -6.5, 0.5];

impl ChordTest {
    fn of(vertices: &[Vertex]) -> Self {
        let mut ranges = [(f64::INFINITY, f64::NEG_INFINITY); 3];
        for v in vertices {
            for (range, t) in ranges.iter_mut().zip(ENDS) {
                let offset = v.o + v.d * t;
                *range = (range.0.min(offset), range.1.max(offset));
            }
        }
        // The slope is computed here, so that a test needs no division.
        let chords = |at: [f64; 3]| {
            [0, 1].map(|i| {
                let slope = (at[i + 1] - at[i]) / (ENDS[i + 1] - ENDS[i]);
                let start = at[i] - slope * ENDS[i];
                Chord { start, slope }
            })
        };
        Self {
            low: chords(ranges.map(|r| r.0)),
            high: chords(ranges.map(|r| r.1)),
        }
    }

    #[inline]
    fn is_inside(&self, half: &HalfPlane) -> bool {
        if !(half.t >= ENDS[0] && half.t <= ENDS[2]) {
            return false;
        }
        let span = usize::from(half.t >= ENDS[1]);
        let at = |chords: &[Chord; 2]| chords[span].start + chords[span].slope * half.t;
        if half.above {
            at(&self.high) <= half.bound
        } else {
            at(&self.low) >= half.bound
        }
    }
}

fn range(vertices: &[Vertex], value: impl Fn(&Vertex) -> f64) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    vertices
        .iter()
        .map(value)
        .fold(start, |(low, high), x| (low.min(x), high.max(x)))
}

impl Polygon {
    /// All offsets, and every drift up to `max_drift` ms per hour in either direction.
    pub fn unbounded(max_drift: f64) -> Self {
        let corner = |o, d| Vertex { o, d, edge: BOX };
        let mut vertices = Vec::with_capacity(ROOM);
        vertices.extend([
            corner(-FAR, -max_drift),
            corner(FAR, -max_drift),
            corner(FAR, max_drift),
            corner(-FAR, max_drift),
        ]);
        Self {
            chord_test: ChordTest::of(&vertices),
            vertices,
        }
    }

    /// A cheap test that is sufficient for `half` to have no effect.
    pub fn is_surely_inside(&self, half: &HalfPlane) -> bool {
        self.chord_test.is_inside(half)
    }

    /// The effect that `half` would have: none, a cut, or a contradiction.
    pub fn against(&self, half: &HalfPlane) -> Cut {
        if self.chord_test.is_inside(half) {
            return Cut::Nothing;
        }
        // How far each vertex is outside: `offset − bound`, or the other way round for a lower bound.
        let (low, high) = self.range(half.t);
        let (best, worst) = if half.above {
            (low - half.bound, high - half.bound)
        } else {
            (half.bound - high, half.bound - low)
        };
        if worst <= TOLERANCE {
            Cut::Nothing
        } else if best <= TOLERANCE {
            Cut::Smaller
        } else {
            Cut::Contradiction
        }
    }

    /// Keeps the part inside `half`, which must cut the polygon.
    pub fn cut(&mut self, half: &HalfPlane, label: Label) {
        let n = self.vertices.len();
        let is_in = |v: &Vertex| half.outside(v.o, v.d) <= TOLERANCE;
        let (mut leaves, mut returns, mut turns) = (0, 0, 0);
        let mut before = is_in(&self.vertices[n - 1]);
        for (i, v) in self.vertices.iter().enumerate() {
            let now = is_in(v);
            if before != now {
                let last = if i == 0 { n - 1 } else { i - 1 };
                *(if before { &mut leaves } else { &mut returns }) = last;
                turns += 1;
            }
            before = now;
        }
        if turns != 2 {
            self.cut_uneven(half, label);
        } else {
            // The cut removes one row of vertices, and the two crossings replace it.
            let (out, back) = (self.crossing(leaves, half, label), self.crossing(returns, half, label));
            if leaves < returns {
                self.vertices.splice(leaves + 1..=returns, [out, back]);
            } else {
                // The row goes over the end of the list.
                self.vertices.truncate(leaves + 1);
                self.vertices.push(out);
                self.vertices[returns] = back;
                self.vertices.drain(..returns);
            }
        }
        merge_close(&mut self.vertices);
        self.chord_test = ChordTest::of(&self.vertices);
    }

    /// Where the border of `half` crosses the edge that begins at vertex `i`.
    fn crossing(&self, i: usize, half: &HalfPlane, label: Label) -> Vertex {
        let n = self.vertices.len();
        let (here, next) = (self.vertices[i], self.vertices[if i + 1 == n { 0 } else { i + 1 }]);
        let (a, b) = (half.outside(here.o, here.d), half.outside(next.o, next.d));
        // A point within the tolerance of the line is itself the crossing.
        let share = (a / (a - b)).clamp(0.0, 1.0);
        Vertex {
            o: here.o + (next.o - here.o) * share,
            d: here.d + (next.d - here.d) * share,
            // Going out, the next edge is the cut; coming in, the current edge continues.
            edge: if a <= TOLERANCE { label } else { here.edge },
        }
    }

    /// The same if floating-point errors made the border cross a nearly straight row of vertices more than twice.
    fn cut_uneven(&mut self, half: &HalfPlane, label: Label) {
        let n = self.vertices.len();
        let is_in = |v: &Vertex| half.outside(v.o, v.d) <= TOLERANCE;
        let mut kept = Vec::with_capacity(n + 2);
        for (i, here) in self.vertices.iter().enumerate() {
            kept.extend(is_in(here).then_some(*here));
            let crosses = is_in(here) != is_in(&self.vertices[(i + 1) % n]);
            kept.extend(crosses.then(|| self.crossing(i, half, label)));
        }
        self.vertices = kept;
    }

    /// The edges at the vertex nearest to `half`. Together with `half` they prove a contradiction.
    pub fn nearest_edges(&self, half: &HalfPlane) -> [Label; 2] {
        let n = self.vertices.len();
        let outside = |i: &usize| half.outside(self.vertices[*i].o, self.vertices[*i].d);
        let nearest = (0..n).min_by(|a, b| outside(a).total_cmp(&outside(b))).unwrap_or(0);
        [self.vertices[(nearest + n - 1) % n].edge, self.vertices[nearest].edge]
    }

    /// How far the polygon is from `half`, in ms; not positive if they have a point in common.
    pub fn excess(&self, half: &HalfPlane) -> f64 {
        let outside = self.vertices.iter().map(|v| half.outside(v.o, v.d));
        outside.fold(f64::INFINITY, f64::min)
    }

    /// Moves the zero of the hours by `by` hours.
    pub fn move_zero(&mut self, by: f64) {
        for v in &mut self.vertices {
            v.o += v.d * by;
        }
        self.chord_test = ChordTest::of(&self.vertices);
    }

    /// Least and greatest offset at `t`, in ms.
    pub fn range(&self, t: f64) -> (f64, f64) {
        range(&self.vertices, |v| v.o + v.d * t)
    }

    /// Least and greatest drift, in ms per hour.
    pub fn drift(&self) -> (f64, f64) {
        range(&self.vertices, |v| v.d)
    }

    /// Whether samples bound the offset on both sides.
    pub fn is_bounded(&self) -> bool {
        self.vertices.iter().all(|v| v.o.abs() < FAR / 2.0)
    }

    /// The area, and the mean (offset, drift) over it.
    pub fn mass(&self) -> (f64, f64, f64) {
        let first = self.vertices[0];
        let (mut area, mut o, mut d) = (0.0, 0.0, 0.0);
        for pair in self.vertices[1..].windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let piece = (a.o - first.o) * (b.d - first.d) - (b.o - first.o) * (a.d - first.d);
            area += piece;
            o += piece * (a.o + b.o - 2.0 * first.o) / 3.0;
            d += piece * (a.d + b.d - 2.0 * first.d) / 3.0;
        }
        if area.abs() > f64::MIN_POSITIVE {
            return (area.abs() / 2.0, first.o + o / area, first.d + d / area);
        }
        // A point or a segment has no area, so take the mean of its vertices.
        #[allow(clippy::cast_precision_loss, reason = "a handful of vertices")]
        let n = self.vertices.len() as f64;
        let sum = self.vertices.iter().fold((0.0, 0.0), |(o, d), v| (o + v.o, d + v.d));
        (0.0, sum.0 / n, sum.1 / n)
    }

    /// The samples whose cuts are edges, each once.
    pub fn support(&self) -> Vec<Label> {
        let mut labels: Vec<Label> = self.vertices.iter().map(|v| v.edge).filter(|l| *l != BOX).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// The samples whose lower bounds are edges, and those whose upper bounds are. The vertices go round anticlockwise with
    /// the offset to the right and the drift upwards, so an edge of a lower bound goes down.
    pub fn sides(&self) -> [Vec<Label>; 2] {
        let n = self.vertices.len();
        let mut sides = [Vec::new(), Vec::new()];
        for (i, v) in self.vertices.iter().enumerate().filter(|(_, v)| v.edge != BOX) {
            let next = &self.vertices[(i + 1) % n];
            sides[usize::from(next.d > v.d)].push(v.edge);
        }
        sides
    }

    /// Memory used, in bytes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.vertices.capacity() * size_of::<Vertex>()
    }

    /// Whether the cut of this sample is an edge.
    pub fn rests_on(&self, label: Label) -> bool {
        self.vertices.iter().any(|v| v.edge == label)
    }
}

/// Merges vertices that differ only by floating-point errors.
fn merge_close(vertices: &mut Vec<Vertex>) {
    let close = |a: &Vertex, b: &Vertex| (a.o - b.o).abs() < TOLERANCE && (a.d - b.d).abs() < TOLERANCE;
    let mut i = 0;
    while vertices.len() > 3 && i < vertices.len() {
        let next = (i + 1) % vertices.len();
        if close(&vertices[i], &vertices[next]) {
            // The edge between them has no length, so it is removed with the first of the two.
            vertices.remove(i);
        } else {
            i += 1;
        }
    }
}
