//! How many of the contacts that agents had were supervised, by week.

use futures::future::join_all;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::{COUNTED_AFTER, CoverageCount, CoverageQuestion};
use sidedoor_domain::supervision::KnownNames;

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::identity::names::NameService;
use crate::usecases::reports::ReportService;

/// The most rows of a report.
pub const MOST_ROWS: usize = 10_000;
/// How many contacts are counted in one transaction.
const PAGE: u32 = 200;
/// The most agents whose names a report asks Connect for. The others are asked for by the next report.
const NAMES: usize = 20;

/// A row of the report.
#[derive(Debug, Clone)]
pub struct CoverageRow {
    /// The contacts of a week.
    pub count: CoverageCount,
    /// The user name of the agent, if it is known.
    pub agent_username: Option<String>,
    /// The name of the queue, if it is known.
    pub queue_name: Option<String>,
}

impl ReportService {
    /// The contacts of a time by week. `None` if these are more than [`MOST_ROWS`].
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] without the scope `read` or `operate`, and the store's.
    pub async fn coverage(
        &self,
        question: &CoverageQuestion,
        request: &RequestContext,
    ) -> Result<Option<Vec<CoverageRow>>, UseCaseError> {
        if ![Scope::Read, Scope::Operate]
            .iter()
            .any(|scope| request.caller.has(*scope))
        {
            return Err(UseCaseError::Forbidden("this credential may not read reports"));
        }
        let counts = self.ctx.store().coverage(question, MOST_ROWS).await?;
        if counts.len() > MOST_ROWS {
            return Ok(None);
        }
        self.learn_agents(&counts, request).await;
        let names = self.ctx.signals.names.at(self.ctx.now());
        let named = |count: CoverageCount| CoverageRow {
            agent_username: count
                .key
                .agent
                .as_ref()
                .and_then(|agent| names.username(&count.instance, agent)),
            queue_name: count
                .key
                .queue
                .as_ref()
                .and_then(|queue| names.queue(&count.instance, queue)),
            count,
        };
        Ok(Some(counts.into_iter().map(named).collect()))
    }

    /// Asks for the names of agents that are not known yet, as far as Connect answers in time.
    async fn learn_agents(&self, counts: &[CoverageCount], request: &RequestContext) {
        let names = self.ctx.signals.names.at(self.ctx.now());
        let mut unknown: Vec<(&InstanceName, &UserId)> = counts
            .iter()
            .filter_map(|count| Some((&count.instance, count.key.agent.as_ref()?)))
            .filter(|(instance, agent)| names.username(instance, agent).is_none())
            .collect();
        unknown.sort();
        unknown.dedup();
        unknown.truncate(NAMES);
        let finder = NameService::new(self.ctx.clone());
        let asking = unknown
            .iter()
            .map(|(instance, agent)| finder.find_user(instance, agent));
        // A report without some names is better than none.
        let time = self.ctx.time_left(request) / 2;
        let _ = tokio::time::timeout(time, join_all(asking)).await;
    }

    /// Adds the contacts that ended two days ago to the counters of their days. By then an event is not repeated any more, and the legs
    /// on them are known.
    pub(crate) async fn count_handled_contacts(&self) -> Result<(), UseCaseError> {
        let before = self.ctx.now() - COUNTED_AFTER;
        loop {
            let ended = self.ctx.store().handled_before(before, PAGE).await?;
            let is_last = ended.len() < PAGE as usize;
            if !ended.is_empty() {
                let change = Transaction {
                    counted_contacts: ended,
                    rides_along: true,
                    ..Transaction::default()
                };
                self.ctx.transact(change).await?;
            }
            if is_last || self.ctx.is_stopping() {
                return Ok(());
            }
        }
    }
}
