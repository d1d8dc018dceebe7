//! An org that moved to another host, and other reasons why no call succeeds: refused logins and tokens, web pages, API versions.

use serde_json::Value;
use sidedoor_fakes::Fault;
use sidedoor_fakes::salesforce::Moved;

use crate::support::app::{READER, TestApp};
use crate::support::fast_clock::FastClock;

async fn written(app: &TestApp, supervisor: &str) {
    app.connect().set_ccp_open(supervisor, true);
    let call = app.connect().create_call();
    let s = app.joined(&call, supervisor).await;
    app.until_written(s["id"].as_str().expect("an id")).await;
}

async fn first_error(app: &TestApp) -> String {
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    let failed = app
        .until(id, "an error", |s| !s["salesforceRecord"]["lastError"].is_null())
        .await;
    let record = &failed["salesforceRecord"];
    assert_eq!(record["state"], "PENDING", "no record is at fault: {record}");
    let paused = app.call("GET", "/v1/deliveries").key(READER).send().await.body["paused"].clone();
    if !paused.is_null() {
        assert_eq!(paused["reason"], record["lastError"], "both name the same remedy");
    }
    app.assert_invariants().await;
    record["lastError"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn moved_org_is_followed_by_a_new_login() {
    for moved in [Moved::Permanently, Moved::Temporarily, Moved::UrlNotReset] {
        let app = TestApp::start().await;
        written(&app, "supervisor-1").await;
        app.salesforce().change(|s| s.moved = moved);
        written(&app, "supervisor-2").await;
        assert_eq!(app.salesforce().logins(), 2, "{moved:?}");
        app.assert_invariants().await;
    }
}

/// An old host that resets connections looks like an outage, so a token is replaced only once it is a minute old.
#[tokio::test]
async fn moved_org_whose_old_host_resets_is_followed() {
    let app = TestApp::build()
        .clock(FastClock::new(60))
        .set("SALESFORCE__FIND_VOICE_CALLS", "false")
        .start()
        .await;
    written(&app, "supervisor-1").await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    app.salesforce().change(|s| s.moved = Moved::Reset);
    written(&app, "supervisor-2").await;
    assert_eq!(app.salesforce().logins(), 2);
    app.assert_invariants().await;
}

#[tokio::test]
async fn org_error_keeps_salesforces_sentence_and_names_the_setting() {
    let refusals: [(&str, &str, &str); 7] = [
        ("invalid_grant", "no client credentials user enabled", "run-as user"),
        (
            "invalid_grant",
            "request not supported on this domain",
            "salesforce.login_url",
        ),
        (
            "invalid_client",
            "invalid client credentials",
            "salesforce.client_secret",
        ),
        ("invalid_client_id", "client identifier invalid", "salesforce.client_id"),
        ("invalid_grant", "ip restricted or invalid login hours", "login hours"),
        ("invalid_grant", "inactive user", "activate"),
        ("invalid_grant", "expired password", "password"),
    ];
    for (error, sentence, remedy) in refusals {
        let mut app = TestApp::start().await;
        app.crash();
        app.salesforce()
            .fault(Fault::error("token", 400, error).saying(sentence).times(1000));
        app.restart().await;
        let answered = first_error(&app).await;
        assert!(
            answered.starts_with("salesforce_login_rejected: ")
                && answered.contains(sentence)
                && answered.contains(remedy),
            "{answered}"
        );
    }
}

#[tokio::test]
async fn org_without_the_api_version_is_reported_as_that() {
    let mut app = TestApp::start().await;
    app.crash();
    app.salesforce().change(|s| s.newest_api_version = 66);
    app.restart().await;
    let answered = first_error(&app).await;
    assert!(
        answered.starts_with("salesforce_api_version_invalid: ")
            && answered.contains("set salesforce.api_version to v66.0"),
        "{answered}"
    );
}

#[tokio::test]
async fn token_without_api_scope_is_reported_as_that() {
    let mut app = TestApp::start().await;
    app.crash();
    app.salesforce().change(|s| s.token_scopes = "id web".into());
    app.restart().await;
    let answered = first_error(&app).await;
    assert!(
        answered.starts_with("salesforce_token_rejected: ")
            && answered.contains("This session is not valid for use with the REST API")
            && answered.contains("(api)"),
        "{answered}"
    );
}

/// A page of a proxy or a login page, with any status, instead of Salesforce's answer.
#[tokio::test]
async fn web_page_is_reported_with_its_title() {
    for operation in ["describe", "token"] {
        let mut app = TestApp::start().await;
        app.crash();
        app.salesforce().fault(Fault {
            times: 1000,
            ..Fault::html_page(operation)
        });
        app.restart().await;
        let answered = first_error(&app).await;
        assert!(
            answered.contains("a web page titled \"Maintenance\"") && answered.contains("check the proxy"),
            "{operation}: {answered}"
        );
    }
}

#[tokio::test]
async fn limit_of_concurrent_requests_pauses_for_seconds() {
    let app = TestApp::start().await;
    let limit = Fault::error("upsert", 403, "REQUEST_LIMIT_EXCEEDED").saying("ConcurrentPerOrgLongTxn Limit exceeded.");
    app.salesforce().fault(limit);
    written(&app, "supervisor-1").await;
    app.assert_invariants().await;
}

/// With 95 % used, the service calls rarely. The header has further figures after a semicolon.
#[tokio::test]
async fn api_usage_is_read_from_a_header_with_semicolons() {
    let app = TestApp::build().fakes(|f| f.salesforce.daily_limit = 7).start().await;
    written(&app, "supervisor-1").await;
    let page = app.call("GET", "/v1/deliveries").key(READER).send().await.body;
    assert_eq!(page["apiCallsLimit"], 7, "{page:#}");
    assert_ne!(page["apiCallsUsed"], Value::Null, "{page:#}");
    app.assert_invariants().await;
}
