//! Requests as bytes, for what a client library does not send.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::app::TestApp;

/// Opens a connection to the service.
pub async fn connect(app: &TestApp) -> TcpStream {
    let address = app.url.split("://").nth(1).expect("a URL");
    TcpStream::connect(address).await.expect("connected")
}

/// Sends bytes on a connection of their own and reads until the service closes it.
pub async fn raw(app: &TestApp, request: &[u8]) -> String {
    let mut stream = connect(app).await;
    let _ = stream.write_all(request).await;
    rest(&mut stream).await
}

/// Reads until the service closes the connection; a reset also closes it.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let rest = rest_within(stream, Duration::from_secs(15)).await;
    rest.expect("the service closes the connection")
}

/// Reads until the service closes the connection; `None` if it does not in this time.
pub async fn rest_within(stream: &mut (impl AsyncRead + Unpin), patience: Duration) -> Option<String> {
    let mut all = Vec::new();
    let reading = tokio::time::timeout(patience, stream.read_to_end(&mut all));
    let _ = reading.await.ok()?;
    Some(String::from_utf8_lossy(&all).into_owned())
}

/// The status and the `code` of an answer; no code if its body is not an error.
pub fn status_and_code(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let code = serde_json::from_str::<serde_json::Value>(body).map_or(String::new(), |problem| {
        problem["code"].as_str().unwrap_or_default().to_owned()
    });
    (status, code)
}
