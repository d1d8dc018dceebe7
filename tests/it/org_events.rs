//! Directives announced by Platform Events: opaque, at least once, harmless when repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sidedoor_fakes::Fault;

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
    // The vendor's event comes after the browser's answer: before it, it would be news.
    house
        .connect()
        .change_events(|e| (e.delay_min_ms, e.delay_max_ms) = (1500, 1600));
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

/// While the org's calls are short a moment is waited, so that one call carries what many would.
#[tokio::test]
async fn while_calls_are_short_many_streams_go_in_one_call() {
    let house = House::build()
        .set("SALESFORCE__DIRECTIVE_EVENT", EVENT)
        .set("SALESFORCE__SLOW_ABOVE_PERCENT", "1")
        .start()
        .await;
    let mut ids = Vec::new();
    for i in 0..5 {
        let supervisor = format!("short-{i}");
        house.connect().set_ccp_open(&supervisor, true);
        let call = house.connect().create_call();
        let s = house.joined(&call, &supervisor).await;
        ids.push(s["id"].as_str().expect("an id").to_owned());
    }
    for id in &ids {
        house.until_recorded(id).await;
    }
    // From the next answer on more than a hundredth of the day's calls is used.
    let so_far = house.salesforce().api_calls();
    house.salesforce().change(|s| s.daily_limit = so_far * 80);
    let another = house.connect().create_call();
    let s = house.joined(&another, "supervisor-1").await;
    house.until_recorded(s["id"].as_str().expect("an id")).await;
    let before = house.salesforce().api_calls();
    for id in &ids {
        house.disconnect(id).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = announced(&house, 5).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 5, "{told:?}");
    assert_eq!(house.salesforce().api_calls() - before, 1, "one call for all of them");
    house.rules_hold().await;
}

/// Rows wait for an admin; directives need not.
#[tokio::test]
async fn while_only_the_rows_object_is_not_as_it_should_be_events_go_on() {
    let house = announcing().await;
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    house.until_recorded(&id).await;
    let mut object = sidedoor_fakes::salesforce::Object::participant("VoiceCallParticipant__c");
    object.fields.retain(|f| f.name != "Mode__c");
    house.salesforce().put_object(object);
    house.connect().set_ccp_open("another", true);
    house.listen(&call, "another").await;
    for _ in 0..500 {
        let told = house.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !told["paused"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = std::time::Instant::now();
    house.disconnect(&id).await;
    announced(&house, 1).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let told = house.call("GET", "/v1/deliveries").key(READER).send().await.body;
    assert!(
        told["paused"]["reason"].as_str().expect("paused").contains("Mode__c"),
        "{told}"
    );
    house.rules_hold().await;
}
