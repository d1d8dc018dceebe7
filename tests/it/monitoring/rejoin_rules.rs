//! Rejoining a contact and the rules of a jurisdiction about it: every start answers with them and the audit keeps them.

use serde_json::{Value, json};

use crate::support::app::{Answer, BACK_END, PRESENCE, SUPERVISOR_1, TestApp};
use crate::support::sql;

async fn app() -> TestApp {
    TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__JURISDICTION", "lenient")
        .set("COMPLIANCE__JURISDICTIONS__LENIENT__ANNOUNCEMENT", "not_required")
        .set("COMPLIANCE__JURISDICTIONS__LENIENT__REJOIN_ANNOUNCEMENT", "required")
        .set("COMPLIANCE__JURISDICTIONS__STRICT__REJOIN", "refused")
        .set("COMPLIANCE__JURISDICTIONS__ASKING__REJOIN", "ask")
        .set("COMPLIANCE__JURISDICTIONS__ASKING__ANNOUNCEMENT", "not_required")
        .start()
        .await
}

async fn listen(app: &TestApp, call: &str, jurisdiction: Option<&str>) -> Answer {
    let body =
        json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "jurisdiction": jurisdiction});
    app.call("POST", "/v1/supervisions").json(&body).send().await
}

fn compliance(answer: &Answer) -> (&Value, &Value, &Value) {
    let c = &answer.body["compliance"];
    (&c["jurisdiction"], &c["rejoin"], &c["announcement"])
}

#[tokio::test]
async fn rejoin_is_new_supervision_linked_to_earlier_ones() {
    let app = app().await;
    let call = app.connect().create_call();
    let first = listen(&app, &call, None).await;
    assert_eq!(
        compliance(&first),
        (&json!("lenient"), &json!(false), &json!("NOT_REQUIRED"))
    );
    app.leave(&first.id(), "supervisor-1").await;
    let second = listen(&app, &call, None).await;
    assert_eq!(second.status, 201);
    assert_eq!(
        compliance(&second),
        (&json!("lenient"), &json!(true), &json!("REQUIRED"))
    );
    app.leave(&second.id(), "supervisor-1").await;
    let third = listen(&app, &call, Some("asking")).await;
    assert_eq!(compliance(&third), (&json!("asking"), &json!(true), &json!("REVIEW")));
    let prior = &third.body["compliance"]["priorSupervisions"];
    assert_eq!(prior, &json!([second.id(), first.id()]), "newest first");
    app.leave(&third.id(), "supervisor-1").await;
    // Another supervisor on the same call, or the same supervisor on another call, is not a rejoin.
    let other = app.listen(&call, "supervisor-2").await;
    assert_eq!(other.body["compliance"]["rejoin"], false);
    let elsewhere = listen(&app, &app.connect().create_call(), None).await;
    assert_eq!(elsewhere.body["compliance"]["rejoin"], false);
    for (id, rejoin) in [(first.id(), false), (second.id(), true)] {
        let recorded = app.until_written(&id).await;
        let row = app.record(recorded["legContactId"].as_str().expect("a leg"));
        assert_eq!(row["Rejoin__c"], rejoin);
    }
    let audit = "SELECT outcome FROM audit WHERE action = 'supervision.requested' ORDER BY seq";
    let entries = sql(&app.store_path(), audit).await.expect("read");
    assert!(
        entries[0][0].contains("lenient: first join, announcement NOT_REQUIRED"),
        "{entries:?}"
    );
    assert!(
        entries[2][0].contains("asking: rejoin after 2, announcement REVIEW"),
        "{entries:?}"
    );
    for (id, who) in [(other.id(), "supervisor-2"), (elsewhere.id(), "supervisor-1")] {
        app.leave(&id, who).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn contact_is_the_same_in_upper_and_lower_case() {
    let app = app().await;
    let call = app.connect().create_call();
    let shouted = call.to_ascii_uppercase();
    assert_ne!(call, shouted);
    let first = listen(&app, &call, Some("strict")).await;
    assert_eq!(first.status, 201);
    let again = listen(&app, &shouted, Some("strict")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(
        (again.status, again.id()),
        (200, first.id()),
        "the supervisor is on it already"
    );
    for key in [BACK_END, PRESENCE] {
        let path = format!("/v1/supervisions?contactId={shouted}");
        let listed = app.call("GET", &path).key(key).send().await;
        assert_eq!(listed.body["items"][0]["id"], first.id(), "{}", listed.text);
        assert_eq!(
            listed.body["items"][0]["contactId"], call,
            "the spelling is the vendor's"
        );
    }
    app.leave(&first.id(), "supervisor-1").await;
    let refused = listen(&app, &shouted, Some("strict")).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "rejoin_forbidden"),
        "{}",
        refused.text
    );
    assert_eq!(refused.body["priorSupervisions"], json!([first.id()]));
    app.finish().await;
}

#[tokio::test]
async fn rejoin_where_forbidden_is_refused_and_changes_nothing() {
    let app = app().await;
    let call = app.connect().create_call();
    let first = listen(&app, &call, Some("strict")).await;
    assert_eq!(first.status, 201, "a first join is not a rejoin");
    app.leave(&first.id(), "supervisor-1").await;
    let refused = listen(&app, &call, Some("strict")).await;
    assert_eq!((refused.status, refused.code()), (409, "rejoin_forbidden"));
    assert_eq!(refused.body["priorSupervisions"], json!([first.id()]));
    let unknown = listen(&app, &call, Some("atlantis")).await;
    assert_eq!((unknown.status, unknown.code()), (422, "jurisdiction_not_found"));
    assert_eq!(app.connect().calls("MonitorContact"), 1);
    let list = app.call("GET", "/v1/supervisions").send().await.body;
    assert_eq!(list["items"].as_array().expect("a list").len(), 1);
    let audit = "SELECT supervision_id FROM audit WHERE action = 'rejoin.refused'";
    assert_eq!(sql(&app.store_path(), audit).await.expect("read"), [[first.id()]]);
    app.finish().await;
}

#[tokio::test]
async fn rejoin_without_rule_asks_for_review() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let started = listen(&app, &call, None).await;
    assert_eq!(compliance(&started), (&Value::Null, &json!(false), &json!("REVIEW")));
    app.leave(&started.id(), "supervisor-1").await;
    // The rules are applied to an observed leg too, but it is never refused because it already exists.
    app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let observed = app.found("origin=OBSERVED").await;
    assert_eq!(
        observed["compliance"]["priorSupervisions"],
        json!([started.id()]),
        "{observed:#}"
    );
    app.connect().hang_up(&call, "AGENT").expect("over");
    app.until_left(observed["id"].as_str().expect("an id")).await;
    app.finish().await;
}

#[tokio::test]
async fn rejoin_jurisdiction_is_not_chosen_by_supervisor() {
    let app = app().await;
    let call = app.connect().create_call();
    let start = |jurisdiction: &str| {
        let body =
            json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "jurisdiction": jurisdiction});
        app.call("POST", "/v1/supervisions")
            .key(SUPERVISOR_1)
            .json(&body)
            .send()
    };
    let refused = start("strict").await;
    assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    let own = start("lenient").await;
    assert_eq!(own.status, 201, "a supervisor may name the instance's own jurisdiction");
    app.leave(&own.id(), "supervisor-1").await;
    app.finish().await;
}
