//! Removes rows that are past their retention: of each kind at most [`ROWS`] in one sweep, the oldest first.

use jiff::Timestamp;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{RecordState, Retention};

use super::tables::{Tables, millis};

/// How many rows of a kind one sweep removes at most, as in SQLite.
const ROWS: usize = 1000;

/// The first of the rows that are older than `before`, by their time.
fn oldest<K: Ord>(rows: impl Iterator<Item = (i64, K)>, before: Timestamp) -> Vec<K> {
    let mut old: Vec<_> = rows.filter(|(at, _)| *at < millis(before)).collect();
    old.sort();
    old.into_iter().take(ROWS).map(|(_, key)| key).collect()
}

impl Tables {
    pub(super) fn sweep(&mut self, retention: &Retention) -> u64 {
        let removed = self.sweep_keys(retention.keys_before)
            + self.sweep_evidence(retention.evidence_before)
            + self.sweep_samples(retention.evidence_before)
            + self.sweep_events(retention.evidence_before)
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

    fn sweep_events(&mut self, before: Timestamp) -> usize {
        let events = self.evidence.events.iter().map(|(id, at)| (*at, id.clone()));
        let old = oldest(events, before);
        for id in &old {
            self.evidence.events.remove(id);
        }
        old.len()
    }

    /// Removes finished supervisions, those that ended first. Without `unsent_too`, those with something left to deliver stay.
    fn sweep_supervisions(&mut self, retention: &Retention) -> usize {
        let sent = |id: &SupervisionId| {
            let state = self.deliveries.get(*id).map(|row| row.sync.state);
            state.is_none_or(|state| state == RecordState::Written)
        };
        let ended = self.supervisions.ends().iter();
        let old = ended.take_while(|(at, ..)| *at < millis(retention.supervisions_before));
        let ids = old.map(|(_, _, id)| *id).filter(|id| retention.unsent_too || sent(id));
        let final_ones = |id: &SupervisionId| {
            let row = self.supervisions.get(*id);
            row.is_some_and(|row| row.supervision.state.is_final())
        };
        let ids: Vec<SupervisionId> = ids.take(ROWS).filter(final_ones).collect();
        for id in &ids {
            self.remove_supervision(*id);
        }
        ids.len()
    }
}
