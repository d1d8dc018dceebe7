//! The names of the people and the queue of a supervision, in the API and in its record.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sidedoor::usecases::UseCaseIntervals;
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{TestApp, TestAppBuilder};
use crate::support::supervision_steps::fast_intervals;

const SUPERVISOR: &str = "005000000000001AAA";
const AGENT: &str = "005000000000002AAA";

fn app() -> TestAppBuilder {
    TestApp::build().intervals(UseCaseIntervals {
        names_again: Duration::from_millis(300),
        name_unknown: Duration::from_millis(200),
        ..fast_intervals()
    })
}

fn row(members: &Value) -> Map<String, Value> {
    members.as_object().expect("an object").clone()
}

fn link(app: &TestApp, user: &str, username: &str) {
    let user = json!({"Id": user, "Username": "x@org.example", "FederationIdentifier": username, "IsActive": true});
    app.salesforce().put_row("User", row(&user));
}

/// A contact of agent-1 that came through a queue.
fn queued(app: &TestApp) -> String {
    app.connect().create_contact(NewContact {
        queue_id: Some("q-1".into()),
        ..NewContact::default()
    })
}

fn has(record: &Map<String, Value>, field: &str, value: impl AsRef<str>) -> bool {
    record.get(field).and_then(Value::as_str) == Some(value.as_ref())
}

async fn until_record(app: &TestApp, leg: &str, what: &str, good: impl Fn(&Map<String, Value>) -> bool) {
    for _ in 0..500 {
        let rows = app.salesforce().rows("VoiceCallParticipant__c");
        if rows.iter().any(|r| has(r, "Leg_Key__c", leg) && good(r)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: {:#?}", app.salesforce().rows("VoiceCallParticipant__c"));
}

async fn until_lists(app: &TestApp, leg: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let all = app.call("GET", "/v1/supervisions").send().await.body;
        let items = all["items"].as_array().expect("items");
        if let Some(found) = items.iter().find(|s| s["legContactId"] == leg && good(s)) {
            return found.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn leg_that_was_begun_elsewhere_is_recorded_with_everyones_name() {
    let app = app().start().await;
    link(&app, SUPERVISOR, "supervisor-1@example");
    link(&app, AGENT, "agent-1@example");
    let call = queued(&app);
    let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    until_lists(&app, &leg, "monitoring", |s| !s["joinedAt"].is_null()).await;
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    until_record(&app, &leg, "everyone is named", |r| {
        has(r, "Supervisor_Username__c", "supervisor-1@example")
            && has(r, "Supervisor__c", SUPERVISOR)
            && has(r, "Agent_Username__c", "agent-1@example")
            && has(r, "Agent__c", AGENT)
            && has(r, "Channel__c", "VOICE")
            && has(r, "Queue__c", "Queue q-1")
    })
    .await;
    let shown = until_lists(&app, &leg, "left", |s| {
        s["state"] == "LEFT" && s["agentSalesforceUserId"] == AGENT
    })
    .await;
    assert_eq!(shown["supervisor"]["username"], "supervisor-1@example");
    assert_eq!(shown["supervisor"]["salesforceUserId"], SUPERVISOR);
    assert_eq!(shown["agentUsername"], "agent-1@example");
    assert_eq!(shown["queue"], "Queue q-1");
    app.finish().await;
}

#[tokio::test]
async fn record_is_completed_when_a_name_becomes_known_later() {
    let mut app = app().start().await;
    app.connect()
        .fault(Fault::error("DescribeUser", 403, "AccessDeniedException").times(1000));
    let leg = app
        .connect()
        .begin_leg_by_hand(&queued(&app), "supervisor-1")
        .expect("a leg");
    until_record(&app, &leg, "written without names", |r| {
        r.get("Supervisor_Username__c").is_none_or(Value::is_null) && has(r, "Connect_User_Id__c", "supervisor-1")
    })
    .await;
    // The permission comes, and the service restarts.
    app.connect().clear_faults();
    app.crash_and_restart().await;
    until_record(&app, &leg, "the user name", |r| {
        has(r, "Supervisor_Username__c", "supervisor-1@example") && r.get("Supervisor__c").is_none_or(Value::is_null)
    })
    .await;
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    until_lists(&app, &leg, "left", |s| s["state"] == "LEFT").await;
    // An administrator links the users after the departure.
    link(&app, SUPERVISOR, "Supervisor-1@Example");
    link(&app, AGENT, "agent-1@example");
    until_record(&app, &leg, "the agent's user", |r| has(r, "Agent__c", AGENT)).await;
    app.finish().await;
}

#[tokio::test]
async fn several_users_with_one_name_are_no_ones() {
    let app = app().start().await;
    link(&app, SUPERVISOR, "supervisor-1@example");
    link(&app, AGENT, "supervisor-1@example");
    let leg = app
        .connect()
        .begin_leg_by_hand(&queued(&app), "supervisor-1")
        .expect("a leg");
    until_record(&app, &leg, "the user name", |r| {
        has(r, "Supervisor_Username__c", "supervisor-1@example")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let shown = until_lists(&app, &leg, "listed", |_| true).await;
    assert_eq!(shown["supervisor"]["salesforceUserId"], Value::Null);
    app.finish().await;
}

#[tokio::test]
async fn routing_map_links_users_by_id_or_name() {
    let app = app()
        .set("SALESFORCE__USER_LOOKUP", "call_center_routing_map")
        .start()
        .await;
    for (user, external) in [(SUPERVISOR, "supervisor-1"), (AGENT, "agent-1@example")] {
        let map = json!({"Id": format!("0cr-{user}"), "UserId": user, "ExternalId": external});
        app.salesforce().put_row("CallCenterRoutingMap", row(&map));
    }
    let leg = app
        .connect()
        .begin_leg_by_hand(&queued(&app), "supervisor-1")
        .expect("a leg");
    until_lists(&app, &leg, "monitoring", |s| !s["joinedAt"].is_null()).await;
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    until_record(&app, &leg, "both", |r| {
        has(r, "Supervisor__c", SUPERVISOR) && has(r, "Agent__c", AGENT)
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn names_are_asked_for_once_and_together() {
    let app = app().start().await;
    // While the org is down, records accumulate, so that few calls carry all of them.
    app.salesforce()
        .fault(Fault::error("*", 503, "SERVER_UNAVAILABLE").times(1000));
    let mut legs = Vec::new();
    for n in 0..20 {
        let user = format!("many-{n}");
        app.connect().set_ccp_open(&user, true);
        link(&app, &format!("0050000000001{n:02}AAA"), &format!("{user}@example"));
        legs.push((
            user.clone(),
            app.connect().begin_leg_by_hand(&queued(&app), &user).expect("a leg"),
        ));
    }
    for (_, leg) in &legs {
        until_lists(&app, leg, "monitoring", |s| !s["supervisor"]["username"].is_null()).await;
    }
    app.salesforce().clear_faults();
    for (user, leg) in &legs {
        until_record(&app, leg, "a name", |r| {
            has(r, "Supervisor_Username__c", format!("{user}@example"))
        })
        .await;
    }
    assert_eq!(app.connect().calls("DescribeUser"), 20);
    assert!(
        app.salesforce().asked("User") <= 3,
        "{} queries",
        app.salesforce().asked("User")
    );
    app.finish().await;
}

#[tokio::test]
async fn users_are_not_looked_up_if_that_is_off() {
    let app = app().set("SALESFORCE__USER_LOOKUP", "off").start().await;
    link(&app, SUPERVISOR, "supervisor-1@example");
    let leg = app
        .connect()
        .begin_leg_by_hand(&queued(&app), "supervisor-1")
        .expect("a leg");
    until_record(&app, &leg, "the user name", |r| {
        has(r, "Supervisor_Username__c", "supervisor-1@example")
    })
    .await;
    assert_eq!(app.salesforce().asked("User"), 0);
    app.finish().await;
}

#[tokio::test]
async fn refused_look_up_delays_no_record_and_is_not_repeated() {
    let app = TestApp::build()
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .set("SALESFORCE__COMPARE_PARTICIPANTS", "false")
        .start()
        .await;
    app.salesforce()
        .fault(Fault::error("query", 400, "INVALID_FIELD").times(100));
    for n in 0..5 {
        let user = format!("supervisor-{n}");
        app.connect().set_ccp_open(&user, true);
        let leg = app.connect().begin_leg_by_hand(&queued(&app), &user).expect("a leg");
        until_record(&app, &leg, "the user name", |r| {
            has(r, "Supervisor_Username__c", format!("{user}@example"))
        })
        .await;
    }
    assert_eq!(app.salesforce().faults()[0].times, 99, "one question was refused");
    app.salesforce().clear_faults();
    app.finish().await;
}
