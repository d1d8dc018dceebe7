//! Directives announced by Platform Events: opaque, at least once, harmless when repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sidedoor_fakes::Fault;

use crate::support::app::{READER, TestApp};

const EVENT: &str = "Supervisor_Directive__e";

async fn announcing() -> TestApp {
    TestApp::build().set("SALESFORCE__DIRECTIVE_EVENT", EVENT).start().await
}

async fn channel_key(app: &TestApp, supervisor: &str) -> String {
    let page = app
        .call("GET", &format!("/v1/supervisors/{supervisor}/directives"))
        .send()
        .await;
    page.body["channelKey"].as_str().expect("a key").to_owned()
}

/// The keys announced, once there are at least so many events.
async fn announced(app: &TestApp, least: usize) -> Vec<String> {
    for _ in 0..1500 {
        let events = app.salesforce().events();
        if events.len() >= least {
            let key = |fields: &Map<String, Value>| fields["Stream_Key__c"].as_str().expect("a key").to_owned();
            return events.iter().map(|(_, fields)| key(fields)).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there never were {least} events: {:?}", app.salesforce().events());
}

#[tokio::test]
async fn a_component_without_cors_hears_by_an_event_that_tells_nobody_anything() {
    let app = announcing().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    assert!(app.salesforce().events().is_empty(), "listening is nobody's business");
    let asked = app.disconnect(&id).await;
    let told = announced(&app, 1).await;
    assert_eq!(told, [channel_key(&app, "supervisor-1").await]);
    assert_ne!(told[0], channel_key(&app, "supervisor-2").await);
    let (name, fields) = app.salesforce().events().remove(0);
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
    let page = app
        .call("GET", "/v1/supervisors/supervisor-1/directives?acts=true")
        .send()
        .await;
    assert_eq!(
        page.body["items"][0]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    // The vendor's event comes after the browser's answer: before it, it would be news.
    app.connect()
        .change_events(|e| (e.delay_min_ms, e.delay_max_ms) = (1500, 1600));
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    // The browser's own answer is no news to it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.salesforce().events().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn what_the_org_refused_or_answered_into_the_void_is_announced_again() {
    let mut app = announcing().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.salesforce()
        .fault(Fault::error("publish", 503, "SERVER_UNAVAILABLE"));
    // Published, and the answer is lost: at least once means twice now.
    app.salesforce().fault(Fault::lost_answer("publish"));
    app.disconnect(&id).await;
    let told = announced(&app, 2).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 1, "one stream: {told:?}");
    let key = channel_key(&app, "supervisor-1").await;
    app.crash_and_restart().await;
    assert_eq!(channel_key(&app, "supervisor-1").await, key, "the same after a restart");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        announced(&app, 2).await.len(),
        2,
        "what was announced is not announced again"
    );
    let open = app.call("GET", "/v1/supervisors/supervisor-1/directives").send().await;
    app.browser("supervisor-1").obey(&open.body["items"][0]).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn many_streams_go_in_one_call_and_what_came_while_we_were_gone_is_told_at_the_start() {
    let mut app = TestApp::start().await;
    let call = app.connect().create_call();
    let other = app.connect().create_call();
    let mut ids = Vec::new();
    for (call, supervisor) in [
        (&call, "supervisor-1"),
        (&call, "supervisor-2"),
        (&other, "supervisor-3"),
    ] {
        let s = app.joined(call, supervisor).await;
        let id = s["id"].as_str().expect("an id").to_owned();
        app.disconnect(&id).await;
        ids.push((id, supervisor));
    }
    assert!(app.salesforce().events().is_empty(), "off by default");
    app.crash();
    app.change_setting("SALESFORCE__DIRECTIVE_EVENT", EVENT);
    app.restart().await;
    let told = announced(&app, 3).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 3);
    for (id, supervisor) in ids {
        let open = app
            .call("GET", &format!("/v1/supervisors/{supervisor}/directives"))
            .send()
            .await;
        app.browser(supervisor).obey(&open.body["items"][0]).await;
        app.until_left(&id).await;
        app.until_written(&id).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn while_the_org_takes_nothing_no_event_spends_what_it_has_left() {
    let app = announcing().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.until_written(&id).await;
    for operation in ["upsert", "collections"] {
        app.salesforce()
            .fault(Fault::error(operation, 403, "REQUEST_LIMIT_EXCEEDED").times(100));
    }
    app.connect().set_ccp_open("another", true);
    app.listen(&call, "another").await;
    for _ in 0..500 {
        let told = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !told["paused"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let calls = app.salesforce().api_calls();
    app.disconnect(&id).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(app.salesforce().events().is_empty());
    assert_eq!(app.salesforce().api_calls(), calls);
    app.assert_invariants().await;
}

/// While the org's calls are short a moment is waited, so that one call carries what many would.
#[tokio::test]
async fn while_calls_are_short_many_streams_go_in_one_call() {
    let app = TestApp::build()
        .set("SALESFORCE__DIRECTIVE_EVENT", EVENT)
        .set("SALESFORCE__SLOW_ABOVE_PERCENT", "1")
        .start()
        .await;
    let mut ids = Vec::new();
    for i in 0..5 {
        let supervisor = format!("short-{i}");
        app.connect().set_ccp_open(&supervisor, true);
        let call = app.connect().create_call();
        let s = app.joined(&call, &supervisor).await;
        ids.push(s["id"].as_str().expect("an id").to_owned());
    }
    for id in &ids {
        app.until_written(id).await;
    }
    // From the next answer on more than a hundredth of the day's calls is used.
    let so_far = app.salesforce().api_calls();
    app.salesforce().change(|s| s.daily_limit = so_far * 80);
    let another = app.connect().create_call();
    let s = app.joined(&another, "supervisor-1").await;
    app.until_written(s["id"].as_str().expect("an id")).await;
    let before = app.salesforce().api_calls();
    for id in &ids {
        app.disconnect(id).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = announced(&app, 5).await;
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 5, "{told:?}");
    assert_eq!(app.salesforce().api_calls() - before, 1, "one call for all of them");
    app.assert_invariants().await;
}

/// Rows wait for an admin; directives need not.
#[tokio::test]
async fn while_only_the_rows_object_is_not_as_it_should_be_events_go_on() {
    let app = announcing().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.until_written(&id).await;
    let mut object = sidedoor_fakes::salesforce::Object::participant("VoiceCallParticipant__c");
    object.fields.retain(|f| f.name != "Mode__c");
    app.salesforce().put_object(object);
    app.connect().set_ccp_open("another", true);
    app.listen(&call, "another").await;
    for _ in 0..500 {
        let told = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !told["paused"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = std::time::Instant::now();
    app.disconnect(&id).await;
    announced(&app, 1).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let told = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
    assert!(
        told["paused"]["reason"].as_str().expect("paused").contains("Mode__c"),
        "{told}"
    );
    app.assert_invariants().await;
}
