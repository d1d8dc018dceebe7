//! Fills a store with an example of everything: supervisions in every state, deliveries in every state, open
//! directives, an unknown leg, answered and running idempotency keys, an epoch of a clock, comparisons and cursors.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use super::app::{CARRIER, OPERATOR, TestApp, start};
use super::sql;

/// The key of a start whose answer is in the store.
pub const ANSWERED: &str = "key-of-an-answered-start";
/// The key of a start that was still running when the store was copied.
pub const RUNNING: &str = "key-of-a-running-start";
/// The key of a request that is not about a single supervision.
pub const OF_NONE: &str = "key-of-probes";
/// The id of an event that was accepted.
pub const SEEN_EVENT: &str = "partner-event-1";

const EVENT: &str = "Supervisor_Directive__e";

/// Requests that a later version repeats, to check that the store remembers them.
pub struct Asked {
    /// The body of the start with the key [`ANSWERED`].
    pub answered: Value,
    /// The carrier's event with the id [`SEEN_EVENT`].
    pub seen: Value,
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().expect("a text").to_owned()
}

fn contact(app: &TestApp, channel: &str, agent: &str) -> String {
    app.connect().create_contact(NewContact {
        channel: channel.into(),
        agent_id: agent.into(),
        ..NewContact::default()
    })
}

async fn listen(app: &TestApp, contact: &str, supervisor: &str, mode: &str) -> String {
    let mut body = start(contact, supervisor);
    body["mode"] = json!(mode);
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(started.status, 201, "{}", started.text);
    let id = started.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    id
}

async fn ask_for_mode(app: &TestApp, id: &str, mode: &str) -> Value {
    let path = format!("/v1/supervisions/{id}/mode");
    let asked = app.call("POST", &path).json(&json!({"mode": mode})).send().await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    asked.body["nextAction"].clone()
}

async fn barge(app: &TestApp, id: &str, supervisor: &str) {
    let action = ask_for_mode(app, id, "BARGE").await;
    app.browser(supervisor).obey(&action).await;
    app.until(id, "BARGE", |s| s["mode"] == "BARGE").await;
}

/// Waits until the statement returns a row.
async fn until_found(app: &TestApp, what: &'static str) {
    for _ in 0..1000 {
        if !sql(&app.store_path(), what).await.expect("read").is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout: no row for {what}");
}

/// Fills the store and then calls `then` while a start is still running.
pub async fn everything<F: Future<Output = ()>>(then: impl FnOnce(&TestApp, Asked) -> F) {
    let app = TestApp::build()
        .set("SALESFORCE__DIRECTIVE_EVENT", EVENT)
        .set("SUPERVISION__LEAVE_DEADLINE_S", "4")
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .compare_often()
        .start()
        .await;
    for i in 1..=16 {
        app.connect().set_ccp_open(&format!("supervisor-{i}"), true);
    }
    let answered = left_and_compared(&app).await;
    left_in_other_ways(&app).await;
    let seen = carrier_leg(&app).await;
    clock_epoch(&app).await;
    dead_letter(&app).await;
    let (voice, chat) = (contact(&app, "VOICE", "agent-3"), contact(&app, "CHAT", "agent-3"));
    listen(&app, &voice, "supervisor-8", "SILENT").await;
    let barged = listen(&app, &voice, "supervisor-9", "BARGE").await;
    barge(&app, &barged, "supervisor-9").await;
    listen(&app, &chat, "supervisor-6", "SILENT").await;
    let by_hand = contact(&app, "VOICE", "agent-4");
    app.connect()
        .begin_leg_by_hand(&by_hand, "supervisor-10")
        .expect("a leg");
    app.found("origin=OBSERVED&state=MONITORING").await;
    let spoken = listen(&app, &by_hand, "supervisor-11", "BARGE").await;
    ask_for_mode(&app, &spoken, "BARGE").await;
    let overdue = listen(&app, &contact(&app, "VOICE", "agent-5"), "supervisor-12", "SILENT").await;
    app.disconnect(&overdue).await;
    app.until(&overdue, "overdue", |s| s["overdue"] == true).await;
    short_lived_states(&app, Asked { answered, seen }, then).await;
}

/// A silent supervision with every optional field, whose record is written and compared with the org's own record.
async fn left_and_compared(app: &TestApp) -> Value {
    let call = contact(app, "VOICE", "agent-1");
    let voice_call = app.salesforce().put_row(
        "VoiceCall",
        object(json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"},
        "salesforceUserId": "005000000000001AAA", "voiceCallId": voice_call, "agentUserId": "agent-1"});
    let path = "/v1/supervisions";
    let started = app.call("POST", path).json(&body).idempotency(ANSWERED).send().await;
    assert_eq!(started.status, 201, "{}", started.text);
    let id = started.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let leave = format!("{path}/{id}/disconnect");
    let asked = app.call("POST", &leave).json(&json!({"reason": "lunch"})).send().await;
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    let left = app.until_left(&id).await;
    app.until_written(&id).await;
    let at: Timestamp = text(&left["departure"], "disconnectedAt").parse().expect("a time");
    let whole = at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
    app.salesforce().put_row(
        "ConversationParticipant",
        object(
            json!({"ConversationId": "0dwfake00000001AAA", "ParticipantEntityId": "005000000000001",
            "LeftTime": whole, "LeftTimeMilliSecs": at.as_millisecond().rem_euclid(1000), "ParticipantRole": "Supervisor"}),
        ),
    );
    until_found(app, "SELECT 1 FROM comparisons WHERE left_at IS NOT NULL").await;
    body
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// A supervision with a barge, a chat ended by the server, an observed leg, a hang-up by the customer, a refusal by Connect.
async fn left_in_other_ways(app: &TestApp) {
    let call = contact(app, "VOICE", "agent-2");
    let spoke = listen(app, &call, "supervisor-2", "BARGE").await;
    barge(app, &spoke, "supervisor-2").await;
    app.leave(&spoke, "supervisor-2").await;
    app.until_written(&spoke).await;

    let chat = listen(app, &contact(app, "CHAT", "agent-2"), "supervisor-3", "SILENT").await;
    app.disconnect(&chat).await;
    app.until_left(&chat).await;
    app.until_written(&chat).await;

    app.connect().begin_leg_by_hand(&call, "supervisor-4").expect("a leg");
    let observed = text(&app.found("origin=OBSERVED").await, "id");
    app.until(&observed, "joined", |s| !s["joinedAt"].is_null()).await;
    app.leave(&observed, "supervisor-4").await;
    app.until_written(&observed).await;

    let short = contact(app, "VOICE", "agent-2");
    let cut = listen(app, &short, "supervisor-5", "SILENT").await;
    app.connect().hang_up(&short, "CUSTOMER").expect("over");
    app.until_left(&cut).await;
    app.until_written(&cut).await;

    app.connect()
        .fault(Fault::error("MonitorContact", 403, "AccessDeniedException"));
    let refused = app.listen(&call, "supervisor-6").await;
    assert_ne!(refused.state(), "MONITORING", "{}", refused.text);
}

async fn carrier_leg(app: &TestApp) -> Value {
    let event = |id: &str, event: &str| {
        json!({"eventId": id, "legId": "trunk 7/call 91", "event": event, "at": "2026-11-21T10:00:00.250Z",
            "connectUserId": "supervisor-7"})
    };
    let seen = event(SEEN_EVENT, "CONNECTED");
    for event in [&seen, &event("partner-event-2", "DISCONNECTED")] {
        let posted = app.call("POST", "/v1/events/partners/acme").key(CARRIER).json(event);
        assert_eq!(posted.send().await.status, 200);
    }
    let left = app.found("connectUserId=supervisor-7").await;
    app.until_written(&text(&left, "id")).await;
    seen
}

/// A carrier's clock that was set forward by 1.2 s.
async fn clock_epoch(app: &TestApp) {
    let start = Timestamp::from_second(Timestamp::now().as_second() - 3600).expect("in range");
    let around = SignedDuration::from_millis(20);
    let measured = |i: i64, offset_ms: i64| {
        let at = start + SignedDuration::from_millis(60_001 * i + 333);
        json!({"source": "SWITCH", "field": "released", "sentAt": (at - around).to_string(),
            "receivedAt": (at + around).to_string(),
            "vendorTime": (at + SignedDuration::from_millis(offset_ms)).to_string()})
    };
    for (from, to, offset_ms, key) in [(0, 30, 500, "key-of-samples"), (30, 50, 1700, OF_NONE)] {
        let samples: Vec<Value> = (from..to).map(|i| measured(i, offset_ms)).collect();
        let posted = app
            .call("POST", "/v1/vendors/acme/probes")
            .key(OPERATOR)
            .idempotency(key);
        let posted = posted.json(&json!({"samples": samples})).send().await;
        assert_eq!(posted.status, 200, "{}", posted.text);
    }
    until_found(app, "SELECT 1 FROM clock_epochs").await;
}

/// A dead letter with Salesforce's answer. All other records are written before, so that this one is sent alone, by `upsert`.
async fn dead_letter(app: &TestApp) {
    let call = contact(app, "VOICE", "agent-6");
    let mut dead = Fault::error("upsert", 400, "REQUIRED_FIELD_MISSING")
        .saying("Required fields are missing: [Reason__c]")
        .times(1000);
    dead.matching = Some(call.clone());
    app.salesforce().fault(dead);
    let id = listen(app, &call, "supervisor-13", "SILENT").await;
    app.until(&id, "FAILED", |s| s["salesforceRecord"]["state"] == "FAILED")
        .await;
}

/// States that last only a short time: a record that Salesforce rejects for now, a leg that Connect cannot describe yet, a
/// switch that has not joined yet, and a start that is not answered yet.
async fn short_lived_states<F: Future<Output = ()>>(
    app: &TestApp,
    asked: Asked,
    then: impl FnOnce(&TestApp, Asked) -> F,
) {
    let (first, second) = (contact(app, "VOICE", "agent-7"), contact(app, "VOICE", "agent-8"));
    listen(app, &first, "supervisor-14", "SILENT").await;
    let unsent = listen(app, &second, "supervisor-7", "SILENT").await;
    until_found(
        app,
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE state = 'PENDING')",
    )
    .await;
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(10_000));
    let leg = app
        .connect()
        .begin_leg_by_hand(&second, "supervisor-15")
        .expect("a leg");
    let mut unknown = Fault::error("DescribeContact", 500, "InternalServiceException").times(10_000);
    unknown.matching = Some(leg);
    app.connect().fault(unknown);
    until_found(app, "SELECT 1 FROM unexplained_legs WHERE looks > 0").await;

    let body = json!({"contactId": second, "supervisor": {"connectUserId": "supervisor-14"}, "leaveCurrent": true});
    let switched = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(switched.state(), "REQUESTED", "{}", switched.text);
    app.leave(&unsent, "supervisor-7").await;
    until_found(app, "SELECT 1 FROM deliveries WHERE state = 'PENDING' AND attempts > 0").await;
    // One attempt times out after some seconds, and the caller waits for longer than one attempt.
    let mut hangs = Fault::late("MonitorContact", 60_000).times(10);
    let third = contact(app, "VOICE", "agent-9");
    hangs.matching = Some(third.clone());
    app.connect().fault(hangs);
    let running = app
        .call("POST", "/v1/supervisions")
        .json(&start(&third, "supervisor-16"))
        .idempotency(RUNNING)
        .try_send();
    let copied = async {
        until_found(app, "SELECT 1 FROM supervisions WHERE state = 'JOINING'").await;
        then(app, asked).await;
    };
    tokio::select! {
        answer = running => panic!("the start was answered: {answer:?}"),
        () = copied => {}
    }
}
