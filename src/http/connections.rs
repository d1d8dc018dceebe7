//! The limits on open connections: altogether, and of one peer. A connection without a request in progress is idle. When a limit is
//! reached, the connection that has been idle for longest is closed instead, so that idle connections keep nobody out; only if
//! none is idle, the new one is refused.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::serve::Peer;

/// The limits on open connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// All connections.
    pub all: usize,
    /// The connections of one peer: an IPv4 address, or the /64 network of an IPv6 address.
    pub peer: usize,
}

impl ConnectionLimits {
    /// The most connections of a peer. A proxy that many clients share may need all of them.
    fn share(&self, is_proxy: bool) -> usize {
        if is_proxy { self.all } else { self.peer }
    }
}

/// The value of [`Activity::idle_since`] while a request is in progress.
const BUSY: u64 = u64::MAX;

/// What one connection does.
#[derive(Debug)]
pub(super) struct Activity {
    network: IpAddr,
    /// When the last request ended, in milliseconds since the start, or [`BUSY`].
    idle_since: AtomicU64,
    start: Instant,
    /// Cancelled when the connection must give its place to another.
    pub(super) closing: CancellationToken,
}

impl Activity {
    /// Whether no request is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.idle_since.load(Ordering::SeqCst) != BUSY
    }

    /// A request begins; it ends when the guard drops.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.idle_since.store(BUSY, Ordering::SeqCst);
        Busy(self.clone())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }
}

/// A request in progress.
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::SeqCst);
    }
}

/// The body of an answer. The request is in progress until the whole body is sent or given up.
pub(super) struct Answering {
    pub(super) body: Body,
    #[allow(dead_code, reason = "ends the request when it drops")]
    pub(super) busy: Busy,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: BTreeMap<u64, Arc<Activity>>,
    by_network: HashMap<IpAddr, usize>,
}

impl Table {
    fn remove(&mut self, id: u64) -> Option<Arc<Activity>> {
        let activity = self.open.remove(&id)?;
        if let Some(count) = self.by_network.get_mut(&activity.network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&activity.network);
            }
        }
        Some(activity)
    }

    /// Closes the connection of this network, or of any, that has been idle for longest; returns whether there was one.
    fn close_longest_idle(&mut self, network: Option<IpAddr>) -> bool {
        let candidates = self.open.iter().filter(|(_, c)| network.is_none_or(|n| c.network == n));
        let idle = candidates.map(|(id, c)| (c.idle_since.load(Ordering::SeqCst), *id));
        let Some((_, longest)) = idle.filter(|(since, _)| *since != BUSY).min() else {
            return false;
        };
        if let Some(activity) = self.remove(longest) {
            activity.closing.cancel();
        }
        true
    }
}

/// The open connections, and their counters for the metrics.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    start: Instant,
    table: Mutex<Table>,
    refused: AtomicU64,
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            start: Instant::now(),
            table: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection of this peer, which may be a trusted proxy; `None` if there is none, also not by closing an idle
    /// connection.
    pub(super) fn open(self: &Arc<Self>, peer: Peer, is_proxy: bool) -> Option<Place> {
        let network = peer.network();
        let mut table = self.table();
        let own = table.by_network.get(&network).copied().unwrap_or(0);
        let must_close = if own >= self.limits.share(is_proxy) {
            Some(Some(network))
        } else {
            (table.open.len() >= self.limits.all).then_some(None)
        };
        if let Some(of) = must_close
            && !table.close_longest_idle(of)
        {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        table.last += 1;
        let id = table.last;
        let activity = Arc::new(Activity {
            network,
            idle_since: AtomicU64::new(0),
            start: self.start,
            closing: CancellationToken::new(),
        });
        // A connection that has sent nothing yet has been idle since it was opened.
        activity.idle_since.store(activity.now(), Ordering::SeqCst);
        table.open.insert(id, activity.clone());
        *table.by_network.entry(network).or_default() += 1;
        Some(Place {
            connections: self.clone(),
            id,
            activity,
        })
    }

    /// Connections open now.
    pub(super) fn count(&self) -> usize {
        self.table().open.len()
    }

    /// Connections refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The place of one connection, free again when it drops.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    pub(super) activity: Arc<Activity>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::new(text.parse().expect("an address"))
    }

    async fn later() {
        tokio::time::advance(Duration::from_millis(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_is_idle_for_longest_makes_room() {
        let connections = Arc::new(Connections::new(ConnectionLimits { all: 3, peer: 3 }));
        let open = |n: u8| connections.open(peer(&format!("192.0.2.{n}")), false);
        let first = open(1).expect("a place");
        later().await;
        let second = open(2).expect("a place");
        later().await;
        let third = open(3).expect("a place");
        let busy = first.activity.begin();
        let fourth = open(4).expect("the place of the second");
        assert!(second.activity.closing.is_cancelled() && !first.activity.closing.is_cancelled());
        drop(second);
        assert_eq!(connections.count(), 3, "a closed connection is not counted twice");
        let all_busy = (third.activity.begin(), fourth.activity.begin());
        assert!(open(5).is_none(), "none is idle");
        drop((busy, all_busy));
        assert!(open(5).is_some());
        assert_eq!(connections.refused(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_one_network_use_up_their_own_share_only() {
        let connections = Arc::new(Connections::new(ConnectionLimits { all: 10, peer: 2 }));
        let other = connections.open(peer("192.0.2.1"), false).expect("a place");
        later().await;
        let own: Vec<_> = (1..=2)
            .filter_map(|n| connections.open(peer(&format!("2001:db8::{n}")), false))
            .collect();
        let more = connections
            .open(peer("2001:db8::3"), false)
            .expect("the place of an own connection");
        assert!(own[0].activity.closing.is_cancelled() && !other.activity.closing.is_cancelled());
        let _busy = (own[1].activity.begin(), more.activity.begin());
        assert!(connections.open(peer("2001:db8::4"), false).is_none());
        assert!(
            connections.open(peer("2001:db8:0:1::4"), false).is_some(),
            "another network"
        );
        drop((own, more, other));
        assert_eq!(connections.count(), 0);
        assert!(connections.table().by_network.is_empty());
    }
}
