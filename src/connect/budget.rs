//! The rate budget of one operation. Connect's quotas are per account and Region, 2 a second with a burst of 5 for every
//! operation without a figure of its own; a call beyond them would be throttled, and would starve the ones that matter.
//!
//! `governor` keeps the rate (GCRA); in front of it stands a queue of our own, since governor's has no order: disconnects
//! go before monitors and monitors before polls, first come first served within each. The queue is bounded; when it is
//! full, the newest of the lowest class gives way to a higher one, and everything else is told so at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::oneshot;

use crate::config::Rate;
use sidedoor_domain::ports::Priority;

/// No place came: the queue is full, or patience ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Too many wait already.
    Full,
    /// None came in time.
    TooLate,
}

/// Highest class first, then in order of arrival.
type Rank = (Reverse<Priority>, u64);

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<Rank, oneshot::Sender<()>>,
    arrivals: u64,
    served: bool,
}

pub(super) struct Budget {
    limiter: DefaultDirectRateLimiter,
    queue: Mutex<Queue>,
    bound: usize,
}

impl Budget {
    pub(super) fn new(rate: Rate, bound: usize) -> Arc<Self> {
        let period = Duration::from_secs_f64(1.0 / rate.per_second.clamp(0.001, 1e6));
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        // A period of zero is the one thing refused, and the clamp leaves none.
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(burst))
            .allow_burst(burst);
        Arc::new(Self {
            limiter: RateLimiter::direct(quota),
            queue: Mutex::default(),
            bound,
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at this moment, if nobody waits and the rate allows.
    pub(super) fn try_take(&self) -> bool {
        let queue = self.queue();
        queue.waiting.is_empty() && !queue.served && self.limiter.check().is_ok()
    }

    /// Waits for a place, at most `patience`.
    pub(super) async fn take(self: &Arc<Self>, priority: Priority, patience: Duration) -> Result<(), NoPlace> {
        let place = {
            let mut queue = self.queue();
            if queue.waiting.is_empty() && !queue.served && self.limiter.check().is_ok() {
                return Ok(());
            }
            queue.waiting.retain(|_, waiter| !waiter.is_closed());
            if queue.waiting.len() >= self.bound {
                let last = queue.waiting.last_key_value().map(|(rank, _)| *rank);
                match last {
                    Some(rank) if rank.0.0 < priority => drop(queue.waiting.remove(&rank)),
                    _ => return Err(NoPlace::Full),
                }
            }
            queue.arrivals += 1;
            let rank = (Reverse(priority), queue.arrivals);
            let (go, place) = oneshot::channel();
            queue.waiting.insert(rank, go);
            if !queue.served {
                queue.served = true;
                tokio::spawn(self.clone().serve());
            }
            place
        };
        match tokio::time::timeout(patience, place).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(NoPlace::Full),
            Err(_) => Err(NoPlace::TooLate),
        }
    }

    /// Gives out places at the rate, to whoever is first at that moment, until nobody waits.
    async fn serve(self: Arc<Self>) {
        loop {
            {
                let mut queue = self.queue();
                queue.waiting.retain(|_, waiter| !waiter.is_closed());
                if queue.waiting.is_empty() {
                    queue.served = false;
                    return;
                }
            }
            self.limiter.until_ready().await;
            let mut queue = self.queue();
            while let Some((_, waiter)) = queue.waiting.pop_first() {
                // One who gave up meanwhile passes the place on.
                if waiter.send(()).is_ok() {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn budget(per_second: f64, burst: u32, bound: usize) -> Arc<Budget> {
        Budget::new(Rate { per_second, burst }, bound)
    }

    #[tokio::test]
    async fn a_burst_goes_at_once_and_then_the_rate_holds() {
        let budget = budget(20.0, 3, 10);
        assert!((0..3).all(|_| budget.try_take()));
        assert!(!budget.try_take());
        let begun = tokio::time::Instant::now();
        for _ in 0..4 {
            budget.take(Priority::Poll, LONG).await.expect("a place");
        }
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn disconnects_go_before_monitors_and_monitors_before_polls() {
        let budget = budget(20.0, 1, 10);
        assert!(budget.try_take());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waits = Vec::new();
        for priority in [
            Priority::Poll,
            Priority::Monitor,
            Priority::Disconnect,
            Priority::Poll,
            Priority::Disconnect,
        ] {
            let (budget, order) = (budget.clone(), order.clone());
            waits.push(tokio::spawn(async move {
                budget.take(priority, LONG).await.expect("a place");
                order.lock().expect("not poisoned").push(priority);
            }));
            tokio::task::yield_now().await;
        }
        for wait in waits {
            wait.await.expect("no panic");
        }
        use Priority::{Disconnect, Monitor, Poll};
        assert_eq!(
            *order.lock().expect("not poisoned"),
            [Disconnect, Disconnect, Monitor, Poll, Poll]
        );
    }

    #[tokio::test]
    async fn a_full_queue_lets_a_disconnect_in_and_tells_a_poll_at_once() {
        let budget = budget(0.5, 1, 2);
        assert!(budget.try_take());
        let wait = |priority| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.take(priority, Duration::from_millis(100)).await })
        };
        let (first, second) = (wait(Priority::Monitor), wait(Priority::Poll));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(budget.take(Priority::Poll, LONG).await, Err(NoPlace::Full));
        let third = wait(Priority::Disconnect);
        assert_eq!(second.await.expect("no panic"), Err(NoPlace::Full), "the poll gave way");
        assert_eq!(first.await.expect("no panic"), Err(NoPlace::TooLate));
        assert_eq!(third.await.expect("no panic"), Err(NoPlace::TooLate));
    }
}
