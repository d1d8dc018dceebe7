//! Whatever others send to Sidedoor is a claim. It makes Sidedoor ask Amazon Connect at once, and changes nothing by itself.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sidedoor_fakes::connect::{ACCOUNT, INSTANCE, REGION};
use sidedoor_fakes::{Fault, ForgedEvent};

use crate::clocks::calibration::{calibration, clock, depart};
use crate::evidence::carriers::partner;
use crate::support::app::TestApp;
use crate::support::claims::{forged_end, text};

const ALARM: &str = "sidedoor_customer_calls_ended_total";

/// Starts a supervision that may barge in, and waits until it is joined. Returns its id and its leg.
async fn joined_to_barge(app: &TestApp, call: &str) -> (String, String) {
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    let joined = app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let leg = text(&joined, "legContactId");
    (id, leg)
}

/// Starts a silent supervision and waits until it is joined. Returns its id and its leg.
async fn joined(app: &TestApp, call: &str, supervisor: &str) -> (String, String) {
    let joined = app.joined(call, supervisor).await;
    (text(&joined, "id"), text(&joined, "legContactId"))
}

/// An agent event: the contacts of a user, each with its state.
fn snapshot(user: &str, contacts: &[(&str, &str)]) -> Value {
    let arn = format!("arn:aws:connect:{REGION}:{ACCOUNT}:instance/{INSTANCE}");
    let now = Timestamp::now().to_string();
    let contact = |(id, state): &(&str, &str)| {
        json!({"ContactId": id, "Channel": "VOICE", "InitiationMethod": "MONITOR", "State": state,
            "StateStartTimestamp": now})
    };
    let contacts: Vec<Value> = contacts.iter().map(contact).collect();
    json!({"AgentARN": format!("{arn}/agent/{user}"), "InstanceARN": arn, "EventId": uuid::Uuid::new_v4().to_string(),
        "EventType": "STATE_CHANGE", "CurrentAgentSnapshot": {"Contacts": contacts}})
}

#[tokio::test]
async fn claim_without_id_or_from_elsewhere_is_not_believed() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    let mut foreign = app.connect().forge_event(&forged_end(&leg));
    foreign["source"] = json!("custom.connect");
    let of_account = ForgedEvent {
        account: Some("444455556666".into()),
        ..forged_end(&leg)
    };
    for event in [foreign, app.connect().forge_event(&of_account)] {
        assert_eq!(app.send_event(&event).await["accepted"], false, "{event}");
    }
    let s = app.get(&id).await.body;
    assert_eq!((&s["state"], &s["claimedAt"]), (&json!("MONITORING"), &Value::Null));
    let mut nameless = app.connect().forge_event(&forged_end(&leg));
    nameless.as_object_mut().expect("an object").remove("id");
    app.send_event(&nameless).await;
    assert!(!app.get(&id).await.body["claimedAt"].is_null());
    app.until_refuted(&id, 1).await;
    app.leave(&id, "supervisor-1").await;
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    app.finish().await;
}

#[tokio::test]
async fn claim_stamps_five_seconds_ahead_do_not_move_the_clock() {
    let app = TestApp::start().await;
    let ahead = || Some(Timestamp::now() + SignedDuration::from_secs(5));
    for round in 0..6 {
        let supervisor = format!("supervisor-{}", 1 + round % 4);
        let call = app.connect().create_call();
        let (id, leg) = joined(&app, &call, &supervisor).await;
        for forged in [
            ForgedEvent {
                event_type: "CONNECTED_TO_AGENT".into(),
                contact_id: leg.clone(),
                connected_at: ahead(),
                initiated_at: ahead(),
                ..ForgedEvent::default()
            },
            ForgedEvent {
                disconnected_at: ahead(),
                ..forged_end(&leg)
            },
        ] {
            app.send_event(&app.connect().forge_event(&forged)).await;
        }
        app.leave(&id, &supervisor).await;
        let left = app.until_confirmed(&id).await;
        app.assert_contains_truth(&left);
    }
    for supervisor in ["supervisor-1", "supervisor-2"] {
        let (left, _) = depart(&app, supervisor).await;
        app.assert_contains_truth(&left);
        app.until_written(&text(&left, "id")).await;
    }
    // The vendor's clock is right, and its stamps are in whole seconds.
    let clocks = calibration(&app, "amazon-connect").await;
    for field in ["initiated", "connected", "disconnected"] {
        let learned = clock(&clocks, "CONTACT_EVENT", field);
        let bound = |name: &str| learned[name].as_f64().expect("known");
        assert!(
            bound("offsetLowMs") <= 0.0 && (0.0..2500.0).contains(&bound("offsetHighMs")),
            "{learned:#}"
        );
    }
    app.finish().await;
}

/// The end of the customer's contact, as a false sender of events reports it.
async fn forge_end_of_call(app: &TestApp, call: &str, agent: &str) {
    let forged = ForgedEvent {
        initiation_method: Some("INBOUND".into()),
        user_id: Some(agent.into()),
        disconnect_reason: Some("CUSTOMER_DISCONNECT".into()),
        ..forged_end(call)
    };
    let answer = app.send_event(&app.connect().forge_event(&forged)).await;
    assert_eq!(answer["accepted"], true);
}

#[tokio::test]
async fn claim_about_customers_contact_does_not_become_the_reason() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    forge_end_of_call(&app, &call, "agent-1").await;
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let left = app.until_confirmed(&id).await;
    let departure = &left["departure"];
    assert_eq!(
        (&departure["reason"], &departure["customerCallContinued"]),
        (&json!("SUPERVISOR"), &json!(true)),
        "{left:#}"
    );
    app.assert_contains_truth(&left);
    app.finish().await;
}

#[tokio::test]
async fn claim_about_customers_contact_does_not_name_its_agent() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    forge_end_of_call(&app, &call, "agent-9").await;
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["agentUserId"], "agent-1", "{left:#}");
    assert_eq!(left["departure"]["customerCallContinued"], true, "{left:#}");
    app.finish().await;
}

/// This test ends a customer's call past every check, so it does not assert the invariants.
#[tokio::test]
async fn claim_about_customers_contact_does_not_silence_the_alarm() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined_to_barge(&app, &call).await;
    forge_end_of_call(&app, &call, "agent-1").await;
    // Between our check and the browser's, the supervisor barges in and the agent leaves; this browser skips its check.
    let asked = app.disconnect(&id).await;
    let barge = app.connect().change_mode_in_ccp("supervisor-1", &leg, "BARGE");
    barge.expect("barged in");
    app.connect().agent_leaves(&call).expect("gone");
    let mut action = asked.body["nextAction"].clone();
    action["customerCallMayEnd"] = json!(true);
    assert_eq!(app.browser("supervisor-1").obey(&action).await, "DONE");
    let left = app.until_confirmed(&id).await;
    let departure = &left["departure"];
    assert_eq!(
        (&departure["reason"], &departure["customerCallContinued"]),
        (&json!("SUPERVISOR"), &json!(false)),
        "{left:#}"
    );
    assert_eq!(app.metric(ALARM).await, 1);
}

#[tokio::test]
async fn claim_of_another_agent_does_not_change_the_mode() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined_to_barge(&app, &call).await;
    app.events_delivered().await;
    app.send_event(&snapshot("supervisor-2", &[(&leg, "BARGE")])).await;
    let s = app.get(&id).await.body;
    assert_eq!((&s["mode"], &s["hasBarged"]), (&json!("SILENT"), &json!(false)));
    app.send_event(&snapshot("supervisor-1", &[(&leg, "BARGE")])).await;
    let s = app.get(&id).await.body;
    assert_eq!((&s["mode"], &s["hasBarged"]), (&json!("BARGE"), &json!(true)));
    app.leave(&id, "supervisor-1").await;

    // A supervisor who may only listen cannot be made to look as if they had barged in.
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    app.send_event(&snapshot("supervisor-1", &[(&leg, "BARGE")])).await;
    let s = app.get(&id).await.body;
    assert_eq!((&s["mode"], &s["hasBarged"]), (&json!("SILENT"), &json!(false)));
    app.leave(&id, "supervisor-1").await;
    app.until_written(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn disconnect_after_forged_end_still_directs_the_browser() {
    let app = TestApp::start().await;
    for refuted_first in [false, true] {
        let call = app.connect().create_call();
        let (id, leg) = joined(&app, &call, "supervisor-1").await;
        app.send_event(&app.connect().forge_event(&forged_end(&leg))).await;
        if refuted_first {
            app.until_refuted(&id, 1).await;
        }
        let asked = app.disconnect(&id).await;
        assert_eq!((asked.status, asked.state()), (202, "LEAVING"), "{}", asked.text);
        let action = &asked.body["nextAction"];
        assert_eq!(
            (&action["kind"], &action["legContactId"]),
            (&json!("END_LEG_IN_CCP"), &json!(leg))
        );
        assert_eq!(app.browser("supervisor-1").obey(action).await, "DONE");
        let left = app.until_confirmed(&id).await;
        app.assert_contains_truth(&left);
    }
    app.finish().await;
}

#[tokio::test]
async fn genuine_event_after_a_refuted_one_is_used() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    app.send_event(&app.connect().forge_event(&forged_end(&leg))).await;
    app.until_refuted(&id, 1).await;
    assert!(app.get(&id).await.body["claimedAt"].is_null());
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let left = app.until_confirmed(&id).await;
    let stamp = app.connect().contact(&leg).and_then(|c| c.vendor_disconnect_at);
    let departure = &left["departure"];
    assert_eq!(departure["source"], "CONTACT_EVENT", "{left:#}");
    assert_eq!(
        crate::support::claims::instant(&departure["vendorTimestamp"]),
        stamp.expect("ended")
    );
    app.assert_contains_truth(&left);
    assert_eq!(app.claims_refuted().await, 1);
    app.finish().await;
}

#[tokio::test]
async fn event_id_taken_by_a_carrier_does_not_suppress_connects() {
    let app = TestApp::build()
        .set("TIMING__VENDORS__ACME__WINDOW_H", "6")
        .set("SUPERVISION__IDLE_POLL_S", "3600")
        .start()
        .await;
    let call = app.connect().create_call();
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    app.events_delivered().await;
    app.connect().change_events(|e| e.contact_events = false);
    for taken in ["e-1", "amazon-connect/e-1"] {
        let event =
            json!({"eventId": taken, "legContactId": leg, "event": "CONNECTED", "at": Timestamp::now().to_string()});
        assert_eq!(partner(&app, &event).await.body["accepted"], true);
    }
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let genuine = ForgedEvent {
        id: Some("e-1".into()),
        disconnected_at: app.connect().contact(&leg).and_then(|c| c.vendor_disconnect_at),
        ..forged_end(&leg)
    };
    let answer = app.send_event(&app.connect().forge_event(&genuine)).await;
    assert_eq!(answer, json!({"accepted": true, "duplicate": false}));
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["departure"]["source"], "CONTACT_EVENT", "{left:#}");
    app.assert_contains_truth(&left);
    app.finish().await;
}

/// The rate budget is that of AWS, so the invented legs could use all of it. They stay due, so the test does not wait
/// for them.
#[tokio::test]
async fn invented_legs_in_agent_events_do_not_delay_a_check() {
    let app = TestApp::build()
        .unset("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND")
        .unset("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST")
        .start()
        .await;
    let call = app.connect().create_call();
    let (id, _) = joined(&app, &call, "supervisor-1").await;
    app.events_delivered().await;
    // Only our own questions show the end.
    app.connect().change_events(|e| e.contact_events = false);
    for batch in 0..30 {
        let legs: Vec<String> = (0..30).map(|leg| format!("invented-{batch}-{leg}")).collect();
        let contacts: Vec<(&str, &str)> = legs.iter().map(|leg| (leg.as_str(), "CONNECTED")).collect();
        app.send_event(&json!([snapshot("supervisor-2", &contacts)])).await;
    }
    // By now the first of them are looked into.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = app.disconnect(&id).await;
    let begun = Instant::now();
    assert_eq!(
        app.browser("supervisor-1").obey(&asked.body["nextAction"]).await,
        "DONE"
    );
    let left = app.until_left(&id).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "LEFT after {took:?}");
    assert_eq!(left["confirmation"], "VENDOR_ASKED");
    app.assert_contains_truth(&left);
    app.assert_invariants().await;
}

#[tokio::test]
async fn claim_is_reported_when_connect_cannot_be_asked() {
    let app = TestApp::build().set("SUPERVISION__CLAIM_PATIENCE_S", "2").start().await;
    let call = app.connect().create_call();
    let (leaving, first) = joined(&app, &call, "supervisor-1").await;
    let (listening, second) = joined(&app, &call, "supervisor-2").await;
    app.events_delivered().await;
    app.connect().change_events(|e| e.contact_events = false);
    for operation in ["DescribeContact", "GetCurrentUserData"] {
        let down = Fault::error(operation, 503, "ServiceUnavailable");
        app.connect().fault(down.times(u32::MAX));
    }
    // One supervisor leaves by a directive, and only the browser says so; the other by hand, and only the event says so.
    let asked = app.disconnect(&leaving).await;
    assert_eq!(
        app.browser("supervisor-1").obey(&asked.body["nextAction"]).await,
        "DONE"
    );
    app.connect().end_leg_in_ccp("supervisor-2", &second).expect("ended");
    let event = ForgedEvent {
        disconnected_at: app.connect().contact(&second).and_then(|c| c.vendor_disconnect_at),
        ..forged_end(&second)
    };
    app.send_event(&app.connect().forge_event(&event)).await;
    for (id, leg, state) in [(&leaving, &first, "LEAVING"), (&listening, &second, "MONITORING")] {
        app.until_record_is(leg, "CLAIMED").await;
        let s = app.get(id).await.body;
        assert_eq!(
            (&s["state"], &s["confirmation"]),
            (&json!(state), &json!("CLAIMED")),
            "{s:#}"
        );
        assert!(!s["claimedAt"].is_null() && s["departure"].is_null(), "{s:#}");
        let record = app.record(leg);
        assert!(!record["Disconnected_Epoch_Ms__c"].is_null(), "{record:?}");
    }
    app.connect().clear_faults();
    for id in [&leaving, &listening] {
        let left = app.until_confirmed(id).await;
        assert!(left["claimedAt"].is_null(), "{left:#}");
        app.assert_contains_truth(&left);
    }
    app.finish().await;
}

#[tokio::test]
async fn after_check_is_repeated_until_connect_answers() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let (id, _) = joined(&app, &call, "supervisor-1").await;
    app.events_delivered().await;
    let down = Fault::error("DescribeContact", 503, "ServiceUnavailable").times(u32::MAX);
    app.connect().fault(Fault {
        for_ms: Some(4000),
        ..down
    });
    let left = app.leave(&id, "supervisor-1").await;
    assert_eq!(
        (&left["confirmation"], &left["departure"]["customerCallContinued"]),
        (&json!("TWO_SENDERS"), &Value::Null)
    );
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["departure"]["customerCallContinued"], true);
    app.assert_contains_truth(&left);
    app.finish().await;
}

#[tokio::test]
async fn transfer_right_after_a_leave_is_no_end_of_the_call() {
    let app = TestApp::build()
        .fakes(|f| f.connect.next_contacts_lag_ms = 2000)
        // The second look comes after the successor must be named.
        .after_again(1500)
        .start()
        .await;
    let call = app.connect().create_call();
    let (id, _) = joined(&app, &call, "supervisor-1").await;
    app.leave(&id, "supervisor-1").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let next = app.connect().transfer(&call, "agent-2").expect("transferred");
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["departure"]["customerCallContinued"], true, "{left:#}");
    assert_eq!(left["departure"]["reason"], "SUPERVISOR");
    assert_eq!(app.metric(ALARM).await, 0);
    assert_eq!(
        app.metric("sidedoor_customer_calls_ended_after_silent_leave_total")
            .await,
        0
    );
    assert!(!app.connect().contact(&next).expect("known").ended);
    app.finish().await;
}

#[tokio::test]
async fn leg_unknown_to_describe_contact_but_listed_stays_monitoring() {
    let app = TestApp::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let call = app.connect().create_call();
    let (id, leg) = joined(&app, &call, "supervisor-1").await;
    app.connect()
        .fault(Fault::not_found_for("DescribeContact", &leg, 60_000));
    // The forged end makes us ask, and only GetCurrentUserData answers about the leg.
    app.send_event(&app.connect().forge_event(&forged_end(&leg))).await;
    app.until_refuted(&id, 1).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        let s = app.get(&id).await.body;
        assert_eq!(
            (&s["state"], &s["claimedAt"]),
            (&json!("MONITORING"), &Value::Null),
            "{s:#}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.connect().clear_faults();
    app.leave(&id, "supervisor-1").await;
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    app.finish().await;
}

/// The vendor names the successor an hour late, but the event of the new contact names the one before.
#[tokio::test]
async fn transfer_is_confirmed_by_the_successor_that_an_event_names() {
    let app = TestApp::build()
        .fakes(|f| f.connect.next_contacts_lag_ms = 3_600_000)
        .after_again(1500)
        .start()
        .await;
    let call = app.connect().create_call();
    let (id, _) = joined(&app, &call, "supervisor-1").await;
    app.leave(&id, "supervisor-1").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.connect().transfer(&call, "agent-2").expect("transferred");
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["departure"]["customerCallContinued"], true, "{left:#}");
    assert_eq!(app.metric(ALARM).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn forged_successor_does_not_hide_the_end_of_the_call() {
    let app = TestApp::build().after_again(1500).start().await;
    let (call, other) = (app.connect().create_call(), app.connect().create_call());
    let (id, _) = joined(&app, &call, "supervisor-1").await;
    // A live contact that is no successor, and contacts that do not exist, more than are kept.
    for successor in [other.as_str(), "made-up-1", "made-up-2", "made-up-3", "made-up-4"] {
        let forged = ForgedEvent {
            event_type: "INITIATED".into(),
            initiation_method: Some("TRANSFER".into()),
            previous_contact_id: Some(call.clone()),
            ..forged_end(successor)
        };
        app.send_event(&app.connect().forge_event(&forged)).await;
    }
    app.leave(&id, "supervisor-1").await;
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    let left = app.until_confirmed(&id).await;
    assert_eq!(left["departure"]["customerCallContinued"], false, "{left:#}");
    app.finish().await;
}
