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

use crate::usecases::Request;
use crate::usecases::directives::DirectiveService;
use crate::usecases::directives::presence::{Seat, Whose};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::directive::Directive;
use sidedoor_domain::ids::{DirectiveId, InstanceName, UserId};
use sidedoor_domain::ports::store::{DirectiveNews, Ordered};
use sidedoor_domain::supervision::Supervision;

/// Changes told at once.
const AT_ONCE: u32 = 100;
/// How often a tab that may have to take over looks whether it must.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);
/// A stream looks by itself at least so often.
const AT_LEAST: std::time::Duration = std::time::Duration::from_secs(30);

/// One directive, as it stands.
#[derive(Debug, Clone)]
pub struct Told {
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
pub struct Listener {
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
    fn whose(&self, listener: &Listener, by: &Request) -> Result<Whose, DirectiveError> {
        let caller = &by.caller;
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
    pub async fn poll_directives(&self, listener: &Listener, by: &Request) -> Result<(Vec<Told>, i64), DirectiveError> {
        let whose = self.whose(listener, by)?;
        let now = self.ctx.now();
        if listener.acts {
            self.presence.polled(&whose, listener.tab.as_deref(), now);
        }
        let end = self.ctx.store().last_directive_change().await?;
        let changes = self
            .ctx
            .store()
            .directives_of(&whose.0, &whose.1, listener.after, AT_ONCE);
        let changes = changes.await?;
        let full = changes.len() == AT_ONCE as usize;
        let reached = changes.last().map(|c| c.seq);
        let turn = |issued_at| {
            let tab = listener.tab.as_deref();
            self.presence.pollers_turn(&whose, tab, issued_at, now)
        };
        let told = changes.into_iter().filter_map(told).map(|t| Told {
            act: listener.acts && t.directive.is_open(now) && turn(t.directive.issued_at) <= now,
            ..t
        });
        // What came while we read is told next time.
        let next = if full {
            reached.unwrap_or(end)
        } else {
            end.max(reached.unwrap_or(0))
        };
        let next = listener.after.map_or(next, |after| next.max(after));
        Ok((told.collect(), next))
    }

    /// Begins to follow a supervisor's directives.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::InstanceNotFound`], [`DirectiveError::StreamLimitReached`].
    pub fn follow_directives(&self, listener: &Listener, by: &Request) -> Result<Following, DirectiveError> {
        let whose = self.whose(listener, by)?;
        let seat = self.presence.attach(&whose, listener.acts);
        let seat = seat.ok_or(DirectiveError::StreamLimitReached)?;
        Ok(Following {
            news: self.ctx.store().directive_news(),
            changes: seat.changes(),
            service: self.clone(),
            whose,
            seat,
            cursor: listener.after,
            first: true,
            waiting: HashMap::new(),
        })
    }
}

fn told(change: Ordered) -> Option<Told> {
    let supervision = change.stored.supervision;
    let directive = supervision
        .directives
        .iter()
        .find(|d| d.id == change.directive)?
        .clone();
    Some(Told {
        seq: change.seq,
        directive,
        supervision,
        act: false,
    })
}

/// A stream of directives. While it lives, its browser counts as there.
pub struct Following {
    service: DirectiveService,
    whose: Whose,
    seat: Seat,
    news: broadcast::Receiver<DirectiveNews>,
    changes: broadcast::Receiver<Whose>,
    cursor: Option<i64>,
    first: bool,
    /// Open ones that another tab was asked to carry out.
    waiting: HashMap<DirectiveId, Told>,
}

impl Following {
    /// What is to be told next; waits until there is something. `None` when the process stops.
    ///
    /// # Errors
    /// The store's: come back with what was heard last.
    pub async fn next(&mut self) -> Result<Option<Vec<Told>>, DirectiveError> {
        loop {
            let mut out = self.changes_since().await?;
            out.extend(self.taken_over());
            if !out.is_empty() {
                return Ok(Some(out));
            }
            let patience = if self.waiting.is_empty() { AT_LEAST } else { LOOK };
            let deadline = tokio::time::sleep(patience);
            tokio::pin!(deadline);
            loop {
                tokio::select! {
                    heard = self.news.recv() => if concerns(&heard, &self.whose) { break },
                    heard = self.changes.recv() => if concerns(&heard, &self.whose) { break },
                    () = &mut deadline => break,
                    () = self.service.ctx.parts.stopping.cancelled() => return Ok(None),
                }
            }
        }
    }

    async fn changes_since(&mut self) -> Result<Vec<Told>, DirectiveError> {
        let store = self.service.ctx.store();
        let end = store.last_directive_change().await?;
        if !self.first && self.cursor == Some(end) {
            return Ok(Vec::new());
        }
        let changes = store
            .directives_of(&self.whose.0, &self.whose.1, self.cursor, AT_ONCE)
            .await?;
        if self.first && self.cursor.is_some() && self.seat.acts() {
            // What it heard before it lost us and left to another tab may fall to it yet.
            let open = store.directives_of(&self.whose.0, &self.whose.1, None, AT_ONCE).await?;
            let heard = open.into_iter().filter(|o| Some(o.seq) <= self.cursor).filter_map(told);
            self.waiting.extend(heard.map(|told| (told.directive.id, told)));
        }
        self.first = false;
        let full = changes.len() == AT_ONCE as usize;
        let reached = changes.last().map(|c| c.seq);
        let until = if full {
            reached
        } else {
            Some(end.max(reached.unwrap_or(0)))
        };
        self.cursor = self.cursor.max(until);
        let now = self.service.ctx.now();
        let mut out = Vec::with_capacity(changes.len());
        for mut told in changes.into_iter().filter_map(told) {
            self.waiting.remove(&told.directive.id);
            if told.directive.is_open(now) {
                told.act = self.is_my_turn(&told, now);
                if !told.act && self.seat.acts() {
                    self.waiting.insert(told.directive.id, told.clone());
                }
            }
            out.push(told);
        }
        Ok(out)
    }

    fn is_my_turn(&self, told: &Told, now: Timestamp) -> bool {
        self.seat.turn(told.directive.issued_at).is_some_and(|turn| turn <= now)
    }

    /// Those whose turn has come to this tab.
    fn taken_over(&mut self) -> Vec<Told> {
        let now = self.service.ctx.now();
        self.waiting.retain(|_, told| told.directive.is_open(now));
        let mine: Vec<DirectiveId> = self
            .waiting
            .values()
            .filter(|told| self.is_my_turn(told, now))
            .map(|told| told.directive.id)
            .collect();
        let taken = mine.iter().filter_map(|id| self.waiting.remove(id));
        taken.map(|told| Told { act: true, ..told }).collect()
    }
}

/// Whether news is of this supervisor, or so much was missed that it may be.
fn concerns(heard: &Result<Whose, RecvError>, whose: &Whose) -> bool {
    match heard {
        Ok(theirs) => theirs == whose,
        Err(RecvError::Lagged(_) | RecvError::Closed) => true,
    }
}
