//! Concurrency limits. Requests are divided into rooms, so that a flood in one room never keeps out what is in another: health and
//! metrics, the requests by which a supervisor leaves, vendors' events, and everything else. In each room one caller holds at most a
//! share, so that a single credential cannot fill it.
//!
//! A caller's share is taken before the body arrives, and a place in the room only afterwards. So a body that arrives slowly uses up
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
pub(super) enum Room {
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
pub struct RoomSizes {
    /// Of all requests in [`Room::Work`], and of all in [`Room::Leaves`]. [`Room::Events`] has a quarter of it.
    pub all: usize,
    /// Of each caller that acts for many supervisors.
    pub caller: usize,
    /// Of each supervisor.
    pub supervisor: usize,
}

/// Every room.
pub(super) struct Rooms([Places; 4]);

/// The places of one room.
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

impl Rooms {
    pub(super) fn new(sizes: RoomSizes) -> Self {
        let RoomSizes {
            all,
            caller,
            supervisor,
        } = sizes;
        let health = Places::new(HEALTH_PLACES, HEALTH_PLACES / 4, HEALTH_PLACES / 4);
        let events = Places::new(all.div_ceil(4), caller.div_ceil(4), caller.div_ceil(4));
        let [leaves, work] = [(), ()].map(|()| Places::new(all, caller, supervisor));
        Self([health, leaves, events, work])
    }

    fn places(&self, room: Room) -> &Places {
        &self.0[room as usize]
    }

    /// Counts a request of this caller; `None` if the caller already has as many in progress as it may.
    pub(super) fn share(&self, room: Room, caller: &Caller) -> Option<Share> {
        let places = self.places(room);
        let most = if caller.acts_for_one_supervisor() {
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

    /// A place in the room, free again when it drops; `None` if the room is full.
    pub(super) fn place(&self, room: Room) -> Option<OwnedSemaphorePermit> {
        self.places(room).free.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::authority::Scope;
    use sidedoor_domain::ids::UserId;

    use super::*;

    fn rooms() -> Rooms {
        Rooms::new(RoomSizes {
            all: 8,
            caller: 4,
            supervisor: 2,
        })
    }

    fn supervisor(user: &str) -> Caller {
        Caller::new("page (ticket)", vec![Scope::Supervise]).naming(UserId::parse(user).ok())
    }

    #[test]
    fn room_share_of_one_caller_leaves_places_for_others() {
        let rooms = rooms();
        let count = |caller: &Caller| {
            let shares: Vec<_> = (0..9).filter_map(|_| rooms.share(Room::Work, caller)).collect();
            shares.len()
        };
        assert_eq!(count(&Caller::new("back end", vec![Scope::SuperviseAny])), 4);
        assert_eq!(count(&supervisor("sup-1")), 2);
        let held: Vec<_> = (0..2)
            .filter_map(|_| rooms.share(Room::Work, &supervisor("sup-1")))
            .collect();
        assert_eq!(held.len(), 2);
        assert!(rooms.share(Room::Work, &supervisor("sup-1")).is_none());
        assert!(
            rooms.share(Room::Leaves, &supervisor("sup-1")).is_some(),
            "another room"
        );
        assert!(
            rooms.share(Room::Work, &supervisor("sup-2")).is_some(),
            "another supervisor"
        );
        drop(held);
        assert!(rooms.share(Room::Work, &supervisor("sup-1")).is_some());
        assert!(
            rooms.places(Room::Work).held.by_caller().is_empty(),
            "nobody is listed for nothing"
        );
    }

    #[test]
    fn room_that_is_full_keeps_nothing_out_of_another() {
        let rooms = rooms();
        let taken: Vec<_> = std::iter::from_fn(|| rooms.place(Room::Work)).collect();
        assert_eq!(taken.len(), 8);
        for room in [Room::Health, Room::Leaves, Room::Events] {
            assert!(rooms.place(room).is_some(), "{room:?}");
        }
        drop(taken);
        assert!(rooms.place(Room::Work).is_some());
        let events: Vec<_> = std::iter::from_fn(|| rooms.place(Room::Events)).collect();
        assert_eq!(events.len(), 2, "a quarter");
    }
}
