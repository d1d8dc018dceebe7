//! `/v1/events`: where Amazon Connect and partner carriers deliver their events.

pub(crate) mod connect;
pub(crate) mod partners;

use serde::Serialize;

use crate::usecases::evidence::contact_events::EventOutcome;

/// The answer to an event.
#[derive(Serialize)]
pub(crate) struct Receipt {
    accepted: bool,
    duplicate: bool,
}

impl Receipt {
    pub(crate) fn of(observed: EventOutcome) -> Self {
        Self {
            accepted: observed != EventOutcome::Ignored,
            duplicate: observed == EventOutcome::Duplicate,
        }
    }
}
