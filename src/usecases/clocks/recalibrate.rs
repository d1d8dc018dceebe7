//! Recalibrates departures. A departure is estimated when its evidence arrives; later its clock may be known better, or turn
//! out to have been stepped. The departure is then estimated again, and is reissued if that halves its uncertainty inside the
//! old bounds, or if its old estimate used a clock that no longer applied. If the new bounds lie mostly outside the old ones, an
//! assumption behind one of them broke: the departure is reissued with the hull of both and is marked as conflicting.
//!
//! Guarantee: a reissued Salesforce record has a higher version; the raw evidence does not change.

use std::collections::BTreeSet;
use std::time::Duration;

use clock_calibration::{Claim, Grade, Revision};
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::departure::{Departure, drop_facts};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::moment::{moment, timestamp};
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::StoredSupervision;
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
        let revised = |old: &Departure| revised(old, &new, doubtful);
        let Some(reissue) = s.departure.as_ref().and_then(revised) else {
            return Ok(());
        };
        if reissue.conflicting {
            let id = s.id;
            tracing::warn!(supervision_id = %id, "two calibrations of the departure of {id} contradict each other; reissuing it with the bounds of both");
        }
        let committed = self.ctx.update(s.id, |s| {
            let old = s.departure.clone()?;
            let new = revised(&old)?;
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
        if committed.await?.is_done() {
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }
}

/// The departure to reissue instead of `old`, if there is reason to: `new`, if it halves the uncertainty inside the old bounds or
/// if `old` used a clock that may have been stepped before it (`doubtful`) and that `new` does not use; or the hull of both, if
/// they contradict each other. A conflicting departure stays as it is, because nothing shows which estimate was wrong.
fn revised(old: &Departure, new: &Departure, doubtful: bool) -> Option<Departure> {
    let rested_on_a_clock = old.calibration_version != 0;
    if doubtful && rested_on_a_clock && old.calibration_version != new.calibration_version {
        return Some(new.clone());
    }
    if old.conflicting {
        return None;
    }
    let halved = match (old.uncertainty_ms, new.uncertainty_ms) {
        (Some(old_ms), Some(new_ms)) => new_ms * 2 <= old_ms,
        (None, Some(_)) => true,
        _ => false,
    };
    match claim(old).revised_by(claim(new)) {
        Revision::Replace => halved.then(|| new.clone()),
        Revision::Keep => None,
        Revision::Widen(hull) => Some(widened(old, hull)),
    }
}

fn claim(d: &Departure) -> Claim {
    Claim {
        earliest: d.earliest.map(moment),
        latest: moment(d.latest),
    }
}

/// The old departure within wider bounds. Its grade is taken back, because its bounds or those of the later estimate were wrong.
fn widened(old: &Departure, hull: Claim) -> Departure {
    let (earliest, latest) = (hull.earliest.map(timestamp), timestamp(hull.latest));
    let apart = |a: Timestamp, b: Timestamp| a.duration_since(b).as_millis().unsigned_abs();
    let farthest = |t: Timestamp| apart(old.disconnected_at, t).max(apart(latest, old.disconnected_at));
    Departure {
        earliest,
        latest,
        // The duration in whole ms is rounded down.
        uncertainty_ms: earliest.map(|t| i64::try_from(farthest(t)).unwrap_or(i64::MAX).saturating_add(1)),
        grade: old.grade.min(Grade::Bounded),
        conflicting: true,
        ..old.clone()
    }
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

    /// A departure at `at` ms that is known to ± `uncertainty_ms`, by epoch `version`.
    fn around(at: i64, uncertainty_ms: i64, version: u32) -> Departure {
        let ms = |t: i64| Timestamp::from_millisecond(t).expect("in range");
        Departure {
            disconnected_at: ms(at),
            earliest: Some(ms(at - uncertainty_ms)),
            latest: ms(at + uncertainty_ms),
            ..departure(Some(uncertainty_ms), version)
        }
    }

    #[test]
    fn halved_uncertainty_or_a_stepped_clock_is_reissued() {
        for (old, new, doubtful, worth) in [
            ((400, 1), (200, 1), false, true),
            ((400, 1), (201, 1), false, false),
            ((400, 1), (900, 0), false, false),
            // After a step, an estimate on the old clock is given up, even for a wider bracket, but only once.
            ((400, 1), (900, 0), true, true),
            ((900, 0), (900, 0), true, false),
            ((400, 2), (400, 2), true, false),
        ] {
            let (before, after) = (around(5000, old.0, old.1), around(5000, new.0, new.1));
            let got = revised(&before, &after, doubtful);
            assert_eq!(got.is_some(), worth, "{old:?} {new:?} {doubtful}");
        }
        let open = departure(None, 0);
        let bounded = Departure {
            latest: open.latest,
            ..around(-9000, 9000, 1)
        };
        assert!(revised(&open, &bounded, false).is_some());
    }

    #[test]
    fn contradicting_calibrations_leave_the_hull() {
        let (old, new) = (around(5000, 40, 1), around(5300, 10, 1));
        let got = revised(&old, &new, false).expect("reissued");
        assert!(got.conflicting);
        assert_eq!((got.earliest, got.latest), (old.earliest, new.latest));
        assert_eq!((got.uncertainty_ms, got.grade), (Some(311), Grade::Bounded));
        // Not again, and not back.
        assert_eq!(revised(&got, &new, false), None);
    }

    #[test]
    fn narrower_estimate_outside_the_bounds_is_not_reissued() {
        let (old, new) = (around(5000, 400, 1), around(5350, 100, 1));
        assert_eq!(revised(&old, &new, false), None);
    }
}
