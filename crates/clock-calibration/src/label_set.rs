//! A set of samples that is asked about every sample of a window.

use super::polygon::Label;

/// A power of two, and more than a window has samples: two of a window rarely have the same place.
const PLACES: u32 = 1024;
const WORD: u32 = u64::BITS;

/// Labels, with a bit for the place of each, so that a label that is missing is usually found missing at once.
#[derive(Debug, Clone)]
pub(crate) struct LabelSet {
    places: [u64; (PLACES / WORD) as usize],
    /// Sorted.
    labels: Vec<Label>,
}

impl LabelSet {
    pub(crate) fn of(labels: impl IntoIterator<Item = Label>) -> Self {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        labels.sort_unstable();
        let mut places = [0; (PLACES / WORD) as usize];
        for label in &labels {
            places[word(*label)] |= bit(*label);
        }
        Self { places, labels }
    }

    pub(crate) fn contains(&self, label: Label) -> bool {
        self.places[word(label)] & bit(label) != 0 && self.labels.binary_search(&label).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

fn word(label: Label) -> usize {
    (label % PLACES / WORD) as usize
}

fn bit(label: Label) -> u64 {
    1 << (label % WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_the_same_place_are_told_apart() {
        let set = LabelSet::of([7, u32::MAX, 3]);
        assert!(set.contains(3) && set.contains(7) && set.contains(u32::MAX));
        assert!(!set.contains(7 + PLACES) && !set.contains(8) && !set.is_empty());
    }
}
