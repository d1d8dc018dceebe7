//! Asks Amazon Connect about claims that legs have ended, a hundred at a time.
//!
//! DescribeContact answers best, because it also gives the time, so it is used while the rate budget has free calls. The others are
//! asked about together by one GetCurrentUserData. Where that source cannot show the end, DescribeContact waits for its turn.
//!
//! Guarantee: a claim is asked about until the vendor has confirmed or refuted it.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use sidedoor_domain::confirmation::Finding;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::{Operation, Priority, Transaction};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::polling::batch_poll::{PollBatch, USERS};
use crate::usecases::polling::{PollingError, PollingService};

impl PollingService {
    /// Asks about all claims of a batch.
    pub(super) async fn ask_about_claims(
        &self,
        instance: &InstanceName,
        batch: &PollBatch,
    ) -> Result<(), PollingError> {
        let now = self.ctx.now();
        let is_due = |s: &&Supervision| s.next_check_at.is_some_and(|at| at <= now);
        let (all, early): (Vec<&Supervision>, Vec<&Supervision>) = batch.iter().map(|(s, _)| s).partition(is_due);
        for outcome in join_all(all.iter().map(|s| self.act_before_poll(s))).await {
            outcome?;
        }
        let free = self
            .ctx
            .telephony()
            .free_calls(instance, Operation::DescribeContact, Priority::Claim);
        let (mut describe, mut list): (Vec<&Supervision>, Vec<&Supervision>) = (Vec::new(), Vec::new());
        for s in all {
            let shows = s.absence_shows_the_end(self.ctx.now(), self.ctx.answer_age());
            if describe.len() < free || !shows {
                describe.push(s);
            } else {
                list.push(s);
            }
        }
        if !list.is_empty() {
            // The call carries the claims that are due soon, too.
            let shows = |s: &&Supervision| s.absence_shows_the_end(now, self.ctx.answer_age());
            list.extend(early.into_iter().filter(shows).take(USERS.saturating_sub(list.len())));
            describe.extend(self.list_claimed(instance, &list).await?);
        }
        let described = describe.iter().map(|s| self.poll_leg(s, Priority::Claim));
        for outcome in join_all(described).await {
            outcome?;
        }
        Ok(())
    }

    /// Asks about these legs by one GetCurrentUserData. Returns those of which it shows nothing.
    async fn list_claimed<'s>(
        &self,
        instance: &InstanceName,
        claimed: &[&'s Supervision],
    ) -> Result<Vec<&'s Supervision>, PollingError> {
        let mut users: Vec<UserId> = claimed
            .iter()
            .filter_map(|s| s.supervisor.connect_user_id.clone())
            .collect();
        users.sort();
        users.dedup();
        let sent_at = self.ctx.now();
        let seen = match self.user_data_of(instance, &users, users.len(), Priority::Claim).await {
            Ok(seen) => seen,
            Err(e) => {
                tracing::warn!(%instance, code = %e.code, users = users.len(), "could not ask about {} claims; asking again later: {}", claimed.len(), e.message);
                for s in claimed {
                    self.schedule_next_ask(s).await?;
                }
                return Ok(Vec::new());
            }
        };
        let received_at = self.ctx.now();
        let mut unclear = Vec::new();
        for s in claimed.iter().copied() {
            let finding = self.finding_of(s, &seen);
            self.evaluate_finding(s, finding, sent_at, received_at).await?;
            if matches!(finding, Finding::Unknown | Finding::Unlisted | Finding::Absent) && !self.has_left(s.id).await?
            {
                unclear.push(s);
            } else {
                self.schedule_next_ask(s).await?;
            }
        }
        Ok(unclear)
    }

    /// Sets the time of the next question. If Amazon Connect could not be asked for too long, a record with the claimed time is due.
    pub(super) async fn schedule_next_ask(&self, seen: &Supervision) -> Result<(), PollingError> {
        let reported = AtomicBool::new(false);
        self.ctx
            .update(seen.id, |s| {
                let (now, age) = (self.ctx.now(), self.ctx.answer_age());
                let newly_claimed = s.watch.claim.map(|c| c.newest_at) != seen.watch.claim.map(|c| c.newest_at);
                let claim = s.watch.claim.as_mut()?;
                if newly_claimed {
                    return None;
                }
                claim.asks = claim.asks.saturating_add(1);
                let patience_is_over = claim.unanswered_since + self.ctx.settings.claim_patience <= now;
                let due = patience_is_over && !claim.reported;
                claim.reported |= due;
                reported.store(due, Ordering::Relaxed);
                s.next_check_at = s.next_ask(age, now);
                Some(Transaction {
                    deliver_at: due.then_some(now),
                    ..Transaction::default()
                })
            })
            .await?;
        if reported.into_inner() {
            tracing::warn!(supervision_id = %seen.id, "Amazon Connect could not be asked about the leg of {}; writing a record with the claimed time", seen.id);
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }
}
