//! The checks after departures, a hundred at a time: one GetCurrentUserData names the agents who are still on their calls. Everything
//! else is asked by DescribeContact, as far as the rate budget has calls left that nothing else needs.

use futures::stream::{self, StreamExt};
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::{Endpoint, Operation, Priority};
use sidedoor_domain::supervision::State;

use crate::usecases::leaving::after_check::DescribePlaces;
use crate::usecases::polling::dispatch::Work;
use crate::usecases::polling::{PollingError, PollingService};

/// The checks that run at the same time.
const AT_A_TIME: usize = 8;

impl PollingService {
    /// Checks the customers' contacts after these departures.
    pub(super) async fn check_departed(&self, endpoint: &Endpoint, batch: Vec<Work>) -> Result<(), PollingError> {
        let now = self.ctx.now();
        let is_due = |(s, _): &Work| s.supervision.next_check_at.is_some_and(|at| at <= now);
        let batch: Vec<Work> = batch.into_iter().filter(is_due).collect();
        let mut agents: Vec<UserId> = batch
            .iter()
            .filter(|(s, _)| self.leaving.may_be_checked(&s.supervision))
            .filter_map(|(s, _)| s.supervision.agent.clone())
            .collect();
        agents.sort();
        agents.dedup();
        let seen = match agents.len() {
            0 => None,
            // Without an answer the contacts are described.
            users => self
                .user_data_of(endpoint, &agents, users, Priority::AfterCheck)
                .await
                .ok(),
        };
        let free = self
            .ctx
            .telephony()
            .free_calls(endpoint, Operation::DescribeContact, Priority::AfterCheck);
        // One may wait, so that the checks go on while others use the budget.
        let places = DescribePlaces::new(free + 1);
        let checks = stream::iter(batch).map(|(stored, mut job)| {
            let (seen, places) = (seen.as_ref(), &places);
            async move {
                let s = &stored.supervision;
                if s.state != State::Left {
                    return self.forget_step(s.id).await;
                }
                if let Some(again_in) = self.leaving.check_departed_contact(s, seen, places).await? {
                    job.postpone(again_in);
                }
                Ok(())
            }
        });
        let mut outcomes = checks.buffer_unordered(AT_A_TIME);
        let mut result = Ok(());
        while let Some(outcome) = outcomes.next().await {
            result = result.and(outcome);
        }
        result
    }
}
