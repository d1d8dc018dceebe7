//! Directives announced by the CRM's own events, for browsers that hold no stream of ours: "something changed in the stream of
//! that key; ask". The event says neither what nor whose, so whoever can subscribe learns nothing of who supervises whom.
//!
//! At least once: how far we have come is on disk and moves only after the CRM took the events, so a crash publishes some again
//! and loses none. A browser that hears one asks what is new after what it heard last: repeats, lost order and replays of old
//! events are harmless.

use crate::usecases::error::UseCaseError;
use std::collections::BTreeSet;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::usecases::directives::DirectiveService;
use crate::usecases::retry::Backoff;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::crm::EVENTS_A_CALL;
use sidedoor_domain::ports::{Crm, CrmError, CrmVerdict, MetricEvent, Transaction};

/// The cursor's name in the store.
const CURSOR: &str = "directives announced";
/// Changes read at once.
const PAGE: u32 = 200;
/// How long it rests while deliveries are held, and before each call while the org's calls are short.
const HELD: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_secs(10);
/// It looks by itself at least so often.
const AT_LEAST: Duration = Duration::from_secs(30);
/// Why a round came to nothing.
enum Failed {
    Here(UseCaseError),
    There(CrmError),
}

impl DirectiveService {
    /// The opaque name of a supervisor's stream of directives: known to whoever may ask for that stream, and telling nothing to
    /// anybody else.
    pub fn channel_key(&self, user: &UserId) -> String {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.ctx.store().stream_salt().as_bytes()) else {
            return String::new();
        };
        mac.update(user.as_str().as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }

    /// Announces changes of directives, until the process stops. Returns at once when that is switched off.
    pub async fn announce_until_stopped(self) {
        let crm = self.ctx.parts.crm.clone().filter(|_| self.ctx.settings.announce);
        let Some(crm) = crm else { return };
        let mut news = self.ctx.store().directive_news();
        let mut failures = 0;
        while !self.ctx.is_stopping() {
            // What the org has left is for rows, and while it takes nothing it takes no events: pages ask by themselves meanwhile.
            if let Some(rest) = self.announcing_rests(crm.as_ref()) {
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = self.ctx.parts.stopping.cancelled() => return,
                }
                if self.nothing_is_taken() {
                    continue;
                }
            }
            let pause = match self.announce_round(crm.as_ref()).await {
                Ok(true) => continue,
                Ok(false) => {
                    failures = 0;
                    AT_LEAST
                }
                Err(Failed::Here(e)) => {
                    tracing::error!(error = %e, "announcing directives waits: {e}");
                    Duration::from_secs(1)
                }
                Err(Failed::There(e)) => {
                    self.ctx.count(&MetricEvent::Announced("again", 1));
                    tracing::warn!(code = %e.code, "directives cannot be announced by Platform Events: {e}");
                    failures += 1;
                    match e.verdict {
                        CrmVerdict::Park(wait) | CrmVerdict::OrgFault(wait) => wait,
                        _ => Backoff::DELIVERY.wait(failures),
                    }
                }
            };
            // While the org takes nothing, news is no reason to hurry.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = news.recv(), if failures == 0 => {}
                () = self.ctx.parts.stopping.cancelled() => {}
            }
        }
    }

    /// Whether the org takes nothing now. If only the rows' object is not as it should be, events are taken all the same.
    fn nothing_is_taken(&self) -> bool {
        self.deliveries.delivery_held().is_some_and(|held| !held.rows_alone)
    }

    /// How long announcing rests before it calls, if it does: a moment while the org takes nothing, so that it is asked again soon;
    /// longer while its calls are short, so that one call carries many.
    fn announcing_rests(&self, crm: &dyn Crm) -> Option<Duration> {
        let short = crm
            .usage()
            .is_some_and(|u| u.share() >= self.ctx.settings.delivery.slow_above);
        match (self.nothing_is_taken(), short) {
            (true, _) => Some(HELD),
            (false, true) => Some(SHORT),
            (false, false) => None,
        }
    }

    /// Announces a page of changes. Whether there may be more.
    async fn announce_round(&self, crm: &dyn Crm) -> Result<bool, Failed> {
        let here = |e| Failed::Here(UseCaseError::from(e));
        let begun = self.ctx.store().cursor(CURSOR).await.map_err(here)?;
        let after = match begun {
            Some(seq) => seq,
            // Switched on now: what is over needs no announcement.
            None => self.ctx.store().before_open_directives().await.map_err(here)?,
        };
        let changes = self.ctx.store().directive_changes(after, PAGE).await.map_err(here)?;
        let Some(last) = changes.last() else {
            return Ok(false);
        };
        // Many changes of one stream are one announcement.
        let users: BTreeSet<&UserId> = changes.iter().map(|c| &c.user).collect();
        let keys: Vec<String> = users.into_iter().map(|user| self.channel_key(user)).collect();
        for some in keys.chunks(EVENTS_A_CALL) {
            crm.announce(some).await.map_err(Failed::There)?;
            self.ctx.count(&MetricEvent::Announced("published", some.len() as u64));
        }
        let moved = Transaction {
            cursor: Some((CURSOR, last.seq)),
            ..Transaction::default()
        };
        self.ctx.store().transact(moved).await.map_err(here)?;
        Ok(changes.len() == PAGE as usize)
    }
}
