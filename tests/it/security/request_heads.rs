//! What a head may contain only once: the Host, and the credential. Two of them would let a proxy and Sidedoor read different ones.

use crate::support::app::{READER, TestApp};
use crate::support::raw::{raw, status_and_code};

#[tokio::test]
async fn host_is_required_exactly_once() {
    let app = TestApp::start().await;
    let send = async |line: &str, hosts: &str| {
        let request = format!("{line}\r\nConnection: close\r\nAuthorization: Bearer {READER}\r\n{hosts}\r\n");
        status_and_code(&raw(&app, request.as_bytes()).await)
    };
    let get = "GET /v1/supervisions HTTP/1.1";
    for hosts in [
        "",
        "Host: a.example\r\nHost: a.example\r\n",
        "Host: a.example\r\nHost: b.example\r\n",
        "Host: \r\n",
        "Host: a.example, b.example\r\n",
        "Host: a.example/path\r\n",
        "Host: user@a.example\r\n",
        "Host: a.example:port\r\n",
        "Host: a\u{e9}.example\r\n",
    ] {
        assert_eq!(send(get, hosts).await, (400, "host_invalid".to_owned()), "{hosts:?}");
    }
    // The target names another host than the header.
    let absolute = "GET http://a.example/v1/supervisions HTTP/1.1";
    assert_eq!(
        send(absolute, "Host: b.example\r\n").await,
        (400, "host_invalid".to_owned())
    );
    assert_eq!(send(absolute, "Host: A.example\r\n").await.0, 200);
    for host in ["a.example", "my_service:8080", "[2001:db8::1]:443", "10.0.0.1"] {
        assert_eq!(send(get, &format!("Host: {host}\r\n")).await.0, 200, "{host}");
    }
    assert_eq!(send("GET /v1/supervisions HTTP/1.0", "").await.0, 200);
    app.finish().await;
}

#[tokio::test]
async fn credential_is_allowed_only_once() {
    let app = TestApp::start().await;
    let send = async |path: &str, credentials: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\nHost: x\r\n{credentials}\r\n");
        status_and_code(&raw(&app, request.as_bytes()).await)
    };
    let (bearer, key) = (
        format!("Authorization: Bearer {READER}\r\n"),
        format!("X-API-Key: {READER}\r\n"),
    );
    let refused = (400, "credential_ambiguous".to_owned());
    for path in ["/v1/supervisions", "/readyz"] {
        assert_eq!(send(path, &bearer.repeat(2)).await, refused);
        assert_eq!(
            send(path, &format!("Authorization: Basic eA==\r\n{bearer}")).await,
            refused
        );
        assert_eq!(send(path, &key.repeat(2)).await, refused);
        assert_eq!(send(path, &bearer).await.0, 200);
        assert_eq!(send(path, &key).await.0, 200);
    }
    app.finish().await;
}
