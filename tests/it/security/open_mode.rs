//! Without keys and issuers every local process has full access. A page of the web in a browser on this machine must not: neither by
//! a cross-site request, nor by a name that it has pointed to 127.0.0.1 (DNS rebinding).

use crate::support::app::{TestApp, TestAppBuilder};
use crate::support::raw::{raw, status_and_code};

fn open() -> TestAppBuilder {
    let mut app = TestApp::build();
    for i in 0..12 {
        for setting in ["NAME", "SECRET", "SCOPES", "SUPERVISOR", "VENDOR", "INSTANCES"] {
            app = app.unset(&format!("AUTH__API_KEYS__{i}__{setting}"));
        }
    }
    app
}

async fn send(app: &TestApp, line: &str, headers: &str) -> (u16, String) {
    let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    status_and_code(&raw(app, request.as_bytes()).await)
}

#[tokio::test]
async fn open_mode_cross_site_empty_post_makes_no_supervisor_leave() {
    let app = open().start().await;
    let begun = app
        .call("POST", "/v1/supervisions")
        .anonymous()
        .json(&crate::support::app::start(
            &app.connect().create_call(),
            "supervisor-1",
        ))
        .send()
        .await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let host = format!("Host: {}\r\nContent-Length: 0\r\n", app.url.replace("http://", ""));
    // What a browser sends for `fetch(url, {method: "POST", mode: "no-cors"})` of a page of the web.
    let post = "POST /v1/supervisors/supervisor-1/disconnect";
    for (headers, origin) in [
        ("Origin: https://evil.example\r\n", "another origin"),
        ("Origin: null\r\n", "a sandboxed frame"),
        (
            "Origin: http://localhost.evil.example\r\n",
            "a name that begins like ours",
        ),
        (
            "Origin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n",
            "two origins",
        ),
        (
            "Sec-Fetch-Site: cross-site\r\n",
            "no Origin, but the browser's own word",
        ),
    ] {
        let answer = send(&app, post, &format!("{host}{headers}")).await;
        assert_eq!(answer, (403, "origin_forbidden".to_owned()), "{origin}");
    }
    let read = app.call("GET", &format!("/v1/supervisions/{}", begun.id())).anonymous();
    assert_eq!(read.send().await.state(), "MONITORING", "the supervisor is still there");
    // A local page may call, as may a program.
    for headers in [
        "Origin: http://localhost:3000\r\nSec-Fetch-Site: same-site\r\n",
        "Origin: https://[::1]:9\r\n",
        "",
    ] {
        let answer = send(&app, post, &format!("{host}{headers}")).await;
        assert!(matches!(answer.0, 200 | 202), "{headers}: {answer:?}");
    }
    app.assert_invariants().await;
}

#[tokio::test]
async fn open_mode_warns_at_each_start() {
    let mut app = open().start().await;
    app.change_setting("HTTP__LISTEN", "127.0.0.1:0");
    // A second process, which ends because the store is in use.
    let output = app.command(&["serve"]).await;
    let log = String::from_utf8_lossy(&output.stderr);
    let warning = log.lines().find(|line| line.contains("authentication is disabled"));
    assert!(warning.is_some_and(|line| line.contains("WARN")), "{log}");
    app.finish().await;
}

#[tokio::test]
async fn open_mode_answers_only_loopback_hosts() {
    let app = open().start().await;
    for path in ["/v1/audit", "/v1/supervisions", "/readyz", "/nowhere"] {
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.168.0.7",
            "[2001:db8::1]:80",
        ] {
            let answer = send(&app, &format!("GET {path}"), &format!("Host: {host}\r\n")).await;
            assert_eq!(answer, (403, "host_forbidden".to_owned()), "{path} {host}");
        }
    }
    // The name in the target counts as much as that in the header.
    let answer = send(&app, "GET http://evil.example/v1/audit", "Host: evil.example\r\n").await;
    assert_eq!(answer, (403, "host_forbidden".to_owned()));
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:8080",
    ] {
        let answer = send(&app, "GET /v1/audit", &format!("Host: {host}\r\n")).await;
        assert_eq!(answer.0, 200, "{host}");
    }
    // HTTP/1.0 needs no Host, but then it is unknown what the client has asked for.
    let old = raw(&app, b"GET /v1/audit HTTP/1.0\r\n\r\n").await;
    assert_eq!(status_and_code(&old), (403, "host_forbidden".to_owned()));
    app.finish().await;
}
