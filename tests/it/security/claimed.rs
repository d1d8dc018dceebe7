//! What a supervisor says about a contact is a claim: the vendors' word replaces it before anybody relies on it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{BACK_END, SUPERVISOR_1, TestApp};

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[tokio::test]
async fn voice_call_of_a_supervisor_is_the_one_of_the_contact() {
    let app = TestApp::start().await;
    let voice_call_of = |contact: &str| {
        app.salesforce()
            .put_row("VoiceCall", fields(&json!({"VendorCallKey": contact})))
    };
    let others = voice_call_of("a-call-of-others");
    for (key, is_trusted) in [(SUPERVISOR_1, false), (BACK_END, true)] {
        let call = app.connect().create_call();
        let right = voice_call_of(&call);
        let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "voiceCallId": others});
        let started = app.call("POST", "/v1/supervisions").key(key).json(&body).send().await;
        assert_eq!(started.status, 201, "{}", started.text);
        let written = app.until_written(&started.id()).await;
        let record = app.record(written["legContactId"].as_str().expect("a leg"));
        let expected = if is_trusted { &others } else { &right };
        assert_eq!(record["Voice_Call__c"], expected.as_str(), "{key}");
        app.leave(&started.id(), "supervisor-1").await;
    }
    app.finish().await;
}

#[tokio::test]
async fn agent_that_a_supervisor_names_gets_no_notice_for_another() {
    const EVENT: &str = "Supervision_Notice__e";
    let app = TestApp::build()
        .set("SALESFORCE__NOTICE_EVENT", EVENT)
        .set("COMPLIANCE__JURISDICTIONS__DE__NOTIFY_AGENT", "unnamed")
        .set("CONNECT__INSTANCES__MAIN__JURISDICTION", "de")
        .start()
        .await;
    for (id, agent) in [("005000000000001AAA", "agent-1"), ("005000000000002AAA", "agent-2")] {
        let user = json!({"Id": id, "FederationIdentifier": format!("{agent}@example"), "IsActive": true});
        app.salesforce().put_row("User", fields(&user));
    }
    let call = app.connect().create_contact(NewContact {
        agent_id: "agent-1".into(),
        ..NewContact::default()
    });
    let body = json!({"contactId": call, "agentUserId": "agent-2"});
    let started = app
        .call("POST", "/v1/supervisions")
        .key(SUPERVISOR_1)
        .json(&body)
        .send()
        .await;
    assert_eq!(started.status, 201, "{}", started.text);
    let notified = || -> Vec<Value> {
        let events = app.salesforce().events().into_iter().filter(|(name, _)| name == EVENT);
        events.map(|(_, fields)| fields["Agent__c"].clone()).collect()
    };
    for _ in 0..500 {
        if !notified().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.leave(&started.id(), "supervisor-1").await;
    let left = app.until_written(&started.id()).await;
    assert_eq!(left["agentUserId"], "agent-1", "the vendor's word");
    let notified = notified();
    assert!(
        !notified.is_empty() && notified.iter().all(|to| to == "005000000000001AAA"),
        "{notified:?}"
    );
    app.finish().await;
}
