//! Whether an estimate may replace an earlier one of the same event.
//!
//! Both were published as guaranteed, so the truth lies in both. A later estimate inside the earlier one is better. If the
//! later estimate reaches outside a little, it has only lost old samples, so the earlier one stays. If it lies mostly
//! outside, an assumption behind one of the two broke. It is unknown which, so only the hull is safe.

use super::Moment;

/// The guaranteed ends of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The event was not before this; `None` if there is no lower bound.
    pub earliest: Option<Moment>,
    /// The event was not after this.
    pub latest: Moment,
}

/// What to do with a later estimate of the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// Publish the later estimate: it lies inside the earlier one.
    Replace,
    /// Keep the earlier estimate: the later one is wider, or differs only at its ends.
    Keep,
    /// Publish this hull of both and mark it as conflicting, because an assumption behind one of them broke.
    Widen(Claim),
}

impl Claim {
    /// Compares this published claim with a later one of the same event.
    pub fn revised_by(self, later: Self) -> Revision {
        let floor = |t: Option<Moment>| t.map_or(i64::MIN, Moment::as_nanos);
        let (old_low, new_low) = (floor(self.earliest), floor(later.earliest));
        let (old_high, new_high) = (self.latest.as_nanos(), later.latest.as_nanos());
        if old_low <= new_low && new_high <= old_high {
            return Revision::Replace;
        }
        let width = |low: i64, high: i64| i128::from(high) - i128::from(low);
        let common = width(old_low.max(new_low), old_high.min(new_high));
        let narrower = width(old_low, old_high).min(width(new_low, new_high));
        if common.saturating_mul(2) >= narrower {
            return Revision::Keep;
        }
        Revision::Widen(Self {
            earliest: self.earliest.zip(later.earliest).map(|(a, b)| a.min(b)),
            latest: self.latest.max(later.latest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(from: i64, to: i64) -> Claim {
        Claim {
            earliest: Some(Moment::from_millis(from)),
            latest: Moment::from_millis(to),
        }
    }

    #[test]
    fn kind_05_revision_replaces_only_inside_the_earlier_claim() {
        let old = claim(0, 1000);
        assert_eq!(old.revised_by(claim(200, 800)), Revision::Replace);
        assert_eq!(old.revised_by(claim(-10, 990)), Revision::Keep);
        assert_eq!(old.revised_by(claim(-100, 1200)), Revision::Keep);
        assert_eq!(old.revised_by(claim(950, 1300)), Revision::Widen(claim(0, 1300)));
        assert_eq!(old.revised_by(claim(2000, 2100)), Revision::Widen(claim(0, 2100)));
        let open = Claim { earliest: None, ..old };
        assert_eq!(open.revised_by(old), Revision::Replace);
        assert_eq!(old.revised_by(open), Revision::Keep);
    }
}
