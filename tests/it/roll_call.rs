//! Idle supervisions are looked at together: a thousand cost at most ten calls a round. What a roll call finds is acted on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::Value;
use sidedoor_fakes::connect::NewContact;

use crate::support::house::House;
use crate::support::sql;

const ROUND: Duration = Duration::from_secs(5);

async fn listening(house: &House, supervisors: usize) -> Vec<String> {
    let starts = stream::iter(0..supervisors).map(|i| async move {
        let supervisor = format!("idle-{i}");
        house.connect().set_ccp_open(&supervisor, true);
        let call = house.connect().create_contact(NewContact::default());
        house.listen(&call, &supervisor).await.id()
    });
    starts.buffer_unordered(16).collect().await
}

/// Waits until all of them have been seen to be connected, so that nothing is fresh any more.
async fn until_idle(house: &House, supervisors: usize) {
    let joined = "SELECT CAST(COUNT(*) AS TEXT) FROM supervisions WHERE doc LIKE '%\"joined\":{%'";
    for _ in 0..600 {
        let count = sql(&house.journal_path(), joined).await.expect("read");
        if count == [[supervisors.to_string()]] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("they never got connected");
}

#[tokio::test]
async fn a_thousand_idle_supervisions_cost_at_most_ten_calls_a_round() {
    const IDLE: usize = 1000;
    let house = House::build()
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .set("SALESFORCE__ENABLED", "false")
        .start()
        .await;
    let ids = listening(&house, IDLE).await;
    until_idle(&house, IDLE).await;
    // One round for those whose first look was their own.
    tokio::time::sleep(2 * ROUND).await;
    let described = house.connect().calls("DescribeContact");
    let known = house.connect().calls("GetCurrentUserData");
    tokio::time::sleep(3 * ROUND).await;
    let mut rounds: BTreeMap<i64, usize> = BTreeMap::new();
    let ledger = house.connect().ledger();
    let rolls = ledger.calls.iter().filter(|c| c.operation == "GetCurrentUserData");
    for call in rolls.skip(known) {
        let at: jiff::Timestamp = call.at.parse().expect("a time");
        *rounds.entry(at.as_second() / 5).or_default() += 1;
    }
    assert!(rounds.len() >= 3, "{rounds:?}");
    assert!(
        rounds.values().all(|calls| *calls <= IDLE / 100),
        "a round is ten calls: {rounds:?}"
    );
    let described = house.connect().calls("DescribeContact") - described;
    assert_eq!(described, 0, "nothing ended, so nothing is described");
    let seen = house.get(&ids[0]).await.body;
    assert_eq!(seen["state"], "MONITORING");
    house.rules_hold().await;
}

#[tokio::test]
async fn a_roll_call_finds_what_lost_events_did_not_tell() {
    let house = House::build().set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    let ids = listening(&house, 3).await;
    until_idle(&house, 3).await;
    house.quiet().await;
    // From here on no event comes: one leaves by hand, and another begins a second leg by hand.
    house.connect().change_events(|e| e.loss = 1.0);
    let gone = house.get(&ids[0]).await.body;
    let leg = gone["legContactId"].as_str().expect("a leg").to_owned();
    let user = gone["supervisor"]["connectUserId"].as_str().expect("a user").to_owned();
    house.connect().end_leg_in_ccp(&user, &leg).expect("ended");
    let stays = house.get(&ids[1]).await.body;
    let user = stays["supervisor"]["connectUserId"]
        .as_str()
        .expect("a user")
        .to_owned();
    let chat = house.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    });
    let stranger = house.connect().begin_leg_by_hand(&chat, &user).expect("begun");

    let left = house.until_left(&ids[0]).await;
    assert_eq!(left["departure"]["source"], "DESCRIBE_CONTACT");
    let mut found = Value::Null;
    for _ in 0..500 {
        let list = house.call("GET", "/v1/supervisions").send().await.body;
        let observed = list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|s| s["legContactId"] == stranger.as_str());
        if let Some(observed) = observed {
            found = observed.clone();
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(found["origin"], "OBSERVED", "{found:#}");
    assert_eq!(house.get(&ids[1]).await.body["state"], "MONITORING");
    house.finish().await;
}
