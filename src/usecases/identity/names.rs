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

use futures::future::join_all;
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::crm::{NAME_BYTES_A_QUESTION, NAMES_A_QUESTION};
use sidedoor_domain::ports::store::RecordState;
use sidedoor_domain::ports::{Endpoint, Operation, Priority, Transaction, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::{MissingNames, Supervision};

use crate::usecases::UserKeys;
use crate::usecases::context::UseCaseContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::identity::name_cache::NameCache;

/// The most queues that are looked up together for the board.
const MAX_QUEUES: usize = 20;
/// How long a record waits for the names of an agent whom no supervision had before.
const BEFORE_RECORD: Duration = Duration::from_millis(300);
/// How many supervisions are read at a time.
const PAGE: u32 = 100;
/// How long to wait for more supervisions before the names of new ones are looked up.
const GATHER: Duration = Duration::from_millis(50);

/// A person by their Connect user name, and by their id if that is known.
type Person = (String, Option<UserId>);

/// Learns the names of supervisions.
#[derive(Clone)]
pub struct NameService {
    ctx: UseCaseContext,
}

impl NameService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self { ctx }
    }

    /// Learns names until the process stops.
    pub async fn learn_until_stopped(self) {
        tokio::select! {
            biased;
            () = self.ctx.deps.stopping.cancelled() => {}
            // A look-up may wait long for the rate budget.
            () = self.learn_forever() => {}
        }
    }

    async fn learn_forever(&self) {
        loop {
            let pause = tokio::time::sleep(self.ctx.settings.intervals.names_again);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    biased;
                    () = &mut pause => break,
                    () = self.ctx.signals.unnamed.changed() => {}
                }
                tokio::time::sleep(GATHER).await;
                let new = self.ctx.signals.unnamed.take();
                for ids in new.chunks(PAGE as usize) {
                    if let Err(e) = self.learn(ids, false).await {
                        tracing::error!(error = %e, "could not store names of supervisions; they are looked up again: {e}");
                    }
                }
            }
            if let Err(e) = self.look_at_all().await {
                tracing::error!(error = %e, "could not read which supervisions lack names; retrying later: {e}");
            }
        }
    }

    /// The name of the user with this id, from the cache or from Connect; `None` if Connect has no such user. A failed look-up is not
    /// remembered.
    ///
    /// # Errors
    /// The vendor's.
    pub(crate) async fn find_user(
        &self,
        instance: &InstanceName,
        user: &UserId,
    ) -> Result<Option<String>, VendorError> {
        let (key, cache) = ((instance.clone(), user.clone()), self.names());
        if let Some(known) = cache.usernames.known.get(&key, self.ctx.now()) {
            return Ok(Some(known));
        }
        if cache.strangers.contains(&key, self.ctx.now()) {
            return Ok(None);
        }
        let found = self.ctx.telephony().username_of(instance, user).await?;
        match &found {
            Some(name) => cache.usernames.insert(key, Some(name.clone()), self.ctx.now()),
            None => cache.strangers.insert(key, (), self.ctx.now()),
        }
        Ok(found)
    }

    fn names(&self) -> &NameCache {
        &self.ctx.signals.names
    }

    async fn look_at_all(&self) -> Result<(), UseCaseError> {
        let mut after = None;
        while !self.ctx.is_stopping() {
            if self.ctx.signals.delivery_is_paused() {
                return Ok(());
            }
            let ids = self.ctx.store().unnamed(after, PAGE).await?;
            self.learn(&ids, true).await?;
            after = ids.last().copied();
            if ids.len() < PAGE as usize {
                break;
            }
        }
        Ok(())
    }

    /// Learns the names of these supervisions, as far as the vendors answer. Salesforce is asked only `again`: for the first time it is
    /// asked when the record is sent.
    async fn learn(&self, ids: &[SupervisionId], again: bool) -> Result<(), UseCaseError> {
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
        if again {
            let now = self.ctx.now();
            let people = supervisions.iter().flat_map(|s| {
                let mut s = s.clone();
                s.learn_names(&self.names().at(now));
                s.missing_names().salesforce_users
            });
            self.ask_salesforce(&people.collect::<Vec<_>>()).await;
        }
        for s in &supervisions {
            self.store_names(s.id, again).await?;
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
        users.retain(|key| self.names().usernames.is_to_be_asked(key, now));
        queues.retain(|key| self.names().queues.is_to_be_asked(key, now));
        for key in users {
            let answer = self.ctx.telephony().username_of(&key.0, &key.1).await;
            if let Some(answer) = settled(answer) {
                self.names().usernames.insert(key, answer, self.ctx.now());
            }
        }
        for key in queues {
            let answer = self.ctx.telephony().queue_name(&key.0, &key.1).await;
            if let Some(answer) = settled(answer) {
                self.names().queues.insert(key, answer, self.ctx.now());
            }
        }
    }

    /// Looks up the names of some of these queues that are not known yet, in left-over budget.
    pub(crate) async fn learn_queues(&self, instance: &InstanceName, queues: BTreeSet<String>) {
        let now = self.ctx.now();
        let unknown = queues.into_iter().filter(|queue| {
            self.names()
                .queues
                .is_to_be_asked(&(instance.clone(), queue.clone()), now)
        });
        let missing: Vec<_> = unknown
            .take(MAX_QUEUES)
            .map(|queue| {
                let names = MissingNames {
                    queue: Some(queue),
                    ..MissingNames::default()
                };
                (instance.clone(), names)
            })
            .collect();
        self.ask_connect(&missing).await;
    }

    /// Asks which Salesforce Users these people are, unless Salesforce has just refused that. Returns whether all are answered.
    async fn ask_salesforce(&self, people: &[Person]) -> bool {
        let (Some(crm), Some(keys)) = (&self.ctx.deps.crm, self.ctx.settings.salesforce_users) else {
            return false;
        };
        let (now, cache) = (self.ctx.now(), self.names());
        let mut asked: BTreeMap<String, String> = BTreeMap::new();
        for (name, id) in people {
            let id = id.as_ref().filter(|_| keys == UserKeys::UsernameOrId);
            for name in [Some(name.as_str()), id.map(UserId::as_str)].into_iter().flatten() {
                asked.insert(name.to_lowercase(), name.to_owned());
            }
        }
        asked.retain(|key, _| cache.salesforce_users.is_to_be_asked(key, now));
        let asked: Vec<String> = asked.into_values().collect();
        for names in questions(asked) {
            if cache.salesforce_refused.contains(&(), now) {
                return false;
            }
            let found = match crm.users_named(&names).await {
                Ok(found) => found,
                Err(e) => {
                    cache.salesforce_refused.insert((), (), self.ctx.now());
                    tracing::warn!(code = %e.code, "could not look up which Salesforce Users take part; retrying later: {e}");
                    return false;
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
                cache.salesforce_users.insert(key, user, self.ctx.now());
            }
        }
        true
    }

    /// Learns the names of an agent and a queue before they are written with a departure, so that one write of the record has them. Does not
    /// wait for the rate budget, and not long for an answer.
    pub(crate) async fn learn_before_record(
        &self,
        instance: &InstanceName,
        agent: Option<&UserId>,
        queue: Option<&str>,
    ) {
        let endpoint = Endpoint::from(instance);
        let free = |operation| {
            self.ctx
                .telephony()
                .free_calls(&endpoint, operation, Priority::UnknownLeg)
                > 0
        };
        let missing = MissingNames {
            usernames: agent
                .cloned()
                .filter(|_| free(Operation::DescribeUser))
                .into_iter()
                .collect(),
            queue: queue.map(ToOwned::to_owned).filter(|_| free(Operation::DescribeQueue)),
            ..MissingNames::default()
        };
        let missing = [(instance.clone(), missing)];
        // A late answer completes the record later.
        let _ = tokio::time::timeout(BEFORE_RECORD, self.ask_connect(&missing)).await;
    }

    /// Asks which Salesforce Users take part in supervisions whose records are about to be sent, in one question for all. Returns the
    /// people that it asked about, by supervision.
    pub(crate) async fn ask_for_records(&self, supervisions: &[&Supervision]) -> Vec<(SupervisionId, Vec<Person>)> {
        if !self.ctx.wants_salesforce_users() {
            return Vec::new();
        }
        let lacking = supervisions.iter().filter(|s| s.lacks_names());
        let about: Vec<(SupervisionId, Vec<Person>)> = lacking
            .map(|s| (s.id, s.people_to_ask_about()))
            .filter(|(_, people)| !people.is_empty())
            .collect();
        let people: Vec<Person> = about.iter().flat_map(|(_, people)| people.clone()).collect();
        if people.is_empty() || !self.ask_salesforce(&people).await {
            return Vec::new();
        }
        about
    }

    /// Stores what was found for records that are sent. A crash before this costs another question, and no name.
    pub(crate) fn note_asked(&self, about: Vec<(SupervisionId, Vec<Person>)>) {
        let this = self.clone();
        self.ctx.spawn(async move {
            let noted = about.iter().map(|(id, people)| {
                this.ctx.update(*id, |s| {
                    s.note_asked_about(people);
                    this.ctx.fill_in_names(s);
                    Some(Transaction {
                        rides_along: true,
                        ..Transaction::default()
                    })
                })
            });
            for noted in join_all(noted).await {
                if let Err(e) = noted {
                    tracing::error!(error = %e, "could not store the Salesforce Users of a supervision; they are looked up again: {e}");
                }
            }
        });
    }

    /// Writes the known names into a supervision. A version of its record that waits takes the names along. A record that is written already
    /// gets them with its next version, or when all supervisions are looked at `again`, so that one call completes many records. A dead
    /// letter is not tried again for a name.
    async fn store_names(&self, id: SupervisionId, again: bool) -> Result<(), UseCaseError> {
        let Some(stored) = self.ctx.store().supervision(id).await? else {
            return Ok(());
        };
        let now = self.ctx.now();
        let due_at = match stored.record_sync.map(|sync| (sync.state, sync.due_at)) {
            Some((RecordState::Pending, due_at)) => Some(due_at),
            Some((RecordState::Written, _)) if again => Some(now),
            _ => None,
        };
        let committed = self.ctx.update(id, |s| {
            let before = s.clone();
            s.learn_names(&self.names().at(now));
            let is_news = *s != before || s.names.unsent;
            let deliver_at = due_at.filter(|_| is_news);
            s.names.unsent = is_news && deliver_at.is_none();
            if !is_news {
                self.ctx.fill_in_names(s);
            }
            (*s != before || deliver_at.is_some()).then(|| Transaction {
                deliver_at,
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

/// What to remember of a look-up; `None` if no call was made. A failed one counts as "no name" for a while, so that a permission that is
/// missing does not cause a call for each supervision.
fn settled(answer: Result<Option<String>, VendorError>) -> Option<Option<String>> {
    match answer {
        Ok(name) => Some(name.filter(|name| !name.is_empty())),
        Err(e) if e.code == VendorErrorCode::BudgetLimitReached => None,
        Err(e) => {
            tracing::warn!(operation = %e.operation, code = %e.code, "could not look up a name; retrying later: {}", e.for_operators());
            Some(None)
        }
    }
}

/// Names in parts that one question may have.
fn questions(names: Vec<String>) -> Vec<Vec<String>> {
    let mut questions: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for name in names {
        let fits = |last: &Vec<String>| last.len() < NAMES_A_QUESTION && bytes + name.len() <= NAME_BYTES_A_QUESTION;
        if !questions.last().is_some_and(fits) {
            questions.push(Vec::new());
            bytes = 0;
        }
        bytes += name.len();
        if let Some(last) = questions.last_mut() {
            last.push(name);
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_is_bounded_by_names_and_by_bytes() {
        let sizes = |name: &str, count: usize| -> Vec<usize> {
            let all = questions(vec![name.to_owned(); count]);
            all.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes("ann@example", 0), Vec::<usize>::new());
        assert_eq!(sizes("ann@example", 250), [100, 100, 50]);
        assert_eq!(sizes(&"é".repeat(100), 45), [20, 20, 5]);
        assert_eq!(sizes(&"x".repeat(5000), 2), [1, 1]);
    }
}
