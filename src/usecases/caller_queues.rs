//! A caller's share of a vendor's rate budget: a few questions of each caller are asked at a time, and the others of that caller wait. So
//! a caller that asks a lot waits for itself, and the questions of others find a place in the budget's queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From this many callers on, those without a question are dropped first.
const MANY: usize = 1000;

/// Who asks: the credential's name, and the supervisor that it names.
type Key = (String, Option<UserId>);

/// The questions of each caller. Clones share them.
#[derive(Clone)]
pub(crate) struct CallerQueues {
    at_a_time: usize,
    queues: Arc<Mutex<BTreeMap<Key, Weak<Semaphore>>>>,
}

impl CallerQueues {
    /// Each caller asks at most `at_a_time` questions at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self {
            at_a_time,
            queues: Arc::default(),
        }
    }

    /// Waits for the caller's turn, which ends when the permit drops. The wait has no limit of its own.
    pub(crate) async fn turn(&self, caller: &Caller) -> Option<OwnedSemaphorePermit> {
        self.queue_of(caller).acquire_owned().await.ok()
    }

    fn queue_of(&self, caller: &Caller) -> Arc<Semaphore> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= MANY {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let key = (caller.name.clone(), caller.supervisor.clone());
        let known = queues.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(self.at_a_time));
            queues.insert(key, Arc::downgrade(&new));
            new
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sidedoor_domain::authority::Scope;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn caller_waits_for_its_own_questions_only() {
        let queues = CallerQueues::new(2);
        let caller = |n: usize| Caller::new(format!("caller-{n}"), vec![Scope::SuperviseAny]);
        let soon = |n: usize| {
            let queues = queues.clone();
            async move { tokio::time::timeout(Duration::from_secs(1), queues.turn(&caller(n))).await }
        };
        let (first, second) = (soon(0).await, soon(0).await);
        assert!(first.is_ok() && second.is_ok() && soon(0).await.is_err());
        assert!(soon(1).await.is_ok(), "another caller");
        drop(first);
        assert!(soon(0).await.is_ok());
        for n in 0..5000 {
            assert!(soon(n + 10).await.is_ok());
        }
        let kept = queues.queues.lock().expect("not poisoned").len();
        assert!(kept <= MANY, "{kept}");
        drop(second);
    }
}
