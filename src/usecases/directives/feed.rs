//! What a supervisor's browser is told to do, as it reaches the browser: a stream that can be resumed, or a poll.
//!
//! Directives are on disk before anybody is told, in the order of their changes, so nothing is lost when a browser reloads, the
//! network drops, or this process does: whoever comes back says what they heard last and hears the rest. One without that hears
//! what is open.

use crate::usecases::directives::DirectiveError;
use crate::usecases::error::UseCaseError;
use std::collections::HashMap;

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::usecases::RequestContext;
use crate::usecases::directives::DirectiveService;
use crate::usecases::directives::presence::{StreamPresence, SupervisorKey};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::directive::Directive;
use sidedoor_domain::ids::{DirectiveId, InstanceName, UserId};
use sidedoor_domain::ports::store::{DirectiveNews, Ordered};
use sidedoor_domain::supervision::Supervision;

/// Changes told at once.
const PAGE: u32 = 100;
/// How often a tab that may have to take over looks whether it must.
const TAKE_OVER_POLL: std::time::Duration = std::time::Duration::from_millis(500);
/// A stream looks by itself at least so often.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// One directive, as it stands.
#[derive(Debug, Clone)]
pub struct DirectiveEvent {
    /// Where the listener is after this: what to say when coming back.
    pub seq: i64,
    /// Its supervision.
    pub supervision: Supervision,
    /// The directive.
    pub directive: Directive,
    /// Whether **this** listener is to act on it now. Another may be asked to.
    pub act: bool,
}

/// Whom a listener listens for.
#[derive(Debug, Clone)]
pub struct DirectiveListener {
    /// The supervisor.
    pub user: UserId,
    /// In which instance; the default one if none is named.
    pub instance: Option<InstanceName>,
    /// What was heard last.
    pub after: Option<i64>,
    /// Whether it holds the supervisor's CCP and will act.
    pub acts: bool,
    /// Which of the supervisor's tabs asks, if it polls and says so.
    pub tab: Option<String>,
}

impl DirectiveService {
    fn supervisor_key(
        &self,
        listener: &DirectiveListener,
        request: &RequestContext,
    ) -> Result<SupervisorKey, DirectiveError> {
        let caller = &request.caller;
        // Who acts must be the supervisor; others that see everything may watch.
        let may = caller.may_act_as(&listener.user) || (!listener.acts && caller.has(Scope::Operate));
        if !may {
            return Err(UseCaseError::Forbidden("this credential may not listen for that supervisor").into());
        }
        let named = listener
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let known = named.filter(|name| self.ctx.instance(name).is_some());
        Ok((known.ok_or(UseCaseError::InstanceNotFound)?, listener.user.clone()))
    }

    /// Streams of directives open now.
    pub fn open_streams(&self) -> usize {
        self.presence.open()
    }

    /// Whether a browser is there to act for the supervisor of `s`.
    pub fn controller_attached(&self, s: &Supervision) -> bool {
        let user = s.supervisor.connect_user_id.clone();
        user.is_some_and(|user| self.presence.is_attached(&(s.instance.clone(), user), self.ctx.now()))
    }

    /// What there is to tell now, and where the listener is then.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::InstanceNotFound`], and the store's.
    pub async fn poll_directives(
        &self,
        listener: &DirectiveListener,
        request: &RequestContext,
    ) -> Result<(Vec<DirectiveEvent>, i64), DirectiveError> {
        let supervisor = self.supervisor_key(listener, request)?;
        let now = self.ctx.now();
        if listener.acts {
            self.presence.polled(&supervisor, listener.tab.as_deref(), now);
        }
        let end = self.ctx.store().last_directive_change().await?;
        let changes = self
            .ctx
            .store()
            .directives_of(&supervisor.0, &supervisor.1, listener.after, PAGE);
        let changes = changes.await?;
        let full = changes.len() == PAGE as usize;
        let reached = changes.last().map(|c| c.seq);
        let active_from = |issued_at| {
            let tab = listener.tab.as_deref();
            self.presence.poller_active_from(&supervisor, tab, issued_at, now)
        };
        let events = changes.into_iter().filter_map(directive_event).map(|t| DirectiveEvent {
            act: listener.acts && t.directive.is_open(now) && active_from(t.directive.issued_at) <= now,
            ..t
        });
        // What came while we read is told next time.
        let next = if full {
            reached.unwrap_or(end)
        } else {
            end.max(reached.unwrap_or(0))
        };
        let next = listener.after.map_or(next, |after| next.max(after));
        Ok((events.collect(), next))
    }

    /// Begins to follow a supervisor's directives.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::InstanceNotFound`], [`DirectiveError::StreamLimitReached`].
    pub fn follow_directives(
        &self,
        listener: &DirectiveListener,
        request: &RequestContext,
    ) -> Result<DirectiveStream, DirectiveError> {
        let supervisor = self.supervisor_key(listener, request)?;
        let presence = self.presence.attach(&supervisor, listener.acts);
        let presence = presence.ok_or(DirectiveError::StreamLimitReached)?;
        Ok(DirectiveStream {
            news: self.ctx.store().directive_news(),
            changes: presence.changes(),
            service: self.clone(),
            supervisor,
            presence,
            cursor: listener.after,
            first: true,
            waiting: HashMap::new(),
        })
    }
}

fn directive_event(change: Ordered) -> Option<DirectiveEvent> {
    let supervision = change.stored.supervision;
    let directive = supervision
        .directives
        .iter()
        .find(|d| d.id == change.directive)?
        .clone();
    Some(DirectiveEvent {
        seq: change.seq,
        directive,
        supervision,
        act: false,
    })
}

/// A stream of directives. While it lives, its browser counts as there.
pub struct DirectiveStream {
    service: DirectiveService,
    supervisor: SupervisorKey,
    presence: StreamPresence,
    news: broadcast::Receiver<DirectiveNews>,
    changes: broadcast::Receiver<SupervisorKey>,
    cursor: Option<i64>,
    first: bool,
    /// Open ones that another tab was asked to carry out.
    waiting: HashMap<DirectiveId, DirectiveEvent>,
}

impl DirectiveStream {
    /// What is to be told next; waits until there is something. `None` when the process stops.
    ///
    /// # Errors
    /// The store's: come back with what was heard last.
    pub async fn next(&mut self) -> Result<Option<Vec<DirectiveEvent>>, DirectiveError> {
        loop {
            let mut out = self.changes_since().await?;
            out.extend(self.take_over_due());
            if !out.is_empty() {
                return Ok(Some(out));
            }
            let patience = if self.waiting.is_empty() {
                LONGEST_WAIT
            } else {
                TAKE_OVER_POLL
            };
            let deadline = tokio::time::sleep(patience);
            tokio::pin!(deadline);
            loop {
                tokio::select! {
                    received = self.news.recv() => if concerns(&received, &self.supervisor) { break },
                    received = self.changes.recv() => if concerns(&received, &self.supervisor) { break },
                    () = &mut deadline => break,
                    () = self.service.ctx.deps.stopping.cancelled() => return Ok(None),
                }
            }
        }
    }

    async fn changes_since(&mut self) -> Result<Vec<DirectiveEvent>, DirectiveError> {
        let store = self.service.ctx.store();
        let end = store.last_directive_change().await?;
        if !self.first && self.cursor == Some(end) {
            return Ok(Vec::new());
        }
        let changes = store
            .directives_of(&self.supervisor.0, &self.supervisor.1, self.cursor, PAGE)
            .await?;
        if self.first && self.cursor.is_some() && self.presence.acts() {
            // What it heard before it lost us and left to another tab may fall to it yet.
            let open = store
                .directives_of(&self.supervisor.0, &self.supervisor.1, None, PAGE)
                .await?;
            let received = open
                .into_iter()
                .filter(|o| Some(o.seq) <= self.cursor)
                .filter_map(directive_event);
            self.waiting.extend(received.map(|event| (event.directive.id, event)));
        }
        self.first = false;
        let full = changes.len() == PAGE as usize;
        let reached = changes.last().map(|c| c.seq);
        let until = if full {
            reached
        } else {
            Some(end.max(reached.unwrap_or(0)))
        };
        self.cursor = self.cursor.max(until);
        let now = self.service.ctx.now();
        let mut out = Vec::with_capacity(changes.len());
        for mut event in changes.into_iter().filter_map(directive_event) {
            self.waiting.remove(&event.directive.id);
            if event.directive.is_open(now) {
                event.act = self.is_active_for(&event, now);
                if !event.act && self.presence.acts() {
                    self.waiting.insert(event.directive.id, event.clone());
                }
            }
            out.push(event);
        }
        Ok(out)
    }

    fn is_active_for(&self, event: &DirectiveEvent, now: Timestamp) -> bool {
        self.presence
            .active_from(event.directive.issued_at)
            .is_some_and(|from| from <= now)
    }

    /// Those whose turn has come to this tab.
    fn take_over_due(&mut self) -> Vec<DirectiveEvent> {
        let now = self.service.ctx.now();
        self.waiting.retain(|_, event| event.directive.is_open(now));
        let mine: Vec<DirectiveId> = self
            .waiting
            .values()
            .filter(|event| self.is_active_for(event, now))
            .map(|event| event.directive.id)
            .collect();
        let taken = mine.iter().filter_map(|id| self.waiting.remove(id));
        taken.map(|event| DirectiveEvent { act: true, ..event }).collect()
    }
}

/// Whether news is of this supervisor, or so much was missed that it may be.
fn concerns(received: &Result<SupervisorKey, RecvError>, supervisor: &SupervisorKey) -> bool {
    match received {
        Ok(theirs) => theirs == supervisor,
        Err(RecvError::Lagged(_) | RecvError::Closed) => true,
    }
}
