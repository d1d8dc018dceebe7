//! The main job: listen, leave by directive, evidence, departure, row; and the customer's call goes on.

use jiff::Timestamp;
use serde_json::{Value, json};
use sidedoor_fakes::Manners;
use sidedoor_fakes::connect::NewContact;

use crate::support::house::{EVENTS, House, OPERATOR, SUPERVISOR_1, start};

fn at(value: &Value) -> i64 {
    value
        .as_str()
        .expect("a time")
        .parse::<Timestamp>()
        .expect("RFC 3339")
        .as_millisecond()
}

/// The truth lies between `earliest` and `latest`.
fn assert_honest(house: &House, supervision: &Value) {
    let leg = supervision["legContactId"].as_str().expect("a leg");
    let truth = house
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
    // With a clock or without one: the claim says which.
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
async fn a_supervisor_listens_and_leaves_and_the_customer_stays() {
    let house = House::build().fakes(|f| f.connect.clock.skew_ms = 1370).start().await;
    let call = house.connect().create_call();
    let mut body = start(&call, "supervisor-1");
    body["salesforceUserId"] = json!("005000000000001AAA");
    body["voiceCallId"] = json!("0LQ000000000001AAA");
    let started = house.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(
        (started.status, started.state()),
        (201, "MONITORING"),
        "{}",
        started.text
    );
    let id = started.id();
    let joined = house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    assert_eq!(joined["channel"], "VOICE");

    let left = house.disconnect(&id).await;
    assert_eq!(
        (left.status, left.state()),
        (202, "LEAVING"),
        "accepted is not confirmed"
    );
    assert_eq!(left.body["departure"], Value::Null);
    let directive = &left.body["nextAction"];
    assert_eq!(
        (&directive["kind"], &directive["legContactId"]),
        (&json!("END_LEG_IN_CCP"), &joined["legContactId"])
    );
    assert_eq!(house.browser("supervisor-1").obey(directive).await, "DONE");

    let left = house.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "SUPERVISOR");
    assert_eq!(left["departure"]["source"], "CONTACT_EVENT");
    assert_honest(&house, &left);
    let recorded = house.until_recorded(&id).await;
    assert_eq!(recorded["departure"]["customerCallContinued"], true);
    assert_eq!(recorded["nextAction"], Value::Null);
    let row = house.row(left["legContactId"].as_str().expect("a leg"));
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
    assert_eq!(recorded["recording"]["recordId"], row["Id"]);
    assert!(!house.connect().contact(&call).expect("there").ended);
    assert_eq!(house.connect().calls("StopContact"), 0);
    house.finish().await;
}

#[tokio::test]
async fn two_supervisors_leave_one_call_independently() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let first = house.listen(&call, "supervisor-1").await.id();
    let mut barge = start(&call, "supervisor-2");
    barge["mode"] = json!("BARGE");
    let second = house.call("POST", "/v1/supervisions").json(&barge).send().await;
    assert_eq!(
        (second.status, &second.body["allowedModes"]),
        (201, &json!(["SILENT", "BARGE"]))
    );
    assert_eq!(second.body["mode"], "SILENT", "every join begins silently");
    let action = house.disconnect(&first).await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&action).await;
    house.until_left(&first).await;
    assert_eq!(house.get(&second.id()).await.state(), "MONITORING");
    let action = house.disconnect(&second.id()).await.body["nextAction"].clone();
    house.browser("supervisor-2").obey(&action).await;
    house.until_left(&second.id()).await;
    house.until_recorded(&second.id()).await;
    house.finish().await;
}

#[tokio::test]
async fn a_browser_obeys_only_for_its_own_monitor_leg() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let mut directive = house.disconnect(&id).await.body["nextAction"].clone();
    assert_eq!(
        house
            .browser("supervisor-2")
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
        house
            .browser("supervisor-1")
            .with(Manners {
                silent: true,
                ..Manners::default()
            })
            .obey(&directive)
            .await,
        "REFUSED"
    );
    directive["legContactId"] = right;
    assert_eq!(house.browser("supervisor-1").obey(&directive).await, "DONE");
    house.until_left(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn polls_find_what_no_event_tells() {
    let house = House::build().fakes(|f| f.events.loss = 1.0).start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    house
        .until(&id, "joined by poll", |s| {
            !s["joinedAt"].is_null() && s["channel"] == "VOICE"
        })
        .await;
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&action).await;
    let left = house.until_left(&id).await;
    assert_eq!(left["departure"]["source"], "DESCRIBE_CONTACT");
    assert_honest(&house, &left);
    house.finish().await;
}

#[tokio::test]
async fn events_late_twice_and_out_of_order_come_to_the_same() {
    let house = House::build()
        .fakes(|f| (f.events.duplicate, f.events.reorder, f.events.delay_max_ms) = (0.7, 0.5, 150))
        .start()
        .await;
    for round in 0..4 {
        let call = house.connect().create_call();
        let id = house.listen(&call, "supervisor-1").await.id();
        let action = house.disconnect(&id).await.body["nextAction"].clone();
        assert_ne!(action, Value::Null, "round {round}: the channel was asked for");
        house.browser("supervisor-1").obey(&action).await;
        house.until_left(&id).await;
        let recorded = house.until_recorded(&id).await;
        assert_honest(&house, &recorded);
    }
    house.finish().await;
}

#[tokio::test]
async fn leaving_in_the_ccp_without_asking_us_is_a_departure_too() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let started = house.listen(&call, "supervisor-1").await;
    let leg = started.body["legContactId"].as_str().expect("a leg").to_owned();
    house.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
    let recorded = {
        house.until_left(&started.id()).await;
        house.until_recorded(&started.id()).await
    };
    assert_eq!(
        recorded["departure"]["reason"], "SUPERVISOR",
        "the leg's own reason says so"
    );
    assert_eq!(recorded["departure"]["customerCallContinued"], true);
    assert_honest(&house, &recorded);
    house.finish().await;
}

#[tokio::test]
async fn a_customer_who_hangs_up_is_no_fault_of_ours() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    let left = house.until_left(&id).await;
    assert_honest(&house, &left);
    let recorded = house.until_recorded(&id).await;
    assert_eq!(recorded["departure"]["reason"], "CONTACT_ENDED");
    assert_eq!(recorded["departure"]["customerCallContinued"], false);
    assert_eq!(
        house.row(left["legContactId"].as_str().expect("a leg"))["Customer_Call_Continued__c"],
        "NO"
    );
    house.finish().await;
}

#[tokio::test]
async fn a_leave_without_evidence_is_overdue_and_never_said_to_be_done() {
    let house = House::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    // The browser says DONE and has done nothing.
    let liar = house.browser("supervisor-1").with(Manners {
        lies: true,
        ..Manners::default()
    });
    liar.obey(&action).await;
    let overdue = house.until(&id, "overdue", |s| s["overdue"] == true).await;
    assert_eq!(
        (overdue["state"].clone(), overdue["departure"].clone()),
        (json!("LEAVING"), Value::Null)
    );
    assert_eq!(overdue["nextAction"]["acknowledged"], "DONE");
    // The leg ends at last: late, but told truly.
    house
        .connect()
        .end_leg_in_ccp("supervisor-1", overdue["legContactId"].as_str().expect("a leg"))
        .expect("ended");
    let left = house.until_left(&id).await;
    assert_eq!(left["overdue"], false);
    house.finish().await;
}

#[tokio::test]
async fn disconnect_twice_after_the_end_and_by_an_operator_has_one_clear_outcome() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    let by_operator = house
        .call("POST", &format!("/v1/supervisions/{id}/disconnect"))
        .key(OPERATOR);
    let first = by_operator.json(&json!({"reason": "wrong call"})).send().await;
    let again = house.disconnect(&id).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(
        first.body["nextAction"]["directiveId"], again.body["nextAction"]["directiveId"],
        "one directive"
    );
    house.browser("supervisor-1").obey(&first.body["nextAction"]).await;
    let left = house.until_left(&id).await;
    assert_eq!(left["departure"]["reason"], "OPERATOR");
    let after = house.disconnect(&id).await;
    assert_eq!((after.status, after.state()), (200, "LEFT"));
    house.finish().await;
}

#[tokio::test]
async fn a_late_done_still_tightens_the_bracket() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let id = house.listen(&call, "supervisor-1").await.id();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let action = house.disconnect(&id).await.body["nextAction"].clone();
    let silent = house.browser("supervisor-1").with(Manners {
        silent: true,
        delay_ms: 20,
        ..Manners::default()
    });
    silent.obey(&action).await;
    let before = house.until_left(&id).await;
    let ack = json!({"directiveId": action["directiveId"], "outcome": "DONE"});
    let acked = house
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
    assert_honest(&house, &acked.body);
    house.finish().await;
}

#[tokio::test]
async fn lists_go_newest_first_by_page_and_filter() {
    let house = House::start().await;
    let mut ids = Vec::new();
    for supervisor in ["supervisor-1", "supervisor-2", "supervisor-3"] {
        let call = house.connect().create_contact(NewContact::default());
        ids.insert(0, house.listen(&call, supervisor).await.id());
    }
    let first = house.call("GET", "/v1/supervisions?pageSize=2").send().await.body;
    let second = house
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
    let own = house
        .call("GET", "/v1/supervisions")
        .key(SUPERVISOR_1)
        .send()
        .await
        .body;
    assert_eq!(
        own["items"].as_array().expect("items").len(),
        1,
        "a supervisor sees only their own"
    );
    let none = house
        .call("GET", "/v1/supervisions?state=LEFT,FAILED")
        .send()
        .await
        .body;
    assert_eq!(none["items"], json!([]));
    let refused = house.call("GET", "/v1/supervisions").key(EVENTS).send().await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    house.finish().await;
}
