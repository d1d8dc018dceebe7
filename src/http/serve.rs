//! The listener: so many connections at a time, so long for the first request to come and so long between two, heads of a
//! bounded size, and a soft stop that lets what is under way finish.
//!
//! `axum::serve` sets none of these, so this is its loop over hyper's connection with them set. A client that sends its
//! request a byte at a time loses its connection; it keeps nobody else out meanwhile.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// A peer that answers nothing for so long is gone: so a stream of directives knows soon that its browser is.
const SILENT: Duration = Duration::from_secs(20);
/// What a connection may have unread, bytes: the longest URL that is told so, and its headers.
const UNREAD: usize = 96 * 1024;
/// After a failure to accept (no file descriptor left), we wait so long.
const BREATH: Duration = Duration::from_millis(200);
/// The whole answer to a connection beyond the limit, because its request is not read.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 193\r\n\
Retry-After: 1\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n\
{\"type\":\"urn:sidedoor:problem:service_unavailable\",\"title\":\"Service overloaded or stopping\",\
\"status\":503,\"detail\":\"Too many connections are open.\",\"code\":\"service_unavailable\",\"requestId\":null}";

/// Who is at the other end of a connection: a proxy, if there is one. What a header says of it is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(IpAddr);

impl Peer {
    pub(super) fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address, or the /64 of an IPv6 address: whoever has one has all of it.
    pub(super) fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        }
    }
}

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the first request's head is there.
    pub first_head: Duration,
    /// From one answer to the next request's head.
    pub idle: Duration,
}

/// The room for connections, shared with whoever tells of it.
#[derive(Debug)]
pub struct Connections {
    room: Arc<Semaphore>,
    most: usize,
    refused: AtomicU64,
}

impl Connections {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(most)),
            most,
            refused: AtomicU64::new(0),
        }
    }

    /// Open now.
    pub(super) fn open(&self) -> usize {
        self.most.saturating_sub(self.room.available_permits())
    }

    /// Refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Serves until `stopping`, and then until what is under way is done.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    patience: Patience,
    stopping: CancellationToken,
) {
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, Peer::new(address.ip())),
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted: {e}");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        give_up_on_the_silent(&stream);
        match connections.room.clone().try_acquire_owned() {
            Ok(place) => {
                open.spawn(one(stream, peer, router.clone(), place, patience, stopping.clone()));
            }
            Err(_) => {
                connections.refused.fetch_add(1, Ordering::Relaxed);
                // As much as the socket takes at once; nobody is waited for.
                let _ = stream.try_write(NO_ROOM);
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

async fn one(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    _place: OwnedSemaphorePermit,
    patience: Patience,
    stopping: CancellationToken,
) {
    let heard = CancellationToken::new();
    let service = hyper::service::service_fn({
        let heard = heard.clone();
        move |request: hyper::Request<Incoming>| {
            heard.cancel();
            answer(router.clone(), peer, request)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.idle)
        .max_buf_size(UNREAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let too_late = tokio::time::sleep(patience.first_head);
    let mut too_late = std::pin::pin!(too_late);
    let (mut asked, mut told) = (false, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(e) = ended {
                    tracing::debug!(error = %e, ?peer, "a connection ended: {e}");
                }
                return;
            }
            () = heard.cancelled(), if !asked => asked = true,
            () = &mut too_late, if !asked => {
                tracing::debug!(?peer, "a connection brought no request in time");
                return;
            }
            () = stopping.cancelled(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(router: Router, peer: Peer, request: hyper::Request<Incoming>) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    router.oneshot(request).await
}

fn give_up_on_the_silent(stream: &TcpStream) {
    // Not every system can: then it takes longer.
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(SILENT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_without_room_is_a_whole_answer() {
        let text = std::str::from_utf8(NO_ROOM).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&"service_unavailable".into(), &503.into())
        );
    }
}
