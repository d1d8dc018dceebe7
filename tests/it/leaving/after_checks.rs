//! Every guard is checked after, not only before: did the customer's call go on, and how is the agent?

use serde_json::{Value, json};
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{READER, TestApp};
use crate::support::sql;

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
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{name} never became {wanted}");
}

/// The anchors' agents who are hurt by monitoring: left on hold, or gone.
#[tokio::test]
async fn an_agent_who_looks_wrong_after_a_departure_is_told_of() {
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
    let told = "SELECT supervision_id, outcome FROM audit WHERE action = 'agent.looks_wrong'";
    let told = sql(&app.store_path(), told).await.expect("read");
    assert_eq!(told, [[hurt, "CONNECTED_ONHOLD".to_owned()]]);
    app.finish().await;
}

/// Nobody told of it while it lasted, and the row says so all the same.
#[tokio::test]
async fn a_barge_in_that_no_event_told_of_is_learnt_after_the_departure() {
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
        if app.row(leg)["Mode__c"] == "BARGE" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(app.row(leg)["Mode__c"], "BARGE");
    app.finish().await;
}

/// The accident itself, forced past every guard: the alarm must ring. (This app ends a customer's call, so the app rules
/// are not asked.)
#[tokio::test]
async fn the_alarm_rings_when_a_customers_call_ends_by_our_disconnect_and_only_then() {
    the_alarm_rings(0).await;
}

/// The vendor may take a moment to end it, and its answer of the moment of the drop says nothing yet.
#[tokio::test]
async fn the_alarm_rings_also_when_the_call_ends_a_moment_later() {
    the_alarm_rings(1500).await;
}

async fn the_alarm_rings(later_ms: u64) {
    let app = TestApp::build()
        .fakes(|f| f.connect.last_party_delay_ms = later_ms)
        .after_again(2500)
        .start()
        .await;
    let alarm = "sidedoor_customer_calls_ended_total";
    // A hang-up while somebody leaves is no alarm, and neither is a transfer of words: the agent's own end.
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
    // Between our check and the browser's, the supervisor barges in and the agent goes; and the browser does not look.
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
    let told = "SELECT supervision_id FROM audit WHERE action = 'customer_call.ended'";
    assert_eq!(sql(&app.store_path(), told).await.expect("read"), [[id]]);
    assert_eq!(
        app.connect().customer_contacts_we_ended().len(),
        1,
        "the ledger saw it too"
    );
}

#[tokio::test]
async fn the_metrics_are_for_those_who_may_read() {
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
