//! The listener: it limits connections, the time until the first request and between two requests, and the size of request heads;
//! a stop lets running requests finish.
//!
//! `axum::serve` has none of these limits, so this is its loop over hyper's connections with them. A client that sends its
//! request a byte at a time loses its connection and does not block others meanwhile.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::connections::{Activity, Answering, Connections, Place};

/// A peer that acknowledges no data for so long is gone (`TCP_USER_TIMEOUT`), so that a stream of directives notices soon that its
/// browser is.
const SILENT: Duration = Duration::from_secs(20);
/// The most bytes of a request head: the longest URL that still gets a proper answer, and its headers.
const UNREAD: usize = 96 * 1024;
/// The pause after a failed accept (no file descriptor left).
const BREATH: Duration = Duration::from_millis(200);
/// The whole answer to a connection beyond the limit, because its request is not read.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 193\r\n\
Retry-After: 1\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n\
{\"type\":\"urn:sidedoor:problem:service_unavailable\",\"title\":\"Service overloaded or stopping\",\
\"status\":503,\"detail\":\"Too many connections are open.\",\"code\":\"service_unavailable\",\"requestId\":null}";

/// The address at the other end of a connection, which is the proxy if there is one. Headers such as `X-Forwarded-For` are ignored,
/// because any client can send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(IpAddr);

impl Peer {
    pub(super) fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address, or the /64 network of an IPv6 address, because one host usually has the whole /64.
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

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the connection to the head of the first request.
    pub first_head: Duration,
    /// From an answer to the head of the next request.
    pub idle: Duration,
}

/// Serves until `stopping` is cancelled, and then until running requests have been answered.
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
                tracing::warn!(error = %e, "could not accept a connection: {e}; retrying in 200 ms");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        give_up_on_the_silent(&stream);
        match connections.open(peer) {
            Some(place) => {
                open.spawn(one(stream, peer, router.clone(), place, patience, stopping.clone()));
            }
            None => {
                // Without waiting, so that a slow client does not block the loop.
                let _ = stream.try_write(TOO_MANY);
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
    place: Place,
    patience: Patience,
    stopping: CancellationToken,
) {
    let heard = CancellationToken::new();
    let service = hyper::service::service_fn({
        let (heard, activity) = (heard.clone(), place.activity.clone());
        move |request: hyper::Request<Incoming>| {
            heard.cancel();
            answer(router.clone(), peer, request, activity.clone())
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
    let (mut asked, mut shutting_down) = (false, false);
    let activity = &place.activity;
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
                tracing::debug!(?peer, "closed a connection that sent no request in time");
                return;
            }
            () = stopping.cancelled(), if !shutting_down => {
                shutting_down = true;
                connection.as_mut().graceful_shutdown();
            }
            () = activity.closing.cancelled(), if !shutting_down => {
                if activity.is_idle() {
                    tracing::debug!(?peer, "closed an idle connection in favour of a new one");
                    return;
                }
                // A request arrived at this moment, so it is answered first.
                shutting_down = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    router: Router,
    peer: Peer,
    request: hyper::Request<Incoming>,
    activity: Arc<Activity>,
) -> Result<Response, Infallible> {
    let busy = activity.begin();
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Body::new(Answering { body, busy })))
}

fn give_up_on_the_silent(stream: &TcpStream) {
    // Errors are ignored: without these options a lost peer is only noticed later.
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(SILENT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_limit_answer_is_complete() {
        let text = std::str::from_utf8(TOO_MANY).expect("text");
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
