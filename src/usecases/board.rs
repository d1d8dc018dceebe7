//! The board: the agents of an instance, their live contacts, and who supervises each.
//!
//! | file | |
//! |---|---|
//! | [`picture`] | what the last polling round found, in memory |
//! | [`agents`] | the part of it that a caller may see, with the supervisions of each contact |
//! | [`follow`] | the same as a stream of changes |
//!
//! While the board is viewed, the polling round of the instance asks for all of its agents, however many callers view it
//! (`polling::board_round`). Guarantee: a view of the board causes no other call to Amazon Connect.

pub mod agents;
pub mod follow;
pub(crate) mod picture;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::VendorError;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};

/// Shows the board.
#[derive(Clone)]
pub struct BoardService {
    ctx: UseCaseContext,
    streams: OpenStreams,
}

impl BoardService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            ctx,
            streams: OpenStreams::default(),
        }
    }
}

/// Why the board cannot be shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BoardError {
    /// Amazon Connect has not listed the agents yet, and refuses to.
    #[error("{0}")]
    Vendor(VendorError),
    /// As many streams are open as `http.max_streams` allows.
    #[error("too many streams are open")]
    StreamLimitReached,
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(BoardError);

/// The most streams of one supervisor.
const STREAMS_OF_ONE: usize = 16;

/// A caller: the credential's name, and the supervisor that it names.
type StreamsKey = (String, Option<UserId>);

/// The open streams of each caller. A caller without any is not listed.
#[derive(Debug, Clone, Default)]
struct OpenStreams(Arc<Mutex<BTreeMap<StreamsKey, usize>>>);

impl OpenStreams {
    fn by_caller(&self) -> MutexGuard<'_, BTreeMap<StreamsKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a stream, if there are fewer than `most` altogether and the caller has fewer than its share: some for a supervisor, half
    /// of all for a caller that acts for many.
    fn open(&self, caller: &Caller, most: usize) -> Option<StreamPlace> {
        let share = if caller.names_one_supervisor() {
            STREAMS_OF_ONE
        } else {
            most.div_ceil(2).max(STREAMS_OF_ONE)
        };
        let key = (caller.name.clone(), caller.supervisor.clone());
        let mut open = self.by_caller();
        let own = open.get(&key).copied().unwrap_or(0);
        if own >= share || open.values().sum::<usize>() >= most {
            return None;
        }
        open.insert(key.clone(), own + 1);
        Some(StreamPlace {
            streams: self.clone(),
            key,
        })
    }
}

/// One open stream. It is counted until it drops.
#[derive(Debug)]
struct StreamPlace {
    streams: OpenStreams,
    key: StreamsKey,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.by_caller();
        match open.get_mut(&self.key) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::authority::Scope;

    use super::*;

    #[test]
    fn board_streams_of_one_caller_leave_places_for_others() {
        let streams = OpenStreams::default();
        let one =
            |user: &str| Caller::new("page", vec![Scope::Supervise, Scope::Board]).naming(UserId::parse(user).ok());
        let count = |caller: &Caller| {
            let open: Vec<_> = std::iter::from_fn(|| streams.open(caller, 40)).collect();
            open.len()
        };
        assert_eq!((count(&one("sup-1")), count(&one("sup-2"))), (16, 16));
        assert_eq!(count(&Caller::new("wall", vec![Scope::Board])), 20);
        let held: Vec<_> = std::iter::from_fn(|| streams.open(&one("sup-1"), 40)).collect();
        assert_eq!((held.len(), count(&one("sup-2"))), (16, 16));
        let more: Vec<_> = std::iter::from_fn(|| streams.open(&one("sup-2"), 40)).collect();
        assert_eq!((more.len(), count(&one("sup-3"))), (16, 8), "40 altogether");
        drop((held, more));
        assert!(streams.by_caller().is_empty());
    }
}
