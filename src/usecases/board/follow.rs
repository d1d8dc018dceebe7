//! The board as a stream of changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::ids::{InstanceName, UserId};
use tokio::sync::watch;

use crate::usecases::RequestContext;
use crate::usecases::board::agents::{AgentOnBoard, BoardFilter};
use crate::usecases::board::picture::Picture;
use crate::usecases::board::{BoardError, BoardService, StreamPlace};

/// The longest wait between two looks, so that supervisions that change between two rounds are shown, and the rounds go on while a
/// stream is open.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What changed since the last answer of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct BoardChanges {
    /// When Connect was asked; `None` if it has not answered yet.
    pub as_of: Option<Timestamp>,
    /// Whether Connect listed all agents.
    pub is_complete: bool,
    /// The agents that are new or look different.
    pub changed: Vec<AgentOnBoard>,
    /// The agents that are no longer shown.
    pub gone: Vec<UserId>,
}

/// An open stream of the board.
pub struct BoardStream {
    service: BoardService,
    instance: InstanceName,
    filter: BoardFilter,
    request: RequestContext,
    pictures: watch::Receiver<Arc<Picture>>,
    sent: Option<BTreeMap<UserId, AgentOnBoard>>,
    _place: StreamPlace,
}

impl BoardService {
    /// Opens a stream.
    ///
    /// # Errors
    /// Those of [`BoardService::agents`], and [`BoardError::StreamLimitReached`].
    pub fn follow(&self, filter: &BoardFilter, request: &RequestContext) -> Result<BoardStream, BoardError> {
        let instance = self.checked_instance(filter, request)?;
        let place = self.streams.open(&request.caller, self.ctx.settings.streams);
        Ok(BoardStream {
            service: self.clone(),
            pictures: self.look(&instance),
            instance,
            filter: filter.clone(),
            request: request.clone(),
            sent: None,
            _place: place.ok_or(BoardError::StreamLimitReached)?,
        })
    }
}

impl BoardStream {
    /// Waits for the next change. The first answer has all agents. `None` when the process stops.
    ///
    /// # Errors
    /// Those of [`BoardService::agents`].
    pub async fn next(&mut self) -> Result<Option<BoardChanges>, BoardError> {
        let stopping = self.service.ctx.deps.stopping.clone();
        loop {
            if self.sent.is_some() || self.pictures.borrow().as_of.is_none() {
                let changed = self.pictures.changed();
                tokio::select! {
                    biased;
                    () = stopping.cancelled() => return Ok(None),
                    _ = tokio::time::timeout(LONGEST_WAIT, changed) => {}
                }
            }
            // Each look keeps the rounds going.
            self.service.look(&self.instance);
            let picture = self.pictures.borrow_and_update().clone();
            if picture.as_of.is_none() && picture.failure.is_none() {
                continue;
            }
            let view = self
                .service
                .view(&self.instance, &picture, &self.filter, &self.request)
                .await?;
            let now: BTreeMap<UserId, AgentOnBoard> = view.agents.into_iter().map(|a| (a.user.clone(), a)).collect();
            let is_first = self.sent.is_none();
            let before = self.sent.replace(now.clone()).unwrap_or_default();
            let changes = BoardChanges {
                as_of: view.as_of,
                is_complete: view.is_complete,
                gone: before.keys().filter(|user| !now.contains_key(user)).cloned().collect(),
                changed: now
                    .into_iter()
                    .filter(|(user, agent)| before.get(user) != Some(agent))
                    .map(|(_, agent)| agent)
                    .collect(),
            };
            if is_first || !changes.changed.is_empty() || !changes.gone.is_empty() {
                return Ok(Some(changes));
            }
        }
    }
}
