//! After a departure the service checks whether the customer's call continued and what state the agent is in.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{READER, TestApp};
use crate::support::claims::text;
use crate::support::sql;
use crate::support::supervision_steps::fast_intervals;

async fn leave(app: &TestApp, id: &str) -> Value {
    app.leave(id, "supervisor-1").await;
    app.until_written(id).await
}

async fn metric(app: &TestApp, name: &str) -> String {
    let text = app.call("GET", "/metrics").key(READER).send().await.text;
    let line = text.lines().find(|l| l.split(' ').next() == Some(name));
    line.and_then(|l| l.split(' ').nth(1)).unwrap_or("(none)").to_owned()
}

async fn until_metric(app: &TestApp, name: &str, wanted: &str) {
    for _ in 0..500 {
        if metric(app, name).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never became {wanted}");
}

/// Users of other products report that monitoring leaves agents on hold or disconnects them.
#[tokio::test]
async fn after_check_reports_agent_left_on_hold() {
    let app = TestApp::start().await;
    let call = app.connect().create_contact(NewContact {
        agent_id: "agent-7".into(),
        ..NewContact::default()
    });
    let well = app.listen(&call, "supervisor-1").await.id();
    let left = leave(&app, &well).await;
    assert_eq!(
        left["departure"]["agentAfter"],
        json!({"state": "CONNECTED", "looksWrong": false})
    );
    assert_eq!(
        (&left["agentUserId"], &left["departure"]["customerCallContinued"]),
        (&json!("agent-7"), &json!(true))
    );
    assert_eq!(metric(&app, "sidedoor_agents_looking_wrong_total").await, "0");

    let hurt = app.listen(&call, "supervisor-1").await.id();
    app.connect().hold(&call, true).expect("held");
    let left = leave(&app, &hurt).await;
    assert_eq!(
        left["departure"]["agentAfter"],
        json!({"state": "CONNECTED_ONHOLD", "looksWrong": true})
    );
    until_metric(&app, "sidedoor_agents_looking_wrong_total", "1").await;
    let entries = "SELECT supervision_id, outcome FROM audit WHERE action = 'agent.looks_wrong'";
    let entries = sql(&app.store_path(), entries).await.expect("read");
    assert_eq!(entries, [[hurt, "CONNECTED_ONHOLD".to_owned()]]);
    app.finish().await;
}

/// No event reported the barge-in while it lasted, but the record still says BARGE.
#[tokio::test]
async fn after_check_finds_barge_without_events() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    let joined = app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let leg = joined["legContactId"].as_str().expect("a leg");
    for mode in ["BARGE", "SILENT_MONITOR"] {
        app.connect()
            .change_mode_in_ccp("supervisor-1", leg, mode)
            .expect("changed");
    }
    app.connect().end_leg_in_ccp("supervisor-1", leg).expect("ended");
    app.until(&id, "checked", |s| s["hasBarged"] == true).await;
    app.until_written(&id).await;
    for _ in 0..500 {
        if app.record(leg)["Mode__c"] == "BARGE" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.record(leg)["Mode__c"], "BARGE");
    app.finish().await;
}

/// Forces a disconnect that ends the customer's call, past every check, so that the alarm must fire. This test ends a customer's
/// call, so it does not assert the invariants.
#[tokio::test]
async fn after_check_alarm_fires_only_if_our_disconnect_ended_call() {
    assert_alarm_fires(0).await;
}

/// The vendor may end the call a moment later, so its answer at the time of the drop does not show the end yet.
#[tokio::test]
async fn after_check_alarm_fires_when_call_ends_later() {
    assert_alarm_fires(1500).await;
}

async fn assert_alarm_fires(later_ms: u64) {
    let app = TestApp::build()
        .fakes(|f| f.connect.last_party_delay_ms = later_ms)
        .after_again(2500)
        .start()
        .await;
    let alarm = "sidedoor_customer_calls_ended_total";
    // A hang-up by the customer or the agent during a leave must not raise the alarm.
    for by in ["CUSTOMER", "AGENT"] {
        let call = app.connect().create_call();
        let id = app.listen(&call, "supervisor-1").await.id();
        app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
        app.disconnect(&id).await;
        app.connect().hang_up(&call, by).expect("hung up");
        app.until_left(&id).await;
        let left = app.until_written(&id).await;
        assert_eq!(left["departure"]["reason"], "CONTACT_ENDED");
    }
    assert_eq!(metric(&app, alarm).await, "0");

    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    let joined = app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let leg = joined["legContactId"].as_str().expect("a leg");
    // Between our check and the browser's, the supervisor barges in and the agent leaves; this browser skips its check.
    let asked = app.disconnect(&id).await;
    app.connect()
        .change_mode_in_ccp("supervisor-1", leg, "BARGE")
        .expect("barged in");
    app.connect().agent_leaves(&call).expect("gone");
    let mut action = asked.body["nextAction"].clone();
    action["customerCallMayEnd"] = json!(true);
    assert_eq!(app.browser("supervisor-1").obey(&action).await, "DONE");
    app.until_left(&id).await;
    let left = app
        .until(&id, "checked", |s| s["departure"]["customerCallContinued"] == false)
        .await;
    assert_eq!(left["departure"]["reason"], "SUPERVISOR");
    until_metric(&app, alarm, "1").await;
    let entries = "SELECT supervision_id FROM audit WHERE action = 'customer_call.ended'";
    assert_eq!(sql(&app.store_path(), entries).await.expect("read"), [[id]]);
    assert_eq!(
        app.connect().customer_contacts_we_ended().len(),
        1,
        "the fake vendor recorded the end too"
    );
}

#[tokio::test]
async fn metrics_require_read_scope() {
    let app = TestApp::start().await;
    for (key, status) in [
        (crate::support::app::EVENTS, 403),
        (crate::support::app::SUPERVISOR_1, 403),
        (crate::support::app::OPERATOR, 200),
        (READER, 200),
    ] {
        assert_eq!(
            app.call("GET", "/metrics").key(key).send().await.status,
            status,
            "{key}"
        );
    }
    assert_eq!(app.call("GET", "/metrics").anonymous().send().await.status, 401);
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    leave(&app, &id).await;
    let text = app.call("GET", "/metrics").key(READER).send().await.text;
    for line in [
        "sidedoor_supervisions_begun_total{origin=\"API\"} 1",
        "sidedoor_departures_total{reason=\"SUPERVISOR\"",
        "sidedoor_directives_total{kind=\"END_LEG_IN_CCP\",outcome=\"DONE\"} 1",
        "sidedoor_departure_to_row_seconds_count 1",
        "sidedoor_leaves_overdue_now 0",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    app.finish().await;
}

/// The record is written when the supervisor joins, when they leave, and when the after-check is done.
#[tokio::test]
async fn departure_is_counted_with_its_first_record_only() {
    let app = TestApp::build().intervals(fast_intervals()).start().await;
    let count = "sidedoor_departure_to_row_seconds_count";
    for written in ["1", "2"] {
        let id = app.listen(&app.connect().create_call(), "supervisor-1").await.id();
        app.until_written(&id).await;
        let before = if written == "1" { "0" } else { "1" };
        assert_eq!(
            metric(&app, count).await,
            before,
            "the record of a supervisor who listens"
        );
        app.leave(&id, "supervisor-1").await;
        app.until_confirmed(&id).await;
        assert_eq!(metric(&app, count).await, written);
    }
    app.finish().await;
}

/// Ends a chat by its customer after StopContact ended the supervisor's leg: in the same second by the vendor's clock, or in the next.
/// Returns the departure.
async fn customer_leaves_chat_after_stop_contact(app: &TestApp, in_the_same_second: bool) -> Value {
    let until_second_begins = || async {
        let past = Timestamp::now().subsec_millisecond();
        tokio::time::sleep(Duration::from_millis(1000 - u64::from(past.unsigned_abs()))).await;
    };
    for _ in 0..10 {
        let chat = app.connect().create_contact(NewContact {
            channel: "CHAT".into(),
            ..NewContact::default()
        });
        let id = app.listen(&chat, "supervisor-1").await.id();
        let joined = app.until_connected(&id).await;
        until_second_begins().await;
        app.disconnect(&id).await;
        let leg = text(&joined, "legContactId");
        while !app.connect().contact(&leg).expect("a leg").ended {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !in_the_same_second {
            until_second_begins().await;
        }
        app.connect().hang_up(&chat, "CUSTOMER").expect("hung up");
        let left = app
            .until(&id, "checked", |s| !s["departure"]["customerCallContinued"].is_null())
            .await;
        let second = |id: &str| app.connect().contact(id)?.vendor_disconnect_at.map(|at| at.as_second());
        if (second(&leg) == second(&chat)) == in_the_same_second {
            return left["departure"].clone();
        }
    }
    panic!("this machine is too slow to do it in one second");
}

/// Stamps of whole seconds cannot show which of the two ended first.
#[tokio::test]
async fn after_check_alarm_fires_when_chat_ends_in_the_second_of_stop_contact() {
    let app = TestApp::build().after_again(100).start().await;
    let alarm = "sidedoor_customer_calls_ended_total";
    customer_leaves_chat_after_stop_contact(&app, false).await;
    assert_eq!(metric(&app, alarm).await, "0");

    let departure = customer_leaves_chat_after_stop_contact(&app, true).await;
    assert_eq!(
        (&departure["customerCallContinued"], &departure["reason"]),
        (&json!(false), &json!("SUPERVISOR"))
    );
    until_metric(&app, alarm, "1").await;
    app.finish().await;
}
