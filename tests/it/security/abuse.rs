//! Floods, guessed credentials, slow clients and huge requests use up their own limits and nothing else.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::app::{BACK_END, EVENTS, OPERATOR, READER, SUPERVISOR_1, TestApp};
use crate::support::raw::{connect, raw, rest_within};

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {READER}\r\n{headers}\r\n")
        .into_bytes()
}

#[tokio::test]
async fn rate_limit_of_one_caller_leaves_others_alone() {
    let app = TestApp::build()
        .set("HTTP__RATE_PER_CALLER_PER_SECOND", "1")
        .set("HTTP__RATE_PER_CALLER_BURST", "5")
        .set("HTTP__RATE_PER_SUPERVISOR_PER_SECOND", "1")
        .set("HTTP__RATE_PER_SUPERVISOR_BURST", "2")
        .start()
        .await;
    let list = |key: &'static str| app.call("GET", "/v1/supervisions").key(key).send();
    for (key, burst) in [(READER, 5), (SUPERVISOR_1, 2)] {
        for _ in 0..burst {
            assert_eq!(list(key).await.status, 200);
        }
        let refused = list(key).await;
        assert_eq!(
            (refused.status, refused.code()),
            (429, "rate_limit_reached"),
            "{}",
            refused.text
        );
        let wait: u32 = refused.headers["retry-after"]
            .to_str()
            .expect("text")
            .parse()
            .expect("seconds");
        assert!((1..=2).contains(&wait), "{wait}");
    }
    // Nobody is kept on a call by a flood of their own: leaving has a rate of its own.
    let leave = app
        .call("POST", "/v1/supervisors/me/disconnect")
        .key(SUPERVISOR_1)
        .send()
        .await;
    assert_eq!(
        (leave.status, leave.code()),
        (404, "supervision_not_found"),
        "{}",
        leave.text
    );
    // Other callers are not limited, and the first caller is served again after `Retry-After`.
    assert_eq!(list(BACK_END).await.status, 200);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(list(READER).await.status, 200);
    let told = app.call("GET", "/metrics").key(OPERATOR).send().await.text;
    assert!(
        told.contains("sidedoor_rate_limited_total{limit=\"caller\"} 2"),
        "{told}"
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn rate_limit_never_blocks_events_of_vendors() {
    let app = TestApp::build()
        .set("HTTP__RATE_PER_SECOND", "1")
        .set("HTTP__RATE_BURST", "3")
        .start()
        .await;
    let event = json!({"detail-type": "Scheduled Event"});
    let mut refused = 0;
    for n in 0..20 {
        let key = [READER, BACK_END, OPERATOR][n % 3];
        refused += usize::from(app.call("GET", "/v1/supervisions").key(key).send().await.status == 429);
        let told = app
            .call("POST", "/v1/events/connect")
            .key(EVENTS)
            .json(&event)
            .send()
            .await;
        assert_eq!(told.status, 200, "{}", told.text);
    }
    assert!(refused >= 12, "all callers share the total rate: {refused}");
    app.assert_invariants().await;
}

#[tokio::test]
async fn authentication_failures_are_limited_and_valid_keys_are_not() {
    let app = TestApp::build()
        .set("HTTP__AUTH_FAILURES_PER_MINUTE", "6")
        .start()
        .await;
    let here = &app;
    let list = |key: String| async move { house_list(here, &key).await };
    let known = list(READER.into()).await;
    assert_eq!(known.0, 200);
    let mut answers = Vec::new();
    for n in 0..10 {
        answers.push(list(format!("a-guess-at-a-key-{n}")).await.0);
    }
    assert_eq!(answers[..6], [401; 6], "{answers:?}");
    assert_eq!(answers[7..], [429; 3], "{answers:?}");
    let (_, code, wait) = list("one-more-guess-at-a-key".into()).await;
    assert_eq!(code, "rate_limit_reached");
    assert!((1..=60).contains(&wait), "{wait}");
    // A valid key is accepted even if it was never used before, because behind a proxy all callers have the same address.
    assert_eq!(list(READER.into()).await.0, 200);
    assert_eq!(list(OPERATOR.into()).await.0, 200);
    // A spent ticket does not count as a failed credential, because its page did not guess.
    let spent = app
        .call("GET", "/v1/supervisors/supervisor-1/directives?ticket=spent")
        .anonymous();
    assert_eq!(spent.send().await.status, 401);
    app.assert_invariants().await;
}

#[tokio::test]
async fn guesses_are_slowed_before_keys_are_compared() {
    let app = TestApp::build()
        .set("HTTP__AUTH_FAILURES_PER_MINUTE", "2")
        .start()
        .await;
    assert_eq!(house_list(&app, READER).await.0, 200, "valid lately");
    let app = &app;
    let guesses = (0..60).map(|n| async move { house_list(app, &format!("a-guess-at-a-key-{n}")).await.0 });
    let answers = futures::future::join_all(guesses).await;
    assert!(
        answers.iter().filter(|status| **status == 429).count() >= 57,
        "{answers:?}"
    );
    // The key that was valid lately is looked at nevertheless; one that was not is looked at in its turn.
    assert_eq!(house_list(app, READER).await.0, 200);
    let begun = Instant::now();
    while house_list(app, OPERATOR).await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(3), "a valid key is accepted soon");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let told = app.call("GET", "/metrics").key(OPERATOR).send().await.text;
    assert!(
        told.contains("sidedoor_unauthorized_total{why=\"too_many_failures\"}"),
        "{told}"
    );
    app.assert_invariants().await;
}

async fn house_list(app: &TestApp, key: &str) -> (u16, String, u32) {
    let answer = app.call("GET", "/v1/supervisions").key(key).send().await;
    let wait = answer
        .headers
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    (answer.status, answer.code().to_owned(), wait.unwrap_or(0))
}

#[tokio::test]
async fn slow_request_head_loses_its_connection() {
    let app = TestApp::build()
        .set("HTTP__HEADER_TIMEOUT_S", "1")
        .set("HTTP__IDLE_TIMEOUT_S", "2")
        .start()
        .await;
    // One connection sends nothing, another sends its head byte by byte.
    let begun = Instant::now();
    let mut silent = connect(&app).await;
    let mut trickle = connect(&app).await;
    let trickling = tokio::spawn(async move {
        for byte in get("/v1/supervisions", "X-Slow: yes\r\n").iter().cycle() {
            if trickle.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(
        rest_within(&mut silent, Duration::from_secs(5)).await.as_deref(),
        Some("")
    );
    tokio::time::timeout(Duration::from_secs(8), trickling)
        .await
        .expect("the trickle is cut off")
        .expect("no panic");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // After its first request a connection may be idle for longer before it is closed.
    let mut idle = connect(&app).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    tokio::time::sleep(Duration::from_millis(1300)).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    let answers = rest_within(&mut idle, Duration::from_secs(6)).await.expect("closed");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    app.assert_invariants().await;
}

#[tokio::test]
async fn oversized_urls_headers_and_bodies_have_their_codes() {
    let app = TestApp::start().await;
    let filler = |n: usize| "x".repeat(n);
    for (what, request, status, code) in [
        (
            "a long URL",
            get(&format!("/v1/supervisions?contactId={}", filler(9000)), ""),
            414,
            "uri_too_large",
        ),
        (
            "a longer path",
            get(&format!("/{}", filler(60_000)), ""),
            414,
            "uri_too_large",
        ),
        (
            "a URL above the hard limit",
            get(&format!("/{}", filler(70_000)), ""),
            414,
            "",
        ),
        (
            "large headers",
            get("/v1/supervisions", &format!("X-Filler: {}\r\n", filler(20_000))),
            431,
            "headers_too_large",
        ),
        (
            "headers above the hard limit",
            get("/v1/supervisions", &format!("X-Filler: {}\r\n", filler(200_000))),
            431,
            "",
        ),
        (
            "many headers",
            get("/v1/supervisions", &"X-Many: 1\r\n".repeat(150)),
            431,
            "",
        ),
    ] {
        let answer = raw(&app, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{what}: {}",
            &answer[..answer.len().min(300)]
        );
        assert!(answer.contains(code), "{what}: {answer}");
        assert!(answer.len() < 2000, "{what}: the request is not echoed");
    }
    // A chunked body announces no length, so the limit must be applied while it arrives.
    let mut stream = connect(&app).await;
    let head = format!(
        "POST /v1/supervisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BACK_END}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("4000\r\n{}\r\n", filler(0x4000));
    stream.write_all(chunk.repeat(4).as_bytes()).await.expect("sent");
    stream.write_all(b"1\r\nx\r\n").await.expect("sent");
    let answer = rest_within(&mut stream, Duration::from_secs(15)).await.expect("closed");
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"),
        "{answer}"
    );
    // A request within the limits is served.
    let long = format!("X-Filler: {}\r\n", filler(8000));
    assert!(
        raw(&app, &get("/v1/supervisions", &long))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    app.assert_invariants().await;
}

#[tokio::test]
async fn ambiguous_request_framing_is_refused() {
    let app = TestApp::start().await;
    let head = format!("POST /v1/supervisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BACK_END}\r\n");
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let answer = raw(&app, format!("{head}{framing}\r\nhello").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing}: {answer}");
    }
    app.assert_invariants().await;
}

#[tokio::test]
async fn answers_carry_security_headers() {
    let app = TestApp::start().await;
    for (method, path, key) in [
        ("GET", "/v1/supervisions", Some(READER)),
        ("GET", "/v1/supervisions", None),
        ("GET", "/healthz", None),
        ("GET", "/openapi.yaml", None),
        ("GET", "/nowhere", None),
        ("DELETE", "/v1/supervisions", Some(READER)),
        ("GET", "/v1/supervisions?pageSize=0", Some(READER)),
    ] {
        let call = app.call(method, path);
        let call = key.map_or_else(|| app.call(method, path).anonymous(), |key| call.key(key));
        let answer = call.send().await;
        for (name, value) in [
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers[name], value, "{method} {path}");
        }
        let header = |name: &str| answer.headers.get(name);
        assert!(header("strict-transport-security").is_none() && header("server").is_none());
        let closes = header("connection").is_some_and(|v| v == "close");
        assert_eq!(
            closes,
            answer.status == 401,
            "an unauthenticated caller keeps no connection"
        );
    }
    app.finish().await;
}
