//! Directives announced by Platform Events: opaque, at least once, harmless when repeated; and the org's own record of
//! departures, compared with ours.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sidedoor::fakes::Fault;

use crate::support::house::{House, READER};

const EVENT: &str = "Supervisor_Directive__e";

async fn announcing() -> House {
    House::build().set("SALESFORCE__DIRECTIVE_EVENT", EVENT).start().await
}

async fn stream_key(house: &House, supervisor: &str) -> String {
    let page = house
        .call("GET", &format!("/v1/supervisors/{supervisor}/directives"))
        .send()
        .await;
    page.body["streamKey"].as_str().expect("a key").to_owned()
}

/// The keys announced, once there are at least so many events.
async fn announced(house: &House, least: usize) -> Vec<String> {
    for _ in 0..1500 {
        let events = house.salesforce().events();
        if events.len() >= least {
            let key = |fields: &Map<String, Value>| fields["Stream_Key__c"].as_str().expect("a key").to_owned();
            return events.iter().map(|(_, fields)| key(fields)).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there never were {least} events: {:?}", house.salesforce().events());
}

#[tokio::test]
async fn a_component_without_cors_hears_by_an_event_that_tells_nobody_anything() {
    let house = announcing().await;
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    assert!(house.salesforce().events().is_empty(), "listening is nobody's business");
    let asked = house.disconnect(&id).await;
    let told = announced(&house, 1).await;
    assert_eq!(told, [stream_key(&house, "supervisor-1").await]);
    assert_ne!(told[0], stream_key(&house, "supervisor-2").await);
    let (name, fields) = house.salesforce().events().remove(0);
    assert_eq!((name.as_str(), fields.len()), (EVENT, 1), "{fields:?}");
    let text = format!("{fields:?}");
    for secret in [
        call.as_str(),
        "supervisor-1",
        &id,
        s["legContactId"].as_str().expect("a leg"),
    ] {
        assert!(!text.contains(secret), "{text}");
    }
    // Whoever heard it asks, and finds what is to be done.
    let page = house
        .call("GET", "/v1/supervisors/supervisor-1/directives?acts=true")
        .send()
        .await;
    assert_eq!(
        page.body["items"][0]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    house.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    house.until_left(&id).await;
    house.until_recorded(&id).await;
    // The browser's own answer is no news to it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(house.salesforce().events().len(), 1);
    house.finish().await;
}

#[tokio::test]
async fn what_the_org_refused_or_answered_into_the_void_is_announced_again() {
    let mut house = announcing().await;
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    house
        .salesforce()
        .fault(Fault::error("publish", 503, "SERVER_UNAVAILABLE"));
    // Published, and the answer is lost: at least once means twice now.
    house.salesforce().fault(Fault::lost_answer("publish"));
    house.disconnect(&id).await;
    let told = announced(&house, 2).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 1, "one stream: {told:?}");
    let key = stream_key(&house, "supervisor-1").await;
    house.crash_and_restart().await;
    assert_eq!(
        stream_key(&house, "supervisor-1").await,
        key,
        "the same after a restart"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        announced(&house, 2).await.len(),
        2,
        "what was announced is not announced again"
    );
    let open = house
        .call("GET", "/v1/supervisors/supervisor-1/directives")
        .send()
        .await;
    house.browser("supervisor-1").obey(&open.body["items"][0]).await;
    house.until_left(&id).await;
    house.until_recorded(&id).await;
    house.finish().await;
}

#[tokio::test]
async fn many_streams_go_in_one_call_and_what_came_while_we_were_gone_is_told_at_the_start() {
    let mut house = House::start().await;
    let call = house.connect().create_call();
    let other = house.connect().create_call();
    let mut ids = Vec::new();
    for (call, supervisor) in [
        (&call, "supervisor-1"),
        (&call, "supervisor-2"),
        (&other, "supervisor-3"),
    ] {
        let s = house.joined(call, supervisor).await;
        let id = s["id"].as_str().expect("an id").to_owned();
        house.disconnect(&id).await;
        ids.push((id, supervisor));
    }
    assert!(house.salesforce().events().is_empty(), "off by default");
    house.crash();
    house.change_setting("SALESFORCE__DIRECTIVE_EVENT", EVENT);
    house.restart().await;
    let told = announced(&house, 3).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 3);
    for (id, supervisor) in ids {
        let open = house
            .call("GET", &format!("/v1/supervisors/{supervisor}/directives"))
            .send()
            .await;
        house.browser(supervisor).obey(&open.body["items"][0]).await;
        house.until_left(&id).await;
        house.until_recorded(&id).await;
    }
    house.finish().await;
}

fn row(fields: &Value) -> Map<String, Value> {
    fields.as_object().expect("an object").clone()
}

async fn metric(house: &House, line: &str) -> String {
    for _ in 0..500 {
        let told = house.call("GET", "/metrics").key(READER).send().await.text;
        if told.contains(line) {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "no {line}: {}",
        house.call("GET", "/metrics").key(READER).send().await.text
    );
}

#[tokio::test]
async fn a_departure_is_compared_with_the_orgs_own_record_and_nothing_is_written_there() {
    let house = House::build().compare_often().start().await;
    let (sf, user) = (house.salesforce(), "005000000000001AAA");
    let call = house.connect().create_call();
    let voice_call = sf.put_row(
        "VoiceCall",
        row(&json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    let body = json!({"contactId": call, "supervisor": {"connectUserId": "supervisor-1"}, "salesforceUserId": user,
        "voiceCallId": voice_call});
    let begun = house.call("POST", "/v1/supervisions").json(&body).send().await;
    let id = begun.id();
    house.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    let left = house.leave(&id, "supervisor-1").await;
    house.until_recorded(&id).await;
    let explain = || async {
        let (journal, id) = (house.journal_path(), id.clone());
        let run = move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_sidedoor"))
                .args(["timing", "explain", &id])
                .env("SIDEDOOR__STORE__URL", format!("sqlite://{}", journal.display()))
                .env("SIDEDOOR__SALESFORCE__ENABLED", "false")
                .env("SIDEDOOR__CONNECT__INSTANCES__MAIN__INSTANCE_ID", "x")
                .env("SIDEDOOR__CONNECT__INSTANCES__MAIN__REGION", "us-west-2")
                .output()
                .expect("it runs")
        };
        let output = tokio::task::spawn_blocking(run).await.expect("no panic");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Theirs comes later than ours, as it does.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let not_yet = explain().await;
    assert!(not_yet.contains("ConversationParticipant) was looked for"), "{not_yet}");
    let at: jiff::Timestamp = left["departure"]["disconnectedAt"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a time");
    let theirs = at + jiff::SignedDuration::from_millis(2500);
    let whole = theirs.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
    sf.put_row(
        "ConversationParticipant",
        row(
            &json!({"ConversationId": "0dwfake00000001AAA", "ParticipantEntityId": "005000000000001", "LeftTime": whole,
            "LeftTimeMilliSecs": theirs.as_millisecond().rem_euclid(1000), "ParticipantRole": "Supervisor"}),
        ),
    );
    let told = metric(&house, "sidedoor_participants_compared_total{inside=\"false\"} 1").await;
    let sum = told
        .lines()
        .find_map(|l| l.strip_prefix("sidedoor_participant_difference_seconds_sum "));
    let sum: f64 = sum.expect("a sum").parse().expect("a number");
    assert!((sum - 2.5).abs() < 0.002, "to the millisecond: {sum}");
    let explained = explain().await;
    assert!(
        explained.contains("2500 ms from") && explained.contains("outside"),
        "{explained}"
    );
    // It is not looked at again, and no row of theirs was touched.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = metric(&house, "sidedoor_participants_compared_total").await;
    assert!(told.contains("{inside=\"false\"} 1\n"), "{told}");
    assert!(sf.written().iter().all(|w| w.object == "VoiceCallParticipant__c"));
    house.finish().await;
}

#[tokio::test]
async fn an_org_without_such_records_is_asked_once() {
    let house = House::build().compare_often().start().await;
    house.salesforce().remove_object("ConversationParticipant");
    let call = house.connect().create_call();
    house.salesforce().put_row(
        "VoiceCall",
        row(&json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    house.leave(&id, "supervisor-1").await;
    house.until_recorded(&id).await;
    // Asked, once: how it looks for their conversations, and is told that there is no such object.
    let before = house.salesforce().api_calls();
    for _ in 0..200 {
        if house.salesforce().asked("ConversationParticipant") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.salesforce().asked("ConversationParticipant"), 1);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(house.salesforce().asked("ConversationParticipant"), 1);
    assert!(house.salesforce().api_calls() <= before + 3);
    house.finish().await;
}

#[tokio::test]
async fn while_the_org_takes_nothing_no_event_spends_what_it_has_left() {
    let house = announcing().await;
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    house.until_recorded(&id).await;
    for operation in ["upsert", "collections"] {
        house
            .salesforce()
            .fault(Fault::error(operation, 403, "REQUEST_LIMIT_EXCEEDED").times(100));
    }
    house.connect().set_ccp_open("another", true);
    house.listen(&call, "another").await;
    for _ in 0..500 {
        let told = house.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !told["paused"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let calls = house.salesforce().api_calls();
    house.disconnect(&id).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(house.salesforce().events().is_empty());
    assert_eq!(house.salesforce().api_calls(), calls);
    house.rules_hold().await;
}

/// One record of theirs and two departures of ours, of whom neither names a Salesforce User: whose it is stays open.
#[tokio::test]
async fn a_record_that_may_be_either_departures_is_compared_with_none() {
    let house = House::build().compare_often().start().await;
    let sf = house.salesforce();
    let call = house.connect().create_call();
    sf.put_row(
        "VoiceCall",
        row(&json!({"VendorCallKey": call, "ConversationId": "0dwfake00000001AAA"})),
    );
    sf.put_row(
        "ConversationParticipant",
        row(
            &json!({"ConversationId": "0dwfake00000001AAA", "LeftTime": "2026-08-04T17:43:47.000+0000",
            "ParticipantRole": "Supervisor"}),
        ),
    );
    let first = house.joined(&call, "supervisor-1").await;
    let second = house.joined(&call, "supervisor-2").await;
    let id = |s: &Value| s["id"].as_str().expect("an id").to_owned();
    // The second stays a while: the first alone is due to be compared.
    house.leave(&id(&first), "supervisor-1").await;
    house.until_recorded(&id(&first)).await;
    for _ in 0..200 {
        if sf.asked("ConversationParticipant") > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = house.call("GET", "/metrics").key(READER).send().await.text;
    assert!(sf.asked("ConversationParticipant") > 1, "it was looked for");
    assert!(!told.contains("sidedoor_participants_compared_total{"), "{told}");
    house.leave(&id(&second), "supervisor-2").await;
    house.until_recorded(&id(&second)).await;
    house.finish().await;
}
