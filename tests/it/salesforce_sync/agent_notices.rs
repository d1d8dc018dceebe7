//! Notices to agents that a supervisor listens: only where the jurisdiction's rules ask for it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sidedoor_fakes::Fault;

use crate::support::app::{TestApp, TestAppBuilder};

const EVENT: &str = "Supervision_Notice__e";
const AGENT: &str = "005000000000002AAA";

fn built(rule: &str) -> TestAppBuilder {
    TestApp::build()
        .set("SALESFORCE__NOTICE_EVENT", EVENT)
        .set("COMPLIANCE__JURISDICTIONS__DE__NOTIFY_AGENT", rule)
        .set("COMPLIANCE__JURISDICTIONS__US__ANNOUNCEMENT", "not_required")
        .set("CONNECT__INSTANCES__MAIN__JURISDICTION", "de")
}

async fn started(rule: &str) -> TestApp {
    let app = built(rule).start().await;
    let user =
        json!({"Id": AGENT, "Username": "x@org.example", "FederationIdentifier": "agent-1@example", "IsActive": true});
    app.salesforce()
        .put_row("User", user.as_object().expect("an object").clone());
    app
}

/// The notices, each with its fields.
fn notices(app: &TestApp) -> Vec<Map<String, Value>> {
    let events = app.salesforce().events().into_iter();
    events
        .filter(|(name, _)| name == EVENT)
        .map(|(_, fields)| fields)
        .collect()
}

async fn until_notice(app: &TestApp, state: &str, mode: &str) -> Map<String, Value> {
    for _ in 0..500 {
        let is_it = |n: &&Map<String, Value>| n["State__c"] == state && n["Mode__c"] == mode;
        if let Some(found) = notices(app).iter().find(is_it) {
            return found.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = app.call("GET", "/v1/supervisions").send().await.body;
    panic!("no notice {state} {mode}: {:#?} {all:#}", notices(app));
}

#[tokio::test]
async fn agent_is_notified_of_start_barge_and_end() {
    let app = started("named").await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"username": "supervisor-1@example"}, "mode": "BARGE"});
    let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    let begun = until_notice(&app, "STARTED", "SILENT").await;
    assert_eq!(
        json!(begun),
        json!({"Supervision_Id__c": id, "Agent__c": AGENT, "Contact_Id__c": call, "State__c": "STARTED", "Mode__c": "SILENT",
            "Supervisor_Name__c": "supervisor-1@example"})
    );
    let path = format!("/v1/supervisions/{id}/mode");
    let barge = app.call("POST", &path).json(&json!({"mode": "BARGE"})).send().await;
    app.browser("supervisor-1").obey(&barge.body["nextAction"]).await;
    until_notice(&app, "STARTED", "BARGE").await;
    app.leave(&id, "supervisor-1").await;
    until_notice(&app, "ENDED", "SILENT").await;
    app.finish().await;
}

#[tokio::test]
async fn agent_is_notified_only_where_a_rule_asks_for_it() {
    let app = started("unnamed").await;
    let (first, second) = (app.connect().create_call(), app.connect().create_call());
    let body = json!({"contactId": first, "supervisor": {"connectUserId": "supervisor-1"}, "jurisdiction": "us"});
    let elsewhere = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    app.until(&elsewhere, "joined", |s| !s["joinedAt"].is_null()).await;
    app.leave(&elsewhere, "supervisor-1").await;
    app.until_written(&elsewhere).await;
    // A refused notice delays no record, and the next version notifies again.
    app.salesforce()
        .fault(Fault::error("publish", 503, "SERVER_UNAVAILABLE").times(1));
    let id = app.joined(&second, "supervisor-2").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.until_written(&id).await;
    app.leave(&id, "supervisor-2").await;
    app.until_written(&id).await;
    let ended = until_notice(&app, "ENDED", "SILENT").await;
    assert_eq!(
        ended["Supervisor_Name__c"],
        Value::Null,
        "the rule gives no name: {ended:?}"
    );
    let others = notices(&app);
    assert!(
        others.iter().all(|n| n["Contact_Id__c"] == json!(second)),
        "{others:#?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn agent_without_a_salesforce_user_gets_no_notice() {
    let app = built("unnamed").start().await;
    let call = app.connect().create_call();
    let id = app.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.leave(&id, "supervisor-1").await;
    app.until_written(&id).await;
    assert_eq!(notices(&app), Vec::new());
    app.finish().await;
}
