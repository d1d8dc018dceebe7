//! The main job: listen, leave by directive, confirm by evidence, compute the departure, write the record. The customer's call continues.

use jiff::Timestamp;
use serde_json::{Value, json};
use sidedoor_fakes::Manners;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{EVENTS, OPERATOR, SUPERVISOR_1, TestApp, start};

fn at(value: &Value) -> i64 {
    value
        .as_str()
        .expect("a time")
        .parse::<Timestamp>()
        .expect("RFC 3339")
        .as_millisecond()
}

/// Asserts that the real end of the leg lies between `earliest` and `latest`.
fn assert_interval_contains_truth(app: &TestApp, supervision: &Value) {
    let leg = supervision["legContactId"].as_str().expect("a leg");
    let truth = app
        .connect()
        .contact(leg)
        .and_then(|c| c.true_disconnect_at)
        .expect("it ended")
        .as_millisecond();
    let d = &supervision["departure"];
    assert!(truth <= at(&d["latest"]), "{d:#}");
    if !d["earliest"].is_null() {
        assert!(at(&d["earliest"]) <= truth, "{d:#}");
        let uncertainty = d["uncertaintyMs"].as_i64().expect("bounded");
        assert!((at(&d["disconnectedAt"]) - truth).abs() <= uncertainty, "{d:#}");
    }
    // A departure has an offset if and only if its grade says that it was calibrated.
    let calibration = &d["calibration"];
    let with_a_clock = calibration["grade"] != "UNCALIBRATED";
    assert_eq!(!calibration["offsetMs"].is_null(), with_a_clock, "{d:#}");
    assert_eq!(
        calibration["version"].as_i64().expect("a number") > 0,
        with_a_clock,
        "{d:#}"
    );
}

#[tokio::test]
async fn main_job_supervisor_leaves_and_customer_stays() {
    let app = TestApp::build().fakes(|f| f.connect.clock.skew_ms = 1370).start().await;
    let call = app.connect().create_call();
    let mut body = start(&call, "supervisor-1");
    body["salesforceUserId"] = json!("005000000000001AAA");
    body["voiceCallId"] = json!("0LQ000000000001AAA");
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(
        (started.status, started.state()),
        (201, "MONITORING"),
        "{}",
        started.text
    );
    let id = started.id();
    let joined = app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    assert_eq!(joined["channel"], "VOICE");

    let left = app.disconnect(&id).await;
    assert_eq!(
        (left.status, left.state()),
        (202, "LEAVING"),
        "an accepted disconnect is not yet confirmed"
    );
    assert_eq!(left.body["departure"], Value::Null);
    let directive = &left.body["nextAction"];
    assert_eq!(
        (&directive["kind"], &directive["legContactId"]),
        (&json!("END_LEG_IN_CCP"), &joined["legContactId"])
    );
    assert_eq!(app.browser("supervisor-1").obey(directive).await, "DONE");

    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "SUPERVISOR");
    assert_eq!(left["departure"]["source"], "CONTACT_EVENT");
    assert_interval_contains_truth(&app, &left);
    let recorded = app.until_written(&id).await;
    assert_eq!(recorded["departure"]["customerCallContinued"], true);
    assert_eq!(recorded["nextAction"], Value::Null);
    let row = app.record(left["legContactId"].as_str().expect("a leg"));
    assert_eq!(row["Contact_Id__c"], json!(call));
    assert_eq!(row["Supervision_Id__c"], json!(id));
    assert_eq!(row["Origin__c"], "API");
    assert_eq!(row["Supervisor__c"], "005000000000001AAA");
    assert_eq!(row["Voice_Call__c"], "0LQ000000000001AAA");
    assert_eq!(row["Customer_Call_Continued__c"], "YES");
    assert_eq!(row["Calibration_Grade__c"], "UNCALIBRATED");
    assert_eq!(
        row["Disconnected_Epoch_Ms__c"].as_f64(),
        Some(at(&recorded["departure"]["disconnectedAt"]) as f64)
    );
    assert_eq!(recorded["salesforceRecord"]["recordId"], row["Id"]);
    assert!(!app.connect().contact(&call).expect("there").ended);
    assert_eq!(app.connect().calls("StopContact"), 0);
    app.finish().await;
}

#[tokio::test]
async fn main_job_two_supervisors_leave_independently() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let first = app.listen(&call, "supervisor-1").await.id();
    let mut barge = start(&call, "supervisor-2");
    barge["mode"] = json!("BARGE");
    let second = app.call("POST", "/v1/supervisions").json(&barge).send().await;
    assert_eq!(
        (second.status, &second.body["allowedModes"]),
        (201, &json!(["SILENT", "BARGE"]))
    );
    assert_eq!(second.body["mode"], "SILENT", "every join starts in SILENT mode");
    let action = app.disconnect(&first).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    app.until_left(&first).await;
    assert_eq!(app.get(&second.id()).await.state(), "MONITORING");
    let action = app.disconnect(&second.id()).await.body["nextAction"].clone();
    app.browser("supervisor-2").obey(&action).await;
    app.until_left(&second.id()).await;
    app.until_written(&second.id()).await;
    app.finish().await;
}

#[tokio::test]
async fn browser_ends_only_its_own_monitor_leg() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let mut directive = app.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(
        app.browser("supervisor-2")
            .with(Manners {
                silent: true,
                ..Manners::default()
            })
            .obey(&directive)
            .await,
        "REFUSED"
    );
    let right = directive["legContactId"].take();
    directive["legContactId"] = json!(call);
    assert_eq!(
        app.browser("supervisor-1")
            .with(Manners {
                silent: true,
                ..Manners::default()
            })
            .obey(&directive)
            .await,
        "REFUSED"
    );
    directive["legContactId"] = right;
    assert_eq!(app.browser("supervisor-1").obey(&directive).await, "DONE");
    app.until_left(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn polling_finds_departure_without_events() {
    let app = TestApp::build().fakes(|f| f.events.loss = 1.0).start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    app.until(&id, "joined (found by polling)", |s| {
        !s["joinedAt"].is_null() && s["channel"] == "VOICE"
    })
    .await;
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    app.browser("supervisor-1").obey(&action).await;
    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["source"], "DESCRIBE_CONTACT");
    assert_interval_contains_truth(&app, &left);
    app.finish().await;
}

#[tokio::test]
async fn events_late_duplicate_or_reordered_give_same_result() {
    let app = TestApp::build()
        .fakes(|f| (f.events.duplicate, f.events.reorder, f.events.delay_max_ms) = (0.7, 0.5, 150))
        .start()
        .await;
    for round in 0..4 {
        let call = app.connect().create_call();
        let id = app.listen(&call, "supervisor-1").await.id();
        let action = app.disconnect(&id).await.body["nextAction"].clone();
        assert_ne!(action, Value::Null, "round {round}: the service asked for the channel");
        app.browser("supervisor-1").obey(&action).await;
        app.until_left(&id).await;
        let recorded = app.until_written(&id).await;
        assert_interval_contains_truth(&app, &recorded);
    }
    app.finish().await;
}

#[tokio::test]
async fn leaving_in_ccp_is_recorded_as_departure() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let started = app.listen(&call, "supervisor-1").await;
    let leg = started.body["legContactId"].as_str().expect("a leg").to_owned();
    app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let recorded = {
        app.until_left(&started.id()).await;
        app.until_written(&started.id()).await
    };
    assert_eq!(
        recorded["departure"]["reason"], "SUPERVISOR",
        "the leg's disconnect reason names the supervisor"
    );
    assert_eq!(recorded["departure"]["customerCallContinued"], true);
    assert_interval_contains_truth(&app, &recorded);
    app.finish().await;
}

#[tokio::test]
async fn customer_hangup_is_not_counted_as_our_fault() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    app.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    let left = app.until_left(&id).await;
    assert_interval_contains_truth(&app, &left);
    let recorded = app.until_written(&id).await;
    assert_eq!(recorded["departure"]["reason"], "CONTACT_ENDED");
    assert_eq!(recorded["departure"]["customerCallContinued"], false);
    assert_eq!(
        app.record(left["legContactId"].as_str().expect("a leg"))["Customer_Call_Continued__c"],
        "NO"
    );
    app.finish().await;
}

#[tokio::test]
async fn leave_without_evidence_is_overdue_and_not_done() {
    let app = TestApp::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    // The browser acknowledges with DONE but did not end the leg.
    let liar = app.browser("supervisor-1").with(Manners {
        lies: true,
        ..Manners::default()
    });
    liar.obey(&action).await;
    let overdue = app.until(&id, "overdue", |s| s["overdue"] == true).await;
    assert_eq!(
        (overdue["state"].clone(), overdue["departure"].clone()),
        (json!("LEAVING"), Value::Null)
    );
    assert_eq!(overdue["nextAction"]["acknowledged"], "DONE");
    // The leg ends late; the departure has the real time.
    app.connect()
        .end_leg_in_ccp("supervisor-1", overdue["legContactId"].as_str().expect("a leg"))
        .expect("ended");
    let left = app.until_left(&id).await;
    assert_eq!(left["overdue"], false);
    app.finish().await;
}

#[tokio::test]
async fn disconnect_twice_by_operator_returns_same_directive() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    let by_operator = app
        .call("POST", &format!("/v1/supervisions/{id}/disconnect"))
        .key(OPERATOR);
    let first = by_operator.json(&json!({"reason": "wrong call"})).send().await;
    let again = app.disconnect(&id).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(
        first.body["nextAction"]["directiveId"], again.body["nextAction"]["directiveId"],
        "both requests return the same directive"
    );
    app.browser("supervisor-1").obey(&first.body["nextAction"]).await;
    let left = app.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    let after = app.disconnect(&id).await;
    assert_eq!((after.status, after.state()), (200, "LEFT"));
    app.finish().await;
}

#[tokio::test]
async fn late_done_narrows_departure_interval() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let id = app.listen(&call, "supervisor-1").await.id();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let action = app.disconnect(&id).await.body["nextAction"].clone();
    let silent = app.browser("supervisor-1").with(Manners {
        silent: true,
        delay_ms: 20,
        ..Manners::default()
    });
    silent.obey(&action).await;
    let before = app.until_left(&id).await;
    let ack = json!({"directiveId": action["directiveId"], "outcome": "DONE"});
    let acked = app
        .call("POST", &format!("/v1/supervisions/{id}/acknowledgements"))
        .json(&ack)
        .send()
        .await;
    assert_eq!(acked.status, 200);
    let width = |s: &Value| s["departure"]["uncertaintyMs"].as_i64().expect("bounded");
    assert!(
        width(&acked.body) < width(&before),
        "{} < {}",
        width(&acked.body),
        width(&before)
    );
    assert_interval_contains_truth(&app, &acked.body);
    app.finish().await;
}

#[tokio::test]
async fn lists_are_newest_first_paged_and_filtered() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for supervisor in ["supervisor-1", "supervisor-2", "supervisor-3"] {
        let call = app.connect().create_contact(NewContact::default());
        ids.insert(0, app.listen(&call, supervisor).await.id());
    }
    let first = app.call("GET", "/v1/supervisions?pageSize=2").send().await.body;
    let second = app
        .call(
            "GET",
            &format!(
                "/v1/supervisions?pageSize=2&cursor={}",
                first["nextCursor"].as_str().expect("more")
            ),
        )
        .send()
        .await
        .body;
    let seen: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|p| p["items"].as_array().expect("items"))
        .map(|s| &s["id"])
        .collect();
    assert_eq!(
        seen,
        ids.iter()
            .map(|i| json!(i))
            .collect::<Vec<_>>()
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(second["nextCursor"], Value::Null);
    let own = app.call("GET", "/v1/supervisions").key(SUPERVISOR_1).send().await.body;
    assert_eq!(
        own["items"].as_array().expect("items").len(),
        1,
        "a supervisor sees only their own"
    );
    let none = app.call("GET", "/v1/supervisions?state=LEFT,FAILED").send().await.body;
    assert_eq!(none["items"], json!([]));
    let refused = app.call("GET", "/v1/supervisions").key(EVENTS).send().await;
    assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    app.finish().await;
}
