//! Directives reach the supervisor's browser by stream or poll, after any failure, and only one tab acts on each.

use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::{Manners, Tab};

use crate::support::app::{BACK_END, OPERATOR, READER, SUPERVISOR_1, TestApp};

const DIRECTIVES: &str = "/v1/supervisors/supervisor-1/directives";

async fn listening(app: &TestApp) -> String {
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-1").await;
    joined["id"].as_str().expect("an id").to_owned()
}

fn idle_tab(app: &TestApp) -> Tab {
    let ignores = Manners {
        ignores: true,
        ..Manners::default()
    };
    app.browser("supervisor-1").with(ignores).open_tab()
}

async fn until_received(tab: &Tab, what: &str, good: impl Fn(&(String, Value)) -> bool) -> Value {
    for _ in 0..1000 {
        if let Some((_, data)) = tab.heard().into_iter().find(&good) {
            return data;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the tab did not receive {what}: {:#?}", tab.heard());
}

#[tokio::test]
async fn directive_from_operator_reaches_browser_with_the_leg() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let tab = app.browser("supervisor-1").open_tab();
    app.until_streams(1).await;
    let path = format!("/v1/supervisions/{id}/disconnect");
    let asked = app.call("POST", &path).key(OPERATOR).send().await;
    assert_eq!(asked.body["nextAction"]["controllerAttached"], true);
    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    let settled = until_received(&tab, "a settled event", |(name, _)| name == "settled").await;
    assert_eq!(settled["status"], "DONE");
    drop(tab);
    app.until_streams(0).await;
    app.finish().await;
}

#[tokio::test]
async fn directive_without_browser_explains_manual_steps() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let asked = app.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(asked["controllerAttached"], false);
    let words = asked["instructions"].as_str().expect("text");
    assert!(words.contains("No browser") && words.contains("End call"), "{words}");
    // A page that opens later receives the directive and acts.
    let tab = app.browser("supervisor-1").open_tab();
    app.until_left(&id).await;
    assert_eq!(tab.asked_to_act().len(), 1);
    drop(tab);
    app.finish().await;
}

#[tokio::test]
async fn directive_is_acted_on_by_one_tab_and_shown_in_others() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let older = app.browser("supervisor-1").open_tab();
    app.until_streams(1).await;
    let newer = app.browser("supervisor-1").open_tab();
    app.until_streams(2).await;
    app.disconnect(&id).await;
    app.until_left(&id).await;
    for tab in [&older, &newer] {
        until_received(tab, "a settled event", |(name, _)| name == "settled").await;
    }
    let acted = (older.asked_to_act().len(), newer.asked_to_act().len());
    assert_eq!(acted, (0, 1), "the newest tab acts");
    assert!(
        older
            .heard()
            .iter()
            .any(|(name, data)| name == "directive" && data["act"] == false),
        "the other tab receives it without the duty to act"
    );
    drop((older, newer));
    app.finish().await;
}

/// The active tab hangs or is closed while it acts, and another tab takes over.
#[tokio::test]
async fn directive_moves_to_another_tab_if_active_one_hangs() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let willing = app.browser("supervisor-1").open_tab();
    app.until_streams(1).await;
    let hangs = idle_tab(&app);
    app.until_streams(2).await;
    app.disconnect(&id).await;
    until_received(&hangs, "the directive", |(name, data)| {
        name == "directive" && data["act"] == true
    })
    .await;
    assert_eq!(
        willing.asked_to_act().len(),
        0,
        "the second tab is not yet asked to act"
    );
    app.until_left(&id).await;
    assert_eq!(willing.asked_to_act().len(), 1);
    drop((willing, hangs));
    app.finish().await;
}

#[tokio::test]
async fn directives_survive_crash_and_reach_returning_browsers() {
    let mut app = TestApp::start().await;
    let id = listening(&app).await;
    let hangs = idle_tab(&app);
    app.until_streams(1).await;
    let asked = app.disconnect(&id).await.body["nextAction"].clone();
    let heard = until_received(&hangs, "the directive", |(name, _)| name == "directive").await;
    drop(hangs);
    app.crash_and_restart().await;
    // A browser that received the directive before the crash does not get it again; a new one does.
    let after = format!("{DIRECTIVES}?after={}", heard["eventId"].as_str().expect("an id"));
    let again = app.call("GET", &after).send().await.body;
    assert_eq!((&again["items"], &again["nextAfter"]), (&json!([]), &heard["eventId"]));
    let fresh = app.call("GET", DIRECTIVES).send().await.body;
    assert_eq!(fresh["items"][0]["directiveId"], asked["directiveId"]);
    let tab = app.browser("supervisor-1").open_tab();
    app.until_left(&id).await;
    let after = app.call("GET", &after).send().await.body;
    assert_eq!(
        after["items"][0]["status"], "DONE",
        "a poller that returns gets the final status"
    );
    drop(tab);
    app.finish().await;
}

#[tokio::test]
async fn directives_by_poll_equal_stream_and_count_as_presence() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let quiet = app.call("GET", DIRECTIVES).send().await.body;
    assert_eq!(quiet["items"], json!([]));
    assert_eq!(quiet["nextAfter"], "0");
    let watching = app.disconnect(&id).await;
    assert_eq!(
        watching.body["nextAction"]["controllerAttached"], false,
        "a poll without acts=true does not count as presence"
    );
    let acting = format!("{DIRECTIVES}?after=0&acts=true");
    let page = app.call("GET", &acting).key(SUPERVISOR_1).send().await.body;
    let directive = page["items"][0].clone();
    assert_eq!(
        (&directive["act"], &directive["controllerAttached"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(app.get(&id).await.body["nextAction"]["controllerAttached"], true);
    let seen = app
        .call("GET", &format!("{DIRECTIVES}?after=0"))
        .key(OPERATOR)
        .send()
        .await
        .body;
    assert_eq!(seen["items"][0]["act"], false, "an operator may read directives");
    app.browser("supervisor-1").obey(&directive).await;
    app.until_left(&id).await;
    let next = page["nextAfter"].as_str().expect("a place");
    let rest = app
        .call("GET", &format!("{DIRECTIVES}?after={next}&acts=true"))
        .send()
        .await
        .body;
    assert_eq!(rest["items"][0]["status"], "DONE");
    app.finish().await;
}

#[tokio::test]
async fn directives_need_right_scope_and_ticket_opens_one_stream() {
    let app = TestApp::start().await;
    let other = "/v1/supervisors/supervisor-2/directives";
    for (method, path, key, status) in [
        ("GET", other, SUPERVISOR_1, 403),
        ("GET", DIRECTIVES, READER, 403),
        (
            "GET",
            "/v1/supervisors/supervisor-1/directives?acts=true",
            OPERATOR,
            403,
        ),
        ("GET", "/v1/supervisors/me/directives", SUPERVISOR_1, 200),
        ("GET", "/v1/supervisors/me/directives", OPERATOR, 403),
        ("GET", "/v1/supervisors/supervisor-1/directives?after=x", BACK_END, 400),
        ("GET", "/v1/supervisors/supervisor-1/directives?since=1", BACK_END, 400),
        (
            "GET",
            "/v1/supervisors/supervisor-1/directives?instance=other",
            BACK_END,
            422,
        ),
        ("POST", "/v1/supervisors/supervisor-2/tickets", SUPERVISOR_1, 403),
        ("POST", "/v1/supervisors/supervisor-1/tickets", OPERATOR, 403),
        ("POST", "/v1/supervisors/me/tickets", SUPERVISOR_1, 201),
    ] {
        let answer = app.call(method, path).key(key).send().await;
        assert_eq!(answer.status, status, "{method} {path} {key}: {}", answer.text);
    }
    let issue = || async {
        let path = "/v1/supervisors/supervisor-1/tickets";
        let answer = app.call("POST", path).send().await;
        answer.body["ticket"].as_str().expect("a ticket").to_owned()
    };
    let ticket = issue().await;
    let with = |path: &str, ticket: &str| format!("{path}?ticket={ticket}");
    let elsewhere = app
        .call("GET", &with("/v1/supervisions", &ticket))
        .anonymous()
        .send()
        .await;
    assert_eq!(elsewhere.status, 401, "a ticket opens only the directives path");
    let first = app.call("GET", &with(DIRECTIVES, &ticket)).anonymous().send().await;
    let second = app.call("GET", &with(DIRECTIVES, &ticket)).anonymous().send().await;
    assert_eq!((first.status, second.status), (200, 401), "once");
    let theirs = app.call("GET", &with(other, &issue().await)).anonymous().send().await;
    assert_eq!(theirs.status, 403, "a ticket opens only its own supervisor's stream");
    app.finish().await;
}

#[tokio::test]
async fn streams_are_limited_have_heartbeat_and_end_at_stop() {
    let app = TestApp::build().set("HTTP__MAX_STREAMS", "1").start().await;
    let open = |last: Option<&str>| {
        let mut request = app
            .http
            .get(format!("{}{DIRECTIVES}", app.url))
            .bearer_auth(BACK_END)
            .header("Accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_owned());
        }
        request.send()
    };
    assert_eq!(open(Some("x")).await.expect("an answer").status(), 400);
    let mut stream = open(None).await.expect("open");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(
        open(None).await.expect("an answer").status(),
        503,
        "the stream limit is reached"
    );
    let first = stream.chunk().await.expect("open").expect("a first chunk");
    assert!(String::from_utf8_lossy(&first).contains("retry: 2000"));
    let beat = tokio::time::timeout(Duration::from_secs(15), stream.chunk())
        .await
        .expect("in time");
    assert!(String::from_utf8_lossy(&beat.expect("open").expect("a heartbeat")).contains(": alive"));
    // finish() asserts a clean stop, so an open stream must not delay it.
    app.finish().await;
    while let Ok(Some(_)) = stream.chunk().await {}
}

/// A disconnect never expires, but its directive does, and the service then issues a new one.
#[tokio::test]
async fn directive_that_expires_is_replaced_by_new_one() {
    let app = TestApp::build()
        .set("SUPERVISION__DIRECTIVE_TTL_S", "5")
        .set("SUPERVISION__LEAVE_DEADLINE_S", "1")
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .start()
        .await;
    let id = listening(&app).await;
    let first = app.disconnect(&id).await.body["nextAction"].clone();
    let mut renewed = Value::Null;
    for _ in 0..1000 {
        renewed = app.get(&id).await.body["nextAction"].clone();
        if renewed["directiveId"] != first["directiveId"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(renewed["directiveId"], first["directiveId"]);
    // A late acknowledgement of the old directive is accepted.
    let ack = json!({"directiveId": first["directiveId"], "outcome": "FAILED"});
    let late = app
        .call("POST", &format!("/v1/supervisions/{id}/acknowledgements"))
        .json(&ack)
        .send()
        .await;
    assert_eq!(late.status, 200);
    app.browser("supervisor-1").obey(&renewed).await;
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn directives_allow_only_listed_origins() {
    let origin = "https://acme.lightning.force.com";
    let closed = TestApp::start().await;
    let open = TestApp::build().set("HTTP__CORS_ALLOWED_ORIGINS", origin).start().await;
    for (app, from, allowed) in [
        (&closed, origin, false),
        (&open, origin, true),
        (&open, "https://evil.example", false),
    ] {
        let request = app.http.get(format!("{}{DIRECTIVES}", app.url)).bearer_auth(BACK_END);
        let answer = request.header("Origin", from).send().await.expect("an answer");
        let allowed_origin = answer
            .headers()
            .get("access-control-allow-origin")
            .and_then(|v| v.to_str().ok());
        assert_eq!(allowed_origin == Some(from), allowed, "{from}: {allowed_origin:?}");
        let stream = app
            .http
            .get(format!("{}{DIRECTIVES}", app.url))
            .bearer_auth(BACK_END)
            .header("Accept", "text/event-stream")
            .header("Origin", from);
        let opened = stream.send().await.expect("an answer").status();
        assert_eq!(
            opened,
            if allowed { 200 } else { 403 },
            "{from}: a stream that the browser cannot read does not count as presence"
        );
        let preflight = app
            .http
            .request(reqwest::Method::OPTIONS, format!("{}{DIRECTIVES}", app.url))
            .header("Origin", from)
            .header("Access-Control-Request-Method", "GET")
            .header("Access-Control-Request-Headers", "last-event-id");
        let answer = preflight.send().await.expect("an answer");
        assert_eq!(
            answer.headers().contains_key("access-control-allow-origin"),
            allowed,
            "{from}"
        );
    }
    closed.finish().await;
    open.finish().await;
}

/// A second tab that acts too late answers ALREADY_GONE; the status stays that of the first tab.
#[tokio::test]
async fn directive_status_of_first_tab_is_not_overwritten() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    let before = app.get(&id).await.body["departure"].clone();
    let ack = json!({"directiveId": action["directiveId"], "outcome": "ALREADY_GONE"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    assert_eq!(app.call("POST", &path).json(&ack).send().await.status, 200);
    let page = app.call("GET", &format!("{DIRECTIVES}?after=0")).send().await.body;
    assert_eq!(page["items"][0]["status"], "DONE");
    assert_eq!(
        app.get(&id).await.body["departure"]["uncertaintyMs"],
        before["uncertaintyMs"]
    );
    app.finish().await;
}

/// One supervisor cannot use up the streams of all others.
#[tokio::test]
async fn streams_are_limited_to_sixteen_per_supervisor() {
    let app = TestApp::start().await;
    let open = |user: &str| {
        let path = format!("{}/v1/supervisors/{user}/directives?acts=false", app.url);
        app.http
            .get(path)
            .bearer_auth(BACK_END)
            .header("Accept", "text/event-stream")
            .send()
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = open("supervisor-1").await.expect("an answer");
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    assert_eq!(open("supervisor-1").await.expect("an answer").status(), 503);
    assert_eq!(open("supervisor-2").await.expect("an answer").status(), 200);
    drop(streams);
    app.finish().await;
}

#[tokio::test]
async fn directive_is_issued_again_after_browser_failed() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    let first = app.disconnect(&id).await.body["nextAction"].clone();
    let again = app.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(
        again["directiveId"], first["directiveId"],
        "a directive that is still open is kept"
    );
    for outcome in ["FAILED", "REFUSED"] {
        let current = app.disconnect(&id).await.body["nextAction"].clone();
        let answer = json!({"directiveId": current["directiveId"], "outcome": outcome});
        let path = format!("/v1/supervisions/{id}/acknowledgements");
        assert_eq!(app.call("POST", &path).json(&answer).send().await.status, 200);
        let renewed = app.disconnect(&id).await;
        assert_eq!(renewed.status, 202, "{}", renewed.text);
        assert_eq!(renewed.body["nextAction"]["status"], "OPEN");
        assert_ne!(
            renewed.body["nextAction"]["directiveId"], current["directiveId"],
            "{outcome}"
        );
    }
    let last = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&last).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    app.finish().await;
}
