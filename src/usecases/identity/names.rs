//! Learns the names of the people and the queue of each supervision, so that its record can be read without looking up ids.
//!
//! Amazon Connect names users and queues (DescribeUser, DescribeQueue), and Salesforce knows which of its Users they are. Answers are cached,
//! "there is none" too. A supervision whose names are not all known stays in the store's list of such supervisions, and is looked at again,
//! so that its record is completed when a name becomes known later.
//!
//! Guarantee: a failed look-up never delays a record, and look-ups of names take the calls that nothing else needs. A Salesforce User is
//! set only if exactly one matches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::crm::NAMES_A_QUESTION;
use sidedoor_domain::ports::{Transaction, VendorError};
use sidedoor_domain::supervision::{KnownNames, MissingNames};

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;

/// How long a name is remembered.
const KNOWN_FOR: Duration = Duration::from_hours(24);
/// The most entries of each cache.
const MAX_NAMES: u64 = 10_000;
/// How many supervisions are read at a time.
const PAGE: u32 = 100;
/// How long to wait for more supervisions before the names of new ones are looked up.
const GATHER: Duration = Duration::from_millis(50);

/// Answers of one kind, and that there was none.
#[derive(Clone)]
struct Remembered<K, V> {
    known: ExpiringCache<K, V>,
    unknown: ExpiringCache<K, ()>,
}

impl<K, V> Remembered<K, V>
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new(unknown_for: Duration) -> Self {
        Self {
            known: ExpiringCache::new(MAX_NAMES, KNOWN_FOR),
            unknown: ExpiringCache::new(MAX_NAMES, unknown_for),
        }
    }

    fn is_to_be_asked(&self, key: &K, now: jiff::Timestamp) -> bool {
        !self.known.contains(key, now) && !self.unknown.contains(key, now)
    }

    fn insert(&self, key: K, answer: Option<V>, now: jiff::Timestamp) {
        match answer {
            Some(value) => self.known.insert(key, value, now),
            None => self.unknown.insert(key, (), now),
        }
    }
}

/// Learns the names of supervisions.
#[derive(Clone)]
pub struct NameService {
    ctx: UseCaseContext,
    usernames: Remembered<(InstanceName, UserId), String>,
    queues: Remembered<(InstanceName, String), String>,
    /// By user name or user id, in lower case.
    salesforce_users: Remembered<String, String>,
}

/// The names that are known now.
struct Now<'s>(&'s NameService, jiff::Timestamp);

impl KnownNames for Now<'_> {
    fn username(&self, instance: &InstanceName, user: &UserId) -> Option<String> {
        self.0.usernames.known.get(&(instance.clone(), user.clone()), self.1)
    }

    fn salesforce_user(&self, username: &str, user: Option<&UserId>) -> Option<String> {
        let of = |name: &str| self.0.salesforce_users.known.get(&name.to_lowercase(), self.1);
        of(username).or_else(|| of(user?.as_str()))
    }

    fn queue(&self, instance: &InstanceName, queue: &str) -> Option<String> {
        self.0.queues.known.get(&(instance.clone(), queue.to_owned()), self.1)
    }
}

impl NameService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        let unknown_for = ctx.settings.intervals.name_unknown;
        Self {
            ctx,
            usernames: Remembered::new(unknown_for),
            queues: Remembered::new(unknown_for),
            salesforce_users: Remembered::new(unknown_for),
        }
    }

    /// Learns names until the process stops.
    pub async fn learn_until_stopped(self) {
        loop {
            // After a start, and after each pause, all are looked at. Between them only new ones.
            if let Err(e) = self.look_at_all().await {
                tracing::error!(error = %e, "could not read which supervisions lack names; retrying later: {e}");
            }
            let pause = tokio::time::sleep(self.ctx.settings.intervals.names_again);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    biased;
                    () = self.ctx.deps.stopping.cancelled() => return,
                    () = self.ctx.signals.unnamed.changed() => {}
                    () = &mut pause => break,
                }
                tokio::time::sleep(GATHER).await;
                let new = self.ctx.signals.unnamed.take();
                for ids in new.chunks(PAGE as usize) {
                    if let Err(e) = self.learn(ids).await {
                        tracing::error!(error = %e, "could not store names of supervisions; they are looked up again: {e}");
                    }
                }
            }
        }
    }

    async fn look_at_all(&self) -> Result<(), UseCaseError> {
        let mut after = None;
        while !self.ctx.is_stopping() {
            let ids = self.ctx.store().unnamed(after, PAGE).await?;
            self.learn(&ids).await?;
            after = ids.last().copied();
            if ids.len() < PAGE as usize {
                break;
            }
        }
        Ok(())
    }

    /// Learns the names of these supervisions, as far as the vendors answer.
    async fn learn(&self, ids: &[SupervisionId]) -> Result<(), UseCaseError> {
        let mut supervisions = Vec::with_capacity(ids.len());
        for id in ids {
            let stored = self.ctx.store().supervision(*id).await?;
            supervisions.extend(stored.map(|s| s.supervision).filter(|s| s.lacks_names()));
        }
        let missing: Vec<(InstanceName, MissingNames)> = supervisions
            .iter()
            .map(|s| (s.instance.clone(), s.missing_names()))
            .collect();
        self.ask_connect(&missing).await;
        // The user names that were just learnt have Salesforce Users, too.
        let now = self.ctx.now();
        let with_usernames = supervisions.iter().map(|s| {
            let mut s = s.clone();
            s.learn_names(&Now(self, now));
            s.missing_names()
        });
        let people: Vec<(String, Option<UserId>)> =
            with_usernames.flat_map(|missing| missing.salesforce_users).collect();
        self.ask_salesforce(&people).await;
        for s in &supervisions {
            self.store_names(s.id).await?;
        }
        Ok(())
    }

    /// Asks for the user names and queues that are neither known nor known not to exist.
    async fn ask_connect(&self, missing: &[(InstanceName, MissingNames)]) {
        let now = self.ctx.now();
        let (mut users, mut queues) = (BTreeSet::new(), BTreeSet::new());
        for (instance, missing) in missing {
            users.extend(missing.usernames.iter().map(|user| (instance.clone(), user.clone())));
            queues.extend(missing.queue.iter().map(|queue| (instance.clone(), queue.clone())));
        }
        users.retain(|key| self.usernames.is_to_be_asked(key, now));
        queues.retain(|key| self.queues.is_to_be_asked(key, now));
        for key in users {
            let answer = self.ctx.telephony().username_of(&key.0, &key.1).await;
            let answer = answer.unwrap_or_else(|e| not_answered(&e));
            self.usernames
                .insert(key, answer.filter(|name| !name.is_empty()), self.ctx.now());
        }
        for key in queues {
            let answer = self.ctx.telephony().queue_name(&key.0, &key.1).await;
            let answer = answer.unwrap_or_else(|e| not_answered(&e));
            self.queues
                .insert(key, answer.filter(|name| !name.is_empty()), self.ctx.now());
        }
    }

    /// Asks which Salesforce Users these people are.
    async fn ask_salesforce(&self, people: &[(String, Option<UserId>)]) {
        let (Some(crm), true) = (&self.ctx.deps.crm, self.ctx.settings.salesforce_users) else {
            return;
        };
        let now = self.ctx.now();
        let names = people
            .iter()
            .flat_map(|(name, id)| [Some(name.as_str()), id.as_ref().map(UserId::as_str)]);
        let names: BTreeMap<String, String> = names.flatten().map(|n| (n.to_lowercase(), n.to_owned())).collect();
        let asked: Vec<String> = names
            .into_iter()
            .filter(|(key, _)| self.salesforce_users.is_to_be_asked(key, now))
            .map(|(_, name)| name)
            .collect();
        for names in asked.chunks(NAMES_A_QUESTION) {
            let found = match crm.users_named(names).await {
                Ok(found) => found,
                Err(e) => {
                    tracing::warn!(code = %e.code, "could not look up which Salesforce Users take part; retrying later: {e}");
                    BTreeMap::new()
                }
            };
            for name in names {
                let key = name.to_lowercase();
                let user = match found.get(&key).map(Vec::as_slice) {
                    Some([only]) => Some(only.clone()),
                    Some([_, _, ..]) => {
                        tracing::warn!(
                            username = name,
                            "several Salesforce Users are linked to the Connect user {name}; records name none of them"
                        );
                        None
                    }
                    _ => None,
                };
                self.salesforce_users.insert(key, user, self.ctx.now());
            }
        }
    }

    /// Writes what is known into a supervision, and sends its record again if that changes it.
    async fn store_names(&self, id: SupervisionId) -> Result<(), UseCaseError> {
        let wants_users = self.ctx.deps.crm.is_some() && self.ctx.settings.salesforce_users;
        let committed = self.ctx.update(id, |s| {
            let before = s.clone();
            s.learn_names(&Now(self, self.ctx.now()));
            let learnt = *s != before;
            let missing = s.missing_names();
            s.names.is_complete = missing.usernames.is_empty()
                && missing.queue.is_none()
                && (missing.salesforce_users.is_empty() || !wants_users);
            (*s != before).then(|| Transaction {
                deliver_at: learnt.then(|| self.ctx.now() + self.ctx.settings.intervals.join_row),
                rides_along: true,
                ..Transaction::default()
            })
        });
        if committed.await?.is_done() {
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }
}

/// Notes a failed look-up. It counts as "none", so that a permission that is missing does not cause a call for each supervision.
fn not_answered<T>(e: &VendorError) -> Option<T> {
    tracing::warn!(operation = %e.operation, code = %e.code, "could not look up a name; retrying later: {}", e.message);
    None
}
