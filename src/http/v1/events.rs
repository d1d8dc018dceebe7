//! `/v1/events`: where Amazon Connect and partner carriers deliver their events.

pub(crate) mod connect;
pub(crate) mod partners;

use serde::Serialize;

use crate::usecases::evidence::contact_events::Observed;

/// The answer to an event.
#[derive(Serialize)]
pub(crate) struct Receipt {
    accepted: bool,
    duplicate: bool,
}

impl Receipt {
    pub(crate) fn of(observed: Observed) -> Self {
        Self {
            accepted: observed != Observed::Ignored,
            duplicate: observed == Observed::Duplicate,
        }
    }
}
