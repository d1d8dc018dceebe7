//! The quantum of a vendor's stamps, learned from the stamps themselves.
//!
//! Each stamp is a multiple of some step: 1, 10 or 100 ms, a second or a minute. One stamp in ten is a multiple of the next
//! coarser step by chance (one in sixty of a minute), so the quantum is the finest step of which
//! clearly more stamps are a multiple than of a coarser one.
//!
//! A stamp may also be coarser than the others of its clock, because some systems behind one field keep whole seconds. It
//! looks like one of the few that are a multiple by chance. If more of them come than chance explains, or if chance would
//! make less than one in a thousand, each counts as reduced to the coarse step. Whether it was truncated or rounded then matters, because the clock's offset does not absorb
//! it, and is not known: the clock read from half a step before it to a step after it.

use std::collections::VecDeque;

use super::moment::Moment;

/// Number of stamps remembered.
const MEMORY: usize = 512;
/// The steps, in ms. Every step divides the next.
const STEPS: [i64; 5] = [1, 10, 100, 1000, 60_000];
/// A second.
const SECOND: usize = 3;
/// With fewer finer stamps than this, no coarser one is put down to chance.
const FEW_STAMPS: f64 = 8.0;

/// The quantum, as learned from the last stamps or configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granularity {
    /// The coarsest step of each of the last stamps, as an index of [`STEPS`].
    steps: VecDeque<u8>,
    /// The number of stamps with each.
    counts: [usize; STEPS.len()],
    configured: Option<i64>,
    /// What follows from the counts, kept because it is asked for much more often than it changes.
    known: Known,
}

/// What the counts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    /// The step to which stamps that are multiples of each step were reduced.
    steps: [usize; STEPS.len()],
    /// The quantum of most stamps, in ms; `None` if it is not known yet.
    typical_ms: Option<i64>,
}

impl Granularity {
    /// Learns the quantum, unless `configured_ms` gives it.
    pub fn new(configured_ms: Option<i64>) -> Self {
        let mut granularity = Self {
            configured: configured_ms,
            ..Self::default()
        };
        granularity.known = granularity.evaluated();
        granularity
    }

    /// Adds a stamp. Returns `true` if the quantum of earlier stamps changed by it, so that their samples must be
    /// evaluated again.
    pub fn learn(&mut self, stamp: Moment) -> bool {
        if self.configured.is_some() {
            return false;
        }
        if self.steps.len() == MEMORY {
            let oldest = self.steps.pop_front();
            oldest.into_iter().for_each(|step| self.counts[usize::from(step)] -= 1);
        }
        let step = step_of(stamp);
        #[allow(clippy::cast_possible_truncation, reason = "five steps")]
        self.steps.push_back(step as u8);
        self.counts[step] += 1;
        let known = self.evaluated();
        std::mem::replace(&mut self.known, known) != known
    }

    fn evaluated(&self) -> Known {
        let any = self.configured.is_some() || !self.steps.is_empty();
        Known {
            steps: std::array::from_fn(|step| self.step_for(step)),
            typical_ms: any.then(|| self.configured.unwrap_or_else(|| STEPS[self.step_for(self.most())])),
        }
    }

    /// Heap memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.steps.capacity()
    }

    /// The quantum of a stamp, in ms: the clock read at least the stamp and less than stamp + quantum.
    pub fn quantum_ms(&self, stamp: Moment) -> i64 {
        self.configured
            .unwrap_or_else(|| STEPS[self.known.steps[step_of(stamp)]])
    }

    /// From and to how many ms after the stamp the clock read. The first is negative if the stamp is coarser than the
    /// clock's others and may have been rounded up.
    #[allow(clippy::cast_precision_loss, reason = "at most a minute")]
    pub(super) fn read_within(&self, stamp: Moment) -> (f64, f64) {
        let quantum = self.quantum_ms(stamp) as f64;
        let coarser = self.typical_ms().is_some_and(|typical| (typical as f64) < quantum);
        (if coarser { -quantum / 2.0 } else { 0.0 }, quantum)
    }

    /// The quantum of most stamps of the clock, in ms; `None` if it is not known yet.
    pub fn typical_ms(&self) -> Option<i64> {
        self.known.typical_ms
    }

    /// The coarsest step of which most stamps are a multiple.
    fn most(&self) -> usize {
        let mut coarser = self.steps.len();
        for (step, count) in self.counts.iter().enumerate() {
            coarser -= count;
            // Chance makes one in ten or sixty a multiple of the next step.
            if coarser * 2 < self.steps.len() {
                return step;
            }
        }
        STEPS.len() - 1
    }

    /// The step to which a stamp was reduced that is a multiple of `step`. A step that is too coarse only widens the
    /// result, so a finer one is used only after stamps show it.
    fn step_for(&self, step: usize) -> usize {
        let finest = self
            .counts
            .iter()
            .position(|count| *count > 0)
            .unwrap_or(step)
            .min(step);
        let coarse = (finest + 1..=step).rev().find(|s| self.is_in_use(*s, finest));
        coarse.unwrap_or(finest)
    }

    /// Whether some stamps were reduced to `step`, because more are a multiple of it than chance makes of the finer ones: the
    /// mean and three standard deviations. What happens to one stamp in a thousand is not left to chance, because to take
    /// such a stamp as coarse costs little. Steps above a second are in use only if most stamps are a multiple.
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    fn is_in_use(&self, step: usize, finest: usize) -> bool {
        let multiples = self.counts[step..].iter().sum::<usize>();
        if step > SECOND {
            return multiples * 2 > self.steps.len();
        }
        let ratio = (STEPS[step] / STEPS[finest]) as f64;
        let finer = self.counts[..step].iter().sum::<usize>() as f64;
        let expected = finer / (ratio - 1.0);
        ratio >= 1000.0 || finer < FEW_STAMPS || multiples as f64 > expected + 3.0 * expected.sqrt() + 0.5
    }
}

/// The coarsest step of which a stamp is a multiple.
fn step_of(stamp: Moment) -> usize {
    let ms = stamp.as_nanos().div_euclid(1_000_000);
    let multiple = |step: &usize| ms.rem_euclid(STEPS[*step]) == 0;
    (1..STEPS.len()).rev().find(multiple).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(quantum: i64, count: i64) -> Granularity {
        let mut random = fastrand::Rng::with_seed(3);
        let mut granularity = Granularity::new(None);
        for i in 0..count {
            let ms = 1_790_000_000_000 + i * 31_000 + random.i64(0..60_000);
            granularity.learn(Moment::from_millis(ms - ms.rem_euclid(quantum)));
        }
        granularity
    }

    #[test]
    fn kind_09_quantum_is_recognised_from_ms_to_minutes() {
        for quantum in [1, 10, 100, 1000, 60_000] {
            let granularity = learnt(quantum, 60);
            assert_eq!(granularity.typical_ms(), Some(quantum));
            // A whole minute is a multiple of everything. Chance makes one stamp of milliseconds in a thousand a whole
            // second, and that one is not believed.
            let minute = Moment::from_millis(1_790_000_040_000);
            assert_eq!(
                granularity.quantum_ms(minute),
                if quantum == 1 { 1000 } else { quantum }
            );
        }
    }

    #[test]
    fn kind_09_few_coarse_stamps_among_fine_ones_are_not_believed() {
        let mut granularity = learnt(1, 300);
        for i in 0..3 {
            granularity.learn(Moment::from_millis(1_790_000_007_000 + i * 17_000));
        }
        let second = Moment::from_millis(1_790_000_007_000);
        assert_eq!(granularity.quantum_ms(second), 1000);
        assert_eq!(granularity.read_within(second), (-500.0, 1000.0));
        assert_eq!(granularity.typical_ms(), Some(1));
    }
}
