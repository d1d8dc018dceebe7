//! To what a vendor cuts its stamps, learnt from the stamps themselves.
//!
//! A stamp that is a whole second was cut to seconds, or its milliseconds happened to be zero (one in a thousand): it is
//! taken as cut to seconds, which is safe either way, until enough stamps with a fraction show that this stream keeps
//! one. Streams cut to tenths or hundredths are told by every fraction being a multiple of it.

use std::collections::VecDeque;

use jiff::Timestamp;

/// With so many fractional stamps and hardly a whole second among them, a whole second is chance.
const MANY: usize = 200;
/// The stamps remembered.
const MEMORY: usize = 512;

/// What the last stamps looked like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granularity {
    /// The decimal exponents of the last stamps' steps, ms: 0 to 3.
    steps: VecDeque<u8>,
    /// How many of each exponent.
    counts: [usize; 4],
    configured: Option<i64>,
}

impl Granularity {
    /// Learnt, unless a setting says what it is.
    pub fn new(configured_ms: Option<i64>) -> Self {
        Self {
            steps: VecDeque::new(),
            counts: [0; 4],
            configured: configured_ms,
        }
    }

    /// Takes one more stamp. Returns whether what is known changed, so that earlier samples mean something else now.
    pub fn learn(&mut self, stamp: Timestamp) -> bool {
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

    /// How much memory it holds beyond itself, bytes.
    pub(super) fn memory(&self) -> usize {
        self.steps.capacity()
    }

    /// The quantum of a stamp, ms: its clock read at least the stamp and less than stamp + quantum.
    pub fn quantum_ms(&self, stamp: Timestamp) -> i64 {
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

    /// The stream's own granularity, ms, as far as known: what most of its stamps were cut to.
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

    /// The coarsest step that all fractional stamps are multiples of, ms. Too coarse is only too wide, so a stream is
    /// thought finer only once its stamps show it.
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

/// The coarsest power of ten, up to a second, that a stamp is a multiple of, ms.
fn exponent(stamp: Timestamp) -> u8 {
    let ms = stamp.as_millisecond();
    (1..=WHOLE)
        .rev()
        .find(|e| ms.rem_euclid(10_i64.pow(u32::from(*e))) == 0)
        .unwrap_or(0)
}
