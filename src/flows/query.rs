//! Reading: one supervision, or a list.

use super::{FlowError, Flows, Request};
use crate::domain::authority::Scope;
use crate::domain::ids::SupervisionId;
pub use crate::ports::journal::{Filter, Recording, Stored};

impl Flows {
    /// One supervision.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] also when the caller may not see it: whether it exists is none of their business.
    pub async fn get(&self, id: SupervisionId, by: &Request) -> Result<Stored, FlowError> {
        let stored = self.journal().supervision(id).await?;
        stored
            .filter(|s| by.caller.may_see(&s.supervision))
            .ok_or(FlowError::NotFound)
    }

    /// Supervisions, newest first; for a caller bound to one supervisor, only theirs.
    ///
    /// # Errors
    /// [`FlowError::Forbidden`] for a caller that may see none, or asks for another supervisor's.
    pub async fn list(&self, mut filter: Filter, by: &Request) -> Result<Vec<Stored>, FlowError> {
        if !by.caller.sees_all() {
            let own = by.caller.supervisor.clone().filter(|_| by.caller.has(Scope::Supervise));
            let own = own.ok_or(FlowError::Forbidden("this credential may not read supervisions"))?;
            if filter.supervisor.as_ref().is_some_and(|asked| *asked != own) {
                return Err(FlowError::Forbidden(
                    "this credential may read only its own supervisor's supervisions",
                ));
            }
            filter.supervisor = Some(own);
        }
        Ok(self.journal().list(&filter).await?)
    }
}
