//! TLS of the listener: rustls with a certificate that is read again when its files change, so that a renewal needs no restart and
//! ends no connection. A new file that cannot be used changes nothing but the log: the certificate before it stays.

mod files;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use files::{BadCertificate, TlsFiles, Validity};
use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ports::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use self::files::{Loaded, Stamps};

/// How often the files are checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long before its end a certificate is warned about, and how often.
const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(7 * 24);
const WARN_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long the rest of a request in plain HTTP is read.
const DISCARD_FOR: Duration = Duration::from_secs(1);
/// The first byte of a TLS handshake. No method of HTTP begins with it.
const HANDSHAKE: u8 = 0x16;
/// The whole answer to plain HTTP, because the request is not read.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 180\r\n\
Cache-Control: no-store\r\nConnection: close\r\n\r\n\
{\"type\":\"urn:sidedoor:problem:tls_required\",\"title\":\"Plain HTTP on a TLS port\",\
\"status\":400,\"detail\":\"This port speaks TLS only; use https.\",\"code\":\"tls_required\",\"requestId\":null}";

/// The certificate of the listener, with its key and the authorities of clients.
pub struct Tls {
    files: TlsFiles,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<Loaded>>,
    failed: AtomicU64,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files for the first time. An expired certificate is still used, with an error in the log, because some clients may
    /// accept it, and a service that does not start would not finish its work either.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit the others.
    pub fn open(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Self, BadCertificate> {
        let loaded = files.load()?;
        let (path, validity) = (files.certificate.display(), loaded.validity);
        match validity.problem(clock.now()) {
            Some(problem) => {
                tracing::error!(%path, "the certificate {path} {problem}: clients that check it will not connect");
            }
            None => tracing::info!(%path, "the certificate {path} is valid until {:.0}", validity.not_after),
        }
        Ok(Self {
            current: RwLock::new(Arc::new(loaded)),
            failed: AtomicU64::new(0),
            files,
            clock,
        })
    }

    fn current(&self) -> Arc<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the certificate in use expires.
    pub fn not_after(&self) -> Timestamp {
        self.current().validity.not_after
    }

    /// Handshakes that failed so far.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Reads the files again whenever they change, until `stopping` is cancelled.
    pub async fn watch(self: Arc<Self>, stopping: CancellationToken) {
        let mut seen = self.current().stamps.clone();
        let mut warned: Option<Instant> = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stopping.cancelled() => return,
            }
            let (files, before) = (self.files.clone(), seen.clone());
            let looking = tokio::task::spawn_blocking(move || {
                let now = files.stamps();
                (now != before).then(|| (files.load(), now))
            });
            if let Ok(Some((loaded, stamps))) = looking.await {
                self.take(loaded, &stamps);
                seen = stamps;
                warned = None;
            }
            let left = self.not_after().duration_since(self.clock.now());
            if left < WARN_BEFORE && warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                let (path, until) = (self.files.certificate.display(), self.not_after());
                tracing::warn!(%path, "the certificate {path} is valid until {until:.0} only; replace the file");
                warned = Some(Instant::now());
            }
        }
    }

    /// Uses the files that were read for new connections, unless the ones in use are better.
    fn take(&self, loaded: Result<Loaded, BadCertificate>, stamps: &Stamps) {
        let path = self.files.certificate.display();
        let usable = loaded.map_err(|e| e.to_string()).and_then(|loaded| {
            let problem = loaded.validity.problem(self.clock.now());
            problem.map_or(Ok(loaded), |problem| Err(format!("{path} {problem}")))
        });
        match usable {
            // The files changed while they were read: the next look reads them again.
            Ok(loaded) if loaded.stamps != *stamps => {}
            Ok(loaded) => {
                let until = loaded.validity.not_after;
                tracing::info!(%path, "the certificate {path} has changed; the new one is valid until {until:.0}");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
            }
            Err(why) => {
                tracing::warn!(%path, "the certificate stays as it was, because the new files cannot be used: {why}")
            }
        }
    }

    /// The TLS connection over a new connection, if its handshake succeeds. The caller limits the time.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            // A probe of the port, which is no handshake.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let shaken = if first[0] == HANDSHAKE {
            TlsAcceptor::from(self.current().config.clone()).accept(stream).await
        } else {
            refuse_plain_http(stream).await;
            Err(std::io::Error::other("plain HTTP on a TLS port"))
        };
        shaken.inspect_err(|_| self.count_failure())
    }

    /// Counts a handshake that failed, or that took too long.
    pub(super) fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers plain HTTP and reads what was sent, because closing a connection with unread bytes can take the answer away from the client.
async fn refuse_plain_http(mut stream: TcpStream) {
    // Without waiting, because the client need not read.
    let _ = stream.try_write(PLAIN_HTTP);
    let _ = stream.shutdown().await;
    let discarding = async {
        let mut bytes = [0; 4096];
        for _ in 0..16 {
            if !matches!(stream.read(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_FOR, discarding).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_answer_is_complete() {
        let text = std::str::from_utf8(PLAIN_HTTP).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let code = crate::http::ProblemCode::TlsRequired;
        assert_eq!(
            (&problem["code"], &problem["status"], &problem["title"]),
            (
                &code.as_str().into(),
                &code.status().as_u16().into(),
                &code.title().into()
            )
        );
    }
}
