//! Asks Amazon Connect about legs whose supervisors want to leave, and about claims that legs have ended, a hundred at a time.
//!
//! DescribeContact answers best, because it also gives the time, so it is used while the rate budget has free calls. The others are
//! asked about together by one GetCurrentUserData. Where that source cannot show the end, DescribeContact waits for its turn: a few such
//! calls wait at a time, so that a leave that was requested is never behind many claims.
//!
//! Guarantee: a leg is asked about until the vendor has confirmed or refuted the claim, or the supervisor has left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sidedoor_domain::confirmation::Finding;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::{Endpoint, Operation, Priority, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Supervision};

use crate::usecases::polling::dispatch::{BATCH, Work};
use crate::usecases::polling::{PollingError, PollingService};

/// The most DescribeContact calls of a batch that wait for the rate budget.
const DESCRIBED_AT_A_TIME: usize = 4;
/// How soon a leg that found no place among these is looked at again.
const NO_PLACE: Duration = Duration::from_millis(250);

impl PollingService {
    /// Asks about the legs of a batch.
    pub(super) async fn ask_about_leaves(&self, endpoint: &Endpoint, batch: Vec<Work>) -> Result<(), PollingError> {
        if batch.is_empty() {
            return Ok(());
        }
        let now = self.ctx.now();
        let is_due = |s: &Supervision| s.next_check_at.is_some_and(|at| at <= now);
        let (mut due, early): (Vec<Work>, Vec<Work>) = batch.into_iter().partition(|(s, _)| is_due(&s.supervision));
        for outcome in join_all(due.iter().map(|(s, _)| self.act_before_poll(&s.supervision))).await {
            outcome?;
        }
        // The longest due is first among those whose end was requested, and then among the others.
        due.sort_by_key(|(s, _)| (s.supervision.leave.is_none(), s.supervision.next_check_at));
        let free = self
            .ctx
            .telephony()
            .free_calls(endpoint, Operation::DescribeContact, Priority::Claim);
        let shows = |s: &Supervision| {
            s.vendor == AMAZON_CONNECT && s.absence_shows_the_end(self.ctx.now(), self.ctx.answer_age())
        };
        let (mut describe, mut list, mut wait): (Vec<Work>, Vec<Work>, Vec<Work>) = Default::default();
        for work in due {
            if describe.len() < free || (!shows(&work.0.supervision) && describe.len() < free + DESCRIBED_AT_A_TIME) {
                describe.push(work);
            } else if shows(&work.0.supervision) {
                list.push(work);
            } else {
                wait.push(work);
            }
        }
        let described = join_all(
            describe
                .iter()
                .map(|(s, _)| self.poll_leg(&s.supervision, Priority::Claim)),
        );
        let listed = async {
            if list.is_empty() {
                return Ok(Vec::new());
            }
            // The call carries the claims that are due soon, and those that found no place, too.
            let more = early.iter().filter(|(s, _)| shows(&s.supervision)).chain(&wait);
            let all: Vec<&Supervision> = list
                .iter()
                .chain(more)
                .map(|(s, _)| &s.supervision)
                .take(BATCH)
                .collect();
            self.list_leaving(endpoint, &all, list.len()).await
        };
        let (described, unclear) = tokio::join!(described, listed);
        for outcome in described {
            outcome?;
        }
        let unclear = unclear?;
        for outcome in join_all(unclear.iter().map(|s| self.poll_leg(s, Priority::Claim))).await {
            outcome?;
        }
        wait.iter_mut().for_each(|(_, job)| job.postpone(NO_PLACE));
        Ok(())
    }

    /// Asks about these legs by one GetCurrentUserData; the first `due` of them are due. Returns those of which it shows nothing.
    async fn list_leaving(
        &self,
        endpoint: &Endpoint,
        leaving: &[&Supervision],
        due: usize,
    ) -> Result<Vec<Supervision>, PollingError> {
        let mut users: Vec<UserId> = leaving
            .iter()
            .filter_map(|s| s.supervisor.connect_user_id.clone())
            .collect();
        users.sort();
        users.dedup();
        let sent_at = self.ctx.now();
        let seen = match self.user_data_of(endpoint, &users, users.len(), Priority::Claim).await {
            Ok(seen) => seen,
            Err(e) => {
                tracing::warn!(instance = %endpoint.instance, code = %e.code, users = users.len(), "could not ask about {due} leaves; asking again later: {}", e.for_operators());
                for s in &leaving[..due] {
                    self.schedule_next_ask(s).await?;
                }
                return Ok(Vec::new());
            }
        };
        let received_at = self.ctx.now();
        let mut unclear = Vec::new();
        for (i, s) in leaving.iter().copied().enumerate() {
            let finding = self.finding_of(s, &seen);
            if let (Finding::Alive | Finding::Gone, Some(found)) = (finding, &seen.answered_elsewhere) {
                self.ctx.note_region(s.id, found.region.as_ref()).await;
            }
            self.evaluate_finding(s, finding, sent_at, received_at).await?;
            let shows_nothing = matches!(finding, Finding::Unknown | Finding::Unlisted | Finding::Absent);
            if i >= due && shows_nothing {
                // It is still asked about when it is due.
            } else if shows_nothing && !self.has_left(s.id).await? {
                unclear.push(s.clone());
            } else {
                self.schedule_next_ask(s).await?;
            }
        }
        Ok(unclear)
    }

    /// Sets the time of the next question. If Amazon Connect could not be asked about a claim for too long, a record with the claimed
    /// time is due.
    pub(super) async fn schedule_next_ask(&self, seen: &Supervision) -> Result<(), PollingError> {
        let reported = AtomicBool::new(false);
        self.ctx
            .update(seen.id, |s| {
                let (now, age) = (self.ctx.now(), self.ctx.answer_age());
                let newly_claimed = s.watch.claim.map(|c| c.newest_at) != seen.watch.claim.map(|c| c.newest_at);
                if s.state.is_final() || newly_claimed {
                    return None;
                }
                let Some(claim) = s.watch.claim.as_mut() else {
                    self.schedule_next_look(s, seen.next_check_at);
                    return Some(Transaction::default());
                };
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
