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
const PAUSED_WAIT: Duration = Duration::from_secs(1);
const SCARCE_WAIT: Duration = Duration::from_secs(10);
/// It looks by itself at least so often.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Why a round came to nothing.
enum AnnounceError {
    Store(UseCaseError),
    Salesforce(CrmError),
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
        let crm = self.ctx.deps.crm.clone().filter(|_| self.ctx.settings.announce);
        let Some(crm) = crm else { return };
        let mut news = self.ctx.store().directive_news();
        let mut failures = 0;
        while !self.ctx.is_stopping() {
            // What the org has left is for rows, and while it takes nothing it takes no events: pages ask by themselves meanwhile.
            if let Some(wait) = self.announce_pause(crm.as_ref()) {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.ctx.deps.stopping.cancelled() => return,
                }
                if self.is_org_paused() {
                    continue;
                }
            }
            let pause = match self.announce_round(crm.as_ref()).await {
                Ok(true) => continue,
                Ok(false) => {
                    failures = 0;
                    LONGEST_WAIT
                }
                Err(AnnounceError::Store(e)) => {
                    tracing::error!(error = %e, "announcing directives waits: {e}");
                    Duration::from_secs(1)
                }
                Err(AnnounceError::Salesforce(e)) => {
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
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
    }

    /// Whether the org takes nothing now. If only the rows' object is not as it should be, events are taken all the same.
    fn is_org_paused(&self) -> bool {
        self.deliveries
            .delivery_pause()
            .is_some_and(|paused| !paused.records_only)
    }

    /// How long announcing rests before it calls, if it does: a moment while the org takes nothing, so that it is asked again soon;
    /// longer while its calls are short, so that one call carries many.
    fn announce_pause(&self, crm: &dyn Crm) -> Option<Duration> {
        let short = crm
            .usage()
            .is_some_and(|u| u.share() >= self.ctx.settings.delivery.slow_above);
        match (self.is_org_paused(), short) {
            (true, _) => Some(PAUSED_WAIT),
            (false, true) => Some(SCARCE_WAIT),
            (false, false) => None,
        }
    }

    /// Announces a page of changes. Whether there may be more.
    async fn announce_round(&self, crm: &dyn Crm) -> Result<bool, AnnounceError> {
        let store_error = |e| AnnounceError::Store(UseCaseError::from(e));
        let begun = self.ctx.store().cursor(CURSOR).await.map_err(store_error)?;
        let after = match begun {
            Some(seq) => seq,
            // Switched on now: what is over needs no announcement.
            None => self.ctx.store().before_open_directives().await.map_err(store_error)?,
        };
        let changes = self
            .ctx
            .store()
            .directive_changes(after, PAGE)
            .await
            .map_err(store_error)?;
        let Some(last) = changes.last() else {
            return Ok(false);
        };
        // Many changes of one stream are one announcement.
        let users: BTreeSet<&UserId> = changes.iter().map(|c| &c.user).collect();
        let keys: Vec<String> = users.into_iter().map(|user| self.channel_key(user)).collect();
        for some in keys.chunks(EVENTS_A_CALL) {
            crm.announce(some).await.map_err(AnnounceError::Salesforce)?;
            self.ctx.count(&MetricEvent::Announced("published", some.len() as u64));
        }
        let moved = Transaction {
            cursor: Some((CURSOR, last.seq)),
            ..Transaction::default()
        };
        self.ctx.store().transact(moved).await.map_err(store_error)?;
        Ok(changes.len() == PAGE as usize)
    }
}
