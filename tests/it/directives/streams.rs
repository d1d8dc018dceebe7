//! What a supervisor's browser is told, and how it reaches the browser: whoever asked, whatever broke, and in one tab only.

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

fn ignoring(app: &TestApp) -> Tab {
    let ignores = Manners {
        ignores: true,
        ..Manners::default()
    };
    app.browser("supervisor-1").with(ignores).open_tab()
}

async fn until_heard(tab: &Tab, what: &str, good: impl Fn(&(String, Value)) -> bool) -> Value {
    for _ in 0..1000 {
        if let Some((_, data)) = tab.heard().into_iter().find(&good) {
            return data;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} was never heard: {:#?}", tab.heard());
}

#[tokio::test]
async fn an_operators_disconnect_reaches_the_browser_that_holds_the_leg() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let tab = app.browser("supervisor-1").open_tab();
    app.until_streams(1).await;
    let path = format!("/v1/supervisions/{id}/disconnect");
    let asked = app.call("POST", &path).key(OPERATOR).send().await;
    assert_eq!(asked.body["nextAction"]["controllerAttached"], true);
    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    let settled = until_heard(&tab, "the end of it", |(name, _)| name == "settled").await;
    assert_eq!(settled["status"], "DONE");
    drop(tab);
    app.until_streams(0).await;
    app.finish().await;
}

#[tokio::test]
async fn without_a_browser_the_answer_says_what_a_person_must_do() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let asked = app.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(asked["controllerAttached"], false);
    let words = asked["instructions"].as_str().expect("text");
    assert!(words.contains("No browser") && words.contains("End call"), "{words}");
    // A page that opens later is told then, and acts.
    let tab = app.browser("supervisor-1").open_tab();
    app.until_left(&id).await;
    assert_eq!(tab.asked_to_act().len(), 1);
    drop(tab);
    app.finish().await;
}

#[tokio::test]
async fn of_several_tabs_one_acts_and_the_others_learn() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let older = app.browser("supervisor-1").open_tab();
    app.until_streams(1).await;
    let newer = app.browser("supervisor-1").open_tab();
    app.until_streams(2).await;
    app.disconnect(&id).await;
    app.until_left(&id).await;
    for tab in [&older, &newer] {
        until_heard(tab, "the end of it", |(name, _)| name == "settled").await;
    }
    let acted = (older.asked_to_act().len(), newer.asked_to_act().len());
    assert_eq!(acted, (0, 1), "the newest acts");
    assert!(
        older
            .heard()
            .iter()
            .any(|(name, data)| name == "directive" && data["act"] == false),
        "and the other knows"
    );
    drop((older, newer));
    app.finish().await;
}

/// The orphan: the tab that was asked hangs, or is closed while it is at it. Another takes over.
#[tokio::test]
async fn a_tab_that_hangs_does_not_hold_the_supervisor_on_the_line() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let willing = app.browser("supervisor-1").open_tab();
    app.until_streams(1).await;
    let hangs = ignoring(&app);
    app.until_streams(2).await;
    app.disconnect(&id).await;
    until_heard(&hangs, "the directive", |(name, data)| {
        name == "directive" && data["act"] == true
    })
    .await;
    assert_eq!(willing.asked_to_act().len(), 0, "not yet its turn");
    app.until_left(&id).await;
    assert_eq!(willing.asked_to_act().len(), 1);
    drop((willing, hangs));
    app.finish().await;
}

#[tokio::test]
async fn directives_survive_a_crash_and_are_told_to_whoever_comes_back() {
    let mut app = TestApp::start().await;
    let id = listening(&app).await;
    let hangs = ignoring(&app);
    app.until_streams(1).await;
    let asked = app.disconnect(&id).await.body["nextAction"].clone();
    let heard = until_heard(&hangs, "the directive", |(name, _)| name == "directive").await;
    drop(hangs);
    app.crash_and_restart().await;
    // One who heard it before the crash is not told again; one who did not is.
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
        "a poller that comes back hears how it ended"
    );
    drop(tab);
    app.finish().await;
}

#[tokio::test]
async fn a_poller_hears_the_same_and_is_there_while_it_polls() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let quiet = app.call("GET", DIRECTIVES).send().await.body;
    assert_eq!(quiet["items"], json!([]));
    assert_eq!(quiet["nextAfter"], "0");
    let watching = app.disconnect(&id).await;
    assert_eq!(
        watching.body["nextAction"]["controllerAttached"], false,
        "who only looks is not there to act"
    );
    let acting = format!("{DIRECTIVES}?after=0&acts=true");
    let told = app.call("GET", &acting).key(SUPERVISOR_1).send().await.body;
    let directive = told["items"][0].clone();
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
    assert_eq!(seen["items"][0]["act"], false, "an operator may watch");
    app.browser("supervisor-1").obey(&directive).await;
    app.until_left(&id).await;
    let next = told["nextAfter"].as_str().expect("a place");
    let rest = app
        .call("GET", &format!("{DIRECTIVES}?after={next}&acts=true"))
        .send()
        .await
        .body;
    assert_eq!(rest["items"][0]["status"], "DONE");
    app.finish().await;
}

#[tokio::test]
async fn who_may_listen_and_what_a_ticket_opens() {
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
    assert_eq!(elsewhere.status, 401, "it opens one path");
    let first = app.call("GET", &with(DIRECTIVES, &ticket)).anonymous().send().await;
    let second = app.call("GET", &with(DIRECTIVES, &ticket)).anonymous().send().await;
    assert_eq!((first.status, second.status), (200, 401), "once");
    let theirs = app.call("GET", &with(other, &issue().await)).anonymous().send().await;
    assert_eq!(theirs.status, 403, "and for one supervisor");
    app.finish().await;
}

#[tokio::test]
async fn streams_are_bounded_beat_and_end_with_the_service() {
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
    assert_eq!(open(None).await.expect("an answer").status(), 503, "bounded");
    let first = stream.chunk().await.expect("alive").expect("a beginning");
    assert!(String::from_utf8_lossy(&first).contains("retry: 2000"));
    let beat = tokio::time::timeout(Duration::from_secs(15), stream.chunk())
        .await
        .expect("in time");
    assert!(String::from_utf8_lossy(&beat.expect("alive").expect("a beat")).contains(": alive"));
    // finish() demands a clean stop: an open stream must not hold the service.
    app.finish().await;
    while let Ok(Some(_)) = stream.chunk().await {}
}

/// A disconnect never expires; the order to the browser does, and is given anew.
#[tokio::test]
async fn an_order_that_expires_is_given_anew() {
    let app = TestApp::build()
        .set("SUPERVISION__DIRECTIVE_TTL_S", "5")
        .set("SUPERVISION__LEAVE_DEADLINE_S", "1")
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .start()
        .await;
    let id = listening(&app).await;
    let first = app.disconnect(&id).await.body["nextAction"].clone();
    let mut anew = Value::Null;
    for _ in 0..1000 {
        anew = app.get(&id).await.body["nextAction"].clone();
        if anew["directiveId"] != first["directiveId"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(anew["directiveId"], first["directiveId"]);
    // A late answer to the old one is still an answer.
    let ack = json!({"directiveId": first["directiveId"], "outcome": "FAILED"});
    let late = app
        .call("POST", &format!("/v1/supervisions/{id}/acknowledgements"))
        .json(&ack)
        .send()
        .await;
    assert_eq!(late.status, 200);
    app.browser("supervisor-1").obey(&anew).await;
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn only_listed_origins_may_call_from_a_browser() {
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
        let told = answer
            .headers()
            .get("access-control-allow-origin")
            .and_then(|v| v.to_str().ok());
        assert_eq!(told == Some(from), allowed, "{from}: {told:?}");
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
            "{from}: one that cannot be read takes no seat"
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

/// Another tab that came too late found nothing any more; what the first one did stands.
#[tokio::test]
async fn what_one_tab_did_stands_whatever_another_found_after_it() {
    let app = TestApp::start().await;
    let id = listening(&app).await;
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&id).await;
    let before = app.get(&id).await.body["departure"].clone();
    let ack = json!({"directiveId": action["directiveId"], "outcome": "ALREADY_GONE"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    assert_eq!(app.call("POST", &path).json(&ack).send().await.status, 200);
    let told = app.call("GET", &format!("{DIRECTIVES}?after=0")).send().await.body;
    assert_eq!(told["items"][0]["status"], "DONE");
    assert_eq!(
        app.get(&id).await.body["departure"]["uncertaintyMs"],
        before["uncertaintyMs"]
    );
    app.finish().await;
}

/// One key cannot take the streams of all others.
#[tokio::test]
async fn one_supervisor_has_at_most_sixteen_streams_watching_or_not() {
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
async fn asking_again_after_a_browser_could_not_has_it_told_again() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    let first = app.disconnect(&id).await.body["nextAction"].clone();
    let again = app.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(again["directiveId"], first["directiveId"], "one that is open stands");
    for outcome in ["FAILED", "REFUSED"] {
        let told = app.disconnect(&id).await.body["nextAction"].clone();
        let answer = json!({"directiveId": told["directiveId"], "outcome": outcome});
        let path = format!("/v1/supervisions/{id}/acknowledgements");
        assert_eq!(app.call("POST", &path).json(&answer).send().await.status, 200);
        let anew = app.disconnect(&id).await;
        assert_eq!(anew.status, 202, "{}", anew.text);
        assert_eq!(anew.body["nextAction"]["status"], "OPEN");
        assert_ne!(anew.body["nextAction"]["directiveId"], told["directiveId"], "{outcome}");
    }
    let last = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&last).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    app.finish().await;
}
