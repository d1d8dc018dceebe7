//! Which credential may deliver which event: each belongs to one vendor and names instances, so that no sender can speak for
//! another vendor or about another instance, or take the ids of its events.

use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ids::InstanceName;

use crate::usecases::error::UseCaseError;

/// Refuses a caller that may not deliver events of this vendor.
///
/// # Errors
/// [`UseCaseError::Forbidden`].
pub fn check_vendor(caller: &Caller, vendor: &str) -> Result<(), UseCaseError> {
    if !caller.has(Scope::Events) {
        return Err(UseCaseError::Forbidden("this credential lacks the scope `events`"));
    }
    if !caller.may_deliver_for(vendor) {
        return Err(UseCaseError::Forbidden(
            "this credential does not deliver the events of this vendor",
        ));
    }
    Ok(())
}

/// The id under which an event is remembered. It begins with the vendor, because otherwise one sender could take the id of another
/// vendor's event in advance, and that event would count as a duplicate.
pub(super) fn remembered_id(vendor: &str, id: Option<&String>) -> Option<String> {
    id.map(|id| format!("{vendor}/{id}"))
}

/// Refuses a caller whose events may not be about this instance.
pub(super) fn check_instance(caller: &Caller, vendor: &str, instance: &InstanceName) -> Result<(), UseCaseError> {
    if caller.may_deliver(vendor, instance) {
        Ok(())
    } else {
        Err(UseCaseError::Forbidden(
            "this credential does not name the instance that the event is about",
        ))
    }
}
