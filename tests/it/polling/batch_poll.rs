//! Idle supervisions are polled in batches: a thousand cost at most ten calls a round. The service acts on what a poll finds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::Value;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::TestApp;
use crate::support::sql;

const ROUND: Duration = Duration::from_secs(5);

async fn start_supervisions(app: &TestApp, supervisors: usize) -> Vec<String> {
    let starts = stream::iter(0..supervisors).map(|i| async move {
        let supervisor = format!("idle-{i}");
        app.connect().set_ccp_open(&supervisor, true);
        let call = app.connect().create_contact(NewContact::default());
        app.listen(&call, &supervisor).await.id()
    });
    starts.buffer_unordered(16).collect().await
}

/// Waits until every supervision has joined, so that all of them are polled as idle ones.
async fn until_idle(app: &TestApp, supervisors: usize) {
    let joined = "SELECT CAST(COUNT(*) AS TEXT) FROM unfinished WHERE doc LIKE '%\"joined\":{%'";
    for _ in 0..600 {
        let count = sql(&app.store_path(), joined).await.expect("read");
        if count == [[supervisors.to_string()]] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the supervisions did not join in time");
}

#[tokio::test]
async fn batch_poll_of_thousand_idle_costs_at_most_ten_calls() {
    const IDLE: usize = 1000;
    let app = TestApp::build()
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .set("SALESFORCE__ENABLED", "false")
        .start()
        .await;
    let ids = start_supervisions(&app, IDLE).await;
    until_idle(&app, IDLE).await;
    // The first round is for supervisions that were not in a batch before.
    tokio::time::sleep(2 * ROUND).await;
    let described = app.connect().calls("DescribeContact");
    let known = app.connect().calls("GetCurrentUserData");
    tokio::time::sleep(3 * ROUND).await;
    let mut rounds: BTreeMap<i64, usize> = BTreeMap::new();
    let ledger = app.connect().ledger();
    let rolls = ledger.calls.iter().filter(|c| c.operation == "GetCurrentUserData");
    for call in rolls.skip(known) {
        let at: jiff::Timestamp = call.at.parse().expect("a time");
        *rounds.entry(at.as_second() / 5).or_default() += 1;
    }
    assert!(rounds.len() >= 3, "{rounds:?}");
    assert!(
        rounds.values().all(|calls| *calls <= IDLE / 100),
        "a round takes ten calls: {rounds:?}"
    );
    let described = app.connect().calls("DescribeContact") - described;
    assert_eq!(described, 0, "no leg ended, so DescribeContact is not called");
    let seen = app.get(&ids[0]).await.body;
    assert_eq!(seen["state"], "MONITORING");
    app.assert_invariants().await;
}

#[tokio::test]
async fn batch_poll_finds_changes_whose_events_were_lost() {
    let app = TestApp::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let ids = start_supervisions(&app, 3).await;
    until_idle(&app, 3).await;
    app.events_delivered().await;
    // From here on no event is delivered. One supervisor leaves in the CCP, another starts a second leg in the CCP.
    app.connect().change_events(|e| e.loss = 1.0);
    let gone = app.get(&ids[0]).await.body;
    let leg = gone["legContactId"].as_str().expect("a leg").to_owned();
    let user = gone["supervisor"]["connectUserId"].as_str().expect("a user").to_owned();
    app.connect().end_leg_in_ccp(&user, &leg).expect("ended");
    let stays = app.get(&ids[1]).await.body;
    let user = stays["supervisor"]["connectUserId"]
        .as_str()
        .expect("a user")
        .to_owned();
    let chat = app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let second_leg = app.connect().begin_leg_by_hand(&chat, &user).expect("a leg");

    let left = app.until_left(&ids[0]).await;
    assert_eq!(left["departure"]["source"], "DESCRIBE_CONTACT");
    let mut found = Value::Null;
    for _ in 0..500 {
        let list = app.call("GET", "/v1/supervisions").send().await.body;
        let observed = list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|s| s["legContactId"] == second_leg.as_str());
        if let Some(observed) = observed {
            found = observed.clone();
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(found["origin"], "OBSERVED", "{found:#}");
    assert_eq!(app.get(&ids[1]).await.body["state"], "MONITORING");
    app.finish().await;
}
