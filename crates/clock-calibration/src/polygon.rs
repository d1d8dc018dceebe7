//! A convex polygon in the (offset, drift) plane, cut by half-planes.
//!
//! A vendor's clock reads `V(t) = t + offset(t)` with `offset(t) = o + d·t`. One sample says `offset(t₁) ≥ a` or
//! `offset(t₀) ≤ b`: each is a half-plane over `(o, d)`. Their intersection is convex; the offset at any moment `t` is the
//! polygon's range along `(1, t)`, and the extremes of a linear function over a polygon are at its vertices.
//!
//! Units: `o` in ms, `d` in ms per hour, `t` in hours from the polygon's own zero. Each edge remembers which cut made it,
//! so that the samples that hold the polygon in place (its *support*) can be named.

/// Which cut made an edge: a sample's number, or [`BOX`].
pub type Label = u32;

/// The edges of the starting box: no sample's.
pub const BOX: Label = Label::MAX;

/// Wider than any clock is wrong: 100 days, ms. A side of the box that is still an edge means "not bounded yet".
const FAR: f64 = 100.0 * 86_400_000.0;

/// Cuts closer than this to a vertex, ms, go through it: below it, rounding errors decide.
const TOLERANCE: f64 = 1e-6;

/// `offset(t) ≤ bound` or `offset(t) ≥ bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfPlane {
    /// The moment it speaks of, hours.
    pub t: f64,
    /// The bound, ms.
    pub bound: f64,
    /// Whether it bounds from above.
    pub above: bool,
}

impl HalfPlane {
    /// How far a point is outside, ms; negative inside.
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
    /// Made the edge from this vertex to the next.
    edge: Label,
}

/// How a half-plane lies to a polygon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The polygon lies inside.
    Nothing,
    /// It cuts a part off.
    Smaller,
    /// Nothing would be left of it: the half-plane contradicts those before.
    Contradiction,
}

/// The set of all (offset, drift) that no sample has excluded. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon {
    vertices: Vec<Vertex>,
    glance: Glance,
}

/// A cheap sufficient test for "lies inside". The greatest offset over the polygon is a convex function of the moment, so
/// between two moments it is below the chord of its values there; the least is above. Most samples of a window say less
/// than is known already, and are passed over by this.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Glance {
    low: (f64, f64),
    high: (f64, f64),
}

/// The moments of the chord, hours from the polygon's zero: the usual window. Beyond it every vertex is asked.
const FROM: f64 = -6.5;
const TO: f64 = 0.5;

impl Glance {
    fn of(vertices: &[Vertex]) -> Self {
        let at = |t: f64| range(vertices, |v| v.o + v.d * t);
        let ((low_from, high_from), (low_to, high_to)) = (at(FROM), at(TO));
        Self {
            low: (low_from, low_to),
            high: (high_from, high_to),
        }
    }

    fn is_inside(&self, half: &HalfPlane) -> bool {
        if half.t < FROM || half.t > TO {
            return false;
        }
        let share = (half.t - FROM) / (TO - FROM);
        let chord = |(from, to): (f64, f64)| from + (to - from) * share;
        if half.above {
            chord(self.high) <= half.bound
        } else {
            chord(self.low) >= half.bound
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
    /// All offsets, and every drift up to `max_drift` ms per hour either way.
    pub fn unbounded(max_drift: f64) -> Self {
        let corner = |o, d| Vertex { o, d, edge: BOX };
        let vertices = vec![
            corner(-FAR, -max_drift),
            corner(FAR, -max_drift),
            corner(FAR, max_drift),
            corner(-FAR, max_drift),
        ];
        Self {
            glance: Glance::of(&vertices),
            vertices,
        }
    }

    /// How `half` lies to it: leaves it whole, cuts it, or contradicts it.
    pub fn against(&self, half: &HalfPlane) -> Cut {
        if self.glance.is_inside(half) {
            return Cut::Nothing;
        }
        let (mut best, mut worst) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in &self.vertices {
            let outside = half.outside(v.o, v.d);
            best = best.min(outside);
            worst = worst.max(outside);
        }
        if worst <= TOLERANCE {
            Cut::Nothing
        } else if best <= TOLERANCE {
            Cut::Smaller
        } else {
            Cut::Contradiction
        }
    }

    /// Keeps what lies inside `half`, which cuts it.
    pub fn cut(&mut self, half: &HalfPlane, label: Label) {
        let n = self.vertices.len();
        let distance = |v: &Vertex| half.outside(v.o, v.d);
        let mut kept = Vec::with_capacity(n + 1);
        for i in 0..n {
            let (here, next) = (self.vertices[i], self.vertices[(i + 1) % n]);
            let (a, b) = (distance(&here), distance(&next));
            let (in_here, in_next) = (a <= TOLERANCE, b <= TOLERANCE);
            if in_here {
                kept.push(here);
            }
            if in_here != in_next {
                // The crossing; a point within the tolerance of the line is itself the crossing.
                let share = (a / (a - b)).clamp(0.0, 1.0);
                let crossing = Vertex {
                    o: here.o + (next.o - here.o) * share,
                    d: here.d + (next.d - here.d) * share,
                    // Going out, the cut itself is the next edge; coming in, the edge we came along goes on.
                    edge: if in_here { label } else { here.edge },
                };
                kept.push(crossing);
            }
        }
        merge_close(&mut kept);
        self.glance = Glance::of(&kept);
        self.vertices = kept;
    }

    /// The edges that meet at the vertex nearest to `half`: with it, the witness of a contradiction.
    pub fn nearest_edges(&self, half: &HalfPlane) -> [Label; 2] {
        let n = self.vertices.len();
        let outside = |i: &usize| half.outside(self.vertices[*i].o, self.vertices[*i].d);
        let nearest = (0..n).min_by(|a, b| outside(a).total_cmp(&outside(b))).unwrap_or(0);
        [self.vertices[(nearest + n - 1) % n].edge, self.vertices[nearest].edge]
    }

    /// Moves the zero of the hours by `by`.
    pub fn move_zero(&mut self, by: f64) {
        for v in &mut self.vertices {
            v.o += v.d * by;
        }
        self.glance = Glance::of(&self.vertices);
    }

    /// The offset at `t`: least and greatest, ms.
    pub fn range(&self, t: f64) -> (f64, f64) {
        range(&self.vertices, |v| v.o + v.d * t)
    }

    /// The drift: least and greatest, ms per hour.
    pub fn drift(&self) -> (f64, f64) {
        range(&self.vertices, |v| v.d)
    }

    /// Whether samples bound the offset on both sides.
    pub fn is_bounded(&self) -> bool {
        self.vertices.iter().all(|v| v.o.abs() < FAR / 2.0)
    }

    /// The middle of the mass: the mean of (offset, drift) over the polygon, each point as likely as any other.
    pub fn centroid(&self) -> (f64, f64) {
        let (_, o, d) = self.mass();
        (o, d)
    }

    /// Its area, and the mean of (offset, drift) over it.
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
        // A point or a segment: the mean of its ends.
        #[allow(clippy::cast_precision_loss, reason = "a handful of vertices")]
        let n = self.vertices.len() as f64;
        let sum = self.vertices.iter().fold((0.0, 0.0), |(o, d), v| (o + v.o, d + v.d));
        (0.0, sum.0 / n, sum.1 / n)
    }

    /// The samples whose cuts are its edges, without repeats.
    pub fn support(&self) -> Vec<Label> {
        let mut labels: Vec<Label> = self.vertices.iter().map(|v| v.edge).filter(|l| *l != BOX).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// How much memory it holds, bytes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.vertices.capacity() * size_of::<Vertex>()
    }

    /// Whether a sample's cut is one of its edges.
    pub fn rests_on(&self, label: Label) -> bool {
        self.vertices.iter().any(|v| v.edge == label)
    }
}

/// Vertices that rounding has put on top of each other are one; the later edge is the one that goes on.
fn merge_close(vertices: &mut Vec<Vertex>) {
    let close = |a: &Vertex, b: &Vertex| (a.o - b.o).abs() < TOLERANCE && (a.d - b.d).abs() < TOLERANCE;
    let mut i = 0;
    while vertices.len() > 3 && i < vertices.len() {
        let next = (i + 1) % vertices.len();
        if close(&vertices[i], &vertices[next]) {
            // The edge between them has no length: it goes with the first of the two.
            vertices.remove(i);
        } else {
            i += 1;
        }
    }
}
