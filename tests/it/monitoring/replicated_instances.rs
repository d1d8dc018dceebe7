//! An instance that is replicated in two Regions (Amazon Connect Global Resiliency). A contact is in one of them, and calls about it go
//! there.

use std::time::Duration;

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::{NewContact, OtherRegion, REGION, REPLICA_REGION};

use crate::support::app::{TestApp, TestAppBuilder};

/// A service that knows both Regions, beside an instance whose new contacts are in the second one.
fn replicated() -> TestAppBuilder {
    TestApp::build()
        .set("CONNECT__INSTANCES__MAIN__REPLICA_REGION", REPLICA_REGION)
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .fakes(|f| {
            f.connect.replicated = true;
            f.connect.active_region = REPLICA_REGION.into();
        })
}

/// The Regions and answers of an operation's calls since the `skip`th, in their order.
fn calls(app: &TestApp, operation: &str, skip: usize) -> Vec<(String, u16)> {
    let calls = app.connect().ledger().calls;
    let of_it = calls.into_iter().filter(|call| call.operation == operation);
    of_it.skip(skip).map(|call| (call.region, call.status)).collect()
}

fn id_of(s: &Value) -> String {
    s["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn replicated_instance_is_joined_in_the_region_of_the_contact() {
    let app = replicated().start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let joins = app.connect().ledger().calls;
    let joins: Vec<_> = joins.iter().filter(|c| c.operation == "MonitorContact").collect();
    assert_eq!(joins.len(), 2, "{joins:?}");
    assert_eq!((joins[0].region.as_str(), joins[0].status), (REGION, 400));
    assert_eq!((joins[1].region.as_str(), joins[1].status), (REPLICA_REGION, 200));
    assert_eq!(joins[0].client_token, joins[1].client_token);
    assert!(joins[0].client_token.is_some());
    app.leave(&id_of(&s), "supervisor-1").await;
    let described = calls(&app, "DescribeContact", 0);
    assert!(!described.is_empty());
    assert!(
        described.iter().all(|(region, _)| region == REPLICA_REGION),
        "{described:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn agent_of_the_replica_is_on_the_board_and_can_be_listened_to() {
    let app = replicated().start().await;
    let call = app.connect().create_call();
    let board = app.call("GET", "/v1/agents?withContacts=true").send().await.body;
    let agents = board["items"].as_array().expect("items");
    assert_eq!(agents.len(), 1, "{board:#}");
    assert_eq!(agents[0]["contacts"].as_array().map(Vec::len), Some(1), "{board:#}");
    assert_eq!(agents[0]["contacts"][0]["contactId"], call.as_str());
    let body = json!({"agentUserId": "agent-1", "supervisor": {"connectUserId": "supervisor-1"}});
    let started = app.call("POST", "/v1/supervisions").json(&body).send().await;
    assert_eq!(
        (started.status, &started.body["contactId"]),
        (201, &json!(call)),
        "{}",
        started.text
    );
    app.until(&started.id(), "joined", |s| !s["joinedAt"].is_null()).await;
    app.leave(&started.id(), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn region_of_a_leg_survives_a_restart() {
    let mut app = replicated().start().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    app.events_delivered().await;
    let polls = calls(&app, "GetCurrentUserData", 0).len();
    let described = calls(&app, "DescribeContact", 0).len();
    app.crash_and_restart().await;
    // The first round asks in the first Region, where the absence of the leg shows nothing.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(app.get(&id_of(&s)).await.state(), "MONITORING");
    let polls = calls(&app, "GetCurrentUserData", polls);
    assert!(polls.iter().any(|(region, _)| region == REPLICA_REGION), "{polls:?}");
    let described = calls(&app, "DescribeContact", described);
    assert!(
        described.iter().all(|(region, _)| region == REPLICA_REGION),
        "{described:?}"
    );
    // The end of the leg is noticed without events, by an answer of its Region.
    app.connect().change_events(|e| e.loss = 1.0);
    app.connect()
        .end_leg_in_ccp("supervisor-1", s["legContactId"].as_str().expect("a leg"))
        .expect("ended");
    app.until_left(&id_of(&s)).await;
    app.finish().await;
}

#[tokio::test]
async fn stop_contact_follows_a_leg_to_the_other_region() {
    let app = replicated().start().await;
    let chat = app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let s = app.joined(&chat, "supervisor-1").await;
    app.events_delivered().await;
    app.connect().move_to_region(&chat, REGION).expect("moved");
    app.disconnect(&id_of(&s)).await;
    app.until_left(&id_of(&s)).await;
    let stops = calls(&app, "StopContact", 0);
    assert_eq!(stops.last(), Some(&(REGION.to_owned(), 200)), "{stops:?}");
    assert_eq!(app.connect().live_legs(&chat), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn observed_leg_of_the_replica_is_adopted() {
    for answer in [OtherRegion::InvalidActiveRegion, OtherRegion::NotFound] {
        let app = replicated().fakes(|f| f.connect.other_region = answer).start().await;
        let call = app.connect().create_call();
        let leg = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
        let found = app.found("origin=OBSERVED").await;
        assert_eq!(found["legContactId"], leg.as_str());
        app.leave(&id_of(&found), "supervisor-1").await;
        app.finish().await;
    }
}

/// Also without its events: each round asks in both Regions.
#[tokio::test]
async fn orphan_leg_of_the_replica_is_found_by_the_round() {
    let app = replicated().start().await;
    let call = app.connect().create_call();
    let first = app.joined(&call, "supervisor-1").await;
    app.leave(&id_of(&first), "supervisor-1").await;
    app.events_delivered().await;
    app.connect().change_events(|e| e.loss = 1.0);
    let orphan = app.connect().begin_leg_by_hand(&call, "supervisor-1").expect("a leg");
    let found = app.found("origin=OBSERVED").await;
    assert_eq!(found["legContactId"], orphan.as_str());
    app.leave(&id_of(&found), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn both_regions_refuse_a_join() {
    let app = replicated().start().await;
    let call = app.connect().create_call();
    let both = vec![REGION.to_owned(), REPLICA_REGION.to_owned()];
    app.connect().change(|c| c.inactive_regions = both);
    let refused = app.listen(&call, "supervisor-1").await;
    assert_eq!((refused.status, refused.code()), (502, "connect_region_invalid"));
    let joins = calls(&app, "MonitorContact", 0);
    assert_eq!(joins, [(REGION.to_owned(), 400), (REPLICA_REGION.to_owned(), 400)]);
    app.finish().await;
}

/// It is not documented whether a token is the same one in both Regions, so a second call could make a second leg.
#[tokio::test]
async fn join_that_may_have_happened_is_not_sent_to_the_other_region() {
    let app = replicated()
        .fakes(|f| f.connect.active_region = REGION.into())
        .start()
        .await;
    let call = app.connect().create_call();
    app.connect().fault(Fault::lost_answer("MonitorContact"));
    app.connect()
        .fault(Fault::error("MonitorContact", 400, "InvalidActiveRegionException").times(50));
    let started = app.listen(&call, "supervisor-1").await;
    assert_eq!(started.status, 202, "{}", started.text);
    let found = app.until(&started.id(), "found", |s| s["state"] == "MONITORING").await;
    assert_eq!(app.connect().legs(&call).len(), 1);
    let joins = calls(&app, "MonitorContact", 0);
    assert!(joins.iter().all(|(region, _)| region == REGION), "{joins:?}");
    app.connect().clear_faults();
    app.leave(&id_of(&found), "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn instance_without_a_replica_is_asked_once() {
    let app = TestApp::build()
        .fakes(|f| {
            f.connect.replicated = true;
            f.connect.active_region = REPLICA_REGION.into();
        })
        .start()
        .await;
    let call = app.connect().create_call();
    let refused = app.listen(&call, "supervisor-1").await;
    assert_eq!((refused.status, refused.code()), (502, "connect_region_invalid"));
    let joins = calls(&app, "MonitorContact", 0);
    assert_eq!(joins, [(REGION.to_owned(), 400)]);
    app.finish().await;
}
