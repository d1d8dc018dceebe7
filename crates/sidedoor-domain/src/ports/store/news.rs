//! Wakes those who wait for news of one key, and nobody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

type Waiting<K> = BTreeMap<K, watch::Sender<()>>;

/// Everybody who waits for news, by what they wait for. Clones share the board. It has an entry for each key that somebody waits
/// for, and no others.
#[derive(Debug)]
pub struct NewsBoard<K>(Arc<Mutex<Waiting<K>>>);

impl<K> Default for NewsBoard<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> Clone for NewsBoard<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Ord + Clone> NewsBoard<K> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the news of `key` from now on.
    pub fn follow(&self, key: K) -> News<K> {
        let mut waiting = self.waiting();
        let sender = waiting.entry(key.clone()).or_insert_with(|| watch::channel(()).0);
        News {
            receiver: sender.subscribe(),
            board: self.clone(),
            key,
        }
    }

    /// Wakes everybody who waits for news of `key`.
    pub fn publish(&self, key: &K) {
        if let Some(sender) = self.waiting().get(key) {
            sender.send_replace(());
        }
    }

    /// The number of keys with a waiting caller.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether there is no waiter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Somebody who waits for the news of one key, until it drops.
#[derive(Debug)]
pub struct News<K: Ord + Clone> {
    receiver: watch::Receiver<()>,
    board: NewsBoard<K>,
    key: K,
}

impl<K: Ord + Clone> News<K> {
    /// Waits for news since the last call, or since [`NewsBoard::follow`]. News that come together wake once.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The board keeps the sender while there are followers of the key.
            std::future::pending::<()>().await;
        }
    }

    /// Whether [`News::changed`] would return at once.
    pub fn has_changed(&self) -> bool {
        self.receiver.has_changed().unwrap_or(false)
    }
}

impl<K: Ord + Clone> Drop for News<K> {
    fn drop(&mut self) {
        let mut waiting = self.board.waiting();
        // This one still counts as a receiver.
        if waiting
            .get(&self.key)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_wake_only_those_who_follow_the_key() {
        let board = NewsBoard::default();
        let (one, same, other) = (board.follow(1), board.follow(1), board.follow(2));
        board.publish(&1);
        board.publish(&3);
        assert_eq!([&one, &same, &other].map(News::has_changed), [true, true, false]);
        let late = board.follow(1);
        assert!(!late.has_changed(), "the news came before");
    }

    #[tokio::test]
    async fn news_that_come_together_wake_once() {
        let board = NewsBoard::default();
        let mut news = board.follow("a");
        board.publish(&"a");
        board.publish(&"a");
        news.changed().await;
        assert!(!news.has_changed());
    }

    #[test]
    fn news_board_forgets_keys_that_nobody_follows() {
        let board = NewsBoard::default();
        let follower = board.follow(1);
        let (second, other) = (board.follow(1), board.follow(2));
        assert_eq!(board.len(), 2);
        drop(follower);
        assert_eq!(board.len(), 2);
        board.publish(&1);
        assert!(second.has_changed(), "the second still follows");
        drop((second, other));
        assert!(board.is_empty());
    }
}
