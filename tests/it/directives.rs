//! What a supervisor's browser is told, and how it reaches the browser: whoever asked, whatever broke, and in one tab only.

use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::{Manners, Tab};

use crate::support::house::{BACK_END, House, OPERATOR, READER, SUPERVISOR_1};

const DIRECTIVES: &str = "/v1/supervisors/supervisor-1/directives";

async fn listening(house: &House) -> String {
    let call = house.connect().create_call();
    let joined = house.joined(&call, "supervisor-1").await;
    joined["id"].as_str().expect("an id").to_owned()
}

fn ignoring(house: &House) -> Tab {
    let ignores = Manners {
        ignores: true,
        ..Manners::default()
    };
    house.browser("supervisor-1").with(ignores).open_tab()
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
    let house = House::start().await;
    let id = listening(&house).await;
    let tab = house.browser("supervisor-1").open_tab();
    house.until_streams(1).await;
    let path = format!("/v1/supervisions/{id}/disconnect");
    let asked = house.call("POST", &path).key(OPERATOR).send().await;
    assert_eq!(asked.body["nextAction"]["controllerAttached"], true);
    let left = house.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    let settled = until_heard(&tab, "the end of it", |(name, _)| name == "settled").await;
    assert_eq!(settled["status"], "DONE");
    drop(tab);
    house.until_streams(0).await;
    house.finish().await;
}

#[tokio::test]
async fn without_a_browser_the_answer_says_what_a_person_must_do() {
    let house = House::start().await;
    let id = listening(&house).await;
    let asked = house.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(asked["controllerAttached"], false);
    let words = asked["instructions"].as_str().expect("text");
    assert!(words.contains("No browser") && words.contains("End call"), "{words}");
    // A page that opens later is told then, and acts.
    let tab = house.browser("supervisor-1").open_tab();
    house.until_left(&id).await;
    assert_eq!(tab.asked_to_act().len(), 1);
    drop(tab);
    house.finish().await;
}

#[tokio::test]
async fn of_several_tabs_one_acts_and_the_others_learn() {
    let house = House::start().await;
    let id = listening(&house).await;
    let older = house.browser("supervisor-1").open_tab();
    house.until_streams(1).await;
    let newer = house.browser("supervisor-1").open_tab();
    house.until_streams(2).await;
    house.disconnect(&id).await;
    house.until_left(&id).await;
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
    house.finish().await;
}

/// The orphan: the tab that was asked hangs, or is closed while it is at it. Another takes over.
#[tokio::test]
async fn a_tab_that_hangs_does_not_hold_the_supervisor_on_the_line() {
    let house = House::start().await;
    let id = listening(&house).await;
    let willing = house.browser("supervisor-1").open_tab();
    house.until_streams(1).await;
    let hangs = ignoring(&house);
    house.until_streams(2).await;
    house.disconnect(&id).await;
    until_heard(&hangs, "the directive", |(name, data)| {
        name == "directive" && data["act"] == true
    })
    .await;
    assert_eq!(willing.asked_to_act().len(), 0, "not yet its turn");
    house.until_left(&id).await;
    assert_eq!(willing.asked_to_act().len(), 1);
    drop((willing, hangs));
    house.finish().await;
}

#[tokio::test]
async fn directives_survive_a_crash_and_are_told_to_whoever_comes_back() {
    let mut house = House::start().await;
    let id = listening(&house).await;
    let hangs = ignoring(&house);
    house.until_streams(1).await;
    let asked = house.disconnect(&id).await.body["nextAction"].clone();
    let heard = until_heard(&hangs, "the directive", |(name, _)| name == "directive").await;
    drop(hangs);
    house.crash_and_restart().await;
    // One who heard it before the crash is not told again; one who did not is.
    let after = format!("{DIRECTIVES}?after={}", heard["eventId"].as_str().expect("an id"));
    let again = house.call("GET", &after).send().await.body;
    assert_eq!((&again["items"], &again["nextAfter"]), (&json!([]), &heard["eventId"]));
    let fresh = house.call("GET", DIRECTIVES).send().await.body;
    assert_eq!(fresh["items"][0]["directiveId"], asked["directiveId"]);
    let tab = house.browser("supervisor-1").open_tab();
    house.until_left(&id).await;
    let after = house.call("GET", &after).send().await.body;
    assert_eq!(
        after["items"][0]["status"], "DONE",
        "a poller that comes back hears how it ended"
    );
    drop(tab);
    house.finish().await;
}

#[tokio::test]
async fn a_poller_hears_the_same_and_is_there_while_it_polls() {
    let house = House::start().await;
    let id = listening(&house).await;
    let quiet = house.call("GET", DIRECTIVES).send().await.body;
    assert_eq!(quiet["items"], json!([]));
    assert_eq!(quiet["nextAfter"], "0");
    let watching = house.disconnect(&id).await;
    assert_eq!(
        watching.body["nextAction"]["controllerAttached"], false,
        "who only looks is not there to act"
    );
    let acting = format!("{DIRECTIVES}?after=0&acts=true");
    let told = house.call("GET", &acting).key(SUPERVISOR_1).send().await.body;
    let directive = told["items"][0].clone();
    assert_eq!(
        (&directive["act"], &directive["controllerAttached"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(house.get(&id).await.body["nextAction"]["controllerAttached"], true);
    let seen = house
        .call("GET", &format!("{DIRECTIVES}?after=0"))
        .key(OPERATOR)
        .send()
        .await
        .body;
    assert_eq!(seen["items"][0]["act"], false, "an operator may watch");
    house.browser("supervisor-1").obey(&directive).await;
    house.until_left(&id).await;
    let next = told["nextAfter"].as_str().expect("a place");
    let rest = house
        .call("GET", &format!("{DIRECTIVES}?after={next}&acts=true"))
        .send()
        .await
        .body;
    assert_eq!(rest["items"][0]["status"], "DONE");
    house.finish().await;
}

#[tokio::test]
async fn who_may_listen_and_what_a_ticket_opens() {
    let house = House::start().await;
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
        let answer = house.call(method, path).key(key).send().await;
        assert_eq!(answer.status, status, "{method} {path} {key}: {}", answer.text);
    }
    let issue = || async {
        let path = "/v1/supervisors/supervisor-1/tickets";
        let answer = house.call("POST", path).send().await;
        answer.body["ticket"].as_str().expect("a ticket").to_owned()
    };
    let ticket = issue().await;
    let with = |path: &str, ticket: &str| format!("{path}?ticket={ticket}");
    let elsewhere = house
        .call("GET", &with("/v1/supervisions", &ticket))
        .anonymous()
        .send()
        .await;
    assert_eq!(elsewhere.status, 401, "it opens one path");
    let first = house.call("GET", &with(DIRECTIVES, &ticket)).anonymous().send().await;
    let second = house.call("GET", &with(DIRECTIVES, &ticket)).anonymous().send().await;
    assert_eq!((first.status, second.status), (200, 401), "once");
    let theirs = house.call("GET", &with(other, &issue().await)).anonymous().send().await;
    assert_eq!(theirs.status, 403, "and for one supervisor");
    house.finish().await;
}

#[tokio::test]
async fn streams_are_bounded_beat_and_end_with_the_service() {
    let house = House::build().set("HTTP__MAX_STREAMS", "1").start().await;
    let open = |last: Option<&str>| {
        let mut request = house
            .http
            .get(format!("{}{DIRECTIVES}", house.url))
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
    house.finish().await;
    while let Ok(Some(_)) = stream.chunk().await {}
}

/// A disconnect never expires; the order to the browser does, and is given anew.
#[tokio::test]
async fn an_order_that_expires_is_given_anew() {
    let house = House::build()
        .set("SUPERVISION__DIRECTIVE_TTL_S", "5")
        .set("SUPERVISION__LEAVE_DEADLINE_S", "1")
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .start()
        .await;
    let id = listening(&house).await;
    let first = house.disconnect(&id).await.body["nextAction"].clone();
    let mut anew = Value::Null;
    for _ in 0..1000 {
        anew = house.get(&id).await.body["nextAction"].clone();
        if anew["directiveId"] != first["directiveId"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(anew["directiveId"], first["directiveId"]);
    // A late answer to the old one is still an answer.
    let ack = json!({"directiveId": first["directiveId"], "outcome": "FAILED"});
    let late = house
        .call("POST", &format!("/v1/supervisions/{id}/acknowledgements"))
        .json(&ack)
        .send()
        .await;
    assert_eq!(late.status, 200);
    house.browser("supervisor-1").obey(&anew).await;
    house.until_left(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn only_listed_origins_may_call_from_a_browser() {
    let origin = "https://acme.lightning.force.com";
    let closed = House::start().await;
    let open = House::build().set("HTTP__CORS_ALLOWED_ORIGINS", origin).start().await;
    for (house, from, allowed) in [
        (&closed, origin, false),
        (&open, origin, true),
        (&open, "https://evil.example", false),
    ] {
        let request = house
            .http
            .get(format!("{}{DIRECTIVES}", house.url))
            .bearer_auth(BACK_END);
        let answer = request.header("Origin", from).send().await.expect("an answer");
        let told = answer
            .headers()
            .get("access-control-allow-origin")
            .and_then(|v| v.to_str().ok());
        assert_eq!(told == Some(from), allowed, "{from}: {told:?}");
        let stream = house
            .http
            .get(format!("{}{DIRECTIVES}", house.url))
            .bearer_auth(BACK_END)
            .header("Accept", "text/event-stream")
            .header("Origin", from);
        let opened = stream.send().await.expect("an answer").status();
        assert_eq!(
            opened,
            if allowed { 200 } else { 403 },
            "{from}: one that cannot be read takes no seat"
        );
        let preflight = house
            .http
            .request(reqwest::Method::OPTIONS, format!("{}{DIRECTIVES}", house.url))
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
    let house = House::start().await;
    let id = listening(&house).await;
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&action).await;
    house.until_left(&id).await;
    let before = house.get(&id).await.body["departure"].clone();
    let ack = json!({"directiveId": action["directiveId"], "outcome": "ALREADY_GONE"});
    let path = format!("/v1/supervisions/{id}/acknowledgements");
    assert_eq!(house.call("POST", &path).json(&ack).send().await.status, 200);
    let told = house.call("GET", &format!("{DIRECTIVES}?after=0")).send().await.body;
    assert_eq!(told["items"][0]["status"], "DONE");
    assert_eq!(
        house.get(&id).await.body["departure"]["uncertaintyMs"],
        before["uncertaintyMs"]
    );
    house.finish().await;
}

/// One key cannot take the streams of all others.
#[tokio::test]
async fn one_supervisor_has_at_most_sixteen_streams_watching_or_not() {
    let house = House::start().await;
    let open = |user: &str| {
        let path = format!("{}/v1/supervisors/{user}/directives?acts=false", house.url);
        house
            .http
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
    house.finish().await;
}

#[tokio::test]
async fn asking_again_after_a_browser_could_not_has_it_told_again() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    let first = house.disconnect(&id).await.body["nextAction"].clone();
    let again = house.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(again["directiveId"], first["directiveId"], "one that is open stands");
    for outcome in ["FAILED", "REFUSED"] {
        let told = house.disconnect(&id).await.body["nextAction"].clone();
        let answer = json!({"directiveId": told["directiveId"], "outcome": outcome});
        let path = format!("/v1/supervisions/{id}/acknowledgements");
        assert_eq!(house.call("POST", &path).json(&answer).send().await.status, 200);
        let anew = house.disconnect(&id).await;
        assert_eq!(anew.status, 202, "{}", anew.text);
        assert_eq!(anew.body["nextAction"]["status"], "OPEN");
        assert_ne!(anew.body["nextAction"]["directiveId"], told["directiveId"], "{outcome}");
    }
    let last = house.disconnect(&id).await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&last).await;
    house.until_left(&id).await;
    house.until_recorded(&id).await;
    house.finish().await;
}
