//! The quantum of a vendor's stamps, learned from the stamps themselves.
//!
//! A stamp that is a whole second was reduced to seconds, or its milliseconds happened to be zero (one in a thousand).
//! It counts as reduced to seconds, which is safe in both cases, until enough stamps with a fraction show that this
//! clock keeps fractions. Clocks that keep tenths or hundredths are recognised because every fraction is a multiple of
//! them.

use std::collections::VecDeque;

use super::moment::Moment;

/// After this many stamps with a fraction and hardly a whole second among them, a whole second is chance.
const MANY: usize = 200;
/// Number of stamps remembered.
const MEMORY: usize = 512;

/// The quantum, as learned from the last stamps or configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granularity {
    /// The decimal exponents of the last stamps' steps in ms: 0 to 3.
    steps: VecDeque<u8>,
    /// The number of stamps with each exponent.
    counts: [usize; 4],
    configured: Option<i64>,
}

impl Granularity {
    /// Learns the quantum, unless `configured_ms` gives it.
    pub fn new(configured_ms: Option<i64>) -> Self {
        Self {
            steps: VecDeque::new(),
            counts: [0; 4],
            configured: configured_ms,
        }
    }

    /// Adds a stamp. Returns `true` if the quantum of earlier stamps changed by it, so that their samples must be
    /// evaluated again.
    pub fn learn(&mut self, stamp: Moment) -> bool {
        if self.configured.is_some() {
            return false;
        }
        let before = (self.fine(), self.whole_seconds_are_chance());
        if self.steps.len() == MEMORY {
            let oldest = self.steps.pop_front();
            oldest.into_iter().for_each(|e| self.counts[usize::from(e)] -= 1);
        }
        self.steps.push_back(exponent(stamp));
        self.counts[usize::from(exponent(stamp))] += 1;
        before != (self.fine(), self.whole_seconds_are_chance())
    }

    /// Heap memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.steps.capacity()
    }

    /// The quantum of a stamp, in ms: the clock read at least the stamp and less than stamp + quantum.
    pub fn quantum_ms(&self, stamp: Moment) -> i64 {
        if let Some(q) = self.configured {
            return q;
        }
        let own = 10_i64.pow(u32::from(exponent(stamp)));
        if own >= 1000 {
            return if self.whole_seconds_are_chance() {
                self.fine()
            } else {
                own.min(1000)
            };
        }
        self.fine().min(own).max(1)
    }

    /// The quantum of most stamps of the clock, in ms; `None` if it is not known yet.
    pub fn typical_ms(&self) -> Option<i64> {
        let whole = self.counts[usize::from(WHOLE)];
        match self.configured {
            Some(q) => Some(q),
            None if self.steps.is_empty() => None,
            None => Some(if whole * 2 > self.steps.len() {
                1000
            } else {
                self.fine()
            }),
        }
    }

    /// The coarsest step that divides all stamps with a fraction, in ms. A step that is too coarse only widens the
    /// result, so a finer one is used only after stamps show it.
    fn fine(&self) -> i64 {
        let least = (0..WHOLE).find(|e| self.counts[usize::from(*e)] > 0);
        least.map_or(1, |exponent| 10_i64.pow(u32::from(exponent)))
    }

    fn whole_seconds_are_chance(&self) -> bool {
        let whole = self.counts[usize::from(WHOLE)];
        let fractional = self.steps.len() - whole;
        fractional >= MANY && whole * 100 <= fractional
    }
}

/// The exponent of a whole second.
const WHOLE: u8 = 3;

/// The exponent of the largest power of ten, up to a second, that divides a stamp in ms.
fn exponent(stamp: Moment) -> u8 {
    let ms = stamp.as_nanos() / 1_000_000;
    (1..=WHOLE)
        .rev()
        .find(|e| ms.rem_euclid(10_i64.pow(u32::from(*e))) == 0)
        .unwrap_or(0)
}
