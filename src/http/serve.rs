//! The listener: it speaks TLS if it has a certificate, limits connections, the time until the first request (with the TLS handshake)
//! and between two requests, and the size of request heads; a stop lets running requests finish.
//!
//! `axum::serve` has none of these limits, so this is its loop over hyper's connections with them. A client that sends its
//! request a byte at a time loses its connection and does not block others meanwhile.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::forwarded::TrustedProxies;
use super::tls::Tls;

/// A peer that acknowledges no data for so long is gone (`TCP_USER_TIMEOUT`), so that a stream of directives notices soon that its
/// browser is.
const SILENT: Duration = Duration::from_secs(20);
/// The most bytes of a request head: the longest URL that still gets a proper answer, and its headers.
const UNREAD: usize = 96 * 1024;
/// The pause after a failed accept (no file descriptor left).
const BREATH: Duration = Duration::from_millis(200);
/// A browser that has spoken TLS with this host once speaks nothing else with it for a year. Sent over TLS only, because browsers
/// ignore it elsewhere (RFC 6797, 7.2 and 8.1).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// The whole answer to a connection beyond the limit, because its request is not read.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 193\r\n\
Retry-After: 1\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n\
{\"type\":\"urn:sidedoor:problem:service_unavailable\",\"title\":\"Service overloaded or stopping\",\
\"status\":503,\"detail\":\"Too many connections are open.\",\"code\":\"service_unavailable\",\"requestId\":null}";

/// The address that a request comes from: the other end of its connection, or what a trusted proxy says that its client's is.
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

/// Where connections come in, and what is done before their first request.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub tcp: TcpListener,
    /// The certificate; without it connections are plain.
    pub tls: Option<Arc<Tls>>,
    /// Whose word about a client's address is believed.
    pub trusted_proxies: TrustedProxies,
}

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the connection to the head of the first request, with the TLS handshake.
    pub first_head: Duration,
    /// From an answer to the head of the next request.
    pub idle: Duration,
}

/// The limit on open connections, and its counters for the metrics.
#[derive(Debug)]
pub struct Connections {
    permits: Arc<Semaphore>,
    most: usize,
    refused: AtomicU64,
}

impl Connections {
    /// At most `most` connections at a time.
    pub fn new(most: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(most)),
            most,
            refused: AtomicU64::new(0),
        }
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.most.saturating_sub(self.permits.available_permits())
    }

    /// Connections refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Serves until `stopping` is cancelled, and then until running requests have been answered.
pub async fn serve(
    listener: Listener,
    router: Router,
    connections: Arc<Connections>,
    patience: Patience,
    stopping: CancellationToken,
) {
    let open = TaskTracker::new();
    let Listener {
        tcp,
        tls,
        trusted_proxies,
    } = listener;
    let trusted_proxies = Arc::new(trusted_proxies);
    loop {
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(e) => {
                tracing::warn!(error = %e, "could not accept a connection: {e}; retrying in 200 ms");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        give_up_on_the_silent(&stream);
        match connections.permits.clone().try_acquire_owned() {
            Ok(permit) => {
                let connection = Connection {
                    peer,
                    trusted_proxies: trusted_proxies.clone(),
                    router: router.clone(),
                    head_until: Instant::now() + patience.first_head,
                    idle: patience.idle,
                    stopping: stopping.clone(),
                    _permit: permit,
                };
                match tls.clone() {
                    None => open.spawn(connection.serve(stream, false)),
                    Some(tls) => open.spawn(connection.shake_hands(stream, tls)),
                };
            }
            Err(_) => {
                connections.refused.fetch_add(1, Ordering::Relaxed);
                // Without waiting, so that a slow client does not block the loop. A client that expects TLS could not read it.
                if tls.is_none() {
                    let _ = stream.try_write(TOO_MANY);
                }
            }
        }
    }
    drop(tcp);
    open.close();
    open.wait().await;
}

/// An accepted connection, without its stream.
struct Connection {
    peer: IpAddr,
    trusted_proxies: Arc<TrustedProxies>,
    router: Router,
    /// When the head of the first request must have arrived.
    head_until: Instant,
    idle: Duration,
    stopping: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn shake_hands(self, stream: TcpStream, tls: Arc<Tls>) {
        let peer = self.peer;
        let shaken = tokio::select! {
            shaken = tokio::time::timeout_at(self.head_until, tls.accept(stream)) => shaken,
            () = self.stopping.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.serve(stream, true).await,
            Ok(Err(e)) => tracing::debug!(error = %e, %peer, "a TLS handshake failed: {e}"),
            Err(_) => {
                tls.count_failure();
                tracing::debug!(%peer, "closed a connection whose TLS handshake took too long");
            }
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin, over_tls: bool) {
        let peer = self.peer;
        let heard = CancellationToken::new();
        let service = hyper::service::service_fn({
            let (heard, router, proxies) = (heard.clone(), self.router, self.trusted_proxies);
            move |request: hyper::Request<Incoming>| {
                heard.cancel();
                answer(
                    router.clone(),
                    Peer::new(proxies.client(peer, request.headers())),
                    over_tls,
                    request,
                )
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(UNREAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let too_late = tokio::time::sleep_until(self.head_until);
        let mut too_late = std::pin::pin!(too_late);
        let (mut asked, mut shutting_down) = (false, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(e) = ended {
                        tracing::debug!(error = %e, %peer, "a connection ended: {e}");
                    }
                    return;
                }
                () = heard.cancelled(), if !asked => asked = true,
                () = &mut too_late, if !asked => {
                    tracing::debug!(%peer, "closed a connection that sent no request in time");
                    return;
                }
                () = self.stopping.cancelled(), if !shutting_down => {
                    shutting_down = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

async fn answer(
    router: Router,
    peer: Peer,
    over_tls: bool,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let mut response = router.oneshot(request).await?;
    if over_tls {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    Ok(response)
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
