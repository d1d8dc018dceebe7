//! Reads supervisions and counts them.
//!
//! Guarantee: a caller that is bound to one supervisor sees only that supervisor's supervisions.

use std::collections::BTreeMap;

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{Filter, RecordState, StoredSupervision};
use sidedoor_domain::supervision::State;

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::reports::ReportService;

/// The current counts, for the metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceCounts {
    /// Unfinished supervisions, by state.
    pub active: Vec<(State, u64)>,
    /// How many of these have an overdue leave.
    pub overdue: u64,
    /// Salesforce records, by state.
    pub rows: Vec<(RecordState, u64)>,
    /// Open directive streams.
    pub streams: usize,
    /// Whether delivery to Salesforce is paused.
    pub paused: bool,
    /// The used share of the org's daily API calls, as the org last reported it.
    pub api_share: Option<f64>,
}

impl ReportService {
    /// Counts supervisions, records and streams now.
    ///
    /// # Errors
    /// The store's.
    pub async fn service_counts(&self) -> Result<ServiceCounts, UseCaseError> {
        let counts = self.ctx.store().counts().await?;
        Ok(ServiceCounts {
            active: counts.active,
            overdue: counts.overdue,
            rows: counts.rows,
            streams: self.directives.open_streams(),
            paused: self.deliveries.delivery_pause().is_some(),
            api_share: self.deliveries.crm_usage().map(sidedoor_domain::ports::Usage::share),
        })
    }

    /// Reads one supervision for a caller who asks for it, which the audit notes if it is another supervisor's.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn read(&self, id: SupervisionId, request: &RequestContext) -> Result<StoredSupervision, UseCaseError> {
        let stored = self.ctx.get(id, request).await?;
        self.note_read(&stored, request, "the supervision");
        Ok(stored)
    }

    /// Notes for the audit that a caller reads another supervisor's supervision.
    pub(super) fn note_read(&self, stored: &StoredSupervision, request: &RequestContext, what: &str) {
        if is_of_another(stored, request) {
            let id = Some(stored.supervision.id);
            self.ctx.note_access(request, AuditAction::SupervisionRead, id, what);
        }
    }

    /// Notes for the audit that a caller reads a page with supervisions of others.
    fn note_page(&self, found: &[StoredSupervision], request: &RequestContext, what: &str) {
        let others = found.iter().filter(|stored| is_of_another(stored, request)).count();
        if others > 0 {
            let outcome = format!("a page of {what}: {others} of other supervisors");
            self.ctx
                .note_access(request, AuditAction::SupervisionRead, None, &outcome);
        }
    }

    /// Reads one supervision.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`] also when the caller may not see it, so that the answer does not reveal that it exists.
    pub async fn get(&self, id: SupervisionId, request: &RequestContext) -> Result<StoredSupervision, UseCaseError> {
        self.ctx.get(id, request).await
    }

    /// Supervisions, newest first; for a caller bound to one supervisor, only that supervisor's. With the scope `presence` and a contact
    /// in the filter, also the unfinished ones of others on that contact.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] for a caller that may see none, or asks for another supervisor's.
    pub async fn list(
        &self,
        mut filter: Filter,
        request: &RequestContext,
    ) -> Result<Vec<StoredSupervision>, UseCaseError> {
        if filter.contact.is_some() && request.caller.sees_presence() && !request.caller.sees_all() {
            return self.present_on(filter, request).await;
        }
        if !request.caller.sees_all() {
            let own = request
                .caller
                .supervisor
                .clone()
                .filter(|_| request.caller.has(Scope::Supervise));
            let own = own.ok_or(UseCaseError::Forbidden("this credential may not read supervisions"))?;
            if filter.supervisor.as_ref().is_some_and(|asked| *asked != own) {
                return Err(UseCaseError::Forbidden(
                    "this credential may read only its own supervisor's supervisions",
                ));
            }
            filter.supervisor = Some(own);
        }
        let found = self.ctx.store().list(&filter).await?;
        self.note_page(&found, request, "supervisions");
        Ok(found)
    }

    /// The supervisions of one contact that are unfinished, and the caller's own in any state.
    async fn present_on(
        &self,
        filter: Filter,
        request: &RequestContext,
    ) -> Result<Vec<StoredSupervision>, UseCaseError> {
        let is_asked_for = |state: &State| filter.states.is_empty() || filter.states.contains(state);
        let unfinished = State::ALL.into_iter().filter(|state| !state.is_final());
        let present = Filter {
            states: unfinished.filter(is_asked_for).collect(),
            ..filter.clone()
        };
        let mut found = BTreeMap::new();
        // Without a state in the filter, the store would list all.
        if !present.states.is_empty() {
            found.extend(by_id(self.ctx.store().list(&present).await?));
        }
        let own = request.caller.supervisor.clone().filter(|own| {
            request.caller.has(Scope::Supervise) && filter.supervisor.as_ref().is_none_or(|asked| asked == own)
        });
        if own.is_some() {
            let own = Filter {
                supervisor: own,
                ..filter.clone()
            };
            found.extend(by_id(self.ctx.store().list(&own).await?));
        }
        let newest_first = found.into_values().rev();
        let found: Vec<_> = newest_first.take(filter.limit as usize).collect();
        self.note_page(&found, request, "who is on a contact");
        Ok(found)
    }

    /// A page of supervisions for the report, newest first.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub async fn report_page(
        &self,
        filter: Filter,
        request: &RequestContext,
    ) -> Result<Vec<StoredSupervision>, UseCaseError> {
        let found = self.report(filter, request).await?;
        self.note_page(&found, request, "the report");
        Ok(found)
    }

    /// Notes for the audit that a caller begins to export the report.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub fn note_report_export(&self, request: &RequestContext) -> Result<(), UseCaseError> {
        may_report(request)?;
        self.ctx
            .note_access(request, AuditAction::ReportExported, None, "as CSV");
        Ok(())
    }

    /// Supervisions for the report, newest first.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] without the scope `read` or `operate`, and the store's.
    pub async fn report(
        &self,
        filter: Filter,
        request: &RequestContext,
    ) -> Result<Vec<StoredSupervision>, UseCaseError> {
        may_report(request)?;
        Ok(self.ctx.store().list(&filter).await?)
    }
}

fn may_report(request: &RequestContext) -> Result<(), UseCaseError> {
    let may = [Scope::Read, Scope::Operate]
        .iter()
        .any(|scope| request.caller.has(*scope));
    may.then_some(())
        .ok_or(UseCaseError::Forbidden("this credential may not read reports"))
}

/// Whether the supervision is not that of the supervisor whom the caller's credential names.
fn is_of_another(stored: &StoredSupervision, request: &RequestContext) -> bool {
    let own = request.caller.supervisor.as_ref();
    own.is_none() || own != stored.supervision.supervisor.connect_user_id.as_ref()
}

fn by_id(found: Vec<StoredSupervision>) -> impl Iterator<Item = (SupervisionId, StoredSupervision)> {
    found.into_iter().map(|stored| (stored.supervision.id, stored))
}
