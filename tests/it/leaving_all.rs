//! A supervisor leaves all they listen to in one request: every leg is asked, however slow the vendor is, whoever still waits for
//! the answer, and whatever holds one of them back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;

use crate::support::house::{BACK_END, House, OPERATOR, SUPERVISOR_1};

const ALL: &str = "/v1/supervisors/supervisor-1/disconnect";

fn chat(house: &House) -> String {
    house.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    })
}

/// A supervisor on three chats, in a house whose vendor will not say what they are.
async fn on_three_chats() -> (House, Vec<String>) {
    let house = House::build()
        .set("CONNECT__INSTANCES__MAIN__CALL_TIMEOUT_MS", "10000")
        .start()
        .await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = house.listen(&chat(&house), "supervisor-1").await.id();
        house.until(&id, "a chat", |s| s["channel"] == "CHAT").await;
        ids.push(id);
    }
    house.quiet().await;
    house
        .connect()
        .fault(Fault::late("DescribeContact", 20_000).times(1000));
    (house, ids)
}

async fn all_left(house: House, ids: &[String]) {
    house.connect().clear_faults();
    for id in ids {
        house.until_left(id).await;
    }
    house.finish().await;
}

#[tokio::test]
async fn every_leg_is_asked_before_any_is_waited_for_and_the_answer_comes_in_time() {
    let (house, ids) = on_three_chats().await;
    let begun = Instant::now();
    let answer = house.call("POST", ALL).send().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!((answer.status, answer.id()), (202, ids[2].clone()), "{}", answer.text);
    for id in &ids {
        assert_eq!(house.get(id).await.state(), "LEAVING");
    }
    all_left(house, &ids).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_no_leave() {
    let (house, ids) = on_three_chats().await;
    let lost = house.http.post(format!("{}{ALL}", house.url)).bearer_auth(BACK_END);
    let lost = lost.timeout(Duration::from_secs(1)).send().await;
    assert!(lost.is_err(), "it did not wait");
    for id in &ids {
        assert_eq!(house.get(id).await.state(), "LEAVING");
    }
    all_left(house, &ids).await;
}

/// One leg is held back by the guard, another is left, and the key stands for that: asked again, the same is answered.
#[tokio::test]
async fn what_is_held_back_in_part_is_one_answer_for_its_key() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "mode": "BARGE"});
    let spoken = house.call("POST", "/v1/supervisions").json(&body).send().await.id();
    house.until(&spoken, "joined", |s| !s["joinedAt"].is_null()).await;
    let mode = format!("/v1/supervisions/{spoken}/mode");
    let asked = house
        .call("POST", &mode)
        .key(SUPERVISOR_1)
        .json(&json!({"mode": "BARGE"}));
    let action = asked.send().await.body["nextAction"].clone();
    house.browser("supervisor-1").obey(&action).await;
    house.until(&spoken, "BARGE", |s| s["mode"] == "BARGE").await;
    house.connect().agent_leaves(&call).expect("gone");
    // Beside the call a chat, begun by hand.
    let contact = chat(&house);
    house
        .connect()
        .begin_leg_by_hand(&contact, "supervisor-1")
        .expect("begun");
    let written = house.found(&format!("contactId={contact}")).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    house.until(&written, "a chat", |s| s["channel"] == "CHAT").await;
    let ask = || house.call("POST", ALL).key(OPERATOR).idempotency("k").send();
    let first = ask().await;
    assert_eq!(
        (first.status, first.code()),
        (409, "would_end_customer_call"),
        "{}",
        first.text
    );
    house.until_left(&written).await;
    assert_eq!(house.get(&spoken).await.state(), "MONITORING");
    let again = ask().await;
    assert_eq!(
        (again.status, again.code()),
        (409, "would_end_customer_call"),
        "{}",
        again.text
    );
    assert_eq!(again.text, first.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    house.connect().hang_up(&call, "CUSTOMER").expect("hung up");
    house.until_left(&spoken).await;
    house.finish().await;
}

/// A browser said that it ended the leg, and nothing shows it; or it never answered: who asks again gets a new order.
#[tokio::test]
async fn who_asks_again_after_the_time_is_up_has_the_browser_told_anew() {
    let house = House::build().set("SUPERVISION__LEAVE_DEADLINE_S", "1").start().await;
    let call = house.connect().create_call();
    let id = house.joined(&call, "supervisor-1").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/supervisions/{id}/disconnect");
    let ask = async |key: &str| {
        let answer = house.call("POST", &path).idempotency(key).send().await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.body["nextAction"].clone()
    };
    let mut before: Value = ask("k-0").await;
    for (n, outcome) in ["DONE", "ALREADY_GONE"].into_iter().enumerate() {
        let ack = json!({"directiveId": before["directiveId"], "outcome": outcome});
        let acknowledged = format!("/v1/supervisions/{id}/acknowledgements");
        let told = house.call("POST", &acknowledged).json(&ack).send().await;
        assert_eq!(told.status, 200, "{}", told.text);
        if n == 0 {
            let early = ask("early").await;
            assert_eq!(
                early["directiveId"], before["directiveId"],
                "the evidence may be on its way"
            );
            house.until(&id, "overdue", |s| s["overdue"] == true).await;
        }
        let anew = ask(&format!("k-{}", n + 1)).await;
        assert_ne!(anew["directiveId"], before["directiveId"], "{outcome}");
        assert_eq!(anew["acknowledged"], Value::Null);
        let open = ask(&format!("open-{n}")).await;
        assert_eq!(open["directiveId"], anew["directiveId"], "one that is open stands");
        before = anew;
    }
    house.browser("supervisor-1").obey(&before).await;
    house.until_left(&id).await;
    house.finish().await;
}
