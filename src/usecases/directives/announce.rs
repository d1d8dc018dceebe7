//! Announces directives by Salesforce Platform Events, for browsers that hold no directive stream. An event only says that
//! something changed in the channel with an opaque key, so that a subscriber does not learn who supervises whom; the browser
//! then polls its directives.
//!
//! Guarantee: at least once. The cursor is in the store and moves only after Salesforce accepted the events, so a crash
//! repeats some and loses none. Repeats, wrong order and old events are harmless, because the browser asks for everything
//! after the last change that it received.

use std::collections::BTreeSet;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::crm::EVENTS_A_CALL;
use sidedoor_domain::ports::{Crm, CrmError, CrmVerdict, MetricEvent, Transaction};

use crate::usecases::directives::DirectiveService;
use crate::usecases::error::UseCaseError;
use crate::usecases::retry::Backoff;

/// The cursor's name in the store.
const CURSOR: &str = "directives announced";
/// The most changes that are read at once.
const PAGE: u32 = 200;
/// How long announcing waits while delivery is paused, and before each call while the org's API calls are scarce.
const PAUSED_WAIT: Duration = Duration::from_secs(1);
const SCARCE_WAIT: Duration = Duration::from_secs(10);
/// The longest wait between two reads of the store.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Why a round of announcements failed.
enum AnnounceError {
    Store(UseCaseError),
    Salesforce(CrmError),
}

impl DirectiveService {
    /// The opaque key of a supervisor's directive channel. Only a caller who may read the channel can relate it to the supervisor.
    pub fn channel_key(&self, user: &UserId) -> String {
        // HMAC accepts a key of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.ctx.store().channel_salt().as_bytes()) else {
            return String::new();
        };
        mac.update(user.as_str().as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }

    /// Announces changes of directives until the process stops. Returns immediately when announcing is switched off.
    pub async fn announce_until_stopped(self) {
        let crm = self.ctx.deps.crm.clone().filter(|_| self.ctx.settings.announce);
        let Some(crm) = crm else { return };
        let mut news = self.ctx.store().directive_news();
        let mut failures = 0;
        while !self.ctx.is_stopping() {
            // Scarce API calls are reserved for records; while the org accepts nothing, events fail too. Browsers poll meanwhile.
            if let Some(wait) = self.announce_pause(crm.as_ref()) {
                tokio::select! {
                    biased;
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
                    tracing::error!(error = %e, "could not read or update the announcements in the store; retrying in 1 s: {e}");
                    Duration::from_secs(1)
                }
                Err(AnnounceError::Salesforce(e)) => {
                    self.ctx.count(&MetricEvent::Announced("again", 1));
                    tracing::warn!(code = %e.code, failures, "could not announce directives by Platform Events; retrying after a pause: {e}");
                    failures += 1;
                    match e.verdict {
                        CrmVerdict::Park(wait) | CrmVerdict::OrgFault(wait) => wait,
                        _ => Backoff::DELIVERY.wait(failures, self.ctx.random()),
                    }
                }
            };
            // After a failure new changes do not shorten the pause, because the org would reject them too.
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                _ = news.recv(), if failures == 0 => {}
                () = self.ctx.deps.stopping.cancelled() => {}
            }
        }
    }

    /// Whether the org accepts no calls now. If only the records' object is invalid, it still accepts events.
    fn is_org_paused(&self) -> bool {
        self.deliveries
            .delivery_pause()
            .is_some_and(|paused| !paused.records_only)
    }

    /// How long to wait before the next announcement: a second while delivery is paused, so that recovery is noticed soon;
    /// longer while API calls are scarce, so that one call carries many events.
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

    /// Announces one page of changes. Returns whether there may be more.
    async fn announce_round(&self, crm: &dyn Crm) -> Result<bool, AnnounceError> {
        let store_error = |e| AnnounceError::Store(UseCaseError::from(e));
        let begun = self.ctx.store().cursor(CURSOR).await.map_err(store_error)?;
        let after = match begun {
            Some(seq) => seq,
            // Announcing was just switched on: directives that are closed need no announcement.
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
        // Several changes of one channel need only one announcement.
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
        self.ctx.transact(moved).await.map_err(store_error)?;
        Ok(changes.len() == PAGE as usize)
    }
}
