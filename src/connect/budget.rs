//! The rate budget of one operation. Connect's quotas are per account and Region: 2 calls per second with a burst of 5 for
//! every operation without a published rate of its own. Connect throttles calls beyond that, so that polls could starve
//! disconnects.
//!
//! A token bucket limits the rate. Two of its tokens are kept for the highest class, so that a claim that a leg has ended is
//! checked at once even while joins and polls use the rest. Calls wait in a bounded queue: a higher class goes first, and within
//! a class the first to arrive. When the queue is full, a call of a higher class evicts the newest call of the lowest class; any
//! other call fails at once. A class that has waited for ten seconds gets one call, so that no class stops.
//!
//! `governor` is not used here, because it cannot keep tokens for a class and does not wait on tokio's clock, which a simulation
//! controls.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidedoor_domain::ports::Priority;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::Rate;

/// The tokens of a burst that only the highest class may use. A burst of one or two keeps fewer.
const KEPT_FOR_CLAIMS: f64 = 2.0;
/// A class that waits gets at least one call in this time.
const FLOOR: Duration = Duration::from_secs(10);

/// Why the budget did not admit a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoBudget {
    /// The queue is full, or a call of a higher class evicted this one.
    QueueFull,
    /// The call waited for its whole patience.
    Timeout,
}

/// The order of waiting calls: highest class first, then by arrival.
type Rank = (Reverse<Priority>, u64);

struct Waiting {
    admit: oneshot::Sender<()>,
    since: Instant,
}

/// The tokens of the bucket, as of one moment.
struct Tokens {
    left: f64,
    at: Instant,
}

struct Queue {
    tokens: Tokens,
    waiting: BTreeMap<Rank, Waiting>,
    last_served: BTreeMap<Priority, Instant>,
    arrivals: u64,
    served: bool,
}

/// The rate budget of one operation.
pub(crate) struct Budget {
    per_second: f64,
    burst: f64,
    queue: Mutex<Queue>,
    bound: usize,
}

impl Budget {
    pub(crate) fn new(rate: Rate, bound: usize) -> Arc<Self> {
        let burst = f64::from(rate.burst.max(1));
        let queue = Queue {
            tokens: Tokens {
                left: burst,
                at: Instant::now(),
            },
            waiting: BTreeMap::new(),
            last_served: BTreeMap::new(),
            arrivals: 0,
            served: false,
        };
        Arc::new(Self {
            per_second: rate.per_second.clamp(0.001, 1e6),
            burst,
            queue: Mutex::new(queue),
            bound,
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many tokens must be there before a call of this class may take one.
    fn least_for(&self, priority: Priority) -> f64 {
        let kept = KEPT_FOR_CLAIMS.min(self.burst - 1.0);
        if priority == Priority::Claim { 1.0 } else { 1.0 + kept }
    }

    fn refill(&self, queue: &mut Queue, now: Instant) {
        let gone = now.duration_since(queue.tokens.at).as_secs_f64();
        queue.tokens.left = (queue.tokens.left + gone * self.per_second).min(self.burst);
        queue.tokens.at = now;
    }

    /// Takes one token for a call of this class, if `least` are there.
    fn take_token(&self, queue: &mut Queue, priority: Priority, least: f64, now: Instant) -> bool {
        self.refill(queue, now);
        // The bucket is a sum of floating-point numbers, so a token that is due may be short by their error.
        let enough = queue.tokens.left >= least - 1e-6;
        if enough {
            queue.tokens.left -= 1.0;
            queue.last_served.insert(priority, now);
        }
        enough
    }

    /// Takes one call from the budget if no call of this class or a higher one waits and the rate allows it now.
    pub(crate) fn try_take(&self, priority: Priority) -> bool {
        let mut queue = self.queue();
        let free = queue.waiting.keys().next().is_none_or(|first| first.0.0 < priority);
        free && self.take_token(&mut queue, priority, self.least_for(priority), Instant::now())
    }

    /// How many calls of this class would be admitted now without waiting.
    pub(crate) fn free(&self, priority: Priority) -> usize {
        let mut queue = self.queue();
        if queue.waiting.keys().next().is_some_and(|first| first.0.0 >= priority) {
            return 0;
        }
        self.refill(&mut queue, Instant::now());
        let free = (queue.tokens.left - self.least_for(priority) + 1.0).max(0.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the burst"
        )]
        let free = (free + 1e-6) as usize;
        free
    }

    /// Waits at most `patience` for one call from the budget.
    pub(crate) async fn take(self: &Arc<Self>, priority: Priority, patience: Duration) -> Result<(), NoBudget> {
        if self.try_take(priority) {
            return Ok(());
        }
        let turn = {
            let mut queue = self.queue();
            queue.waiting.retain(|_, waiter| !waiter.admit.is_closed());
            if queue.waiting.len() >= self.bound {
                let last = queue.waiting.last_key_value().map(|(rank, _)| *rank);
                match last {
                    Some(rank) if rank.0.0 < priority => drop(queue.waiting.remove(&rank)),
                    _ => return Err(NoBudget::QueueFull),
                }
            }
            queue.arrivals += 1;
            let rank = (Reverse(priority), queue.arrivals);
            let (admit, turn) = oneshot::channel();
            let since = Instant::now();
            queue.waiting.insert(rank, Waiting { admit, since });
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
            let wait = {
                let mut queue = self.queue();
                queue.waiting.retain(|_, waiter| !waiter.admit.is_closed());
                if queue.waiting.is_empty() {
                    queue.served = false;
                    return;
                }
                self.admit_next(&mut queue, Instant::now())
            };
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Admits the next call, or returns how long to wait for the next token.
    fn admit_next(&self, queue: &mut Queue, now: Instant) -> Option<Duration> {
        let starved = self.starved(queue, now);
        let rank = starved.or_else(|| queue.waiting.first_key_value().map(|(rank, _)| *rank))?;
        let priority = rank.0.0;
        let least = if starved.is_some() {
            1.0
        } else {
            self.least_for(priority)
        };
        if !self.take_token(queue, priority, least, now) {
            // At the first whole token a claim that arrives meanwhile must be admitted.
            let until = if queue.tokens.left < 1.0 { 1.0 } else { least };
            let missing = (until - queue.tokens.left) / self.per_second;
            return Some(Duration::from_secs_f64(missing.max(0.001)));
        }
        if let Some(waiter) = queue.waiting.remove(&rank)
            && waiter.admit.send(()).is_err()
        {
            // The waiter gave up at this moment, so its token is still there.
            queue.tokens.left += 1.0;
        }
        None
    }

    /// The first call of the highest class that has had no call for [`FLOOR`].
    fn starved(&self, queue: &Queue, now: Instant) -> Option<Rank> {
        let first_of = |priority| {
            let from: Rank = (Reverse(priority), 0);
            let (rank, waiting) = queue.waiting.range(from..).next()?;
            (rank.0.0 == priority).then_some((*rank, waiting.since))
        };
        let starved = |priority: &Priority| {
            let (rank, since) = first_of(*priority)?;
            let served = queue.last_served.get(priority).map_or(since, |at| since.max(*at));
            (now.duration_since(served) >= FLOOR).then_some(rank)
        };
        Priority::ALL.iter().rev().find_map(starved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn budget(per_second: f64, burst: u32, bound: usize) -> Arc<Budget> {
        Budget::new(Rate { per_second, burst }, bound)
    }

    #[tokio::test(start_paused = true)]
    async fn budget_admits_burst_at_once_then_limits_rate() {
        let budget = budget(20.0, 3, 10);
        assert!((0..3).all(|_| budget.try_take(Priority::Claim)));
        assert!(!budget.try_take(Priority::Claim));
        let started = Instant::now();
        for _ in 0..4 {
            budget.take(Priority::Claim, LONG).await.expect("admitted");
        }
        let took = started.elapsed();
        assert!((200..=210).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn budget_keeps_two_tokens_for_claims() {
        let budget = budget(2.0, 5, 10);
        assert!((0..3).all(|_| budget.try_take(Priority::Join)));
        assert!(!budget.try_take(Priority::Join) && !budget.try_take(Priority::IdlePoll));
        assert!((0..2).all(|_| budget.try_take(Priority::Claim)));
        assert!(!budget.try_take(Priority::Claim));
    }

    /// Starts a call of each of these classes, in this order. Returns the classes in the order in which they were admitted.
    async fn order_of(budget: &Arc<Budget>, classes: &[Priority], patience: Duration) -> Vec<Priority> {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waits = Vec::new();
        for priority in classes.iter().copied() {
            let (budget, order) = (budget.clone(), order.clone());
            waits.push(tokio::spawn(async move {
                budget.take(priority, patience).await.expect("admitted");
                order.lock().expect("not poisoned").push(priority);
            }));
            tokio::task::yield_now().await;
        }
        for wait in waits {
            wait.await.expect("no panic");
        }
        let order = order.lock().expect("not poisoned");
        order.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn budget_admits_claims_before_joins_before_polls() {
        use Priority::{Claim, IdlePoll, Join};
        let budget = budget(20.0, 1, 10);
        assert!(budget.try_take(Claim));
        let order = order_of(&budget, &[IdlePoll, Join, Claim, IdlePoll, Claim], LONG).await;
        assert_eq!(order, [Claim, Claim, Join, IdlePoll, IdlePoll]);
    }

    #[tokio::test(start_paused = true)]
    async fn budget_gives_every_class_a_call_in_ten_seconds() {
        let budget = budget(2.0, 1, 200);
        assert!(budget.try_take(Priority::Claim));
        let mut classes = vec![Priority::IdlePoll, Priority::UnknownLeg];
        classes.extend([Priority::Claim; 100]);
        let order = order_of(&budget, &classes, Duration::from_secs(600)).await;
        let place = |class| order.iter().position(|p| *p == class).expect("admitted");
        assert!(
            place(Priority::IdlePoll) <= 21 && place(Priority::UnknownLeg) <= 22,
            "{order:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn budget_full_queue_admits_claim_and_rejects_poll() {
        let budget = budget(0.5, 1, 2);
        assert!(budget.try_take(Priority::Claim));
        let wait = |priority| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.take(priority, Duration::from_millis(100)).await })
        };
        let (first, second) = (wait(Priority::Join), wait(Priority::IdlePoll));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(budget.take(Priority::IdlePoll, LONG).await, Err(NoBudget::QueueFull));
        let third = wait(Priority::Claim);
        assert_eq!(
            second.await.expect("no panic"),
            Err(NoBudget::QueueFull),
            "the claim evicted the poll"
        );
        assert_eq!(first.await.expect("no panic"), Err(NoBudget::Timeout));
        assert_eq!(third.await.expect("no panic"), Err(NoBudget::Timeout));
    }
}
