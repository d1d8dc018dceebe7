//! Counts the events that cannot be used, and warns about each kind once in a while: a wrong account is a fault of the set-up that
//! an operator must see, but a flood of such events must not flood the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::MetricEvent;
use sidedoor_domain::unusable_event::UnusableEvent;

use crate::usecases::evidence::EvidenceService;

/// The shortest time between two warnings about one kind.
const WARN_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// When each kind was last warned about.
#[derive(Clone, Default)]
pub(super) struct UnusableWarnings(Arc<Mutex<BTreeMap<UnusableEvent, Timestamp>>>);

impl UnusableWarnings {
    /// Whether a warning about this kind is due; if so, none is for an hour.
    fn is_due(&self, kind: UnusableEvent, now: Timestamp) -> bool {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = warned
            .get(&kind)
            .is_some_and(|last| now.duration_since(*last) < WARN_EVERY);
        if !recent {
            warned.insert(kind, now);
        }
        !recent
    }
}

impl EvidenceService {
    /// Counts an event that cannot be used.
    pub fn note_unusable(&self, kind: UnusableEvent) {
        self.ctx.count(&MetricEvent::EventUnusable(kind));
        if self.unusable_warnings.is_due(kind, self.ctx.now()) {
            tracing::warn!(
                kind = kind.as_str(),
                "an event was not used: {kind}. More of this kind are only counted (sidedoor_events_unusable_total) for an hour; \
                 docs/operations.md says what to do"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_event_is_warned_about_once_an_hour_per_kind() {
        let warnings = UnusableWarnings::default();
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        assert!(warnings.is_due(UnusableEvent::WrongAccount, at(0)));
        assert!(!warnings.is_due(UnusableEvent::WrongAccount, at(59)));
        assert!(warnings.is_due(UnusableEvent::WrongRegion, at(59)), "another kind");
        assert!(warnings.is_due(UnusableEvent::WrongAccount, at(60)));
        assert!(!warnings.is_due(UnusableEvent::WrongAccount, at(61)));
    }
}
