//! Resumes work after a restart, so that every accepted request still reaches its one outcome.
//!
//! | state in the store | what happens |
//! |---|---|
//! | REQUESTED | MonitorContact was never sent: it is sent now, or the join expires if `join_ttl` has passed |
//! | JOINING | within `join_ttl`: the same call with the same `ClientToken`; later, or after a disconnect: search for the leg |
//! | LEAVING, without a directive or StopContact | carried out now, because a disconnect never expires |
//! | MONITORING, LEAVING, LEFT without its after-check | polled when due, by [`crate::usecases::polling::dispatch`] |
//! | records to be delivered | sent when due, by [`crate::usecases::salesforce_sync::deliver`] |

use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::supervision::State;

use crate::usecases::UseCases;
use crate::usecases::error::UseCaseError;

/// The most supervisions of a state that are resumed. More cannot have been accepted at the same time.
const MAX_RESUMED: u32 = 100_000;

impl UseCases {
    /// Resumes what an earlier process left unfinished. Returns the number of resumed supervisions.
    ///
    /// # Errors
    /// The store's.
    pub async fn resume(&self) -> Result<usize, UseCaseError> {
        self.clocks.recall_clocks().await?;
        self.polling.compare_clock_with_store().await?;
        self.polling.load_jobs().await?;
        let mut taken_up = 0;
        for StoredSupervision { supervision, .. } in self
            .ctx
            .store()
            .in_states(&[State::Requested, State::Joining], MAX_RESUMED)
            .await?
        {
            if supervision.search().is_some() {
                // Polling continues the search.
                continue;
            }
            let (this, id) = (self.clone(), supervision.id);
            let maybe_sent = supervision.state == State::Joining;
            self.ctx.spawn_for("join", &supervision, async move {
                this.monitoring.join(id, None, maybe_sent).await
            });
            taken_up += 1;
        }
        for StoredSupervision { supervision, .. } in self.ctx.store().in_states(&[State::Leaving], MAX_RESUMED).await? {
            if !crate::usecases::leaving::end_leg::is_to_be_carried_out(&supervision) {
                continue;
            }
            let (this, id) = (self.clone(), supervision.id);
            self.ctx.spawn_for("leave", &supervision, async move {
                if let Err(e) = this.leaving.carry_out_leave(id).await {
                    tracing::error!(supervision_id = %id, error = %e, "could not resume the leave of {id}; the next poll tries again: {e}");
                }
            });
            taken_up += 1;
        }
        Ok(taken_up)
    }
}
