//! How directives reach a supervisor's browser: by a stream that can be resumed, or by polling.
//!
//! Guarantee: directives are in the store, in the order of their changes, before any browser receives them. So nothing is
//! lost when a browser reloads, the network fails or this process restarts: the browser sends the number of the last change
//! that it received and gets everything after it. Without a number it gets the open directives.
//!
//! A stream wakes only for changes of its own supervisor, so that a directive costs the same with one open stream and with thousands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::directive::Directive;
use sidedoor_domain::ids::{DirectiveId, InstanceName, UserId};
use sidedoor_domain::ports::store::{News, OrderedDirective};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::RequestContext;
use crate::usecases::directives::presence::{StreamPresence, SupervisorKey};
use crate::usecases::directives::{DirectiveError, DirectiveService};
use crate::usecases::error::UseCaseError;

/// The most changes that are read at once.
const PAGE: u32 = 100;
/// How often a standby tab checks whether it must take over.
const TAKE_OVER_POLL: std::time::Duration = std::time::Duration::from_millis(500);
/// The longest wait of a stream between two reads of the store.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// A directive as a browser receives it.
#[derive(Debug, Clone)]
pub struct DirectiveEvent {
    /// The number of this change; the browser sends it when it reconnects.
    pub seq: i64,
    /// The supervision of the directive.
    pub supervision: Supervision,
    /// The directive.
    pub directive: Directive,
    /// Whether this tab must act on it now. Only one tab at a time is asked to act.
    pub act: bool,
}

/// Who receives directives, and from which change on.
#[derive(Debug, Clone)]
pub struct DirectiveListener {
    /// The supervisor.
    pub user: UserId,
    /// The Connect instance; the default one if `None`.
    pub instance: Option<InstanceName>,
    /// The number of the last received change.
    pub after: Option<i64>,
    /// Whether the browser has the supervisor's CCP and can act.
    pub acts: bool,
    /// The tab's id, if the browser polls and sends one.
    pub tab: Option<String>,
}

impl DirectiveService {
    fn supervisor_key(
        &self,
        listener: &DirectiveListener,
        request: &RequestContext,
    ) -> Result<SupervisorKey, DirectiveError> {
        let caller = &request.caller;
        // Only the supervisor's own browser may act; an operator may watch.
        let may = caller.may_act_as(&listener.user) || (!listener.acts && caller.has(Scope::Operate));
        if !may {
            return Err(UseCaseError::Forbidden("this credential may not listen for that supervisor").into());
        }
        let named = listener
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let known = named.filter(|name| self.ctx.instance(name).is_some());
        Ok((
            known.ok_or_else(|| self.ctx.instance_not_found(listener.instance.as_ref()))?,
            listener.user.clone(),
        ))
    }

    /// The number of open directive streams.
    pub fn open_streams(&self) -> usize {
        self.presence.open()
    }

    /// Whether a browser that can act is connected for the supervisor of `s`.
    pub fn controller_attached(&self, s: &Supervision) -> bool {
        let user = s.supervisor.connect_user_id.clone();
        user.is_some_and(|user| self.presence.is_attached(&(s.instance.clone(), user), self.ctx.now()))
    }

    /// The changes after the listener's last one, and the number of the last change in the answer.
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
        // Changes that arrived while we read are in the next answer.
        let next = if full {
            reached.unwrap_or(end)
        } else {
            end.max(reached.unwrap_or(0))
        };
        let next = listener.after.map_or(next, |after| next.max(after));
        Ok((events.collect(), next))
    }

    /// Opens a stream of a supervisor's directives.
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
            news: self.ctx.store().directive_news_of(supervisor.clone()),
            changes: presence.changes(),
            service: self.clone(),
            supervisor,
            presence,
            cursor: listener.after,
            first: true,
            waiting: BTreeMap::new(),
        })
    }
}

fn directive_event(change: OrderedDirective) -> Option<DirectiveEvent> {
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

/// An open stream of directives. While it exists, its browser counts as present.
pub struct DirectiveStream {
    service: DirectiveService,
    supervisor: SupervisorKey,
    presence: StreamPresence,
    news: News<SupervisorKey>,
    changes: News<SupervisorKey>,
    cursor: Option<i64>,
    first: bool,
    /// Open directives that another tab was asked to carry out.
    waiting: BTreeMap<DirectiveId, DirectiveEvent>,
}

impl DirectiveStream {
    /// The next changes; waits until there are some. `None` when the process stops.
    ///
    /// # Errors
    /// The store's: the browser should reconnect with the last number that it received.
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
            tokio::select! {
                biased;
                () = self.news.changed() => {}
                () = self.changes.changed() => {}
                () = deadline => {}
                () = self.service.ctx.deps.stopping.cancelled() => return Ok(None),
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
            // Directives that the browser received before it lost the connection, and left to another tab, may become due for it.
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

    /// The directives that this tab must now take over from another one.
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
