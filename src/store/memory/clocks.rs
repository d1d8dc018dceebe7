//! Samples and epochs of the vendors' clocks.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::moment;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, ClockStore, Sample};

use super::MemoryStore;
use super::tables::{millis, whole};

/// At most so many epochs are read, the latest ones.
const MOST_EPOCHS: usize = 10_000;

/// The time of a sample (ms), and its number.
type Place = (i64, u64);

/// Every sample and every epoch.
#[derive(Default)]
pub(super) struct Clocks {
    last: u64,
    pub(super) samples: BTreeMap<ClockId, BTreeMap<Place, Sample>>,
    pub(super) epochs: BTreeMap<(ClockId, u32), ClockEpoch>,
}

impl Clocks {
    pub(super) fn write_sample(&mut self, clock: &ClockId, sample: &Sample) {
        self.last += 1;
        let learnt_at = millis(moment::timestamp(sample.not_after));
        let of_clock = self.samples.entry(clock.clone()).or_default();
        of_clock.insert((learnt_at, self.last), *sample);
    }

    /// Leaves an epoch that is stored already as it is.
    pub(super) fn write_epoch(&mut self, epoch: &ClockEpoch) {
        let key = (epoch.stream.clone(), epoch.version);
        self.epochs.entry(key).or_insert_with(|| ClockEpoch {
            since: whole(epoch.since),
            corroborated: whole(epoch.corroborated),
            ..epoch.clone()
        });
    }
}

#[async_trait]
impl ClockStore for MemoryStore {
    async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError> {
        self.read("clock_epochs", |t| {
            let mut epochs: Vec<ClockEpoch> = t.clocks.epochs.values().cloned().collect();
            epochs.sort_by_key(|epoch| epoch.since);
            let latest = epochs.len().saturating_sub(MOST_EPOCHS);
            epochs.split_off(latest)
        })
        .await
    }

    async fn clock_samples(&self, since: Timestamp, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError> {
        self.read("clock_samples", |t| {
            let mut found = Vec::new();
            for (clock, samples) in &t.clocks.samples {
                let recent = samples.range((millis(since), 0)..).rev().take(limit as usize);
                found.extend(recent.map(|(place, sample)| (*place, (clock.clone(), *sample))));
            }
            found.sort_unstable_by_key(|(place, _)| *place);
            found.into_iter().map(|(_, sample)| sample).collect()
        })
        .await
    }
}
