//! Events from partner carriers: about their own legs, and as additional evidence about Connect's legs.

use jiff::SignedDuration;
use serde_json::{Value, json};
use sidedoor_domain::ports::Clock;
use sidedoor_fakes::Fault;

use crate::clocks::calibration::{calibration, clock, depart};
use crate::support::app::{Answer, CARRIER, READER, TestApp, TestAppBuilder};
use crate::support::claims::instant;
use crate::support::fast_clock::FastClock;

/// Posts an event of the carrier `acme`.
pub async fn partner(app: &TestApp, body: &Value) -> Answer {
    app.call("POST", "/v1/events/partners/acme")
        .key(CARRIER)
        .json(body)
        .send()
        .await
}

#[tokio::test]
async fn carrier_leg_becomes_supervision_with_record() {
    let app = TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .start()
        .await;
    let body = |event: &str, id: &str| {
        json!({"eventId": id, "legId": "trunk 7/call 91", "event": event, "at": "2026-11-21T10:00:00.250Z",
               "connectUserId": "supervisor-1"})
    };
    assert_eq!(
        partner(&app, &body("CONNECTED", "e1")).await.body,
        json!({"accepted": true, "duplicate": false})
    );
    assert_eq!(partner(&app, &body("DISCONNECTED", "e2")).await.status, 200);
    assert_eq!(partner(&app, &body("DISCONNECTED", "e2")).await.body["duplicate"], true);
    let list = app.call("GET", "/v1/supervisions").send().await.body;
    let [one] = list["items"].as_array().expect("a list").as_slice() else {
        panic!("{list:#}")
    };
    assert_eq!(
        (&one["vendor"], &one["origin"], &one["state"]),
        (&json!("acme"), &json!("OBSERVED"), &json!("LEFT"))
    );
    assert_eq!(one["departure"]["source"], "PARTNER_EVENT");
    // Every writer derives the same leg id, because it is a UUIDv5 of carrier, instance and leg.
    let leg = one["legContactId"].as_str().expect("a key");
    assert_eq!(leg.as_bytes()[14], b'5');
    app.until_written(one["id"].as_str().expect("an id")).await;
    assert_eq!(app.record(leg)["Disconnect_Source__c"], "PARTNER_EVENT");
    app.finish().await;
}

#[tokio::test]
async fn carrier_stamp_on_connect_leg_is_evidence_with_own_clock() {
    let app = TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .start()
        .await;
    let (left, _) = depart(&app, "supervisor-1").await;
    let leg = left["legContactId"].clone();
    let at = jiff::Timestamp::now().to_string();
    let event = json!({"legContactId": leg, "event": "DISCONNECTED", "at": at});
    assert_eq!(partner(&app, &event).await.body["accepted"], true);
    let of = |vendor: &str| {
        let vendor = vendor.to_owned();
        let app = &app;
        async move { calibration(app, &vendor).await }
    };
    assert_eq!(clock(&of("acme").await, "PARTNER_EVENT", "disconnected")["samples"], 1);
    // The carrier's event made no second record and did not change the departure.
    app.until_written(left["id"].as_str().expect("an id")).await;
    assert_eq!(
        app.record(leg.as_str().expect("a leg"))["Disconnect_Source__c"],
        left["departure"]["source"]
    );
    app.finish().await;
}

fn with_carrier() -> TestAppBuilder {
    TestApp::build().set("TIMING__VENDORS__ACME__WINDOW_H", "6")
}

/// An event about a leg of the carrier's own.
fn own(leg: &str, event: &str, supervisor: &str) -> Value {
    json!({"legId": leg, "event": event, "connectUserId": supervisor, "at": "2026-11-21T10:00:00.250Z"})
}

async fn supervisions(app: &TestApp) -> usize {
    let list = app.call("GET", "/v1/supervisions").key(READER).send().await.body;
    list["items"].as_array().expect("a list").len()
}

#[tokio::test]
async fn carrier_leg_needs_supervisor_known_to_connect() {
    let app = with_carrier().start().await;
    for _ in 0..2 {
        let unknown = partner(&app, &own("leg-1", "CONNECTED", "no-such-user")).await;
        assert_eq!(
            (unknown.status, unknown.code()),
            (422, "supervisor_invalid"),
            "{}",
            unknown.text
        );
    }
    assert_eq!(app.connect().calls("DescribeUser"), 1, "the answer is remembered");
    // While Connect cannot be asked, nothing is stored and the carrier is asked to retry.
    app.connect()
        .fault(Fault::error("DescribeUser", 500, "InternalServiceException"));
    let down = partner(&app, &own("leg-1", "CONNECTED", "supervisor-1")).await;
    assert_eq!(
        (down.status, down.code()),
        (503, "supervisor_lookup_unavailable"),
        "{}",
        down.text
    );
    assert!(down.headers.contains_key("retry-after"));
    assert_eq!(supervisions(&app).await, 0);
    for leg in ["leg-1", "leg-2"] {
        assert_eq!(partner(&app, &own(leg, "CONNECTED", "supervisor-1")).await.status, 200);
    }
    assert_eq!(app.connect().calls("DescribeUser"), 3, "a known user is remembered too");
    assert_eq!(supervisions(&app).await, 2);
    app.assert_invariants().await;
}

#[tokio::test]
async fn carrier_reports_end_of_its_leg_while_connect_is_down() {
    let mut app = with_carrier().start().await;
    assert_eq!(
        partner(&app, &own("leg-1", "CONNECTED", "supervisor-1")).await.status,
        200
    );
    // The restart forgets the known users.
    app.crash_and_restart().await;
    app.connect()
        .fault(Fault::error("DescribeUser", 500, "InternalServiceException").times(1000));
    assert_eq!(
        partner(&app, &own("leg-1", "DISCONNECTED", "supervisor-1"))
            .await
            .status,
        200
    );
    let left = app.found("state=LEFT").await;
    assert_eq!(left["departure"]["source"], "PARTNER_EVENT");
    app.finish().await;
}

#[tokio::test]
async fn carrier_leg_in_unknown_instance_is_refused() {
    let app = with_carrier().start().await;
    let mut event = own("leg-1", "CONNECTED", "supervisor-1");
    event["instance"] = json!("nowhere");
    let refused = partner(&app, &event).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "instance_not_found"),
        "{}",
        refused.text
    );
    assert_eq!(supervisions(&app).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn carrier_unfinished_legs_are_limited() {
    let app = with_carrier().start().await;
    let connected = |i: usize| own(&format!("leg-{i}"), "CONNECTED", "supervisor-1");
    for i in 0..200 {
        assert_eq!(partner(&app, &connected(i)).await.status, 200, "{i}");
    }
    let refused = partner(&app, &connected(200)).await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "rate_limit_reached"),
        "{}",
        refused.text
    );
    // A known leg may still be reported, and the end of a leg leaves space for another.
    assert_eq!(partner(&app, &connected(7)).await.status, 200);
    assert_eq!(
        partner(&app, &own("leg-7", "DISCONNECTED", "supervisor-1"))
            .await
            .status,
        200
    );
    assert_eq!(partner(&app, &connected(200)).await.status, 200);
    app.assert_invariants().await;
}

/// The carrier's last event was lost. Its legs are bounded and must not occupy the supervisor's voice slot for ever.
#[tokio::test]
async fn carrier_leg_ends_unbounded_a_day_after_the_last_word() {
    assert_carrier_leg_expires(false).await;
}

/// The day counts from the stored evidence, so a restart does not begin it again.
#[tokio::test]
async fn carrier_leg_ends_unbounded_although_the_service_restarts() {
    assert_carrier_leg_expires(true).await;
}

async fn assert_carrier_leg_expires(restarts: bool) {
    const FASTER: u32 = 4_000;
    let clock = FastClock::new(FASTER);
    let mut app = with_carrier().clock(clock.clone()).start().await;
    let last_word = clock.now();
    for event in ["CONNECTED", "CONNECTED"] {
        assert_eq!(partner(&app, &own("leg-1", event, "supervisor-1")).await.status, 200);
    }
    let one = app.found("state=MONITORING").await;
    let id = one["id"].as_str().expect("an id");
    if restarts {
        tokio::time::sleep(clock.here(SignedDuration::from_hours(18))).await;
        app.crash_and_restart().await;
    }
    let left = app.until_left(id).await;
    assert_eq!(
        (
            &left["confirmation"],
            &left["departure"]["uncertaintyMs"],
            &left["departure"]["source"]
        ),
        (&json!("NONE"), &Value::Null, &json!("PARTNER_EVENT")),
        "{left:#}"
    );
    let after = instant(&left["departure"]["latest"]).duration_since(last_word);
    let day = SignedDuration::from_hours(24);
    // The machine may be busy for a second, which is more than an hour of this clock; a job may be 5 s late.
    assert!(
        (day..day + SignedDuration::from_hours(10)).contains(&after),
        "after {after:#}"
    );
}
