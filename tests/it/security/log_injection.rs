//! Requests cannot forge log lines: with control characters in paths, headers, ids and tokens, Sidedoor still wrote each line
//! of the log, and none moves a terminal's cursor. No key or token appears in the log.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::issuer::{AUDIENCE, Answers, ISSUER, KeyServer, Signer, claims};
use crate::support::process::{EVENTS_KEY, KEY, free_port, spawn_logging};

/// Text that imitates a line of our log, with escape codes for a terminal.
const FORGED: &str = "\r\n2026-01-01T00:00:00Z INFO FORGED \u{1b}[31mred\u{9b}31m\u{7}\u{8}";

async fn send(port: u16, request: &[u8]) {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connected");
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
}

/// Hostile requests of every kind: raw bytes where a client can send them, escapes where it must.
fn hostile(signer: &Signer) -> Vec<Vec<u8>> {
    let escaped: String = FORGED.bytes().map(|b| format!("%{b:02x}")).collect();
    let mut all = Vec::new();
    for target in [
        format!("/v1/supervisions/{escaped}"),
        format!("/v1/supervisors/{escaped}/disconnect"),
        format!("/v1/supervisions?contactId={escaped}&{escaped}=1"),
        format!("/{escaped}"),
        format!("/v1/supervisors/me/directives?ticket={escaped}"),
    ] {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\r\n");
        all.push(head.into_bytes());
    }
    // In headers: what a parser lets through, and what it must not.
    for value in [
        &b"FORGED\x1b[31m"[..],
        b"FORGED\xc2\x9b31m",
        b"FORGED\xff\xfe",
        b"FORGED\r 2026 INFO FORGED",
        b"FORGED\n2026 INFO FORGED",
        b"FORGED\t\xe2\x80\xae",
    ] {
        for name in [
            "X-Request-Id",
            "Idempotency-Key",
            "User-Agent",
            "Last-Event-ID",
            "X-API-Key",
            "Host",
        ] {
            let mut request = format!(
                "POST /v1/supervisions HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n{name}: "
            );
            if name == "X-API-Key" {
                request = request.replace("Authorization", "X-Nothing");
            }
            let mut request = request.into_bytes();
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
            all.push(request);
        }
        let mut method = b"FORGED".to_vec();
        method.extend_from_slice(value);
        method.extend_from_slice(b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        all.push(method);
    }
    let post = |path: &str, key: &str, body: &Value| {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    // In bodies and events: every id.
    for member in [
        "contactId",
        "salesforceUserId",
        "voiceCallId",
        "mode",
        "instance",
        "agentUserId",
        "jurisdiction",
    ] {
        let mut body = json!({"contactId": "contact-1", "supervisor": {"connectUserId": "supervisor-1"}});
        body[member] = json!(FORGED);
        all.push(post("/v1/supervisions", KEY, &body));
    }
    let named = json!({"contactId": "contact-1", "supervisor": {"username": FORGED}});
    all.push(post("/v1/supervisions", KEY, &named));
    all.push(post("/v1/supervisions", KEY, &json!({FORGED: 1})));
    for member in [
        "contactId",
        "eventType",
        "initiationMethod",
        "channel",
        "relatedContactId",
    ] {
        let mut detail = json!({"eventType": "DISCONNECTED", "contactId": "leg-1", "initiationMethod": "MONITOR", "channel": "VOICE"});
        detail[member] = json!(FORGED);
        let event = json!({"id": FORGED, "detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": detail});
        all.push(post("/v1/events/connect", EVENTS_KEY, &event));
    }
    // In tokens: signed by the issuer, and not.
    for name in ["sub", "iss", "aud", "exp"] {
        let mut told = claims("supervisor-1");
        told[name] = json!(FORGED);
        all.push(post("/v1/supervisions", &signer.sign(&told), &json!({})));
    }
    let header = json!({"alg": "RS256", "kid": FORGED, "typ": FORGED});
    all.push(post(
        "/v1/supervisions",
        &signer.sign_raw(&header, &claims("supervisor-1")),
        &json!({}),
    ));
    let kid = json!({"alg": "ES256", "kid": FORGED});
    all.push(post(
        "/v1/supervisions",
        &signer.sign_raw(&kid, &claims("supervisor-1")),
        &json!({}),
    ));
    all
}

#[tokio::test]
async fn log_lines_cannot_be_forged_by_requests() {
    let signer = Signer::ec("a");
    let server = KeyServer::start(Answers::Keys(vec![signer.jwk()])).await;
    let fakes = sidedoor_fakes::start(sidedoor_fakes::FakesConfig::default())
        .await
        .expect("the fakes start");
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, port) = (folder.path().join("log"), free_port());
        let settings = [
            ("TELEMETRY__LOG_FORMAT", format),
            ("TELEMETRY__LOG_FILTER", "sidedoor=debug,info"),
            ("AUTH__ISSUERS__0__ISSUER", ISSUER),
            ("AUTH__ISSUERS__0__AUDIENCE", AUDIENCE),
            ("AUTH__ISSUERS__0__JWKS_URL", &server.url),
        ];
        let process = spawn_logging(&fakes, port, &folder.path().join("store.db"), &log, &settings);
        for _ in 0..1000 {
            let ready = format!("http://127.0.0.1:{port}/readyz");
            if reqwest::get(ready).await.is_ok_and(|a| a.status() == 200) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let requests = hostile(&signer);
        for request in &requests {
            send(port, request).await;
        }
        process.terminate();
        assert!(process.exit().await.success());
        let text = std::fs::read(&log).expect("a log");
        let text = String::from_utf8(text).expect("the log is UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.len() > requests.len() / 2,
            "too few requests are logged: {}",
            lines.len()
        );
        for word in [
            "POST /v1/supervisions 400",
            "/v1/supervisors/{connectUserId}/disconnect",
            "a token of https://idp.example is refused",
        ] {
            assert!(text.contains(word), "{word} is not in the log:\n{text}");
        }
        for line in lines {
            let ours = match format {
                "json" => serde_json::from_str::<Value>(line).is_ok_and(|v| v["timestamp"].is_string()),
                _ => line
                    .split_whitespace()
                    .next()
                    .is_some_and(|t| t.parse::<jiff::Timestamp>().is_ok()),
            };
            assert!(
                ours && !line.contains("2026-01-01T00:00:00Z INFO"),
                "a line that Sidedoor did not write: {line:?}"
            );
            let odd = line
                .chars()
                .find(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c));
            assert_eq!(odd, None, "{line:?}");
            assert!(!line.contains(KEY) && !line.contains(EVENTS_KEY), "{line}");
            assert!(!line.contains("eyJ"), "the log contains a token: {line}");
        }
    }
}
