//! Recalibrates departures. A departure is estimated when its evidence arrives; later its clock may be known better, or turn
//! out to have been stepped. The departure is then estimated again, and is reissued if that halves its uncertainty or if its
//! old estimate used a clock that no longer applied.
//!
//! Guarantee: a reissued Salesforce record has a higher version; the raw evidence does not change.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::departure::{Departure, drop_facts};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::clocks::DepartureRecalibrator;
use crate::usecases::error::UseCaseError;

/// How long after a departure its record may be reissued.
const REISSUE_WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// The most departures that are read at once, newest first.
const MAX_DEPARTURES: u32 = 512;
/// The shortest and the longest time between two rounds.
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl DepartureRecalibrator {
    /// Recalibrates recent departures when there are new samples, until the process stops.
    pub async fn recalibrate_until_stopped(self) {
        loop {
            let pause = self.ctx.settings.intervals.recalibrate.unwrap_or(SHORTEST_PAUSE);
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = self.ctx.deps.stopping.cancelled() => return,
            }
            tokio::select! {
                biased;
                () = self.clocks.state.learnt.notified() => {}
                () = tokio::time::sleep(LONGEST_PAUSE) => {}
                () = self.ctx.deps.stopping.cancelled() => return,
            }
            if let Err(e) = self.recalibrate_round().await {
                tracing::error!(error = %e, "could not recalibrate departures; retrying after the pause: {e}");
            }
        }
    }

    async fn recalibrate_round(&self) -> Result<(), UseCaseError> {
        let doubted = self.clocks.state.take_doubt();
        let done = self.recalibrate_recent(doubted).await;
        if let (Err(_), Some(since)) = (&done, doubted) {
            self.clocks.state.doubt_since(since);
        }
        done
    }

    async fn recalibrate_recent(&self, doubted: Option<Timestamp>) -> Result<(), UseCaseError> {
        let since = self.ctx.now() - REISSUE_WINDOW;
        let mut until = Timestamp::MAX;
        let mut done: BTreeSet<SupervisionId> = BTreeSet::new();
        loop {
            let page = self.ctx.store().left_between(since, until, MAX_DEPARTURES).await?;
            let full = page.len() >= MAX_DEPARTURES as usize;
            let mut ended_at = None;
            for StoredSupervision { supervision, .. } in page {
                let Some(departure) = &supervision.departure else {
                    continue;
                };
                ended_at = Some(departure.latest);
                // The next page begins with the last moment of this one, because several may have ended then.
                if done.insert(supervision.id) && !departure.basis.stamps.is_empty() {
                    self.recalibrate(&supervision, doubted).await?;
                }
            }
            // Without a doubt only the newest can gain from a better calibration. All that a step may have made wrong are estimated
            // again, however many they are.
            let reaches = doubted
                .zip(ended_at)
                .is_some_and(|(doubted, ended_at)| doubted <= ended_at);
            match ended_at {
                Some(ended_at) if full && reaches && ended_at < until => until = ended_at,
                _ => return Ok(()),
            }
        }
    }

    async fn recalibrate(&self, s: &Supervision, doubted: Option<Timestamp>) -> Result<(), UseCaseError> {
        let Some(leg) = &s.leg else { return Ok(()) };
        let evidence = self.ctx.store().evidence(&s.instance, leg.as_str()).await?;
        let Some(facts) = drop_facts(s, &evidence) else {
            return Ok(());
        };
        let new = self.evidence.departure_of(s, &facts);
        let doubtful = doubted.is_some_and(|since| facts.gone_by >= since);
        let worth_reissuing = |old: &Departure| is_worth_reissuing(old, &new, doubtful);
        if !s.departure.as_ref().is_some_and(worth_reissuing) {
            return Ok(());
        }
        let committed = self.ctx.update(s.id, |s| {
            let old = s.departure.clone().filter(worth_reissuing)?;
            let now = self.ctx.now();
            s.conclude(new.clone()).ok().filter(|changed| *changed)?;
            let describe = |d: &Departure| {
                d.uncertainty_ms
                    .map_or_else(|| "unbounded".into(), |ms| format!("± {ms} ms"))
            };
            let outcome = format!("{} → {} {}", describe(&old), describe(&new), new.grade.as_str());
            Some(Transaction {
                deliver_at: Some(now),
                audit: vec![self.ctx.audit_own(AuditAction::DepartureReissued, s.id, outcome)],
                ..Transaction::default()
            })
        });
        if committed.await? == CommitOutcome::Done {
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }
}

/// Whether to reissue a departure: its uncertainty is halved, or it used a clock that may have been stepped before it
/// (`doubtful`) and that the new estimate does not use.
fn is_worth_reissuing(old: &Departure, new: &Departure, doubtful: bool) -> bool {
    let halved = match (old.uncertainty_ms, new.uncertainty_ms) {
        (Some(old_ms), Some(new_ms)) => new_ms * 2 <= old_ms,
        (None, Some(_)) => true,
        _ => false,
    };
    let rested_on_a_clock = old.calibration_version != 0;
    halved || (doubtful && rested_on_a_clock && old.calibration_version != new.calibration_version)
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::departure::{Basis, Continuity, Reason};
    use sidedoor_domain::evidence::Source;

    use super::*;

    fn departure(uncertainty_ms: Option<i64>, version: u32) -> Departure {
        Departure {
            disconnected_at: Timestamp::UNIX_EPOCH,
            uncertainty_ms,
            earliest: None,
            latest: Timestamp::UNIX_EPOCH,
            vendor_timestamp: None,
            source: Source::ContactEvent,
            confirmation: sidedoor_domain::confirmation::Confirmation::VendorAsked,
            reason: Reason::Unknown,
            continuity: Continuity::Unknown,
            agent_after: None,
            grade: clock_calibration::Grade::Bounded,
            offset_ms: None,
            calibration_version: version,
            conflicting: false,
            basis: Basis::default(),
        }
    }

    #[test]
    fn only_a_halved_uncertainty_or_a_clock_that_was_no_more_is_worth_a_new_row() {
        for (old, new, doubtful, worth) in [
            ((Some(400), 1), (Some(200), 1), false, true),
            ((Some(400), 1), (Some(201), 1), false, false),
            ((None, 0), (Some(9000), 1), false, true),
            ((Some(400), 1), (None, 0), false, false),
            // After a step, an estimate on the old clock is given up, even for a wider bracket, but only once.
            ((Some(400), 1), (Some(900), 0), true, true),
            ((Some(400), 1), (Some(900), 0), false, false),
            ((Some(900), 0), (Some(900), 0), true, false),
            ((Some(400), 2), (Some(400), 2), true, false),
        ] {
            let (before, after) = (departure(old.0, old.1), departure(new.0, new.1));
            assert_eq!(
                is_worth_reissuing(&before, &after, doubtful),
                worth,
                "{old:?} {new:?} {doubtful}"
            );
        }
    }
}
