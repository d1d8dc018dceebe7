//! Concurrency limits. Requests are divided into bulkheads, so that a flood in one of them never keeps out what is in another: health and
//! metrics, the requests by which a supervisor leaves, vendors' events, and everything else. In each, one caller holds at most a
//! share, so that a single credential cannot fill it.
//!
//! A caller's share is taken before the body arrives, and a place in the bulkhead only afterwards. So a body that arrives slowly uses up
//! its sender's own share and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidedoor_domain::authority::Caller;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::CallerKey;

/// The most concurrent requests for health, readiness, the contract and metrics.
const HEALTH_PLACES: usize = 64;

/// A group of routes with a concurrency limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bulkhead {
    /// Health, readiness, metrics and the contract.
    Health,
    /// What a supervisor and their browser need to leave: disconnects, directives and their acknowledgements.
    Leaves,
    /// Vendors' events.
    Events,
    /// Everything else.
    Work,
}

/// The concurrency limits of requests.
#[derive(Debug, Clone, Copy)]
pub struct ConcurrencyLimits {
    /// Of all requests in [`Bulkhead::Work`], and of all in [`Bulkhead::Leaves`]. [`Bulkhead::Events`] has a quarter of it.
    pub all: usize,
    /// Of each caller that acts for many supervisors.
    pub caller: usize,
    /// Of each supervisor.
    pub supervisor: usize,
}

/// Every bulkhead.
pub(super) struct Bulkheads([Places; 4]);

/// The places of one bulkhead.
struct Places {
    free: Arc<Semaphore>,
    caller: usize,
    supervisor: usize,
    held: Arc<Held>,
}

/// How many requests of each caller are in progress. A caller without any is not listed, so there are at most as many callers as
/// connections.
#[derive(Default)]
struct Held(Mutex<HashMap<CallerKey, usize>>);

impl Held {
    fn by_caller(&self) -> MutexGuard<'_, HashMap<CallerKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a caller in progress, counted until this drops.
pub(super) struct Share {
    held: Arc<Held>,
    caller: CallerKey,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.by_caller();
        if let Some(count) = held.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.caller);
            }
        }
    }
}

impl Places {
    fn new(places: usize, caller: usize, supervisor: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(places)),
            caller: caller.clamp(1, places),
            supervisor: supervisor.clamp(1, places),
            held: Arc::default(),
        }
    }
}

impl Bulkheads {
    pub(super) fn new(sizes: ConcurrencyLimits) -> Self {
        let ConcurrencyLimits {
            all,
            caller,
            supervisor,
        } = sizes;
        let health = Places::new(HEALTH_PLACES, HEALTH_PLACES / 4, HEALTH_PLACES / 4);
        // One sender has most of the events, and leaves a quarter to the others.
        let (events, of_one) = (all.div_ceil(4), all.div_ceil(4) - all / 16);
        let events = Places::new(events, of_one, of_one);
        let [leaves, work] = [(), ()].map(|()| Places::new(all, caller, supervisor));
        Self([health, leaves, events, work])
    }

    fn places(&self, bulkhead: Bulkhead) -> &Places {
        &self.0[bulkhead as usize]
    }

    /// Counts a request of this caller; `None` if the caller already has as many in progress as it may.
    pub(super) fn share(&self, bulkhead: Bulkhead, caller: &Caller) -> Option<Share> {
        let places = self.places(bulkhead);
        let most = if caller.names_one_supervisor() {
            places.supervisor
        } else {
            places.caller
        };
        let caller = CallerKey::of(caller);
        let mut held = places.held.by_caller();
        let count = held.entry(caller.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share {
            held: places.held.clone(),
            caller,
        })
    }

    /// A place in the bulkhead, free again when it drops; `None` if it is full.
    pub(super) fn place(&self, bulkhead: Bulkhead) -> Option<OwnedSemaphorePermit> {
        self.places(bulkhead).free.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::authority::Scope;
    use sidedoor_domain::ids::UserId;

    use super::*;

    fn bulkheads() -> Bulkheads {
        Bulkheads::new(ConcurrencyLimits {
            all: 8,
            caller: 4,
            supervisor: 2,
        })
    }

    fn supervisor(user: &str) -> Caller {
        Caller::new("page (ticket)", vec![Scope::Supervise]).naming(UserId::parse(user).ok())
    }

    #[test]
    fn bulkhead_share_of_one_caller_leaves_places_for_others() {
        let bulkheads = bulkheads();
        let count = |caller: &Caller| {
            let shares: Vec<_> = (0..9).filter_map(|_| bulkheads.share(Bulkhead::Work, caller)).collect();
            shares.len()
        };
        assert_eq!(count(&Caller::new("back end", vec![Scope::SuperviseAny])), 4);
        assert_eq!(count(&supervisor("sup-1")), 2);
        let held: Vec<_> = (0..2)
            .filter_map(|_| bulkheads.share(Bulkhead::Work, &supervisor("sup-1")))
            .collect();
        assert_eq!(held.len(), 2);
        assert!(bulkheads.share(Bulkhead::Work, &supervisor("sup-1")).is_none());
        assert!(
            bulkheads.share(Bulkhead::Leaves, &supervisor("sup-1")).is_some(),
            "another bulkhead"
        );
        assert!(
            bulkheads.share(Bulkhead::Work, &supervisor("sup-2")).is_some(),
            "another supervisor"
        );
        drop(held);
        assert!(bulkheads.share(Bulkhead::Work, &supervisor("sup-1")).is_some());
        assert!(
            bulkheads.places(Bulkhead::Work).held.by_caller().is_empty(),
            "nobody is listed for nothing"
        );
    }

    #[test]
    fn bulkhead_that_is_full_keeps_nothing_out_of_another() {
        let bulkheads = bulkheads();
        let taken: Vec<_> = std::iter::from_fn(|| bulkheads.place(Bulkhead::Work)).collect();
        assert_eq!(taken.len(), 8);
        for bulkhead in [Bulkhead::Health, Bulkhead::Leaves, Bulkhead::Events] {
            assert!(bulkheads.place(bulkhead).is_some(), "{bulkhead:?}");
        }
        drop(taken);
        assert!(bulkheads.place(Bulkhead::Work).is_some());
        let events: Vec<_> = std::iter::from_fn(|| bulkheads.place(Bulkhead::Events)).collect();
        assert_eq!(events.len(), 2, "a quarter");
    }
}
