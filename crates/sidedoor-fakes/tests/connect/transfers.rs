//! Transfers of a call to another agent.

use serde_json::{Value, json};

use super::support::{Aws, Events, connected_leg, start, wait_ms};

/// The successor that DescribeContact names.
fn successor(contact: &Value) -> &Value {
    &contact["NextContacts"][0]["NextContactMetadata"]["QuickConnectContactData"]
}

#[tokio::test]
async fn transfer_continues_the_call_in_a_new_contact() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let events = Events::receive(connect).await;
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    let next = connect.transfer(&call, "agent-2").expect("transferred");
    let (_, old) = aws.describe(&call).await;
    assert_eq!(old["DisconnectReason"], "AGENT_DISCONNECT");
    assert!(old["DisconnectTimestamp"].is_number());
    assert_eq!(old["NextContacts"][0]["Type"], "QUICK_CONNECT");
    assert_eq!(successor(&old)["ContactId"], json!(next));
    assert_eq!(successor(&old)["QuickConnectType"], "USER");
    let (_, new) = aws.describe(&next).await;
    assert_eq!(
        (
            &new["InitiationMethod"],
            &new["PreviousContactId"],
            &new["InitialContactId"],
            &new["AgentInfo"]["Id"]
        ),
        (&json!("TRANSFER"), &json!(call), &json!(call), &json!("agent-2"))
    );
    assert!(new.get("DisconnectTimestamp").is_none() && new.get("NextContacts").is_none());
    assert!(
        connect.contact(&leg).is_some_and(|l| l.ended),
        "the leg was on the first contact"
    );
    assert_eq!(aws.contacts_of("agent-2").await[0]["ContactId"], json!(next));
    assert_eq!(aws.contacts_of("agent-1").await, json!([]));
    let disconnected = events.wait_for(&call, "DISCONNECTED").await;
    assert_eq!(disconnected["detail"]["disconnectReason"], "AGENT_DISCONNECT");
    let connected = events.wait_for(&next, "CONNECTED_TO_AGENT").await["detail"].clone();
    assert_eq!(
        (
            &connected["initiationMethod"],
            &connected["previousContactId"],
            &connected["initialContactId"]
        ),
        (&json!("TRANSFER"), &json!(call), &json!(call))
    );
    events.wait_for(&next, "INITIATED").await;
}

#[tokio::test]
async fn transfer_does_not_count_as_a_call_that_we_ended() {
    let fakes = start().await;
    let connect = fakes.connect();
    let call = connect.create_call();
    let next = connect.transfer(&call, "agent-2").expect("transferred");
    assert_eq!(connect.ledger().ended[0].by, "TRANSFER");
    assert!(connect.customer_contacts_we_ended().is_empty());
    let last = connect.transfer(&next, "agent-1").expect("transferred again");
    let view = connect.contact(&last).expect("there");
    assert_eq!(
        (view.previous_contact_id, view.initial_contact_id),
        (Some(next.clone()), Some(call.clone()))
    );
    assert!(connect.transfer(&call, "agent-2").is_err(), "it has ended");
    let leg = connected_leg(connect, &last, "supervisor-1").await;
    assert!(connect.transfer(&leg, "agent-2").is_err(), "it is a leg");
}

#[tokio::test]
async fn next_contacts_are_named_late() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    connect.change(|s| s.next_contacts_lag_ms = 300);
    let call = connect.create_call();
    let next = connect
        .transfer_with_reason(&call, "agent-2", "OTHER")
        .expect("transferred");
    let (_, early) = aws.describe(&call).await;
    assert!(early.get("NextContacts").is_none());
    assert_eq!(early["DisconnectReason"], "OTHER");
    wait_ms(320).await;
    let (_, late) = aws.describe(&call).await;
    assert_eq!(successor(&late)["ContactId"], json!(next));
}
