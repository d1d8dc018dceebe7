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

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sidedoor_domain::ports::VendorError;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};

/// Shows the board.
#[derive(Clone)]
pub struct BoardService {
    ctx: UseCaseContext,
    streams: Arc<AtomicUsize>,
}

impl BoardService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            ctx,
            streams: Arc::default(),
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

/// One open stream. It is counted until it drops.
#[derive(Debug)]
struct StreamPlace(Arc<AtomicUsize>);

impl StreamPlace {
    fn take(open: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Self(open.clone());
        // Above the limit, dropping the place takes the count back.
        (open.fetch_add(1, Ordering::SeqCst) < most).then_some(place)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
