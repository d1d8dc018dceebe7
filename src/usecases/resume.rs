//! After a restart: everything accepted goes on to its one end.
//!
//! | found at | what happens |
//! |---|---|
//! | REQUESTED | MonitorContact was never sent: sent now, or expired if its time is over |
//! | JOINING | within `join_ttl`: the same call with the same `ClientToken`; older: look whether a leg exists, adopt it or expire |
//! | LEAVING, not yet directed or stopped | carried out now; a disconnect never expires |
//! | MONITORING, LEAVING, LEFT without its after-check | looked at when due, by reconciling |
//! | rows on their way | sent when due, by delivery |

use crate::usecases::UseCases;
use crate::usecases::error::UseCaseError;
use sidedoor_domain::ports::store::Stored;
use sidedoor_domain::supervision::State;

/// How many of a state are taken up at most; more than that cannot have been accepted at once.
const MAX_RESUMED: u32 = 100_000;

impl UseCases {
    /// Takes up what an earlier process left. Returns how many supervisions that were.
    ///
    /// # Errors
    /// The store's.
    pub async fn resume(&self) -> Result<usize, UseCaseError> {
        self.clocks.recall_clocks().await?;
        let mut taken_up = 0;
        for Stored { supervision, .. } in self
            .ctx
            .store()
            .in_states(&[State::Requested, State::Joining], MAX_RESUMED)
            .await?
        {
            let (this, id) = (self.clone(), supervision.id);
            let maybe_sent = supervision.state == State::Joining;
            self.ctx.spawn_for("join", &supervision, async move {
                this.monitoring.join(id, None, maybe_sent).await
            });
            taken_up += 1;
        }
        for Stored { supervision, .. } in self.ctx.store().in_states(&[State::Leaving], MAX_RESUMED).await? {
            if !crate::usecases::leaving::end_leg::is_to_be_carried_out(&supervision) {
                continue;
            }
            let (this, id) = (self.clone(), supervision.id);
            self.ctx.spawn_for("leave", &supervision, async move {
                if let Err(e) = this.leaving.carry_out_leave(id).await {
                    tracing::error!(supervision_id = %id, error = %e, "leave of {id} could not be carried on");
                }
            });
            taken_up += 1;
        }
        Ok(taken_up)
    }
}
