//! Rate limits. Each caller has its own rate, a lower one if it is a single supervisor, and all callers share another. Callers that
//! deliver vendors' events have a separate rate, so that no flood of other requests blocks events, and so has what a supervisor needs to
//! leave, so that nobody is kept on a call by a flood, not even by their own. A peer that keeps failing to authenticate must wait.
//!
//! A peer that failed too often may still present a valid credential, because behind a proxy all callers share one address. So for a
//! while, of the credentials that it presents and that were not valid lately, only some a second are looked at.
//!
//! Every rate is a GCRA bucket of `governor`. A caller's bucket is dropped after a while without requests, or when there are too many
//! (least recently used first); the caller then starts with a full bucket.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::UserId;

use super::serve::Peer;

/// The most callers, and the most failing peers, that have a bucket.
const REMEMBERED: u64 = 20_000;
/// A bucket is dropped after this long without requests.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// How long the credentials of a peer that failed too often are looked at slowly.
const SLOWED_FOR: Duration = Duration::from_secs(60);
/// How many credentials of such a peer are looked at.
const SLOWED: Rate = Rate {
    per_second: 10,
    burst: 20,
};

/// A rate limit.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// All rate limits.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of each caller that acts for many supervisors.
    pub caller: Rate,
    /// Of each supervisor: one person and their pages.
    pub supervisor: Rate,
    /// Of all callers together, except those that deliver events.
    pub everybody: Rate,
    /// Of each caller whose only scope is `events`.
    pub events: Rate,
    /// Failed authentications a minute of one peer.
    pub failures_per_minute: u32,
}

/// How long a caller must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait(Duration);

impl Wait {
    /// In whole seconds, at least one.
    pub(super) fn seconds(self) -> u32 {
        let up = self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0);
        u32::try_from(up.max(1)).unwrap_or(u32::MAX)
    }
}

type Bucket = Arc<DefaultDirectRateLimiter>;

fn bucket(rate: Rate) -> DefaultDirectRateLimiter {
    let least = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(least(rate.per_second)).allow_burst(least(rate.burst)))
}

fn take(bucket: &DefaultDirectRateLimiter) -> Option<Wait> {
    let until = bucket.check().err()?;
    Some(Wait(until.wait_time_from(DefaultClock::default().now())))
}

fn remembered<K: std::hash::Hash + Eq + Send + Sync + 'static>() -> Cache<K, Bucket> {
    Cache::builder()
        .max_capacity(REMEMBERED)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_idle(FORGOTTEN_AFTER)
        .build()
}

/// Who a limit is about: the credential's name, and the supervisor, because many supervisors hold the tickets of one back end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CallerKey(String, Option<UserId>);

impl CallerKey {
    pub(super) fn of(caller: &Caller) -> Self {
        Self(caller.name.clone(), caller.supervisor.clone())
    }
}

/// What a request is for, because leaving has rates of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Leaving,
    Other,
}

/// A credential that was presented, by its SHA-256.
pub(super) type Presented = [u8; 32];

/// All buckets.
pub(super) struct Limits {
    rates: Rates,
    callers: Cache<(CallerKey, Purpose), Bucket>,
    /// Of all callers: for leaving, and for everything else.
    everybody: [DefaultDirectRateLimiter; 2],
    failures: Cache<IpAddr, Bucket>,
    slowed: Cache<IpAddr, Bucket>,
    /// Credentials that were valid lately.
    valid: Cache<Presented, ()>,
    refused: [AtomicU64; 5],
}

const WORDS: [&str; 5] = ["caller", "everybody", "events", "failures", "share"];

impl Limits {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            callers: remembered(),
            everybody: [(), ()].map(|()| bucket(rates.everybody)),
            failures: remembered(),
            slowed: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(SLOWED_FOR)
                .build(),
            valid: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(FORGOTTEN_AFTER)
                .build(),
            refused: Default::default(),
            rates,
        }
    }

    /// Requests refused so far, by limit.
    pub(super) fn refused(&self) -> Vec<(&'static str, u64)> {
        let counts = self.refused.iter().map(|n| n.load(Ordering::Relaxed));
        WORDS.into_iter().zip(counts).collect()
    }

    fn count(&self, which: usize) {
        self.refused[which].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was refused because its caller has too many in progress.
    pub(super) fn count_share(&self, caller: &Caller) {
        let name = &caller.name;
        tracing::debug!(caller = name, "{name} has too many requests in progress");
        self.count(4);
    }

    /// Counts a request; returns how long its caller must wait if a limit is reached.
    pub(super) fn spent(&self, caller: &Caller, purpose: Purpose) -> Option<Wait> {
        let events = caller.delivers_events();
        let rate = if events {
            self.rates.events
        } else if caller.names_one_supervisor() {
            self.rates.supervisor
        } else {
            self.rates.caller
        };
        let key = (CallerKey::of(caller), purpose);
        let own = self.callers.get_with(key, || Arc::new(bucket(rate)));
        // The caller's own bucket first, so that a request refused there takes nothing from the shared bucket.
        if let Some(wait) = take(&own) {
            let name = &caller.name;
            tracing::debug!(caller = name, "rate limit of {name} reached");
            self.count(if events { 2 } else { 0 });
            return Some(wait);
        }
        if events {
            return None;
        }
        let wait = take(&self.everybody[purpose as usize]);
        if wait.is_some() {
            self.count(1);
        }
        wait
    }

    /// Counts a failed authentication; returns how long the peer must wait if that was one too many.
    pub(super) fn failed(&self, peer: Option<Peer>) -> Option<Wait> {
        let network = peer?.network();
        let per_minute = NonZeroU32::new(self.rates.failures_per_minute).unwrap_or(NonZeroU32::MIN);
        let own = self
            .failures
            .get_with(network, || Arc::new(RateLimiter::direct(Quota::per_minute(per_minute))));
        let wait = take(&own)?;
        self.slowed.entry(network).or_insert_with(|| Arc::new(bucket(SLOWED)));
        self.count(3);
        Some(wait)
    }

    /// Whether this credential may be looked at; if not, how long its peer must wait. A peer that did not fail too often need not.
    pub(super) fn slowed(&self, peer: Option<Peer>, credential: &Presented) -> Option<Wait> {
        let own = self.slowed.get(&peer?.network())?;
        if self.valid.contains_key(credential) {
            return None;
        }
        let wait = take(&own)?;
        self.count(3);
        Some(wait)
    }

    /// Notes that a credential is valid.
    pub(super) fn note_valid(&self, credential: Presented) {
        if !self.valid.contains_key(&credential) {
            self.valid.insert(credential, ());
        }
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::authority::Scope;

    use super::*;

    fn limits(caller: u32, everybody: u32, events: u32, failures_per_minute: u32) -> Limits {
        let rate = |burst| Rate { per_second: 1, burst };
        Limits::new(Rates {
            caller: rate(caller),
            supervisor: rate(1),
            everybody: rate(everybody),
            events: rate(events),
            failures_per_minute,
        })
    }

    #[test]
    fn rate_limit_is_per_caller_and_events_have_their_own() {
        let limits = limits(2, 5, 3, 1);
        let caller = |name: &str| Caller::new(name, vec![Scope::SuperviseAny]);
        let refused = |name: &str| limits.spent(&caller(name), Purpose::Other).is_some();
        assert_eq!([refused("a"), refused("a"), refused("a")], [false, false, true]);
        assert_eq!([refused("b"), refused("b"), refused("c")], [false, false, false]);
        assert!(refused("c"), "the total rate of five is used up");
        let events = Caller::new("bus", vec![Scope::Events]);
        let taken: Vec<_> = (0..4)
            .map(|_| limits.spent(&events, Purpose::Other).is_none())
            .collect();
        assert_eq!(taken, [true, true, true, false]);
        let one =
            |user: &str| Caller::new("back-end (ticket)", vec![Scope::Supervise]).naming(UserId::parse(user).ok());
        assert!(
            limits.spent(&one("a"), Purpose::Other).is_some(),
            "the total rate of five applies to each caller"
        );
        assert!(limits.spent(&one("a"), Purpose::Leaving).is_none(), "it may leave");
        let limited: std::collections::BTreeMap<_, _> = limits.refused().into_iter().collect();
        assert_eq!((limited["caller"], limited["everybody"], limited["events"]), (1, 2, 1));
    }

    #[test]
    fn rate_limit_is_per_supervisor_for_tickets() {
        let limits = limits(1, 100, 1, 1);
        let one =
            |user: &str| Caller::new("back-end (ticket)", vec![Scope::Supervise]).naming(UserId::parse(user).ok());
        let refused: Vec<_> = ["a", "a", "b"]
            .map(|user| limits.spent(&one(user), Purpose::Other).is_some())
            .to_vec();
        assert_eq!(refused, [false, true, false]);
    }

    #[test]
    fn failed_credentials_limit_the_whole_network_of_a_peer() {
        let limits = limits(1, 1, 1, 2);
        let peer = |text: &str| Some(Peer::new(text.parse().expect("an address")));
        assert_eq!(limits.failed(peer("2001:db8:0:1::1")), None);
        assert_eq!(limits.failed(peer("2001:db8:0:1::2")), None);
        let wait = limits.failed(peer("2001:db8:0:1:ffff::9")).expect("too often");
        assert!((1..=60).contains(&wait.seconds()), "{wait:?}");
        assert_eq!(limits.failed(peer("2001:db8:0:2::1")), None);
        assert_eq!(limits.failed(None), None, "without an address nothing is counted");
    }

    #[test]
    fn peer_that_failed_too_often_is_slowed_except_for_valid_credentials() {
        let limits = limits(1, 1, 1, 1);
        let peer = |text: &str| Some(Peer::new(text.parse().expect("an address")));
        let (here, elsewhere) = (peer("192.0.2.1"), peer("192.0.2.2"));
        let credential = |n: u8| [n; 32];
        limits.note_valid(credential(0));
        let looked_at = |peer| {
            (1..=40)
                .filter(|n| limits.slowed(peer, &credential(*n)).is_none())
                .count()
        };
        assert_eq!(looked_at(here), 40, "it has not failed");
        while limits.failed(here).is_none() {}
        assert!((20..=22).contains(&looked_at(here)));
        assert!(
            (0..40).all(|_| limits.slowed(here, &credential(0)).is_none()),
            "it was valid lately"
        );
        assert_eq!(looked_at(elsewhere), 40);
        assert_eq!(limits.slowed(None, &credential(1)), None);
    }
}
