//! Legs ended from the server: chat and task by StopContact behind the interlock; and what happens when that is refused.

use serde_json::json;
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::{NewContact, StopVoiceLeg};

use crate::support::house::House;

fn chat() -> NewContact {
    NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    }
}

#[tokio::test]
async fn a_chat_leg_is_stopped_and_only_the_leg() {
    let house = House::start().await;
    for channel in ["CHAT", "TASK"] {
        let contact = house.connect().create_contact(NewContact {
            channel: channel.into(),
            ..NewContact::default()
        });
        let started = house.listen(&contact, "supervisor-1").await;
        let leg = started.body["legContactId"].as_str().expect("a leg").to_owned();
        let left = house.disconnect(&started.id()).await;
        assert_eq!(left.body["nextAction"], json!(null), "the server does it");
        let left = house.until_left(&started.id()).await;
        assert_eq!(
            (&left["channel"], &left["departure"]["reason"]),
            (&json!(channel), &json!("SUPERVISOR"))
        );
        let stopped: Vec<_> = house
            .connect()
            .ledger()
            .calls
            .iter()
            .filter(|c| c.operation == "StopContact")
            .map(|c| c.about.clone())
            .collect();
        assert_eq!(stopped.last(), Some(&leg));
        house.until_recorded(&started.id()).await;
        assert!(!house.connect().contact(&contact).expect("there").ended);
    }
    house.finish().await;
}

#[tokio::test]
async fn a_refused_stop_falls_back_to_the_browser() {
    let house = House::start().await;
    let contact = house.connect().create_contact(chat());
    let id = house.listen(&contact, "supervisor-1").await.id();
    house
        .connect()
        .fault(Fault::error("StopContact", 403, "AccessDeniedException"));
    let left = house.disconnect(&id).await;
    assert_eq!(left.body["nextAction"]["kind"], "END_LEG_IN_CCP");
    house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    house.until_left(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn a_throttled_stop_is_tried_again_and_a_200_is_only_accepted() {
    let house = House::start().await;
    let contact = house.connect().create_contact(chat());
    let id = house.listen(&contact, "supervisor-1").await.id();
    house
        .connect()
        .fault(Fault::error("StopContact", 429, "ThrottlingException"));
    house
        .connect()
        .fault(Fault::error("StopContact", 500, "InternalServiceException"));
    house.disconnect(&id).await;
    house.until_left(&id).await;
    assert_eq!(house.connect().calls("StopContact"), 3);
    house.finish().await;
}

#[tokio::test]
async fn a_voice_leg_set_to_be_stopped_is_directed_all_the_same() {
    for answer in [
        StopVoiceLeg::Refuse400,
        StopVoiceLeg::Gone410,
        StopVoiceLeg::AcceptAndIgnore,
    ] {
        let house = House::build()
            .set("CONNECT__INSTANCES__MAIN__VOICE_LEG_END", "stop_contact_then_ccp")
            .fakes(|f| f.connect.stop_voice_leg = answer)
            .start()
            .await;
        let call = house.connect().create_call();
        let id = house.listen(&call, "supervisor-1").await.id();
        house.until(&id, "the channel known", |s| s["channel"] == "VOICE").await;
        let left = house.disconnect(&id).await;
        assert_eq!(
            (left.status, left.state()),
            (202, "LEAVING"),
            "a 200 of StopContact proves nothing"
        );
        assert_eq!(left.body["nextAction"]["kind"], "END_LEG_IN_CCP");
        assert_eq!(house.connect().calls("StopContact"), 1);
        house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
        house.until_left(&id).await;
        house.finish().await;
    }
}

#[tokio::test]
async fn a_chat_set_to_the_browser_is_never_stopped() {
    let house = House::build()
        .set("CONNECT__INSTANCES__MAIN__CHAT_LEG_END", "ccp")
        .start()
        .await;
    let contact = house.connect().create_contact(chat());
    let id = house.listen(&contact, "supervisor-1").await.id();
    let left = house.disconnect(&id).await;
    house.browser("supervisor-1").obey(&left.body["nextAction"]).await;
    house.until_left(&id).await;
    assert_eq!(house.connect().calls("StopContact"), 0);
    house.finish().await;
}

#[tokio::test]
async fn a_restart_carries_out_a_stop_that_was_only_written_down() {
    let mut house = House::build().set("HTTP__ANSWER_WITHIN_MS", "100").start().await;
    let contact = house.connect().create_contact(chat());
    let id = house.listen(&contact, "supervisor-1").await.id();
    house.until(&id, "the channel known", |s| s["channel"] == "CHAT").await;
    house.connect().fault(Fault::late("DescribeContact", 3000));
    house.disconnect(&id).await;
    house.crash_and_restart().await;
    house.until_left(&id).await;
    house.finish().await;
}
