//! Deletes data that is past its retention.

use sidedoor_domain::ports::store::Retention;

use crate::usecases::polling::PollingService;

impl PollingService {
    /// Deletes expired data until the process stops.
    pub async fn sweep_until_stopped(self) {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(self.ctx.settings.intervals.sweep) => {}
                () = self.ctx.deps.stopping.cancelled() => return,
            }
            let (now, keep) = (self.ctx.now(), self.ctx.settings.retention);
            let retention = Retention {
                keys_before: now - keep.keys,
                evidence_before: now - keep.evidence,
                supervisions_before: now - keep.supervisions,
                coverage_before: now - keep.coverage,
                unsent_too: self.ctx.deps.crm.is_none(),
                audit_before: keep.audit.map(|audit| now - audit),
            };
            if let Err(e) = self.reports.sweep_audit().await {
                tracing::error!(error = %e, "could not close unfinished audit entries; retrying at the next sweep: {e}");
            }
            match self.may_delete_by_age().await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(e) => {
                    tracing::error!(error = %e, "could not read whether the clock can be right; deleting nothing until the next sweep: {e}");
                    continue;
                }
            }
            if let Err(e) = self.reports.count_handled_contacts().await {
                tracing::error!(error = %e, "could not count ended contacts for the report of coverage; retrying at the next sweep: {e}");
            }
            // A sweep runs until nothing is left, which may be long.
            let swept = tokio::select! {
                biased;
                swept = self.ctx.store().sweep(&retention) => swept,
                () = self.ctx.deps.stopping.cancelled() => return,
            };
            match swept {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "deleted {rows} expired rows"),
                Err(e) => tracing::error!(error = %e, "could not delete expired data; retrying at the next sweep: {e}"),
            }
        }
    }
}
