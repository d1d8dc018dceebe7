//! How the `Date` samples of a vendor narrow its other clocks, while it is not known whether these truncate or round.
//!
//! A `Date` is always truncated. A stamp rounded to its quantum `q` equals one truncated by a clock `q/2` ahead. So a
//! `Date` sample that is applied to a clock of rounded stamps must be shifted by `q/2`. Until it is known which of the two
//! applies, the hull of both readings is used: a shift by `q/4`, with the bound widened by `q/4`. With stamps of
//! milliseconds that is exact to a millisecond, and nothing needs to be learned.
//!
//! If the clock's own samples and the `Date` samples agree under neither reading, the declared bound is too small, or only
//! one of the two clocks was stepped. Then the coupling is given up, and the clock is doubted for a while.

use super::calibrator::Rounding;

/// How the `Date` samples are applied to a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coupling {
    /// Not at all: no bound is declared, or too little is known yet.
    #[default]
    None,
    /// Under both readings.
    Either,
    /// Under the hypothesis that applies.
    Known,
    /// No more, because the clock's own samples contradict them.
    Broken,
}

/// How to apply `Date` samples: in which mode, what to add to a `Date`, and the greatest distance of the clocks, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Application {
    pub coupling: Coupling,
    pub rounding: Option<Rounding>,
    pub shift_ms: f64,
    pub slack_ms: f64,
}

/// Chooses how to apply `Date` samples to a clock with stamps of `quantum` ms. `own` is the clock's interval by its own
/// samples, if these bound it; `front` is the interval of the `Date` clock; `rounding` is configured or learned already.
pub(crate) fn choose(
    own: Option<(f64, f64)>,
    front: Option<(f64, f64)>,
    quantum: f64,
    bound: f64,
    rounding: Option<Rounding>,
) -> Application {
    let fits = |shift: f64| match (own, front) {
        (Some(own), Some(front)) => own.0 <= front.1 + shift + bound && front.0 + shift - bound <= own.1,
        _ => true,
    };
    let known = |rounding: Rounding| Application {
        coupling: Coupling::Known,
        rounding: Some(rounding),
        shift_ms: if rounding == Rounding::Rounded {
            quantum / 2.0
        } else {
            0.0
        },
        slack_ms: bound,
    };
    let broken = Application {
        coupling: Coupling::Broken,
        rounding,
        shift_ms: 0.0,
        slack_ms: 0.0,
    };
    match (rounding, fits(0.0), fits(quantum / 2.0)) {
        (Some(Rounding::Truncated), true, _) | (None, true, false) => known(Rounding::Truncated),
        (Some(Rounding::Rounded), _, true) | (None, false, true) => known(Rounding::Rounded),
        (None, true, true) => Application {
            coupling: Coupling::Either,
            rounding: None,
            shift_ms: quantum / 4.0,
            slack_ms: bound + quantum / 4.0,
        },
        _ => broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_rounding_couples_with_hull() {
        let got = choose(Some((-400.0, 900.0)), Some((-50.0, 50.0)), 1000.0, 10.0, None);
        assert_eq!(
            (got.coupling, got.shift_ms, got.slack_ms),
            (Coupling::Either, 250.0, 260.0)
        );
        // Both readings of a `Date` lie inside.
        assert!(got.shift_ms - got.slack_ms <= -10.0 && 510.0 <= got.shift_ms + got.slack_ms);
    }

    #[test]
    fn reading_that_fits_alone_is_learned() {
        let got = choose(Some((400.0, 600.0)), Some((-50.0, 50.0)), 1000.0, 10.0, None);
        assert_eq!((got.coupling, got.rounding), (Coupling::Known, Some(Rounding::Rounded)));
    }

    #[test]
    fn no_reading_fits_breaks_the_coupling() {
        for rounding in [None, Some(Rounding::Truncated)] {
            let got = choose(Some((1400.0, 1600.0)), Some((-50.0, 50.0)), 1000.0, 10.0, rounding);
            assert_eq!(got.coupling, Coupling::Broken);
        }
    }
}
