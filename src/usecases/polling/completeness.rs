//! The check for missed legs: SearchContacts lists the legs that ended, and those that neither an event nor a poll has named are looked
//! into, so that they become supervisions with their departure.
//!
//! A leg is listed late, and its events may be late too. So a check covers only legs that ended some minutes ago, and repeats the last
//! minutes of the check before. What was covered is in the store, so that a check after a restart begins where the last one ended. The first
//! check of an instance covers nothing from before it.
//!
//! Guarantee: a check moves on only after everything it found is stored. If there is no room for another unknown leg, the next check finds
//! it again.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::store::{Completeness, UnknownLeg};
use sidedoor_domain::ports::telephony::{EndedLeg, EndedLegs};
use sidedoor_domain::ports::{MetricEvent, Priority, Transaction};

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::evaluate::MAX_UNKNOWN_LEGS;
use crate::usecases::polling::PollingService;

/// How much of the time before is searched again: SearchContacts may list a leg late, and the vendor's clock may have been corrected.
const REPEATED: SignedDuration = SignedDuration::from_mins(10);
/// The longest time that one search covers. SearchContacts takes at most 8 weeks.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

impl PollingService {
    /// Checks for missed legs until the process stops.
    pub async fn find_missed_legs_until_stopped(self) {
        let Some(every) = self.ctx.settings.completeness_every else {
            return;
        };
        loop {
            for instance in self.ctx.settings.instances.keys() {
                self.check_instance(instance).await;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(every) => {}
                () = self.ctx.deps.stopping.cancelled() => return,
            }
        }
    }

    async fn check_instance(&self, instance: &InstanceName) {
        if let Err(e) = self.find_missed_legs(instance).await {
            tracing::error!(%instance, error = %e, "could not check {instance} for missed legs; retrying at the next check: {e}");
        }
    }

    /// Checks an instance up to now, in as many searches as that takes.
    async fn find_missed_legs(&self, instance: &InstanceName) -> Result<(), UseCaseError> {
        let settled = self.ctx.now() - self.ctx.settings.intervals.legs_settle;
        let Some(mut covered) = self.ctx.store().completeness(instance).await? else {
            let first = Completeness {
                instance: instance.clone(),
                since: settled,
                until: settled,
                legs: 0,
                missed: 0,
            };
            return self.note_covered(first, Vec::new()).await;
        };
        let mut from = covered.since.max(covered.until.min(settled) - REPEATED);
        while from < settled && !self.ctx.is_stopping() {
            let until = settled.min(from + LONGEST);
            let asked = self
                .ctx
                .legs_ended_everywhere(instance, (from, until), Priority::UnknownLeg)
                .await;
            let found = match asked {
                Ok(found) => found,
                Err(e) => {
                    tracing::warn!(%instance, code = %e.code, "could not check {instance} for missed legs; trying again at the next check: {}", e.for_operators());
                    return Ok(());
                }
            };
            let Some(missed) = self.look_into_missed(instance, &found).await? else {
                return Ok(());
            };
            let searched_until = match found.legs.last() {
                Some(last) if !found.is_complete && last.disconnected_at > from => last.disconnected_at,
                Some(_) if !found.is_complete => {
                    tracing::error!(%instance, "more legs of {instance} ended at {from} than a search lists; some of them may be missed");
                    from + SignedDuration::from_millis(1)
                }
                _ => until,
            };
            covered = self.count(covered, searched_until, &found, missed).await?;
            from = searched_until;
        }
        Ok(())
    }

    /// Adds the time that a search covered, and stores it with the legs to check.
    async fn count(
        &self,
        covered: Completeness,
        searched_until: Timestamp,
        found: &EndedLegs,
        missed: Vec<String>,
    ) -> Result<Completeness, UseCaseError> {
        // A leg that was listed late lies in a time that is covered. It was not counted before, and it is missed.
        let counts = |leg: &&EndedLeg| {
            leg.disconnected_at > covered.until && leg.disconnected_at <= searched_until || missed.contains(&leg.leg)
        };
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (ended, newly_missed) = (number(found.legs.iter().filter(counts).count()), number(missed.len()));
        let next = Completeness {
            until: covered.until.max(searched_until),
            legs: covered.legs.saturating_add(ended),
            missed: covered.missed.saturating_add(newly_missed),
            ..covered
        };
        self.note_covered(next.clone(), missed).await?;
        self.ctx.count(&MetricEvent::LegsChecked {
            ended,
            missed: newly_missed,
        });
        Ok(next)
    }

    /// Which of the legs were missed; `None` if there is no room to look into them.
    async fn look_into_missed(
        &self,
        instance: &InstanceName,
        found: &EndedLegs,
    ) -> Result<Option<Vec<String>>, UseCaseError> {
        let mut legs: Vec<String> = found.legs.iter().map(|leg| leg.leg.clone()).collect();
        legs.sort();
        legs.dedup();
        let missed = self.ctx.store().unheard_of(instance, &legs).await?;
        if missed.is_empty() {
            return Ok(Some(missed));
        }
        let waiting = self.ctx.store().unknown_leg_count(instance, MAX_UNKNOWN_LEGS).await?;
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        if waiting.saturating_add(missed.len()) > MAX_UNKNOWN_LEGS as usize {
            tracing::warn!(%instance, waiting, missed = missed.len(), "{} legs of {instance} were missed, and {waiting} other unknown legs are looked into; continuing at the next check", missed.len());
            return Ok(None);
        }
        tracing::warn!(%instance, missed = missed.len(), "{} legs of {instance} ended without an event or a poll that named them; recording them now. Check the event rule (docs/runbook.md)", missed.len());
        Ok(Some(missed))
    }

    async fn note_covered(&self, covered: Completeness, missed: Vec<String>) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let unknown = |leg| UnknownLeg {
            instance: covered.instance.clone(),
            leg,
            due_at: now,
            looks: 0,
        };
        let change = Transaction {
            unknown_legs: missed.into_iter().map(unknown).collect(),
            completeness: Some(covered.clone()),
            ..Transaction::default()
        };
        self.ctx.transact(change).await?;
        Ok(())
    }
}
