//! Rejoining, and what a jurisdiction asks of it: answered on every start, kept by the audit.

use serde_json::{Value, json};

use crate::support::house::{Answer, House, SUPERVISOR_1};
use crate::support::sql;

async fn house() -> House {
    House::build()
        .set("CONNECT__INSTANCES__MAIN__JURISDICTION", "lenient")
        .set("COMPLIANCE__JURISDICTIONS__LENIENT__ANNOUNCEMENT", "not_required")
        .set("COMPLIANCE__JURISDICTIONS__LENIENT__REJOIN_ANNOUNCEMENT", "required")
        .set("COMPLIANCE__JURISDICTIONS__STRICT__REJOIN", "refused")
        .set("COMPLIANCE__JURISDICTIONS__ASKING__REJOIN", "ask")
        .set("COMPLIANCE__JURISDICTIONS__ASKING__ANNOUNCEMENT", "not_required")
        .start()
        .await
}

async fn listen(house: &House, call: &str, jurisdiction: Option<&str>) -> Answer {
    let body =
        json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "jurisdiction": jurisdiction});
    house.call("POST", "/v1/supervisions").json(&body).send().await
}

fn compliance(answer: &Answer) -> (&Value, &Value, &Value) {
    let c = &answer.body["compliance"];
    (&c["jurisdiction"], &c["rejoin"], &c["announcement"])
}

#[tokio::test]
async fn a_rejoin_is_its_own_supervision_linked_to_the_earlier_ones() {
    let house = house().await;
    let call = house.connect().create_call();
    let first = listen(&house, &call, None).await;
    assert_eq!(
        compliance(&first),
        (&json!("lenient"), &json!(false), &json!("NOT_REQUIRED"))
    );
    house.leave(&first.id(), "supervisor-1").await;
    let second = listen(&house, &call, None).await;
    assert_eq!(second.status, 201);
    assert_eq!(
        compliance(&second),
        (&json!("lenient"), &json!(true), &json!("REQUIRED"))
    );
    house.leave(&second.id(), "supervisor-1").await;
    let third = listen(&house, &call, Some("asking")).await;
    assert_eq!(compliance(&third), (&json!("asking"), &json!(true), &json!("REVIEW")));
    let prior = &third.body["compliance"]["priorSupervisions"];
    assert_eq!(prior, &json!([second.id(), first.id()]), "newest first");
    house.leave(&third.id(), "supervisor-1").await;
    // Another supervisor on the same call, and the same one on another, are no rejoin.
    let other = house.listen(&call, "supervisor-2").await;
    assert_eq!(other.body["compliance"]["rejoin"], false);
    let elsewhere = listen(&house, &house.connect().create_call(), None).await;
    assert_eq!(elsewhere.body["compliance"]["rejoin"], false);
    for (id, rejoin) in [(first.id(), false), (second.id(), true)] {
        let recorded = house.until_recorded(&id).await;
        let row = house.row(recorded["legContactId"].as_str().expect("a leg"));
        assert_eq!(row["Rejoin__c"], rejoin);
    }
    let audit = "SELECT outcome FROM audit WHERE action = 'supervision.requested' ORDER BY seq";
    let told = sql(&house.journal_path(), audit).await.expect("read");
    assert!(
        told[0][0].contains("lenient: first join, announcement NOT_REQUIRED"),
        "{told:?}"
    );
    assert!(
        told[2][0].contains("asking: rejoin after 2, announcement REVIEW"),
        "{told:?}"
    );
    for (id, who) in [(other.id(), "supervisor-2"), (elsewhere.id(), "supervisor-1")] {
        house.leave(&id, who).await;
    }
    house.finish().await;
}

#[tokio::test]
async fn where_nobody_may_come_back_a_rejoin_is_refused_and_changes_nothing() {
    let house = house().await;
    let call = house.connect().create_call();
    let first = listen(&house, &call, Some("strict")).await;
    assert_eq!(first.status, 201, "a first join is no rejoin");
    house.leave(&first.id(), "supervisor-1").await;
    let refused = listen(&house, &call, Some("strict")).await;
    assert_eq!((refused.status, refused.code()), (409, "rejoin_not_allowed"));
    assert_eq!(refused.body["priorSupervisions"], json!([first.id()]));
    let unknown = listen(&house, &call, Some("atlantis")).await;
    assert_eq!((unknown.status, unknown.code()), (422, "unknown_jurisdiction"));
    assert_eq!(house.connect().calls("MonitorContact"), 1);
    let list = house.call("GET", "/v1/supervisions").send().await.body;
    assert_eq!(list["items"].as_array().expect("a list").len(), 1);
    let audit = "SELECT supervision_id FROM audit WHERE action = 'rejoin.refused'";
    assert_eq!(sql(&house.journal_path(), audit).await.expect("read"), [[first.id()]]);
    house.finish().await;
}

#[tokio::test]
async fn where_nobody_has_decided_a_person_is_asked() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let started = listen(&house, &call, None).await;
    assert_eq!(compliance(&started), (&Value::Null, &json!(false), &json!("REVIEW")));
    house.leave(&started.id(), "supervisor-1").await;
    // A leg begun by hand is judged too, and never refused.
    house.connect().begin_leg_by_hand(&call, "supervisor-1").expect("begun");
    let observed = house.found("origin=OBSERVED").await;
    assert_eq!(
        observed["compliance"]["priorSupervisions"],
        json!([started.id()]),
        "{observed:#}"
    );
    house.connect().hang_up(&call, "AGENT").expect("over");
    house.until_left(observed["id"].as_str().expect("an id")).await;
    house.finish().await;
}

#[tokio::test]
async fn a_supervisor_does_not_choose_whose_rules_hold() {
    let house = house().await;
    let call = house.connect().create_call();
    let start = |jurisdiction: &str| {
        let body =
            json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "jurisdiction": jurisdiction});
        house
            .call("POST", "/v1/supervisions")
            .key(SUPERVISOR_1)
            .json(&body)
            .send()
    };
    let refused = start("strict").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let own = start("lenient").await;
    assert_eq!(own.status, 201, "to name one's own is no choice");
    house.leave(&own.id(), "supervisor-1").await;
    house.finish().await;
}
