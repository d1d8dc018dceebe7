//! Removes the rows that are past their retention.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, RecordState, Retention, day_of};

use super::tables::{Tables, millis};

/// The rows that are older than `before`.
fn oldest<K>(rows: impl Iterator<Item = (i64, K)>, before: Timestamp) -> Vec<K> {
    rows.filter(|(at, _)| *at < millis(before))
        .map(|(_, key)| key)
        .collect()
}

impl Tables {
    pub(super) fn sweep(&mut self, retention: &Retention) -> u64 {
        let removed = self.sweep_keys(retention.keys_before)
            + self.sweep_evidence(retention.evidence_before)
            + self.sweep_samples(retention.evidence_before)
            + self.sweep_epochs(retention.evidence_before)
            + self.sweep_events(retention.evidence_before)
            + self.sweep_unknown_legs(retention.evidence_before)
            + self.sweep_coverage(retention.coverage_before)
            + self.sweep_supervisions(retention);
        removed as u64
    }

    fn sweep_keys(&mut self, before: Timestamp) -> usize {
        let keys = self.keys.0.iter().map(|(key, row)| (row.taken_at, key.clone()));
        let old = oldest(keys, before);
        for key in &old {
            self.keys.0.remove(key);
        }
        old.len()
    }

    fn sweep_evidence(&mut self, before: Timestamp) -> usize {
        let legs = self.evidence.by_leg.iter();
        let rows = legs.flat_map(|(leg, rows)| rows.iter().map(move |(seq, e)| (seq, leg, e)));
        let old = oldest(
            rows.map(|(seq, leg, e)| (millis(e.learnt_at), (*seq, leg.clone()))),
            before,
        );
        for (seq, leg) in &old {
            self.evidence.by_leg.get_mut(leg).and_then(|rows| rows.remove(seq));
        }
        old.len()
    }

    fn sweep_samples(&mut self, before: Timestamp) -> usize {
        let clocks = self.clocks.samples.iter();
        let rows = clocks.flat_map(|(clock, samples)| samples.keys().map(move |place| (place, clock)));
        let old = oldest(
            rows.map(|(place, clock)| (place.0, (place.1, clock.clone(), *place))),
            before,
        );
        for (_, clock, place) in &old {
            self.clocks
                .samples
                .get_mut(clock)
                .and_then(|samples| samples.remove(place));
        }
        old.len()
    }

    /// Keeps the newest of the old epochs of each clock, because it counts until the next one.
    fn sweep_epochs(&mut self, before: Timestamp) -> usize {
        let epochs = &mut self.clocks.epochs;
        let is_old = |epoch: &ClockEpoch| millis(epoch.since) < millis(before);
        let mut newest: BTreeMap<ClockId, u32> = BTreeMap::new();
        for ((clock, version), epoch) in epochs.iter() {
            if is_old(epoch) {
                newest.insert(clock.clone(), *version);
            }
        }
        let all = epochs.len();
        epochs.retain(|(clock, version), epoch| !is_old(epoch) || newest.get(clock) == Some(version));
        all - epochs.len()
    }

    fn sweep_unknown_legs(&mut self, before: Timestamp) -> usize {
        let due = self.evidence.unknown_due.iter();
        let old: Vec<_> = due.take_while(|(at, _)| *at < millis(before)).cloned().collect();
        for (_, (instance, leg)) in &old {
            self.evidence.remove_unknown(instance, leg);
        }
        old.len()
    }

    fn sweep_events(&mut self, before: Timestamp) -> usize {
        let events = self.evidence.events.iter().map(|(id, at)| (*at, id.clone()));
        let old = oldest(events, before);
        for id in &old {
            self.evidence.events.remove(id);
        }
        old.len()
    }

    fn sweep_coverage(&mut self, before: Timestamp) -> usize {
        let days = &mut self.coverage.days;
        let all = days.len();
        days.retain(|(day, ..), _| *day >= day_of(before));
        all - days.len()
    }

    /// Removes finished supervisions, those that ended first. Without `unsent_too`, those with something left to deliver stay.
    fn sweep_supervisions(&mut self, retention: &Retention) -> usize {
        let sent = |id: &SupervisionId| {
            let state = self.deliveries.get(*id).map(|row| row.sync.state);
            state.is_none_or(|state| matches!(state, RecordState::Written | RecordState::Discarded))
        };
        let ended = self.supervisions.ends().iter();
        let old = ended.take_while(|(at, ..)| *at < millis(retention.supervisions_before));
        let ids = old.map(|(_, _, id)| *id).filter(|id| retention.unsent_too || sent(id));
        let final_ones = |id: &SupervisionId| {
            let row = self.supervisions.get(*id);
            row.is_some_and(|row| row.supervision.state.is_final())
        };
        let ids: Vec<SupervisionId> = ids.filter(final_ones).collect();
        for id in &ids {
            self.remove_supervision(*id);
        }
        ids.len()
    }
}
