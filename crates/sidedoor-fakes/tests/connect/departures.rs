//! What may happen to the customer's call when a supervisor leaves, wrongly or by chance.

use serde_json::Value;

use super::support::{Aws, chat, connected_leg, start, until, wait_ms};

#[tokio::test]
async fn silent_leave_can_end_the_call_in_the_same_second() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    connect.change(|s| s.silent_leave_ends_call = 1.0);
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    let ours = connect.customer_contacts_we_ended();
    let causes: Vec<_> = ours.iter().map(|e| (e.contact_id.as_str(), e.by.as_str())).collect();
    assert_eq!(causes, [(call.as_str(), "SILENT_LEAVE")]);
    let (of_leg, of_call) = (aws.describe(&leg).await.1, aws.describe(&call).await.1);
    assert_eq!(of_leg["DisconnectTimestamp"], of_call["DisconnectTimestamp"]);
    assert_ne!(of_call["DisconnectTimestamp"], Value::Null);
}

#[tokio::test]
async fn barged_leave_does_not_count_as_silent() {
    let fakes = start().await;
    let connect = fakes.connect();
    connect.change(|s| s.silent_leave_ends_call = 1.0);
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect
        .change_mode_in_ccp("supervisor-1", &leg, "BARGE")
        .expect("barged");
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    assert!(connect.contact(&call).is_some_and(|c| !c.ended));
}

#[tokio::test]
async fn silent_leave_ends_only_a_share_of_calls() {
    let fakes = start().await;
    let connect = fakes.connect();
    connect.change(|s| s.silent_leave_ends_call = 0.5);
    let mut ended = 0;
    for _ in 0..40 {
        let call = chat(connect);
        let leg = connected_leg(connect, &call, "supervisor-1").await;
        connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
        ended += usize::from(connect.contact(&call).is_some_and(|c| c.ended));
    }
    assert!((5..=35).contains(&ended), "{ended} of 40");
}

#[tokio::test]
async fn customer_can_hang_up_by_chance_after_a_leave() {
    let fakes = start().await;
    let connect = fakes.connect();
    connect.change(|s| s.hang_up_after_leave = 1.0);
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    until("the customer hangs up", || {
        connect.contact(&call).is_some_and(|c| c.ended)
    })
    .await;
    let left = connect.contact(&leg).and_then(|c| c.true_disconnect_at).expect("ended");
    let hung_up = connect
        .contact(&call)
        .and_then(|c| c.true_disconnect_at)
        .expect("ended");
    assert!(hung_up.duration_since(left).as_millis() < 1_500);
    assert_eq!(
        connect.ledger().ended.back().map(|e| e.by.clone()),
        Some("CUSTOMER".into())
    );
    assert!(connect.customer_contacts_we_ended().is_empty());
}

#[tokio::test]
async fn leave_ends_no_call_by_default() {
    let fakes = start().await;
    let connect = fakes.connect();
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    wait_ms(1_100).await;
    assert!(connect.contact(&call).is_some_and(|c| !c.ended));
}
