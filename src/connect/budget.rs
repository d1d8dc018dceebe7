//! The rate budget of one operation. Connect's quotas are per account and Region: 2 calls per second with a burst of 5 for
//! every operation without a published rate of its own. Connect throttles calls beyond that, so that polls could starve
//! disconnects.
//!
//! `governor` limits the rate (GCRA). A queue of our own comes before it, because governor serves waiters in no order:
//! disconnects go before joins and joins before polls, and within a class the first to arrive goes first. The queue is
//! bounded. When it is full, a call of a higher class evicts the newest call of the lowest class; any other call fails at
//! once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sidedoor_domain::ports::Priority;
use tokio::sync::oneshot;

use crate::config::Rate;

/// Why the budget did not admit a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoBudget {
    /// The queue is full, or a call of a higher class evicted this one.
    QueueFull,
    /// The call waited for its whole patience.
    Timeout,
}

/// The order of waiting calls: highest class first, then by arrival.
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
        // `with_period` refuses only zero, which the clamp excludes.
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

    /// Takes one call from the budget if no other call waits and the rate allows it now.
    pub(super) fn try_take(&self) -> bool {
        let queue = self.queue();
        queue.waiting.is_empty() && !queue.served && self.limiter.check().is_ok()
    }

    /// Waits at most `patience` for one call from the budget.
    pub(super) async fn take(self: &Arc<Self>, priority: Priority, patience: Duration) -> Result<(), NoBudget> {
        let turn = {
            let mut queue = self.queue();
            if queue.waiting.is_empty() && !queue.served && self.limiter.check().is_ok() {
                return Ok(());
            }
            queue.waiting.retain(|_, waiter| !waiter.is_closed());
            if queue.waiting.len() >= self.bound {
                let last = queue.waiting.last_key_value().map(|(rank, _)| *rank);
                match last {
                    Some(rank) if rank.0.0 < priority => drop(queue.waiting.remove(&rank)),
                    _ => return Err(NoBudget::QueueFull),
                }
            }
            queue.arrivals += 1;
            let rank = (Reverse(priority), queue.arrivals);
            let (go, turn) = oneshot::channel();
            queue.waiting.insert(rank, go);
            if !queue.served {
                queue.served = true;
                tokio::spawn(self.clone().serve());
            }
            turn
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(NoBudget::QueueFull),
            Err(_) => Err(NoBudget::Timeout),
        }
    }

    /// Admits waiting calls at the rate, always the first in order at that moment, until none waits.
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
                // A caller that stopped waiting does not use the call, so the next one gets it.
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
    async fn budget_admits_burst_at_once_then_limits_rate() {
        let budget = budget(20.0, 3, 10);
        assert!((0..3).all(|_| budget.try_take()));
        assert!(!budget.try_take());
        let started = tokio::time::Instant::now();
        for _ in 0..4 {
            budget.take(Priority::Poll, LONG).await.expect("admitted");
        }
        assert!(
            started.elapsed() >= Duration::from_millis(150),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn budget_admits_disconnects_before_joins_before_polls() {
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
                budget.take(priority, LONG).await.expect("admitted");
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
    async fn budget_full_queue_admits_disconnect_and_rejects_poll() {
        let budget = budget(0.5, 1, 2);
        assert!(budget.try_take());
        let wait = |priority| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.take(priority, Duration::from_millis(100)).await })
        };
        let (first, second) = (wait(Priority::Monitor), wait(Priority::Poll));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(budget.take(Priority::Poll, LONG).await, Err(NoBudget::QueueFull));
        let third = wait(Priority::Disconnect);
        assert_eq!(
            second.await.expect("no panic"),
            Err(NoBudget::QueueFull),
            "the disconnect evicted the poll"
        );
        assert_eq!(first.await.expect("no panic"), Err(NoBudget::Timeout));
        assert_eq!(third.await.expect("no panic"), Err(NoBudget::Timeout));
    }
}
