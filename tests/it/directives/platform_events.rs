//! Directives announced by Platform Events, which carry only an opaque key, arrive at least once and may be repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sidedoor_fakes::Fault;

use crate::support::app::{READER, TestApp};

const EVENT: &str = "Supervisor_Directive__e";

async fn app_with_platform_events() -> TestApp {
    TestApp::build().set("SALESFORCE__DIRECTIVE_EVENT", EVENT).start().await
}

async fn channel_key(app: &TestApp, supervisor: &str) -> String {
    let page = app
        .call("GET", &format!("/v1/supervisors/{supervisor}/directives"))
        .send()
        .await;
    page.body["channelKey"].as_str().expect("a key").to_owned()
}

/// Waits for at least `least` events and returns the keys that they announce.
async fn announced(app: &TestApp, least: usize) -> Vec<String> {
    for _ in 0..1500 {
        let events = app.salesforce().events();
        if events.len() >= least {
            let key = |fields: &Map<String, Value>| fields["Stream_Key__c"].as_str().expect("a key").to_owned();
            return events.iter().map(|(_, fields)| key(fields)).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout waiting for {least} events: {:?}", app.salesforce().events());
}

#[tokio::test]
async fn platform_event_announces_directive_by_opaque_key() {
    let app = app_with_platform_events().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    assert!(app.salesforce().events().is_empty(), "a start publishes no event");
    let asked = app.disconnect(&id).await;
    let keys = announced(&app, 1).await;
    assert_eq!(keys, [channel_key(&app, "supervisor-1").await]);
    assert_ne!(keys[0], channel_key(&app, "supervisor-2").await);
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
    // A component that received the event asks the API and gets the directive.
    let page = app
        .call("GET", "/v1/supervisors/supervisor-1/directives?acts=true")
        .send()
        .await;
    assert_eq!(
        page.body["items"][0]["directiveId"],
        asked.body["nextAction"]["directiveId"]
    );
    // The vendor's event is delivered after the browser's answer, because before it the event would change the directive.
    app.connect()
        .change_events(|e| (e.delay_min_ms, e.delay_max_ms) = (1500, 1600));
    app.browser("supervisor-1").obey(&asked.body["nextAction"]).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    // The browser's own answer is not announced to it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.salesforce().events().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn platform_event_refused_or_unanswered_is_published_again() {
    let mut app = app_with_platform_events().await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id").to_owned();
    app.salesforce()
        .fault(Fault::error("publish", 503, "SERVER_UNAVAILABLE"));
    // The event is published but the answer is lost, so the service publishes it a second time.
    app.salesforce().fault(Fault::lost_answer("publish"));
    app.disconnect(&id).await;
    let keys = announced(&app, 2).await;
    assert_eq!(
        keys.iter().collect::<BTreeSet<_>>().len(),
        1,
        "all events have the same key: {keys:?}"
    );
    let key = channel_key(&app, "supervisor-1").await;
    app.crash_and_restart().await;
    assert_eq!(
        channel_key(&app, "supervisor-1").await,
        key,
        "the key is the same after a restart"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        announced(&app, 2).await.len(),
        2,
        "a directive that was announced is not announced again"
    );
    let open = app.call("GET", "/v1/supervisors/supervisor-1/directives").send().await;
    app.browser("supervisor-1").obey(&open.body["items"][0]).await;
    app.until_left(&id).await;
    app.until_written(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn platform_events_missed_while_down_are_sent_at_start() {
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
    let keys = announced(&app, 3).await;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 3);
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
async fn platform_events_pause_while_org_accepts_nothing() {
    let app = app_with_platform_events().await;
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
        let page = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !page["paused"].is_null() {
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

/// While few API calls are left, the service waits a moment before it publishes, so that one call carries many events.
#[tokio::test]
async fn platform_events_share_one_call_while_calls_are_scarce() {
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
    // From the next answer on, more than 1 % of the day's calls is used.
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
    let keys = announced(&app, 5).await;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 5, "{keys:?}");
    assert_eq!(
        app.salesforce().api_calls() - before,
        1,
        "one call publishes all events"
    );
    app.assert_invariants().await;
}

/// Records are paused until an administrator fixes the object, but directives do not depend on it.
#[tokio::test]
async fn platform_events_continue_while_record_object_is_invalid() {
    let app = app_with_platform_events().await;
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
        let page = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
        if !page["paused"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = std::time::Instant::now();
    app.disconnect(&id).await;
    announced(&app, 1).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let page = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
    assert!(
        page["paused"]["reason"].as_str().expect("paused").contains("Mode__c"),
        "{page}"
    );
    app.assert_invariants().await;
}
