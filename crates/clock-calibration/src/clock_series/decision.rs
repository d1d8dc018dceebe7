//! Decides a strong suspicion of a step.

use super::{ClockSeries, Fit, ShiftTest};
use crate::marzullo::outside_largest_agreement;
use crate::moment::Moment;
use crate::packed_sample::PackedSample;
use crate::polygon::Label;
use crate::shift_test::{ENOUGH, Suspicion, is_before};

/// A step is certain if this many samples more contradict the older ones than each other.
const CERTAIN: usize = 3;
/// The same while there are too few older samples to rank the newer ones among.
const CERTAIN_OF_FEW: usize = 5;
/// Without contradictions the older samples are given up only after this many newer ones.
const REPLACED_BY: usize = 40;
/// So many samples that contradict the older ones are tried as the first after a step.
const MOST_SPLITS: usize = 8;

impl ClockSeries {
    /// Decides a strong suspicion. If the newer samples contradict the older ones and not each other, the clock was
    /// stepped: a new epoch starts, and the time of the last sample that supports the old one is returned. If they are
    /// only conspicuous for long, the older samples are dropped without a new epoch.
    pub(super) fn decide(&mut self) -> Option<Moment> {
        let strong = [&self.shift.forward, &self.shift.back]
            .into_iter()
            .filter(|s| s.is_strong() || self.has_few_older(s));
        // Of two directions the later one, because an outlier shortly before a step looks like its beginning.
        let suspicion = strong.min_by_key(|s| s.count())?;
        let first = suspicion.first()?;
        let (is_strong, few_older) = (suspicion.is_strong(), self.has_few_older(suspicion));
        let certain = if is_strong { CERTAIN } else { CERTAIN_OF_FEW };
        let lasts = is_strong && suspicion.count() >= REPLACED_BY;
        // At least so many must contradict the older ones, so a step is not after the first of the last ones.
        let contradicting = suspicion.contradicting().skip(certain - 1).take(MOST_SPLITS);
        let mut splits: Vec<Label> = std::iter::once(first).chain(contradicting).collect();
        if !self.samples.back().is_some_and(|k| self.fit.is_outlier(k.label)) {
            // Nothing new contradicts anything, so these were tried before.
            splits.truncate(1);
        }
        for split in splits {
            let from = self.samples.iter().position(|k| !is_before(k.label, split))?;
            if self.is_coupled() && self.steps_alone(&self.samples.range(from..)) {
                self.uncouple(true);
                return None;
            }
            if let Some(corroborated) = self.step_at(from, certain, few_older) {
                self.version += 1;
                return Some(corroborated);
            }
        }
        if lasts {
            let from = self.samples.iter().position(|k| !is_before(k.label, first))?;
            let newer = self.samples.range(from..);
            let outside = outside_largest_agreement(&newer, &[self.fit.middle().1, 0.0], self.max_drift);
            let new = Fit::without(&newer, outside, &[], self.max_drift).0;
            self.drop_older(from, new);
        }
        None
    }

    /// Few older samples have no ranks, and the newer ones soon outnumber them, so that only contradictions can decide.
    fn has_few_older(&self, suspicion: &Suspicion) -> bool {
        suspicion.is_active()
            && suspicion.first().is_some_and(|first| {
                let older = self.samples.iter().take(ENOUGH).filter(|k| is_before(k.label, first));
                older.count() < ENOUGH
            })
    }

    /// If the samples from place `from` on contradict the older ones and not each other, drops the older ones and returns
    /// when the last one was received that supports the old clock.
    fn step_at(&mut self, from: usize, certain: usize, few_older: bool) -> Option<Moment> {
        let (older, newer) = (self.samples.range(..from), self.samples.range(from..));
        let drifts = [self.fit.middle().1, 0.0];
        let outliers = if few_older {
            outside_largest_agreement(&older, &drifts, self.max_drift)
        } else {
            self.fit.outliers().iter().map(|o| o.label).collect()
        };
        let old = Fit::bounded_by(&older, outliers, &[], self.max_drift).0;
        let contradicting = newer.clone().filter(|k| k.bounds.contradicts(old.polygon()).is_some());
        let contradicting = contradicting.count();
        if contradicting < certain {
            return None;
        }
        let outside = outside_largest_agreement(&newer, &drifts, self.max_drift);
        if contradicting < outside.len() + certain {
            return None;
        }
        let new = Fit::without(&newer, outside, &[], self.max_drift).0;
        let speaks_for_old = |k: &&PackedSample| k.bounds.contradicts(new.polygon()).is_some();
        let last = older.clone().rev().find(speaks_for_old).or(older.clone().next());
        let corroborated = last?.not_after;
        self.drop_older(from, new);
        Some(corroborated)
    }

    /// Continues with the samples from place `from` on.
    fn drop_older(&mut self, from: usize, new: Fit) {
        self.since = Some(self.samples[from].not_after);
        self.samples.drain(..from);
        self.fit = new;
        self.give_up_cautious();
        self.own.clear();
        self.shift = ShiftTest::new(self.max_drift);
        self.fit_line();
    }
}
